# A worker whose event loop stands still loses its leases to others; what it
# still does when it goes on has no effect, and then it is a worker as before.
# Only a job on a thread keeps its lease, and that is told.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use Test::More;
use Time::HiRes qw/ sleep time /;

my $dir = dir();

build_library("$dir/test.so", source())
    or plan skip_all => 'no C compiler';

my $kind = load_kind('stall');
my %task;

# all of the worker's threads stand still

start(<<"EOF", '', "$kind\nworker_processes 2;");
    background_threads 4;
    background_task often { interval 50ms; retry 50ms; simulate_io 2 delay=0-1ms; }
    background_task waits { interval 1h; retry 10ms; timeout 1d; health fails=9; simulate_io 1 delay=1h-1h; }
    background_task all { workers all; interval 50ms; simulate_io 1 delay=0-0; }
    background_task rare { interval 1h; simulate_io 1 delay=0-0; }
EOF

poll('all have a worker', sub {
    tasks();
    return $task{waits}{running} && $task{often}{cycles}{completed} > 3
           && $task{rare}{cycles}{completed};
});

for my $n (1 .. 4) {
    my $hangs = $task{waits}{lease}{pid};

    my $stopped;

    poll("$n: its event loop goes on", sub {
        $stopped = time;
        return status_of_any()->{pid} == $hangs;
    });

    signal('STOP', $hangs);

    poll("$n: another worker", sub {
        tasks();
        return !grep { !$task{$_}{lease} || $task{$_}{lease}{pid} == $hangs }
                     qw/ often waits rare /;
    });

    cmp_ok(time - $stopped, '>', 7, "$n: after ten seconds");
    is(logged(qr/worker process $hangs hangs, its leases are free/) > 0, 1,
       "$n: it is told");
    is($task{waits}{last_failure}{error}, 'worker process hung during the cycle',
       "$n: waits: error");
    is($task{waits}{cycles}{failed}, $n, "$n: waits: failed");
    ok($task{all}{overdue}, "$n: all: overdue in the one that hangs");

    my $completed = $task{often}{cycles}{completed};

    poll("$n: it goes on", sub {
        tasks();
        return $task{often}{cycles}{completed} > $completed + 5
               && $task{often}{healthy} && $task{waits}{running};
    });

    my $told = logged(qr/\] $hangs#\d+: background: the event loop was blocked/);

    signal('CONT', $hangs);

    poll("$n: the worker is back", sub {
        tasks();
        return logged(qr/\] $hangs#\d+: background: the event loop was blocked/)
               > $told && $task{all}{healthy};
    });

    isnt($task{waits}{lease}{pid}, $hangs, "$n: waits: with the other one");
    accounted($n);
}

# all at the same time: that is no worker that hangs

my $hung = logged(qr/ hangs, its leases are free/);

frozen(sub { sleep 12 });

my $completed = $task{often}{cycles}{completed};

poll('all go on', sub {
    tasks();
    return $task{often}{cycles}{completed} > $completed + 20;
});

is(logged(qr/ hangs, its leases are free/), $hung, 'stopped together');
is($task{rare}{cycles}{completed}, 1, 'rare: no cycle again');
is($task{waits}{state}, 'running', 'no crash, however often');
is(logged(qr/worker process \d+ died/), 0, 'none died');
is(scalar(@{[workers()]}), 2, 'the same workers');

stop();

# one that shuts down goes on ticking, and keeps what its job works on, and the
# only slot

start(<<"EOF", '', 'worker_processes 1;');
    background_threads 1;
    background_task stubborn { call test.so stubborn $dir/gate; }
    background_task burns { interval 10ms; retry 10ms; simulate_cpu 1ms; }
    background_task often { interval 10ms; simulate_io 1 delay=0-0; }
EOF

poll('a job runs', sub { tasks(); $task{stubborn}{progress} });

my $old = $task{stubborn}{lease}{pid};

signal('HUP');
poll('another worker', sub { workers() == 2 });

my $since = time;

poll('for longer than ten seconds', sub { time - $since > 13 });

tasks();
is($task{stubborn}{lease}{pid}, $old, 'a worker that drains keeps its lease');
is(logged(qr/ hangs/), 0, 'it does not hang');

# and when it stands still, too, it is seen

signal('STOP', $old);
poll('it is told', sub { logged(qr/worker process $old hangs with a job/) });

tasks();

my ($burnt, $n) = map { $task{$_}{cycles}{completed} } qw/ burns often /;

