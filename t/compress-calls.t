# "compress": the calls that a cycle makes for each file.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundControl;
use BackgroundLife;
use BackgroundPreload;
use BackgroundStatus;
use Test::More;

plan skip_all => 'ThreadSanitizer calls functions of libc itself'
    if $ENV{TSAN_OPTIONS};

my $dir = dir();
my $tree = "$dir/tree";
my $list = "$tree/.ngx_http_background_compress";
my @names = qw/ a b c d /;

put('calls.c', <<'EOF_C');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void
called(const char *name, const char *what)
{
    int   fd, n;
    char  line[512];

    n = snprintf(line, sizeof(line), "%s %s\n", name, what);
    fd = open(DIRECTORY "/shared/calls", O_WRONLY|O_APPEND);

    if (fd != -1) {
        if (n != write(fd, line, n)) {
            _exit(1);
        }

        close(fd);
    }
}

/* another process adds a line to the list, once */

static void
other(void)
{
    int      from, to;
    char     line[512];
    ssize_t  n;

    from = open(DIRECTORY "/shared/line", O_RDONLY);

    if (from == -1 || rename(DIRECTORY "/shared/line", DIRECTORY "/shared/added") == -1) {
        return;
    }

    to = open(DIRECTORY "/tree/.ngx_http_background_compress",
              O_WRONLY|O_APPEND);
    n = read(from, line, sizeof(line));

    if (to == -1 || n <= 0 || write(to, line, n) != n) {
        _exit(1);
    }

    close(from);
    close(to);
}

int
fstatat(int fd, const char *path, struct stat *fi, int flags)
{
    size_t  len;

    static int  (*real)(int fd, const char *path, struct stat *fi, int flags);

    if (real == NULL) {
        *(void **) &real = dlsym(RTLD_NEXT, "fstatat");
    }

    len = strlen(path);

    if (len > 3 && strcmp(path + len - 3, ".gz") == 0) {
        called("fstatat", path);
    }

    if (strcmp(path, "d.css.gz") == 0) {
        other();
    }

    return real(fd, path, fi, flags);
}

int
fstatat64(int fd, const char *path, struct stat64 *fi, int flags)
{
    return fstatat(fd, path, (struct stat *) fi, flags);
}

ssize_t
pread(int fd, void *buf, size_t len, off_t offset)
{
    static ssize_t  (*real)(int fd, void *buf, size_t len, off_t offset);

    if (real == NULL) {
        *(void **) &real = dlsym(RTLD_NEXT, "pread");
    }

    if (len == 1) {
        called("pread", "of a byte");
    }

    return real(fd, buf, len, offset);
}

ssize_t
pread64(int fd, void *buf, size_t len, off64_t offset)
{
    return pread(fd, buf, len, offset);
}
EOF_C

build_library("$dir/calls.so", "$dir/calls.c", qq{'-DDIRECTORY="$dir"'}, '-ldl')
    or plan skip_all => 'no compiler';

mkdir "$dir/shared" or die "mkdir: $!";
mkdir $tree or die "mkdir: $!";
put("tree/$_.css", 'text ' x 1000) for @names;
put('shared/calls', '');
for_workers($tree, "$dir/shared", glob "$tree/* $dir/shared/*");

{
    local $ENV{LD_PRELOAD} = preloaded("$dir/calls.so");

    start(<<"EOF_CONF", <<'EOF_LOCATIONS', 'worker_processes 1;');
    background_threads 2;
    background_task c {
        interval off;
        compress $tree suffix=.css gzip=1;
    }
EOF_CONF
    location /control/ { background_control run; }
EOF_LOCATIONS
}

# before it is made, and under the lock of the list

is_deeply(cycle(), { map { ("fstatat $_.css.gz" => 2) } @names },
          'a cycle that makes all files');
is(() = read_file($list) =~ /\.css\.gz$/mg, 4, 'the list has all of them');

is_deeply(cycle(), { map { ("fstatat $_.css.gz" => 1) } @names },
          'a cycle that makes none');

# a file is looked at again if another process has added a line for it

put('shared/line', grep { / b\.css\.gz$/ } split /^/, read_file($list));
for_workers("$dir/shared/line");

is_deeply(cycle(), { 'fstatat b.css.gz' => 2,
                     map { ("fstatat $_.css.gz" => 1) } qw/ a c d / },
          'a line of another process');
is(() = read_file($list) =~ /\.css\.gz$/mg, 4, 'which is dropped again');

is_deeply(cycle(), { map { ("fstatat $_.css.gz" => 1) } @names }, 'and after');

stop();
done_testing();

# runs a cycle and returns how often each call was made

sub cycle {
    my $n = completed();
    my %calls;

    put('shared/calls', '');
    for_workers("$dir/shared/calls");

    is(code('/control/c/run'), 202, 'a cycle');
    poll('it is completed', sub { completed() > $n });

    $calls{$_}++ for split /\n/, read_file("$dir/shared/calls");

    return \%calls;
}

sub completed {
    my %task = by_name(status());
    return $task{c}{cycles}{completed};
}
