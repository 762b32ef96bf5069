# A tree in several threads: while one of them gives its thread away to another
# task, the others go on; and a cycle that is timed out ends within a folder.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundControl;
use BackgroundKind;
use BackgroundLife;
use BackgroundPreload;
use BackgroundStatus;
use Test::More;

plan skip_all => 'ThreadSanitizer calls functions of libc itself'
    if $ENV{TSAN_OPTIONS};

my $dir = dir();
my $tree = "$dir/tree";

# slow reading, a folder that takes as long as there is a file "hold", and
# longer than a turn, and files that are asked for

put('hold.c', <<'EOF_C');
#define _GNU_SOURCE
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "openat.h"

static void
hold(const char *held)
{
    close(open(held, O_WRONLY|O_CREAT, 0644));

    while (access(DIRECTORY "/hold", F_OK) == 0) {
        usleep(1000);
    }
}

ssize_t
read(int fd, void *buf, size_t size)
{
    static ssize_t  (*real)(int fd, void *buf, size_t size);

    if (real == NULL) {
        *(void **) &real = dlsym(RTLD_NEXT, "read");
    }

    if (access(DIRECTORY "/slow", F_OK) == 0) {
        usleep(20000);
    }

    return real(fd, buf, size);
}

static int
opens(next_openat_t next, int fd, const char *path, int flags, mode_t mode)
{
    if (strcmp(path, "0") == 0) {
        hold(DIRECTORY "/made/opened");
        usleep(300000);
    }

    return next(fd, path, flags, mode);
}

int
fstatat(int fd, const char *path, struct stat *fi, int flags)
{
    static int  (*real)(int fd, const char *path, struct stat *fi, int flags);

    if (real == NULL) {
        *(void **) &real = dlsym(RTLD_NEXT, "fstatat");
    }

    if (strcmp(path, "1.asked") == 0) {
        hold(DIRECTORY "/made/first");
    }

    if (strcmp(path, "2.asked") == 0) {
        close(open(DIRECTORY "/made/second", O_WRONLY|O_CREAT, 0644));
    }

    return real(fd, path, fi, flags);
}

int
fstatat64(int fd, const char *path, struct stat64 *fi, int flags)
{
    return fstatat(fd, path, (struct stat *) fi, flags);
}
EOF_C

build_library("$dir/hold.so", "$dir/hold.c",
              qq{'-DDIRECTORY="$dir"'}, "-I'" . root() . "/t/calls'", '-ldl')
    or plan skip_all => 'no compiler';

mkdir $_ or die "mkdir: $!"
    for $tree, (map { "$tree/$_" } 0 .. 3), "$dir/flat",
        "$dir/made";
for_workers("$dir/made");

put("tree/$_", $_) for map { ("0/$_", "1/$_", "2/$_", "3/$_") } 1 .. 3;
put("flat/$_.asked", '') for 1 .. 3;
put($_, '') for qw/ hold slow gate /;

system("cd $tree && sha256sum */* > $dir/list") == 0 or die "no list\n";
put('short', `cd $tree && sha256sum 1/1`);

{
    local $ENV{LD_PRELOAD} = preloaded("$dir/hold.so");

    start(<<"EOF_CONF", <<'EOF_CONF', load_kind('gate') . "\nworker_processes 1;");
    background_threads 2;
    background_task tree { interval 1h; retry 1h; verify $dir/list root=$tree extra=fail; }
    background_task other { interval off; gate $dir/gate keep; }
    background_task flat { interval off; retry 1h; timeout 3s; verify $dir/short root=$dir/flat extra=fail; }
EOF_CONF
    location /control/ { background_control run; }
EOF_CONF
}

# one thread reads a folder, the other waits for its names

poll('two threads', sub {
    return -e "$dir/made/opened" && status()->{cpu}{running} == 2;
});

unlink "$dir/slow" or die "unlink: $!";

is(code('/control/other/run'), 202, 'another task');
poll('it waits for a thread', sub { status()->{cpu}{queued} });

unlink "$dir/hold" or die "unlink: $!";

my $task = poll('the tree is done', sub {
    my %task = by_name(status());

    return $task{tree}{last} && $task{tree};
});

is($task->{last}{error}, undef, 'all is well');
is($task->{last}{operations}, 12, 'all files');
ok(-e "$dir/gate", 'while the other task goes on');

unlink "$dir/gate" or die "unlink: $!";

# a folder of many files, and none is read

my $worker = a_worker();

reconfigure('background_threads 2;', 'background_threads 1;');
poll('one thread', sub { "@{[workers()]}" =~ /^\d+$/ && a_worker() != $worker });

put('hold', '');
is(code('/control/flat/run'), 202, 'a flat folder');

my $orders = 1;

poll('it is timed out', sub {
    my %task = by_name(status());
    my $flat = $task{flat};

    return 1 if -e "$dir/made/first" && $flat->{abandoned};

    # on a slow machine it may be timed out before it reads the folder

    $orders++ if $flat->{cycles}{failed} == $orders && !$flat->{abandoned}
                 && !-e "$dir/made/first"
                 && code('/control/flat/run') == 202;

    return 0;
});

unlink "$dir/hold" or die "unlink: $!";

poll('it has ended', sub { status()->{cpu}{running} == 0 });
ok(!-e "$dir/made/second", 'after the file that it was at');

stop();
done_testing();
