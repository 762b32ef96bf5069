# "background_run" while a thread takes a job: "wait=" ends just then, and
# "queue=" counts jobs that have a thread.  A library that is preloaded makes
# these moments last.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundLife;
use BackgroundPost;
use BackgroundPreload;
use BackgroundStatus;
use IO::Select;
use Test::More;

my $dir = dir();
my $told = "$dir/told";

mkdir $told or die "mkdir: $!\n";
for_workers($told);

put('moments.c', <<'EOF_C');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <execinfo.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t *volatile  watched;
static volatile int               passed;

static int
exists(const char *name)
{
    char  path[4096];

    snprintf(path, sizeof(path), "%s/%s", getenv("MOMENTS"), name);

    return access(path, F_OK) == 0;
}

static int
is_main(void)
{
    return getpid() == syscall(SYS_gettid);
}

/* threads of the pool come to no job while "gate" exists */

int
pthread_mutex_lock(pthread_mutex_t *mutex)
{
    static int  (*next)(pthread_mutex_t *);

    if (next == NULL) {
        next = (int (*)(pthread_mutex_t *)) dlsym(RTLD_NEXT,
                                                  "pthread_mutex_lock");
    }

    while (getenv("MOMENTS") && !is_main() && exists("gate")) {
        usleep(1000);
    }

    return next(mutex);
}

/* whether the module looks if the job of a request waits */

static int
looks(void)
{
    int      i, n;
    void    *frames[8];
    Dl_info  info;

    n = backtrace(frames, 8);

    for (i = 0; i < n; i++) {
        if (dladdr(frames[i], &info) && info.dli_sname
            && (strcmp(info.dli_sname, "ngx_http_background_waits") == 0
                || strcmp(info.dli_sname, "ngx_http_background_withdraw")
                   == 0))
        {
            return 1;
        }
    }

    return 0;
}

/*
 * After the main thread has looked so while "armed" exists, it waits until the
 * first job has ended and its thread has had that mutex, to take the next job.
 */

int
pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    int         rc;
    char        path[4096];
    FILE       *file;

    static int  (*next)(pthread_mutex_t *);

    if (next == NULL) {
        next = (int (*)(pthread_mutex_t *)) dlsym(RTLD_NEXT,
                                                  "pthread_mutex_unlock");
    }

    rc = next(mutex);

    if (getenv("MOMENTS") == NULL) {
        return rc;
    }

    if (!is_main()) {
        if (mutex == watched && exists("first.ended")) {
            passed = 1;
        }

        return rc;
    }

    if (watched == NULL && exists("armed") && looks()) {
        watched = mutex;

        snprintf(path, sizeof(path), "%s/first.gate", getenv("MOMENTS"));

        file = fopen(path, "w");
        if (file) {
            fclose(file);
        }

        while (!passed) {
            usleep(1000);
        }
    }

    return rc;
}
EOF_C

put('job.c', <<'EOF_C');
#include <ngx_http_background_call.h>

#include <stdio.h>
#include <unistd.h>

/* job NAME: tells that it has begun, waits for a gate, and tells its end */

static void
tell(const char *name, const char *what)
{
    char   path[4096];
    FILE  *file;

    snprintf(path, sizeof(path), "%s.%s", name, what);

    file = fopen(path, "w");
    if (file) {
        fclose(file);
    }
}

NGX_HTTP_BACKGROUND_CALL(job)
{
    char  gate[4096];

    snprintf(gate, sizeof(gate), "%s.gate", call->argv[0]);
    tell(call->argv[0], "began");

    while (access(gate, F_OK) == -1) {
        if (call->cancelled(call)) {
            return 1;
        }

        (void) usleep(1000);
    }

    tell(call->argv[0], "ended");

    return 0;
}
EOF_C

build_library("$dir/moments.so", "$dir/moments.c")
    && build_library("$dir/job.so", "$dir/job.c")
    or plan skip_all => 'no C compiler';

sub begins {
    my ($threads) = @_;

    local $ENV{LD_PRELOAD} = preloaded("$dir/moments.so");
    local $ENV{MOMENTS} = $told;

    start(<<"EOF", <<'EOF_LOCATIONS', "env MOMENTS;\nworker_processes 1;");
    background_threads $threads;
    background_task first  { interval off; call job.so job $told/first; }
    background_task second { interval off; call job.so job $told/second; }
    background_task many   { interval off; call job.so job $told/many; }
EOF
    location /first  { background_run first; }
    location /second { background_run second wait=15s; }
    location /many   { background_run many queue=1 busy=429; }
EOF_LOCATIONS
}

# the time of a job that waits is over, and its thread is free just then: it
# has not run, or it has

begins(1);

my $first = begin('/first', '');
poll('the first job runs', sub { -e "$told/first.began" });

my $second = begin('/second', '');
poll('the second one waits', sub {
    my %task = by_name(status());
    return $task{second}{waiting} == 1;
});

put('told/second.gate', '');
put('told/armed', '');

my $answer = rest($second);

ok(-e "$told/first.gate", 'the time is over just then');
is(code($answer), 503, 'no thread in time');
is(body($answer), qq({"error": "no thread is free"}\n), 'the text');
is(code(rest($first)), 200, 'the first job has ended');
ok(!-e "$told/second.began", 'the second one has not run');

unlink "$told/armed" or die "unlink: $!\n";
stop();

# threads that are on their way to their jobs

begins(4);
put('told/gate', '');

my @clients = map { begin('/many', '') } 1 .. 4;

sub waits {
    my ($n) = @_;

    return poll("$n are known", sub {
        my %task = by_name(status());
        my @answered = IO::Select->new(@clients)->can_read(0);

        return $task{many}{waiting} + @answered == $n ? @answered . ' answered' : undef;
    });
}

is(waits(4), '0 answered', 'as many as there are threads do not wait for one');

push @clients, begin('/many', '');
is(waits(5), '0 answered', 'one more waits');

is(code(post('/many', '')), 429, 'as many as may');

put('told/many.gate', '');
unlink "$told/gate" or die "unlink: $!\n";

is(join(' ', map { code(rest($_)) } @clients), join(' ', (200) x 5),
   'all have a thread');

stop();
done_testing();
