# A name of more bytes than nginx has room for is a failure; the others of its
# folder are read.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundLife;
use BackgroundPreload;
use BackgroundStatus;
use Test::More;

my $dir = dir();
my $tree = "$dir/tree";

# as of a file system that counts characters: instead of "long"

put('names.c', <<'EOF_C');
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

struct dirent64 *
readdir64(DIR *dir)
{
    struct dirent64  *de;

    static char              buf[2048] __attribute__((aligned(16)));
    static struct dirent64  *(*real)(DIR *dir);

    if (real == NULL) {
        *(void **) &real = dlsym(RTLD_NEXT, "readdir64");
    }

    de = real(dir);

    if (de == NULL || strcmp(de->d_name, "long") != 0) {
        return de;
    }

    memcpy(buf, de, offsetof(struct dirent64, d_name));
    memset(buf + offsetof(struct dirent64, d_name), 'x', 765);

    return (struct dirent64 *) buf;
}

struct dirent *
readdir(DIR *dir)
{
    return (struct dirent *) readdir64(dir);
}
EOF_C

build_library("$dir/names.so", "$dir/names.c", '-ldl')
    or plan skip_all => 'no compiler';

mkdir $_ or die "mkdir: $!" for $tree, "$tree/sub";
put("tree/sub/$_", $_) for qw/ long other /;
for_workers($tree, "$tree/sub");

{
    local $ENV{LD_PRELOAD} = preloaded("$dir/names.so");

    start(<<"EOF_CONF", '', 'worker_processes 1;');
    background_threads 2;
    background_task d {
        interval 50ms;
        retry 50ms;
        digest $tree;
    }
EOF_CONF
}

my $task = next_cycle('d', 'failed');

like($task->{last}{error}, qr/a name in "\Q$tree\E\/sub" is too long/, 'told');
is($task->{last}{failed}, 1, 'one failure');
is($task->{last}{bytes}, 5, 'the other is read');

stop();
done_testing();
