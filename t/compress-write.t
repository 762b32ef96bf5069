# "compress" where data are lost in close(), and where another file gets the
# name of the target while the list is written.

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

# as a network file system over its quota, and a slow one

put('slow.c', <<'EOF_C');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int
ends(int fd, const char *end)
{
    char     link[64], name[4096];
    size_t   len;
    ssize_t  n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);

    n = readlink(link, name, sizeof(name) - 1);
    len = strlen(end);

    return n >= (ssize_t) len && memcmp(name + n - len, end, len) == 0;
}

int
close(int fd)
{
    int  full, rc;

    static int  (*real)(int fd);

    if (real == NULL) {
        *(void **) &real = dlsym(RTLD_NEXT, "close");
    }

    full = access(DIRECTORY "/full", F_OK) == 0 && ends(fd, ".tmp");

    rc = real(fd);

    if (full) {
        errno = EDQUOT;
        return -1;
    }

    return rc;
}

ssize_t
write(int fd, const void *buf, size_t size)
{
    static ssize_t  (*real)(int fd, const void *buf, size_t size);

    if (real == NULL) {
        *(void **) &real = dlsym(RTLD_NEXT, "write");
    }

    if (access(DIRECTORY "/hold", F_OK) == 0
        && ends(fd, "/.ngx_http_background_compress"))
    {
        (void) close(open(DIRECTORY "/made/held", O_WRONLY|O_CREAT, 0644));

        while (access(DIRECTORY "/hold", F_OK) == 0) {
            usleep(1000);
        }
    }

    return real(fd, buf, size);
}
EOF_C

build_library("$dir/slow.so", "$dir/slow.c", qq{'-DDIRECTORY="$dir"'}, '-ldl')
    or plan skip_all => 'no compiler';

mkdir $_ or die "mkdir: $!" for $tree, "$dir/made";
put('tree/a.css', 'text ' x 1000);
for_workers($tree, "$tree/a.css", "$dir/made");

{
    local $ENV{LD_PRELOAD} = preloaded("$dir/slow.so");

    start(<<"EOF_CONF", '', 'worker_processes 1;');
    background_threads 2;
    background_task c {
        interval 50ms;
        retry 50ms;
        compress $tree suffix=.css gzip=1;
    }
EOF_CONF
}

next_cycle('c', 'completed', qr/^$/);

my $old = read_file("$tree/a.css.gz");

put('full', '');
changed('another text ');
next_cycle('c', 'failed', qr/: close\(\) of a temporary file for "\Q$tree\E\/a.css.gz" failed \(122: /);
is(read_file("$tree/a.css.gz"), $old, 'the old file stays');

unlink "$dir/full" or die "unlink: $!";
next_cycle('c', 'completed', qr/^$/);
is(`gzip -dc $tree/a.css.gz`, 'another text ' x 1000, 'then there is a new one');

# the file is to be replaced

put('hold', '');
changed('one more text ');
poll('the list is written', sub { -e "$dir/made/held" });

put('other', 'of others');
rename "$dir/other", "$tree/a.css.gz" or die "rename: $!";
unlink "$dir/hold" or die "unlink: $!";

next_cycle('c', 'completed', qr/^$/);
is(read_file("$tree/a.css.gz"), 'of others', 'a file of others stays');

stop();
done_testing();

# at once: of a file that is empty there is no compressed one

sub changed {
    my ($text) = @_;

    put('tree/new', $text x 1000);
    for_workers("$tree/new");
    rename "$tree/new", "$tree/a.css" or die "rename: $!\n";
}
