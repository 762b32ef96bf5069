# Binary upgrades with tasks running, under load; and one that is taken back.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use BackgroundStorm;
use List::Util qw/ max /;
use Test::More;
use Time::HiRes qw/ sleep time /;

my $rounds = $ENV{BACKGROUND_STORM} ? 10 : 2;

put('page', 'x' x 20_000);

# a new binary's sanitizers, if there are any, are to know what is asked of them

my $env = join ' ', map { "env ${_}_OPTIONS;" } qw/ ASAN LSAN UBSAN TSAN /;

start(<<"EOF", "location = /page { root ${\dir()}; }", "daemon on; worker_processes 2; $env");
    background_threads 2;
    background_task io_one { interval 20ms; simulate_io 2 delay=1ms-30ms; }
    background_task io_all { workers all; interval 20ms; simulate_io 2 delay=1ms-30ms; }
    background_task cpu_one { interval 20ms; simulate_cpu 5ms; }
    background_task long_io { workers all; timeout 1d; simulate_io 1 delay=1h-1h; }
    background_task long_cpu { simulate_cpu 1h; }
EOF

all_there(2);
load(3);

my $start = time;
my @both;

for my $round (1 .. $rounds) {
    my ($old, $new) = new_binary(2);

    # both have what is for all workers, the old one what is for one

    my %by = answers($old, $new);

    for my $master ($old, $new) {
        my $status = $by{$master};
        my %task = by_name($status);

        is($task{long_io}{running}, 2, "upgrade $round: two workers");
        is(parent($task{$_}{lease}{pid}), $master,
           "upgrade $round: $_: a worker of its own")
            for qw/ long_cpu io_one /;
        is($task{long_cpu}{running}, $master == $old ? 1 : 0,
           "upgrade $round: long_cpu: in the old one");
        cmp_ok($status->{cpu}{running}, '<=', 2, "upgrade $round: jobs");
    }

    my %before = by_name($by{$old});

    signal('WINCH', $old);
    poll('the old workers are gone', sub { !others($old, $new) });

    signal('QUIT', $old);
    poll('the old master is gone', sub { gone($old) });

    is(master(), $new, "upgrade $round: the new one is alone");
    runs("upgrade $round");

    my %after = by_name(status());

    cmp_ok($after{$_}{cycles}{completed}, '>', $before{$_}{cycles}{completed},
           "upgrade $round: $_: totals go on") for qw/ io_one cpu_one /;
}

# taken back: the old one's workers come again, the new one leaves

my ($old, $new) = new_binary(2);

signal('WINCH', $old);
poll('the old workers are gone', sub { !others($old, $new) });

signal('HUP', $old);
poll('the old one has workers again', sub { 2 == others($old, $new) });

signal('QUIT', $new);
poll('the new one is gone', sub { gone($new) });
poll('the old one is the master again', sub { master() == $old });

runs('taken back');

my $took = time - $start;
my $saw = load_end();

is($saw->{failed}, 0, 'no failed request') or diag(explain($saw->{why}));
is(in_log(), '', 'no complaint, no bad exit');

figures('upgrades' => $rounds, 'taken back' => 1, 'seconds' => $took,
        'requests' => $saw->{requests}, 'failed' => $saw->{failed},
        'slowest request' => $saw->{longest},
        'workers' => scalar(@{[workers()]}));

signal('TERM');
poll('the end', sub { gone($old) });

stop();
done_testing();

# what the workers of each say, when they run what they should

sub answers {
    my (@masters) = @_;
    my %by;

    poll('both have looked at their tasks', sub {
        my $status = status();
        my %task = by_name($status);

        my $master = parent($status->{pid});

        $by{$master} = $status
            if $task{long_io}{running} == 2 && $task{io_one}{lease}
               && $task{long_cpu}{$master == $masters[0] ? 'running' : 'lease'};

        return !grep { !$by{$_} } @masters;
    });

    return %by;
}

sub runs {
    my ($name) = @_;

    my $master = master();
    my $status = all_there(2);
    my %before = by_name($status);

    is(parent($status->{pid}), $master, "$name: who answers");

    poll('tasks run', sub {
        my %now = by_name(status());

        return $now{long_io}{running} == 2 && $now{long_cpu}{running}
               && !grep { $now{$_}{cycles}{completed}
                          <= $before{$_}{cycles}{completed} + 5 }
                        qw/ io_one io_all cpu_one /;
    });

    is(scalar(@{[others($master)]}), 2, "$name: workers");
}

sub others {
    my ($master, @but) = @_;

    my %but = map { $_ => 1 } @but;

    return grep { !$but{$_} && !gone($_) } children($master);
}

sub parent { process_stat($_[0])->[1] }
