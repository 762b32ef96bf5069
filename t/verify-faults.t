# "verify" and "digest" where reading a list or a folder fails, and where a list
# is replaced meanwhile.  See also digest-faults.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundLife;
use BackgroundPreload;
use BackgroundStatus;
use Test::More;

plan skip_all => 'ThreadSanitizer calls functions of libc itself'
    if $ENV{TSAN_OPTIONS};

my $dir = dir();
my $tree = "$dir/tree";

# A broken disk, where the list can't be read beyond a buffer, at first or when
# it is read again; a file whose reading takes as long as there is a file
# "hold"; and a file system that does not tell types of files.

put('faults.c', <<'EOF_C');
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "openat.h"

static int  again;

static int
there(const char *name)
{
    return access(name, F_OK) == 0;
}

static int
is(int fd, const char *path)
{
    char     link[64], name[4096];
    ssize_t  n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);

    n = readlink(link, name, sizeof(name) - 1);
    name[n == -1 ? 0 : n] = '\0';

    return strcmp(name, path) == 0;
}

ssize_t
read(int fd, void *buf, size_t size)
{
    static ssize_t  (*real)(int fd, void *buf, size_t size);

    if (real == NULL) {
        *(void **) &real = dlsym(RTLD_NEXT, "read");
    }

    if (is(fd, DIRECTORY "/long")
        && lseek(fd, 0, SEEK_CUR) > 0
        && (there(DIRECTORY "/first")
            || (there(DIRECTORY "/second") && again)))
    {
        errno = EIO;
        return -1;
    }

    if (is(fd, DIRECTORY "/own/x") && there(DIRECTORY "/hold")) {
        close(open(DIRECTORY "/made/held", O_WRONLY|O_CREAT, 0644));

        while (there(DIRECTORY "/hold")) {
            usleep(1000);
        }
    }

    return real(fd, buf, size);
}

off_t
lseek(int fd, off_t offset, int whence)
{
    static off_t  (*real)(int fd, off_t offset, int whence);

    if (real == NULL) {
        *(void **) &real = dlsym(RTLD_NEXT, "lseek");
    }

    if (whence == SEEK_SET && offset == 0 && is(fd, DIRECTORY "/long")) {
        again = 1;
    }

    return real(fd, offset, whence);
}

off_t
lseek64(int fd, off_t offset, int whence)
{
    return lseek(fd, offset, whence);
}

struct dirent64 *
readdir64(DIR *dir)
{
    struct dirent64  *de;

    static struct dirent64  *(*real)(DIR *dir);

    if (real == NULL) {
        *(void **) &real = dlsym(RTLD_NEXT, "readdir64");
    }

    de = real(dir);

    if (de && there(DIRECTORY "/unknown")) {
        de->d_type = DT_UNKNOWN;
    }

    return de;
}

struct dirent *
readdir(DIR *dir)
{
    return (struct dirent *) readdir64(dir);
}

static int
broken(const char *path)
{
    if (strcmp(path, "broken") != 0 || !there(DIRECTORY "/unknown")) {
        return 0;
    }

    errno = EIO;
    return 1;
}

static int
opens(next_openat_t next, int fd, const char *path, int flags, mode_t mode)
{
    return broken(path) ? -1 : next(fd, path, flags, mode);
}

int
fstatat(int fd, const char *path, struct stat *fi, int flags)
{
    static int  (*real)(int fd, const char *path, struct stat *fi, int flags);

    if (real == NULL) {
        *(void **) &real = dlsym(RTLD_NEXT, "fstatat");
    }

    return broken(path) ? -1 : real(fd, path, fi, flags);
}

int
fstatat64(int fd, const char *path, struct stat64 *fi, int flags)
{
    return fstatat(fd, path, (struct stat *) fi, flags);
}
EOF_C

build_library("$dir/faults.so", "$dir/faults.c",
              qq{'-DDIRECTORY="$dir"'}, "-I'" . root() . "/t/calls'", '-ldl')
    or plan skip_all => 'no compiler';

mkdir $_ or die "mkdir: $!" for $tree, "$tree/sub",
                                        map { "$dir/$_" } qw/ made own sums /;
for_workers("$dir/made", "$dir/sums");
put("tree/$_", "x") for qw{ x sub.y sub/broken .ngx_http_background_compress };

my ($sum) = `cd $tree && sha256sum x` =~ /^(\w+)/;

put('long', "$sum  x\n" x 1000);
put('own/x', 'x');
put('own/SUMS', "$sum  x\n");

{
    local $ENV{LD_PRELOAD} = preloaded("$dir/faults.so");

    start(<<"EOF_CONF", '', 'worker_processes 1;');
    background_threads 2;
    background_task long { interval 20ms; retry 20ms; verify $dir/long root=$tree; }
    background_task inside { interval 20ms; retry 20ms; verify $dir/own/SUMS extra=fail; }
    background_task digest { interval 20ms; retry 20ms; digest $tree manifest=$dir/sums/SUMS; }
EOF_CONF
}

next_cycle($_, 'completed', qr/^$/) for qw/ long inside digest /;

is(read_file("$dir/sums/SUMS"),
   scalar `cd $tree && sha256sum sub.y sub/broken x`,
   'the list of "compress" is in no list');

for my $when (qw/ first second /) {
    put($when, '');
    next_cycle('long', 'failed',
               qr/: read\(\) "\Q$dir\E\/long" failed \(5: /);
    pass("a list that can't be read, the $when time");
    unlink "$dir/$when" or die "unlink: $!";
    next_cycle('long', 'completed', qr/^$/);
}

put('unknown', '');
next_cycle('digest', 'failed',
           qr/: open\(\) "\Q$tree\E\/sub\/broken" failed \(5: /);
pass('a name of an unknown type is part of the tree');
unlink "$dir/unknown" or die "unlink: $!";
next_cycle($_, 'completed', qr/^$/) for qw/ digest inside /;

# a list in its tree is replaced while a file is read, also one that has another
# link

replaced('the list that was replaced');

link "$dir/own/SUMS", "$dir/copy" or die "link: $!";
next_cycle('inside', 'completed', qr/^$/);

replaced('the list that was replaced, of which a copy is left');

stop();
done_testing();

sub replaced {
    my ($name) = @_;

    my %task = by_name(status());
    my $failed = $task{inside}{cycles}{failed};

    put('hold', '');
    poll('a file is read', sub { -e "$dir/made/held" });
    put('SUMS', "$sum  x\n");
    rename "$dir/SUMS", "$dir/own/SUMS" or die "rename: $!";
    unlink "$dir/made/held", "$dir/hold" or die "unlink: $!";
    next_cycle('inside', 'completed');

    %task = by_name(status());
    is($task{inside}{cycles}{failed}, $failed, $name)
        or diag($task{inside}{last_failure}{error});
}
