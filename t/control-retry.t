# A failed cycle that was ordered: log, status, and what happens agree.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundControl;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

sub task {
    my %task = by_name(status("/status?history=1&task=$_[0]"));
    return $task{$_[0]};
}

my $failed = qr/failed: connect "127.0.0.1:1": [^\n]*/;

start(<<'EOF', <<'EOF2', 'worker_processes 2;');
    background_task once { interval off; connect 127.0.0.1:1; }
    background_task long { interval off; retry 1h; connect 127.0.0.1:1; }
    background_task again { interval off; retry 20ms; connect 127.0.0.1:1; }
    background_task next { after once on=failure; retry 1h; connect 127.0.0.1:1; }
    background_task paused { interval 1h; retry 20ms; connect 127.0.0.1:1; }
    background_task clock { interval 20ms; simulate_io 1 delay=1ms-1ms; }
EOF
    location /control/ { background_control run pause; }
EOF2

# without "retry"

is(code('/control/once/run'), 202, 'an order');
my $task = poll('it failed', sub {
    my $task = task('once');
    return $task->{cycles}{failed} && $task->{running} == 0 && $task;
});
is($task->{state}, 'waiting', 'without "retry": it waits');
is($task->{retry_seconds}, undef, 'for no retry');
is($task->{next}, undef, 'nor is anything due');
poll('the log has the failure', sub { logged(qr/"once": $failed$/m) });
is(logged(qr/"once": $failed/), 1, 'once');
is(logged(qr/"once": $failed, retrying/), 0, 'and promises none');

# with one that is not reached

for my $name ('long', 'next') {
    is(code('/control/long/run'), 202, 'an order') if $name eq 'long';
    $task = poll("$name failed", sub {
        my $task = task($name);
        return $task->{cycles}{failed} && $task->{running} == 0
               && $task->{next} && $task;
    });
    is($task->{state}, 'retrying', "$name: the state");
    is($task->{retry_seconds}, 3600, "$name: the time");
    poll("$name: the log has it", sub { logged(qr/"$name": $failed/) });
    is(logged(qr/"$name": $failed, retrying in 3600s$/m), 1, "$name: the log");
    ok(!$task->{overdue}, "$name: it is not late");
}

# with one that is

is(code('/control/again/run'), 202, 'an order');
$task = poll('it is tried again', sub {
    my $task = task('again');
    return $task->{cycles}{failed} >= 3 && $task;
});
is($task->{causes}[-1]{cause}, 'retry', 'the cause');
cmp_ok(logged(qr/"again": $failed, retrying in 20ms$/m), '>=', 2, 'the log');

# a paused task is not tried again

is(code('/control/paused/pause'), 202, 'a pause');
poll('an order while it is paused', sub {
    code('/control/paused/run') == 202
});

# its worker handles the pause first; twice, as the cycle may be about to begin

my $seen = 0;

$task = poll('it failed', sub {
    my $task = task('paused');

    $seen = $task->{causes}[-1]{cause} eq 'control' && $task->{running} == 0
            ? $seen + 1 : 0;

    return $seen > 1 && $task;
});

my $failures = $task->{cycles}{failed};
my $lines = logged(qr/"paused": $failed, retrying/);

my $then = task('clock')->{cycles}{completed};
poll('ten times the pause, by another task', sub {
    task('clock')->{cycles}{completed} >= $then + 10
});
$task = task('paused');
is($task->{cycles}{failed}, $failures, 'it is not tried again');
is($task->{state}, 'paused', 'the state');
is(logged(qr/"paused": $failed, retrying/), $lines, 'the log promises none');

is(task('once')->{cycles}{failed}, 1, 'nor is the first one, until now');

done_testing();
