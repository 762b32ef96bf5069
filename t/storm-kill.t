# Workers that are killed at random under load: no slot is lost, no task stays
# without a runner, and no total goes back.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use BackgroundStorm;
use List::Util qw/ max /;
use Test::More;
use Time::HiRes qw/ sleep time /;

my $rounds = rounds(15);
my $threads = 3;

put('page', 'x' x 20_000);

my $kind = load_kind('gate');
my $gate = dir() . '/gate';

start(<<"EOF", "location = /page { root ${\dir()}; }", "$kind\nworker_processes 4; worker_rlimit_core 0;");
    background_threads $threads;
    background_task io_one { interval 20ms; retry 20ms; simulate_io 2 delay=1ms-10ms; }
    background_task io_all { workers all; interval 20ms; retry 20ms; simulate_io 2 delay=1ms-10ms; }
    background_task cpu_one { interval 20ms; retry 20ms; simulate_cpu 5ms; }
    background_task cpu_all { workers all; interval 40ms; retry 40ms; simulate_cpu 2ms; simulate_cpu 2ms; simulate_cpu 2ms; }
    background_task digest { interval 20ms; retry 20ms; digest ${\dir()}/page; }
    background_task gated { workers all; interval 20ms; retry 20ms; gate $gate; }
    background_task rests { interval 1h; simulate_io 1 delay=1ms-1ms; }
EOF

all_there(4);

poll('rests: a cycle', sub {
    my %t = by_name(status());
    return $t{rests}{cycles}{completed};
});

load(3);
watch();

my $start = time;
my $kills = 0;

while ($kills < $rounds) {

    # three workers in a row that die in the same task are what quarantines it:
    # some cycle ends well in between

    poll('cycles end well', sub {
        my $status = watch_step();

        return !@{watch_end()->{owed}}
               && !grep { my $one = $_->{workers} eq 'one';
                          $_->{cycles}{consecutive_failures} > $one
                          || $one && watch_dead($_->{lease}{pid}) }
                        @{$status->{tasks}};
    });

    my $until = time + rand 0.2;

    do {
        watch_step();
        sleep 0.005;
    } while (time < $until);

    my @workers = workers();

    if (@workers) {
        my $pid = $workers[rand @workers];

        if (signal('KILL', $pid)) {
            watch_died($pid, qw/ io_all cpu_all gated /);
            $kills++;
        }
    }
}

my $took = time - $start;

poll('all have their workers', sub {
    watch_step();

    return !@{watch_end()->{owed}};
});

all_there(4);

my $saw = load_end();
my $watched = watch_end();
my %task = by_name(status());

poll('the configured workers', sub { workers() == 4 });
is_deeply($watched->{back}, {}, 'totals never go back');

for (sort keys %{$watched->{gap}}) {
    cmp_ok($watched->{gap}{$_}, '<', $BackgroundStatus::deadline,
           "$_: has a runner");
}

for (sort keys %task) {
    is($task{$_}{state} eq 'quarantined', !1, "$_: not quarantined");
    cmp_ok($task{$_}{cycles}{completed}, '>', 0, "$_: cycles");
}

is($task{rests}{cycles}{completed}, 1, 'rests: no cycle again');

# the budget in the hands of those who live now, and of the next ones

put('gate', '');

poll('the budget is used to the full', sub {
    my $s = watch_step();
    my %t = by_name($s);

    return $t{gated}{running} == 4 && $s->{cpu}{running} == $threads;
});

unlink $gate or die "unlink: $!\n";

my @old = workers();

# jobs that don't take turns

my $fills = dir() . '/fills';

put('fills', '');

reconfigure('background_task rests',
            'background_task fills { workers all; ' . "gate $fills keep; " x 3
            . "}\nbackground_task rests");

my $status = poll('so many jobs at once', sub {
    my $s = watch_step();
    my %t = by_name($s);

    return $t{fills} && $t{fills}{running} == 4 && $s->{cpu}{running} == $threads
           && $s->{cpu}{queued} >= 4 * 3 - $threads && $s;
});

cmp_ok(watch_end()->{running}, '<=', $threads, 'and never more');

all_there(4, @old);

is(in_log(qr/exited on signal 9$/), '', 'no complaint, no bad exit');
is(logged(qr/exited on signal 9$/m), $kills, 'kills');

figures('kills' => $kills, 'seconds' => $took,
        'requests' => $saw->{requests},
        'failed, of connections of the killed' => $saw->{failed},
        'longest without a runner' => max(values %{$watched->{gap}}),
        'jobs at once' => "$status->{cpu}{running} of $threads",
        'queued' => $status->{cpu}{queued},
        'workers' => scalar(@{[workers()]}));

put('error.log', join '', grep { !/exited on signal 9$/ }
                               split /^/, log_text());

stop();
done_testing();
