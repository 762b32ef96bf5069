# background_state: no thread can be made, and a file system that blocks.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundClock;
use BackgroundControl;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

plan(skip_all => clock_missing()) if clock_missing();

my $dir = dir();

sub task {
    my %task = by_name(status('/status?history=1'));
    return $task{daily};
}

# with these files there are no more threads, and fsync() does not return

my ($threads, $blocks) = ("$dir/no-threads", "$dir/blocks");

put('fails.c', <<"EOF");
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

int
pthread_create(pthread_t *tid, const pthread_attr_t *attr,
    void *(*start)(void *), void *arg)
{
    static int  (*real)(pthread_t *, const pthread_attr_t *,
                        void *(*)(void *), void *);

    if (access("$threads", F_OK) == 0) {
        return EAGAIN;
    }

    if (real == NULL) {
        *(void **) &real = dlsym(RTLD_NEXT, "pthread_create");
    }

    return real(tid, attr, start, arg);
}

int
fsync(int fd)
{
    while (access("$blocks", F_OK) == 0) {
        usleep(10000);
    }

    return fdatasync(fd);
}
EOF

build_library("$dir/fails.so", "$dir/fails.c", '-ldl')
    or plan skip_all => 'no compiler';

mkdir "$dir/state" or die "mkdir: $!\n";
chmod 0777, "$dir/state" or die "chmod: $!\n";

my $file = "$dir/state/tasks";

sub begin {
    clock_start($_[0], <<"EOF", <<'EOF2', 'worker_processes 1;', "$dir/fails.so");
    background_state $file;

    background_task daily {
        schedule "0 12 * * *" timezone=UTC missed=run;
        simulate_io 1 delay=1ms-1ms;
    }
EOF
    location /control/ { background_control run; }
EOF2
}

my $n = 0;

# After a cycle the worker looks at the clock.  It asks for the state to be
# written before it starts a cycle that was missed.

sub missed {
    my $day = sprintf '2026-06-%02d 15:00:00', 2 + $n++;

    my $before = task()->{cycles}{started};

    clock_set($day);
    is(code('/control/daily/run'), 202, "$day: an order");

    my $task = poll("$day: what was missed runs", sub {
        my $task = task();
        return $task->{cycles}{started} == $before + 2
               && $task->{running} == 0 && $task;
    });
    is((grep { $_->{cause} eq 'missed' } @{$task->{causes}}[-2, -1]), 1,
       "$day: the cause");
}

my $refused = qr/"\Q$file\E" can't be written, pthread_create\(\) failed \(11: /;

put('no-threads', '');
begin('2026-06-01 15:00:00');
poll('it is logged', sub { logged($refused) });

missed() for 1 .. 3;
is(logged($refused), 1, 'once');
ok(!-e $file, 'nothing is written');

unlink $threads or die "unlink: $!\n";
missed();
poll('with threads again', sub { logged(qr/"\Q$file\E" is written again$/m) });
my ($checked) = read_file($file) =~ /^daily (\d+)/m;
cmp_ok($checked, '>=', clock_utc('2026-06-05 15:00:00'), 'it is written');

put('no-threads', '');
missed();
is(logged($refused), 2, 'the next time it is logged again');
my $text = read_file($file);

# the worker has the threads of the pool only, and needs one more at exit

stop();
is(read_file($file), $text, 'without a thread it exits all the same');

###############################################################################

# a file system that blocks

unlink $threads or die "unlink: $!\n";
begin('2026-06-20 15:00:00');
poll('what was missed runs', sub { task()->{cycles}{completed} == 1 });
poll('no write is under way', sub { !grep { -e } glob "$file.*" });
$text = read_file($file);

# the first one waits until the worker gives it up, and so does each other one

my $blocked = qr/\[error\].*"\Q$file\E" can't be written, the file system blocks$/m;

put('blocks', '');
$n = 19;
missed() for 1 .. 2;
poll('it is logged', sub { logged($blocked) });
is(read_file($file), $text, 'nothing is written');

# what was given up does not hold other cycles

my $before = task()->{cycles}{started};
is(code('/control/daily/run'), 202, 'an order');
poll('it runs', sub { task()->{cycles}{started} == $before + 1 });

unlink $blocks or die "unlink: $!\n";
poll('it no longer blocks', sub {
    logged(qr/"\Q$file\E" is written again$/m)
});
is(logged($blocked), logged(qr/"\Q$file\E" is written again$/m), 'once');
missed();
cmp_ok((read_file($file) =~ /^daily (\d+)/m)[0], '>=',
       clock_utc('2026-06-23 15:00:00'), 'it is written');
stop();
$text = read_file($file);

###############################################################################

# at exit

begin('2026-06-25 15:00:00');
poll('it is written', sub { read_file($file) ne $text });

put('blocks', '');
signal('QUIT');
poll('it exits', sub { !-e "$dir/nginx.pid" });

is(logged(qr/\[error\].*background_state: "\Q$file\E" is still being written, the worker exits without it$/m),
   1, 'what blocks does not hold the worker');
is(logged(qr/exited on signal/), 0, 'nor makes it crash');

unlink $blocks or die "unlink: $!\n";
begin('2026-06-26 15:00:00');
poll('it waits', sub { task()->{next} });
stop();

is(logged(qr/\[warn\].*background_state:/), 0, 'the file is a whole one');
is(join(' ', grep { !/\.tmp$/ } map { s{.*/}{}r } glob "$dir/state/*"), 'tasks',
   'the file');

done_testing();
