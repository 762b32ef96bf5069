# Tasks over a reload, and the death of a worker.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

start(<<'EOF', '', 'worker_processes 4; debug_points abort;');
    background_threads 2;
    background_task waits { workers all; interval 50ms; simulate_io 3 delay=1ms-20ms; }
    background_task burns { interval 100ms; simulate_cpu 20ms; }
    background_task long { retry 1h; simulate_cpu 1h; }
EOF

poll('all tasks run', sub {
    my %task = by_name(status());

    # one worker may start long after another one

    return $task{waits}{cycles}{completed} >= 8
           && $task{burns}{cycles}{completed} >= 2
           && $task{long}{running}
           && logged(qr/background task "waits": started/) == 4;
});

poll('four workers', sub { workers() == 4 });
is(logged(qr/background task "waits": started/), 4, 'in each worker');
is(logged(qr/background task "burns": started/), 1, 'in one worker');
is(logged(qr/background: CPU limit \d+ \([a-z0-9 ]+\), thread pool started with 2 threads/),
   4, 'thread pools');

# a reload: new workers, the old ones gone, totals kept

my @old = workers();
my %before = by_name(status());

signal('HUP');

poll('only new workers', sub {
    my %old = map { $_ => 1 } @old;
    my @now = workers();

    return @now == 4 && !grep { $old{$_} } @now;
});

poll('tasks run again', sub {
    my %task = by_name(status());

    return $task{waits}{cycles}{completed}
               > $before{waits}{cycles}{completed} + 8
           && $task{burns}{cycles}{completed}
               > $before{burns}{cycles}{completed} + 2
           && $task{long}{running};
});

my $status = status();
my %task = by_name($status);

is($status->{generation}, 2, 'generation');
is($task{long}{cycles}{cancelled}, 1, 'the long cycle was cancelled');
is($task{long}{cycles}{failed}, 0, 'and did not fail');
is(logged(qr/background task "waits": stopped/), 4, 'stopped, logged');
is(logged(qr/background task "long": cancelled after \d/), 1,
    'a cycle was cancelled, logged');
is(logged(qr/background: thread pool shut down/), 4, 'pools shut down');
ok(!(grep { $task{long}{lease}{pid} == $_ } @old), 'a new worker has the lease');

# the worker that runs the long job dies

my $dead = $task{long}{lease}{pid};

signal('KILL', $dead);

poll('another one has the lease', sub {
    my %t = by_name(status_anyhow());

    return $t{long}{lease} && $t{long}{lease}{pid} != $dead;
});

poll('the cycle failed', sub {
    my %t = by_name(status_anyhow());

    return $t{long}{cycles}{failed} == 1 && $t{long}{state} eq 'retrying';
});

%task = by_name(status());
is($task{long}{last}{error}, 'worker process died during the cycle', 'error');

poll('its slot is free', sub { status()->{cpu}{running} <= 1 });
poll('workers', sub { @{[workers()]} == 4 });

# a bad configuration changes nothing

my @same = workers();

reconfigure('interval 100ms', 'interval 0');
poll('refused', sub { logged(qr/invalid time "0" in "interval" directive/) });

is(join(' ', workers()), join(' ', @same), 'the same workers');
is(status()->{generation}, 2, 'the same configuration');

# tasks removed, added, reordered

%before = by_name(status());

reconfigure('interval 0', 'interval 100ms');
poll('generation 3', sub { status()->{generation} == 3 });

reconfigure('background_task waits',
            'background_task new { simulate_io 1; } background_task waits');

poll('generation 4', sub {
    my $s = status();

    return $s->{generation} == 4 && $s->{tasks}[0]{name} eq 'new';
});

%task = by_name(status());
cmp_ok($task{waits}{cycles}{completed}, '>=',
       $before{waits}{cycles}{completed}, 'totals by name');

poll('4 workers', sub { @{[workers()]} == 4 });

# nginx's own words of the dead worker, and of what it refused above

put('error.log', join '', grep { !/exited on signal 9|invalid time "0"/ }
                               split /^/, log_text());

stop();
done_testing();