poll('I/O goes on', sub {
    tasks();
    return $task{often}{cycles}{completed} > $n + 20;
});
is($task{burns}{cycles}{completed}, $burnt, 'its slot is not free');
is($task{burns}{state}, 'queued', 'which a job waits for');
is(status_cpu()->{running}, 1, 'its job counts as one that runs');

signal('KILL', $old);
poll('its slot is free', sub {
    tasks();
    return $task{burns}{cycles}{completed} > $burnt;
});
poll('the new one has it', sub {
    tasks();
    return $task{stubborn}{running} && $task{stubborn}{lease}{pid} != $old;
});
is($task{stubborn}{last_failure}{error}, 'worker process hung during the cycle',
   'error');

put('gate', '');
put('error.log', join '', grep { !/hangs with a job|exited on signal 9/ }
                               split /^/, log_text());
stop();
unlink "$dir/gate" or die "unlink: $!\n";

# its event loop alone: a job that asks stops, one that does not keeps its lease

start(<<"EOF", "location = /stall { stall $dir/go; return 204; } keepalive_requests 1000;", "$kind\nworker_processes 2;");
    background_threads 2;
    background_task asks { workers one; interval 50ms; retry 50ms; simulate_cpu 1h; }
    background_task stubborn { workers one; interval 50ms; retry 50ms; call test.so stubborn $dir/gate; }
    background_task queued { workers one; interval 1h; simulate_cpu 1ms; }
EOF

poll('two jobs are on threads', sub {
    tasks();
    return $task{asks}{progress} && $task{stubborn}{progress}
           && status_cpu()->{running} == 2;
});

my $hangs = $task{stubborn}{lease}{pid};

stall($hangs);

poll('stubborn: it is told', sub {
    logged(qr/\[alert\].*background task "stubborn": worker process $hangs hangs with a job of the task, no other worker runs the task until the job ends or the process exits$/m)
});

tasks();
ok($task{stubborn}{overdue}, 'stubborn: overdue');
ok(!$task{stubborn}{healthy}, 'stubborn: not healthy');
is($task{stubborn}{error}, "overdue: worker process $hangs hangs with a job",
   'stubborn: error');

if ($task{asks}{lease} && $task{asks}{lease}{pid} != $hangs) {
    pass('asks: another worker has it');
} else {
    poll('asks: another worker', sub {
        tasks();
        return $task{asks}{lease} && $task{asks}{lease}{pid} != $hangs;
    });
    pass('asks: another worker has it');
}

put('gate', '');

poll('stubborn: the job is over, and another worker has it', sub {
    tasks();
    return $task{stubborn}{lease} && $task{stubborn}{lease}{pid} != $hangs
           && $task{stubborn}{cycles}{completed};
});

is($task{stubborn}{last_failure}{error}, 'worker process hung during the cycle',
   'stubborn: the cycle failed');

put('go', '');

poll('the worker is back', sub {
    logged(qr/\] $hangs#\d+: background: the event loop was blocked/)
});
accounted('in the end');

put('error.log', join '', grep { !/hangs with a job/ } split /^/, log_text());

stop();
done_testing();

sub tasks { %task = by_name(status_of_any()) }

sub status_cpu { status_of_any()->{cpu} }

# what began has ended, or is under way

sub accounted {
    my ($when) = @_;

    ok(poll("$when: each cycle is accounted for", sub {
        tasks();

        return !grep { my $c = $_->{cycles};
                       $c->{started} != $c->{completed} + $c->{failed}
                                        + $c->{cancelled} + $_->{running} }
                     values %task;
    }), "$when: each cycle is accounted for");
}

# the hundredth request stops the event loop of the worker that has the
# connection

sub stall {
    my ($pid) = @_;

    poll('a connection of that worker', sub {
        my $socket = BackgroundStatus::connection() or return 0;

        print $socket "GET /status HTTP/1.1\r\nHost: test\r\n\r\n";
        $socket->flush;

        my $answer = '';

        until ($answer =~ /\]\}\n\z/) {
            sysread $socket, $answer, 65536, length $answer or return 0;
        }

        return 0 if $answer !~ /"pid":$pid,"worker":\d+,"zone"/;

        for (1 .. 100) {
            print $socket "GET /stall HTTP/1.1\r\nHost: test\r\n\r\n";
            $socket->flush;

            last if $_ == 100;
            sysread $socket, $answer, 65536 or die "no answer\n";
        }

        our $held = $socket;
        return 1;
    });
}
