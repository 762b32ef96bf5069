# A time-out counts when it strikes: where a job does not stop, its cycle has
# failed, the task is not healthy, whatever "health" says, and no cycle starts
# until the job is back.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $dir = dir();

build_library("$dir/test.so", source())
    or plan skip_all => 'no C compiler';

my $kind = load_kind('arrive');

start(<<"EOF", <<'EOF2', "$kind\nworker_processes 1; worker_rlimit_core 0;");
    background_threads 8;
    background_task late { interval 10ms; retry 10ms; timeout 500ms; health fails=9 passes=2; call test.so stubborn $dir/late; }
    background_task waited { interval off; timeout 500ms; call test.so stubborn $dir/waited; }
    background_task two { interval 1h; retry 10ms; timeout 3s; call test.so obedient $dir/two; call test.so stubborn $dir/two; simulate_io 2 delay=0-0; }
    background_task stops { interval 10ms; retry 10ms; timeout 20ms; health fails=3; simulate_cpu 1h; }
    background_task quick { interval 10ms; simulate_io 1 delay=0-0; }
EOF
    location = /waited { arrive waited 2; }
    location = /late { background_status task=late failing=503; }
    location = /ok { return 200 "$background_ok_late $background_ok_waited $background_status"; }
    location = /metrics { background_status prometheus task=late; }
EOF2

my %task;

poll('a job is abandoned', sub { task('late')->{abandoned} });

my $pid = $task{late}{lease}{pid};

my $started = $task{late}{cycles}{started};

abandoned('late', $started);

is((get('/late'))[0], 503, 'late: failing=');
like((get('/ok'))[2], qr/^0 1 degraded$/, 'variables');
like((get('/metrics'))[2], qr/^nginx_background_task_healthy\{task="late"\} 0$/m,
     'Prometheus');
is(logged(qr/\[error\].*background task "late": failed: call "test.so": timed out, the job does not stop, it is abandoned$/m),
   1, 'its line, without a retry');

# no other cycle meanwhile

cycles('quick', 'completed', 20);
is(task('late')->{cycles}{started}, $started, 'no other cycle');
abandoned('late', $started);

# of several runs the one that goes on, with what the others did

poll('two: a job is abandoned', sub { task('two')->{abandoned} });

is($task{two}{last}{failed}, 2, 'two: both jobs failed');
is($task{two}{last}{operations}, 4, 'two: the others did not');
is($task{two}{last}{error}, 'call "test.so": timed out', 'two: error');

# a job that stops is not abandoned

poll('stops: failures', sub { task('stops')->{cycles}{failed} > 3 });
cmp_ok(logged(qr/"stops": failed: simulate_cpu "1h": timed out, retrying/), '>', 0,
       'stops: not abandoned');

# A request is answered, its job takes a part of the concurrency.  On a busy
# machine the time may be over before a job begins.

my @answers;

poll('waited: two are abandoned', sub {
    push @answers, (get('/waited'))[0];
    return task('waited')->{abandoned} == 2;
});

is(join(' ', grep { $_ != 504 } @answers), '', 'requests');
is((get('/waited'))[0], 429, 'one too many');
ok(!task('waited')->{healthy}, 'waited: not healthy');
like((get('/ok'))[2], qr/^0 0 degraded$/, 'variables');
is($task{waited}{cycles}{failed}, @answers, 'waited: each failed');

# they come back

put('waited', '');
poll('waited: all are back', sub { !task('waited')->{abandoned} });

poll('waited: an answer', sub { (get('/waited'))[0] == 200 });
ok(task('waited')->{healthy}, 'waited: healthy');
accounted('waited');

put('late', '');
poll('late: healthy', sub { task('late')->{healthy} });

is($task{late}{abandoned}, 0, 'late: none is abandoned');
accounted('late');
cmp_ok($task{late}{cycles}{completed}, '>=', 2, 'late: "passes" counts');
is(logged(qr/\[notice\].*background task "late": an abandoned job has ended$/m),
   1, 'late: it is told');

put('two', '');
poll('two: after "retry" there is another cycle', sub {
    task('two')->{cycles}{completed}
});
is($task{two}{cycles}{failed}, logged(qr/background task "two": failed/),
   'two: failed once');
accounted('two');
ok($task{two}{next}, 'two: the next one is due');

# an old worker has the task until its job is back

unlink "$dir/late" or die "unlink: $!\n";
poll('late: abandoned again', sub { task('late')->{abandoned} });

signal('HUP');
poll('a new worker', sub {
    task('quick')->{lease} && $task{quick}{lease}{pid} != $pid
});

is($task{late}{lease}{pid}, $pid, 'late: with the old worker');
is($task{late}{state}, 'abandoned', 'late: state');
ok(!$task{late}{healthy}, 'late: not healthy');

put('late', '');
poll('late: with the new worker', sub {
    task('late')->{lease} && $task{late}{lease}{pid} != $pid
    && $task{late}{healthy};
});
is($task{late}{cycles}{cancelled}, 0, 'late: not cancelled');
accounted('late');

# a worker that dies meanwhile: the cycle failed once, and counts as a crash

unlink "$dir/late" or die "unlink: $!\n";

# a cycle whose job had no thread in time ends the row

my $deaths = 0;

for ( ;; ) {
    poll('a crash: abandoned', sub {
        task('late')->{abandoned} || $task{late}{state} eq 'quarantined'
    });

    last if $task{late}{state} eq 'quarantined' || $deaths == 30;

    my $died = $task{late}{lease}{pid};

    signal('KILL', $died);
    $deaths++;
    poll('a crash: another worker', sub {
        task('late')->{lease} && $task{late}{lease}{pid} != $died
    });
}

is($task{late}{state}, 'quarantined', 'quarantined');
cmp_ok($deaths, '>=', 3, 'after three deaths');
accounted('late');

put('error.log', join '', grep { !/exited on signal|: quarantined/ }
                               split /^/, log_text());

stop();
done_testing();

sub task {
    %task = by_name(status_anyhow());

    return $task{$_[0]};
}

# so many cycles more

sub cycles {
    my ($name, $which, $n) = @_;

    my $from = task($name)->{cycles}{$which};

    poll("$name: $n cycles", sub {
        task($name)->{cycles}{$which} >= $from + $n
    });
}

# each cycle has ended once, or is under way

sub accounted {
    my ($name) = @_;

    my $task = task($name);
    my $cycles = $task->{cycles};

    is($cycles->{completed} + $cycles->{failed} + $cycles->{cancelled}
       + $task->{running}, $cycles->{started}, "$name: each cycle once");
}

sub abandoned {
    my ($name, $failed) = @_;

    my $task = task($name);

    is($task->{state}, 'abandoned', "$name: state");
    is($task->{running}, 0, "$name: no cycle is under way");
    is($task->{running_seconds}, undef, "$name: nor for any time");
    is($task->{cycles}{failed}, $failed, "$name: failed");
    is($task->{cycles}{consecutive_failures}, $failed, "$name: in a row");
    ok(!$task->{healthy}, "$name: not healthy");
    is($task->{last}{error}, 'call "test.so": timed out', "$name: error");
    is($task->{next}, undef, "$name: none is next");
}
