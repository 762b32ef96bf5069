# A worker that was revoked while it had a job on a thread goes on, and then that
# job crashes it: the task is blamed for it, as for any crash, and others are
# spared.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

###############################################################################

my $dir = dir();

# a job that does not stop, and crashes when the file is there, which it removes

mkdir "$dir/crash" or die "mkdir: $!\n";
chmod 0777, "$dir/crash" or die "chmod: $!\n";

put('falls.c', <<'EOF');
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include <ngx_http_background_call.h>

__attribute__((constructor)) static void
falls_load(void)
{
    /* a crash that sanitizers do not report */
    (void) signal(SIGSEGV, SIG_DFL);
}

NGX_HTTP_BACKGROUND_CALL(falls)
{
    struct timespec  ms = { 0, 1000000 };

    call->progress(call, 1, 2);

    while (unlink(call->argv[0]) != 0) {
        (void) nanosleep(&ms, NULL);
    }

    return raise(SIGSEGV);
}
EOF

build_library("$dir/falls.so", "$dir/falls.c")
    or plan skip_all => 'no C compiler';

start(<<"EOF", '', 'worker_processes 2; worker_rlimit_core 0;');
    background_threads 2;
    background_task falls { interval 10ms; retry 10ms; health fails=9; call falls.so falls $dir/crash/now; }
    background_task waits { workers all; retry 10ms; timeout 1d; simulate_io 1 delay=1h-1h; }
EOF

my %task;
my $failed = 0;

poll('a job, and all wait', sub {
    tasks();
    return $task{falls}{progress} && $task{waits}{running} == 2;
});

my $hangs = $task{falls}{lease}{pid};

signal('STOP', $hangs);

poll('the job is told', sub {
    logged(qr/"falls": worker process $hangs hangs with a job of the task/)
});

signal('CONT', $hangs);

poll('it is back, but for the job', sub {
    tasks();
    return logged(qr/\] $hangs#\d+: background: the event loop was blocked/)
           && $task{waits}{running} == 2;
});
is($task{falls}{running}, 0, 'falls: it has lost the cycle');

my $waits = $task{waits}{cycles};

falls();

is($task{falls}{last_failure}{error},
   'worker process died during the cycle: SIGSEGV', 'falls: error');
is($task{waits}{cycles}{failed}, $waits->{failed}, 'waits: spared');
is($task{waits}{cycles}{cancelled}, $waits->{cancelled} + 1, 'waits: cancelled');

# it was one of three

falls();
is(logged(qr/quarantined/), 0, 'not yet');
falls();

poll('quarantined', sub { tasks(); $task{falls}{state} eq 'quarantined' });
is(logged(qr/"falls": quarantined until the next reload, 3 worker processes in a row died in it, the last one of SIGSEGV$/m),
   1, 'told');
is($task{falls}{cycles}{failed}, 3, 'falls: failed');
is($task{falls}{cycles}{started}, 3, 'falls: started');

put('error.log', join '', grep { !/hangs with a job|exited on signal|: quarantined/ }
                               split /^/, log_text());

stop();
done_testing();

###############################################################################

sub tasks { %task = by_name(status_of_any()) }

# the job crashes, and that is recorded

sub falls {
    my $n = ++$failed;
    my $exited = logged(qr/exited on signal 11/);

    poll("$n: a job", sub {
        tasks();
        return $n == 1 || $task{falls}{running};
    });

    put('crash/now', '');
    poll("$n: a worker dies", sub { logged(qr/exited on signal 11/) > $exited });

    poll("$n: recorded", sub {
        tasks();
        return $task{falls}{cycles}{failed} == $n
               && $task{waits}{running} == 2;
    });
}
