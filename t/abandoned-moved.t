# A task with an abandoned job, while another instance comes: by an upgrade of
# nginx's binary, and by another size of the zone.  The other instance knows that
# the cycle has failed, does not start the task until the job is back or dead,
# and then starts it; what was judged of requests stays.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

###############################################################################

my $dir = dir();

build_library("$dir/test.so", source())
    or plan skip_all => 'no C compiler';

my $kind = load_kind('arrive');

# a new binary's sanitizers, if there are any, are to know what is asked of them

my $env = join ' ', map { "env ${_}_OPTIONS;" } qw/ ASAN LSAN UBSAN TSAN /;

my %task;

# on a busy machine, too, a job that may end does so within its time

start("background_threads 8 priority=0 quota=100; background_zone 512k;\n", <<"EOF", "$kind\ndaemon on; worker_processes 1; $env");
    background_task late { interval 10ms; retry 10ms; timeout 3s; health fails=9; call test.so stubborn $dir/late; }
    background_task quick { interval 10ms; simulate_io 1 delay=0-0; }
    background_task asked { interval off; health fails=1; answer; }

    location = /asked { arrive asked; }
EOF

# another size: the old worker ends when its job does

is((get('/asked'))[0], 201, 'asked: good');
fails();
abandoned();

my $pid = $task{late}{lease}{pid};

reconfigure('background_zone 512k', 'background_zone 1m');
poll('the new worker', sub {
    task('quick');
    return $task{quick}{lease} && $task{quick}{lease}{pid} != $pid
           && $task{quick}{cycles}{completed} > 20;
});

moved('another size', 1);
ok(!$task{asked}{healthy}, 'asked: not healthy, as before');
is($task{asked}{cycles}{failed}, 1, 'asked: failed');

%task = by_name(status_anyhow('/status?history=1'));
is($task{late}{history}[0]{error}, 'call "test.so": timed out',
   'late: the history has the error');

put('late', '');
poll('late: goes on', sub { task('late')->{healthy} });
isnt($task{late}{lease}{pid}, $pid, 'late: in the new worker');
is($task{late}{cycles}{failed}, 1, 'late: failed once');
is($task{late}{cycles}{started},
   $task{late}{cycles}{completed} + 1 + $task{late}{running},
   'late: each cycle once');
unlink "$dir/late" or die "unlink: $!\n";

# an upgrade

poll('abandoned', sub { task('late')->{abandoned} });

my $failed = $task{late}{cycles}{failed};

$pid = $task{late}{lease}{pid};

my ($old, $new) = upgrade();

moved('an upgrade', $failed);
signal('WINCH', $old);
poll('quick: goes on', sub { parent_of('quick') == $new });
moved('the old worker is told to exit', $failed);

put('late', '');
poll('late: goes on', sub { task('late')->{healthy} });
is($task{late}{cycles}{failed}, $failed, 'late: failed once');
is(parent_of('late'), $new, 'late: in the new one');
unlink "$dir/late" or die "unlink: $!\n";

signal('QUIT', $old);
poll('the old master is gone', sub { gone($old) });

# one more, and the old instance is killed: a cycle is tried at once

poll('abandoned', sub { task('late')->{abandoned} });
$failed = $task{late}{cycles}{failed};

($old, $new) = upgrade();
moved('another upgrade', $failed);

my $started = $task{late}{cycles}{started};

kill 'KILL', $old, active_workers($old);

poll('late: goes on', sub { task('late')->{cycles}{started} > $started });
is(parent_of('late'), $new, 'late: in the new one');
is(logged(qr/quarantined/), 0, 'late: not quarantined');

put('late', '');
poll('late: healthy', sub { task('late')->{healthy} });

put('error.log', join '', grep { !/exited on signal 9/ } split /^/, log_text());

signal('TERM', $new);
poll('the end', sub { gone($new) });

stop();
done_testing();

###############################################################################

sub task {
    %task = by_name(status_anyhow());

    return $task{$_[0]};
}

sub fails {
    like(http("POST /asked HTTP/1.0\r\nHost: test\r\nContent-Length: 4\r\n\r\nfail"),
         qr/^HTTP\/1.1 500/, 'asked: fails');
    ok(!task('asked')->{healthy}, 'asked: not healthy');
}

sub abandoned {
    poll('abandoned', sub { task('late')->{abandoned} });
    is($task{late}{cycles}{failed}, 1, 'late: failed');
}

# what the new instance tells of the task

sub moved {
    my ($when, $failed) = @_;

    my $completed = task('quick')->{cycles}{completed};

    poll("$when: the new one tells what the old one does", sub {
        task('quick')->{cycles}{completed} > $completed + 20
    });

    is($task{late}{running}, 0, "$when: late: no cycle");
    is($task{late}{cycles}{failed}, $failed, "$when: late: failed");
    ok(!$task{late}{healthy}, "$when: late: not healthy");
    is($task{late}{last_failure}{error}, 'call "test.so": timed out',
       "$when: late: error");
}

# starts a new binary; returns both masters

sub upgrade {
    my ($old, $new) = new_binary(1);

    poll('it waits for the task', sub {
        logged(qr/ ${\(active_workers($new))[0]}#\d+: background task "late": waits/)
    });

    return ($old, $new);
}

sub parent_of {
    my $task = task($_[0]);

    return $task->{lease} ? process_stat($task->{lease}{pid})->[1] : 0;
}
