# A task that is late is not healthy: no cycle has started for its pause, at
# least 3 seconds, after it was due, or the cycle has not ended so long after its
# timeout, or waits for a thread.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundControl;
use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use Test::More;
use Time::HiRes qw/ sleep time /;

my $dir = dir();
my $kind = load_kind('gate') . "\n" . load_kind('crash');

my $locations = <<'EOF';
    location = /ready { background_status task=often failing=503 brief; }
    location = /ok {
        set_background $error often last_error;
        return 200 "$background_ok_often $background_status $error";
    }
    location = /metrics { background_status prometheus task=often; }
EOF

my (%task, $hung, $hangs_for);

# how often a worker has lost its leases as it hung

my $freed = qr/ hangs, its leases are free/;
my $nfreed;

# cycles that do not start, or do not end, in a worker that hangs

start(<<'EOF', $locations, "$kind\nworker_processes 2; worker_rlimit_core 0;");
    background_threads 2;
    background_task often { interval 100ms; retry 100ms; health fails=9; simulate_io 1 delay=0-0; }
    background_task ends { interval 1h; retry 1ms; timeout 2s; simulate_io 1 delay=1h-1h; }
    background_task all { workers all; interval 50ms; simulate_io 1 delay=0-0; }
    background_task slow { workers all; interval 5s; simulate_io 1 delay=0-0; }
    background_task rare { workers all; interval 1h; simulate_io 1 delay=0-0; }
    background_task off { workers all; interval off; simulate_io 1; }
EOF

for my $name (qw/ often ends /) {
    my $other = $name eq 'often' ? 'all' : 'often';

    hang($name);

    # all of its answers come from the other worker

    like(told($name), $name eq 'often'
         ? qr/^overdue: no cycle has started, it was due \d+s ago$/
         : qr/^overdue: the cycle has not ended, it started \d+s ago$/,
         "$name: error");
    cmp_ok(ago($name), '>=', $name eq 'often' ? 3 : 5, "$name: not sooner");

    if ($name eq 'often') {
        my ($ok, $status, $error, $code, $brief, $metrics);

        # the other worker takes the task after ten seconds

        poll('asked in time', sub {
            ($ok, $status, $error) = split / /, (ask('/ok'))[2], 3;
            ($code, undef, $brief) = ask('/ready');
            $metrics = (ask('/metrics'))[2];

            return 1 if logged($freed) == $nfreed;

            go_on();
            hang($name);
            told($name);
            return 0;
        });

        is("$ok $status", '0 degraded', 'variables');
        like($error, qr/^overdue: no cycle has started, /, 'its error');
        is($code, 503, 'failing=');
        unlike($brief, qr/error/, 'brief');
        like($metrics, qr/^nginx_background_task_overdue\{task="often"\} 1$/m,
             'Prometheus');
        like($metrics, qr/^nginx_background_task_healthy\{task="often"\} 0$/m,
             'not healthy');

        ok(!$task{often}{last}{error}, 'its last cycle was good');
    }

    is($task{$_}{overdue} + 0, 0, "$_: not overdue") for qw/ rare off /;
    like(told('all'), qr/^overdue: /, 'all: late in one worker');
    like(told('slow'), qr/^overdue: no cycle has started, /, 'slow: late, too');
    cmp_ok(ago('slow'), '>=', 5, 'slow: after its interval');

    go_on();
}

poll('healthy again', sub {
    tasks();
    return $task{often}{healthy} && $task{all}{healthy};
});

is($task{often}{error}, undef, 'no error');
like((get('/metrics'))[2], qr/^nginx_background_task_overdue\{task="often"\} 0$/m,
     'Prometheus');

# who was stopped with all others tells nothing of it

my @answers = asked_while_stopped(6);

is(scalar(grep { $_->{overdue} } map { @{$_->{tasks}} } @answers), 0,
   'after a pause of all nothing is overdue');

stop();

# Jobs that wait for a thread, or take long without a timeout.  The gate of
# "queued" is open: its job has no turn to lose.

put('gate', '');

start(<<"EOF", 'location /control/ { background_control pause; }', "$kind\nworker_processes 1; worker_rlimit_core 0;");
    background_threads 1;
    background_task long { interval 10ms; retry 10ms; gate $dir/gate keep; }
EOF

poll('the job has the thread', sub { tasks(); $task{long}{progress}
                                              || $task{long}{running} });

