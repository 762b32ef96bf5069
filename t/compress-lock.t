# "compress": a run that waits for the list is cancelled, and fails where waiting
# is of no use.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundLife;
use BackgroundPreload;
use BackgroundStatus;
use Fcntl qw/ LOCK_EX LOCK_UN /;
use Test::More;

plan skip_all => 'ThreadSanitizer calls functions of libc itself'
    if $ENV{TSAN_OPTIONS};

my $dir = dir();
my $tree = "$dir/tree";
my $list = "$tree/.ngx_http_background_compress";

# a file system on which the list never has the same number twice

put('numbers.c', <<'EOF_C');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int
fstat(int fd, struct stat *fi)
{
    int          rc;
    struct stat  list;

    static int  (*real)(int fd, struct stat *fi);

    if (real == NULL) {
        *(void **) &real = dlsym(RTLD_NEXT, "fstat");
    }

    rc = real(fd, fi);

    if (rc == 0
        && access(DIRECTORY "/change", F_OK) == 0
        && stat(DIRECTORY "/tree/.ngx_http_background_compress", &list) == 0
        && list.st_ino == fi->st_ino)
    {
        fi->st_ino++;
    }

    return rc;
}

int
fstat64(int fd, struct stat64 *fi)
{
    return fstat(fd, (struct stat *) fi);
}

/* and a broken disk */

int
fstatat(int fd, const char *path, struct stat *fi, int flags)
{
    static int  (*real)(int fd, const char *path, struct stat *fi, int flags);

    if (real == NULL) {
        *(void **) &real = dlsym(RTLD_NEXT, "fstatat");
    }

    if (strcmp(path, ".ngx_http_background_compress") == 0
        && access(DIRECTORY "/broken", F_OK) == 0)
    {
        errno = EIO;
        return -1;
    }

    return real(fd, path, fi, flags);
}

int
fstatat64(int fd, const char *path, struct stat64 *fi, int flags)
{
    return fstatat(fd, path, (struct stat *) fi, flags);
}
EOF_C

build_library("$dir/numbers.so", "$dir/numbers.c",
              qq{'-DDIRECTORY="$dir"'}, '-ldl')
    or plan skip_all => 'no compiler';

mkdir $tree or die "mkdir: $!";
put("tree/$_.css", 'text ' x 1000) for qw/ a b c /;
for_workers($tree, glob "$tree/*");

{
    local $ENV{LD_PRELOAD} = preloaded("$dir/numbers.so");

    start(<<"EOF_CONF", '', 'worker_processes 1;');
    background_threads 2;
    background_task c {
        interval 50ms;
        retry 50ms;
        timeout 500ms;
        compress $tree suffix=.css gzip=1;
    }
EOF_CONF
}

next_cycle('c', 'completed');

# another process has locked the list

open my $file, '+<', $list or die "open: $!";
flock $file, LOCK_EX or die "flock: $!";
put('tree/d.css', 'text ' x 1000);
for_workers("$tree/d.css");
next_cycle('c', 'failed', qr/timed out/);
ok(!-e "$tree/d.css.gz", 'nothing is made while it is locked');

flock $file, LOCK_UN or die "flock: $!";
next_cycle('c', 'completed');
ok(-e "$tree/d.css.gz", 'it goes on');

put('change', '');
put('tree/e.css', 'text ' x 1000);
for_workers("$tree/e.css");
next_cycle('c', 'failed', qr/timed out/);
ok(!-e "$tree/e.css.gz", 'nor while it is another file each time');

unlink "$dir/change" or die "unlink: $!";
next_cycle('c', 'completed');
ok(-e "$tree/e.css.gz", 'it goes on again');

put('broken', '');
put('tree/f.css', 'text ' x 1000);
for_workers("$tree/f.css");
next_cycle('c', 'failed', qr/fstatat\(\) "\Q$list\E" failed \(5: /);
ok(!-e "$tree/f.css.gz", 'nor while its name is not to be known');

unlink "$dir/broken" or die "unlink: $!";
next_cycle('c', 'completed');
ok(-e "$tree/f.css.gz", 'it goes on once more');

stop();
done_testing();
