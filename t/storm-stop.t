# Workers that stop and go on at random, several at a time, under load: no
# worker is taken for a dead one, no task stays without a runner, no total goes
# back, and in the end all is well.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use BackgroundStorm;
use List::Util qw/ max shuffle /;
use Test::More;
use Time::HiRes qw/ sleep time /;

my $rounds = rounds(10);
my $threads = 3;

# one round of so many has workers that stop for longer than the time after
# which others take their tasks

my $long = 10;

put('page', 'x' x 20_000);

start(<<"EOF", "location = /page { root ${\dir()}; }", 'worker_processes 4;');
    background_threads $threads;
    background_task io_one { interval 20ms; retry 20ms; simulate_io 2 delay=1ms-10ms; }
    background_task io_all { workers all; interval 20ms; retry 20ms; simulate_io 2 delay=1ms-10ms; }
    background_task cpu_one { interval 20ms; retry 20ms; simulate_cpu 5ms; }
    background_task cpu_all { workers all; interval 40ms; retry 40ms; simulate_cpu 2ms; simulate_cpu 2ms; }
    background_task digest { interval 20ms; retry 20ms; digest ${\dir()}/page; }
    background_task rests { interval 1h; simulate_io 1 delay=1ms-1ms; }
EOF

all_there(4);

my @workers = workers();
my ($stops, $longest) = (0, 0);

load(2);
watch();

my $start = time;

for my $round (1 .. $rounds) {
    my @some = (shuffle @workers)[0 .. rand 4];
    my $for = $round % $long == 0 ? 11 + rand 3 : rand 0.7;

    $stops += signal('STOP', @some);
    sleep $for;
    signal('CONT', @some);

    $longest = max($longest, $for);

    # each does something in between

    my $from = cycles(watch_step());

    poll("round $round: all go on", sub {
        my $now = cycles(watch_step());

        return !grep { $now->{$_} < $from->{$_} + 3 } grep { $_ ne 'rests' }
                     keys %$from;
    });
}

my $took = time - $start;
my $status = all_there(4);
my $saw = load_end();
my $watched = watch_end();

poll('all are healthy', sub {
    $status = watch_step();

    return $status->{status} eq 'ok';
});

my %task = by_name($status);

is(join(' ', workers()), "@workers", 'the same workers');
is_deeply($watched->{back}, {}, 'totals never go back');
is($task{rests}{cycles}{completed}, 1, 'rests: no cycle again');
is($saw->{failed}, 0, 'no request failed')
    or diag(join "\n", %{$saw->{why}});

# what began has ended, or is under way

poll('each cycle is accounted for', sub {
    my %now = by_name(status());

    return !grep { my $c = $_->{cycles};
                   $c->{started} != $c->{completed} + $c->{failed}
                                    + $c->{cancelled} + $_->{running} }
                 values %now;
});

is($_->{cycles}{failed} <= $stops, 1, "$_->{name}: few have failed")
    for values %task;
is(logged(qr/worker process \d+ died/), 0, 'none is taken for dead');
is(in_log(qr/hangs/), '', 'no complaint');

figures('stops' => $stops, 'seconds' => $took, 'longest' => $longest,
        'requests' => $saw->{requests},
        'longest request' => $saw->{longest},
        'longest without a runner' => max(values %{$watched->{gap}}));

put('error.log', '');

stop();
done_testing();

sub cycles {
    my ($status) = @_;

    return { map { $_->{name} => $_->{cycles}{completed} }
                 @{$status->{tasks}} };
}