reconfigure('background_task long',
            "background_task queued { interval 20ms; gate $dir/none keep; }
             background_task paused { interval 20ms; simulate_io 1 delay=0-0; }
             background_task crashes { retry 10ms; crash $dir/crash; }
             background_task long");

poll('another worker', sub { status_anyhow()->{generation} == 2 });

like(told('queued'),
     qr/^overdue: the cycle waits for a thread, it started \d+s ago$/,
     'queued: error');
cmp_ok(ago('queued'), '>=', 3, 'queued: not sooner');
ok(!$task{queued}{healthy}, 'queued: not healthy');

poll('long: it takes long', sub {
    tasks();
    return ($task{long}{running_seconds} // 0) > 4
});

is($task{long}{overdue} + 0, 0, 'long: not overdue');
ok($task{long}{healthy}, 'long: healthy');

unlink "$dir/gate" or die "unlink: $!\n";

poll('queued: healthy', sub { tasks(); $task{queued}{healthy} });

# a task that is quarantined, or paused, has no due time

is(code('/control/paused/pause'), 202, 'paused');

put('crash', 'always');
poll('quarantined', sub {
    tasks();
    return $task{crashes}{state} eq 'quarantined';
});

my $since = time;

poll('some seconds', sub {
    tasks();
    die "overdue\n" if $task{crashes}{overdue} || $task{paused}{overdue};
    return time - $since > 5;
});
pass('quarantined: not overdue');
is($task{paused}{state}, 'paused', 'nor is one that is paused');
ok($task{paused}{healthy}, 'which is healthy');

put('error.log', join '', grep { !/exited on signal|quarantined/ }
                               split /^/, log_text());

stop();
done_testing();

# stops the worker that has the task while the task is as it should be

sub hang {
    my ($name) = @_;

    poll("$name: its worker hangs", sub {
        tasks();

        return 0 if grep { $_->{overdue} } values %task;
        return 0 if $name eq 'ends' && !$task{ends}{running};

        # no worker may have it yet

        $hung = ($task{$name}{lease} // {})->{pid} or return 0;
        $hangs_for = $name;
        $nfreed = logged($freed);
        signal('STOP', $hung);
        poll('it stops', sub { process_stat($hung)->[0] eq 'T' });

        tasks();
        return 1 if $name eq 'ends' ? $task{ends}{running}
                                    : !$task{$name}{running};

        go_on();
        return 0;
    });
}

sub go_on { signal('CONT', $hung) }

# the error when it is overdue

sub told {
    my ($name) = @_;

    return poll("$name: overdue", sub {
        tasks();

        if ($task{$name}{overdue}) {
            ok(!$task{$name}{healthy}, "$name: not healthy");
            return $task{$name}{error};
        }

        # the other worker takes the task after ten seconds

        if ($name eq $hangs_for && logged($freed) > $nfreed) {
            go_on();
            hang($name);
        }

        return 0;
    });
}

# the seconds of its error

sub ago { $task{$_[0]}{error} =~ /(\d+)s ago$/ ? $1 : 'none' }

sub tasks { %task = by_name(parse((ask('/status'))[2])) }

# whichever worker answers; one that is stopped may have taken the request

sub ask {
    my ($uri) = @_;

    return poll("$uri: an answer", sub {
        my $socket = BackgroundStatus::connection() or return 0;
        my $answer = '';

        print $socket "GET $uri HTTP/1.0\r\n\r\n";
        $socket->flush;

        my $end = time + 2;

        while ((my $left = $end - time) > 0) {
            my $in = '';

            vec($in, fileno $socket, 1) = 1;
            select $in, undef, undef, $left or last;

            sysread $socket, $answer, 65536, length $answer or last;
        }

        my ($code, $body)
            = $answer =~ m{^HTTP/1\.1 (\d+) .*?\r\n\r\n(.+)}s or return 0;

        return 0 if $uri eq '/status' && $body !~ /\]\}\n\z/;

        return [$code, undef, $body];
    })->@*;
}

# the first answers after all workers were stopped for so many seconds

sub asked_while_stopped {
    my ($seconds) = @_;

    my @sockets = @{frozen(sub {
        sleep $seconds;

        return [map {
            my $socket = BackgroundStatus::connection() or die "connect: $!\n";

            print $socket "GET /status HTTP/1.0\r\n\r\n";
            $socket->flush;
            $socket;
        } 1 .. 20];
    })};

    local $/;

    return map { parse((split /\r\n\r\n/, <$_>, 2)[1]) } @sockets;
}
