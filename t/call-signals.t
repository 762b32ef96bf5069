# "call": the signal mask that a function leaves is not that of the next one on
# its thread: the handler of crashes needs these signals.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $dir = dir();

put('blocks.c', <<'EOF');
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <ngx_http_background_call.h>

static __thread int   times;
static int *volatile  nowhere;

__attribute__((constructor)) static void
load(void)
{
    /* a crash that sanitizers do not report */
    (void) signal(SIGSEGV, SIG_DFL);
}


/* tells how many signals are blocked, and blocks all of them */

NGX_HTTP_BACKGROUND_CALL(blocks)
{
    int       i, n;
    sigset_t  set;

    (void) pthread_sigmask(SIG_SETMASK, NULL, &set);

    n = 0;

    for (i = 1; i < 32; i++) {
        n += sigismember(&set, i) == 1;
    }

    call->message(call, "thread %ld: time %d, %d blocked",
                  (long) syscall(SYS_gettid), ++times, n);

    if (times > 2 && access(call->argv[0], F_OK) == 0) {
        *nowhere = 1;
    }

    (void) sigfillset(&set);
    (void) pthread_sigmask(SIG_SETMASK, &set, NULL);

    return 0;
}
EOF

build_library("$dir/blocks.so", "$dir/blocks.c")
    or plan skip_all => 'no C compiler';

start(<<"EOF", '', 'worker_processes 1; worker_rlimit_core 0;');
    background_threads 1;
    background_task blocks { interval 10ms; retry 10ms; call $dir/blocks.so blocks $dir/crash; }
    background_task waits { interval 1h; simulate_io 1 delay=1h-1h; timeout 1d; }
EOF

my (%task, %found);

poll('several functions on one thread', sub {
    my $log = log_text();

    %found = ();
    push @{$found{$1}}, $2
        while $log =~ /: thread (\d+): time \d+, (\d+) blocked$/mg;

    return grep { @$_ >= 5 } values %found;
});

my ($blocked) = map { $_->[0] } values %found;

is((grep { $_ != $blocked } map { @$_ } values %found), 0,
   "each function finds the same signals blocked, $blocked");

# a crash is known as one of this task

put('crash', '');

# workers may not live until they answer

poll('it has crashed', sub { logged(qr/exited on signal/) });
unlink "$dir/crash" or die "unlink: $!\n";

poll('it goes on, as does another task', sub {
    my $failed = $task{blocks}{cycles}{failed} // 0;

    %task = by_name(status_anyhow());
    return $failed && $task{blocks}{cycles}{failed} == $failed && $task{blocks}{healthy}
           && $task{waits}{running};
});

is($task{blocks}{last_failure}{error},
   'worker process died during the cycle: SIGSEGV', 'the signal of a crash');
is($task{waits}{cycles}{failed}, 0, 'the other task has not failed');

put('error.log', join '', grep { !/exited on signal/ } split /^/, log_text());

stop();
done_testing();
