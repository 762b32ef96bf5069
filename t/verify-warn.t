# "verify" warns of a list that the worker may rewrite once in a worker, where
# several cycles find it at the same time, too.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundKind;
use BackgroundLife;
use BackgroundPreload;
use BackgroundPost qw/ begin /;
use BackgroundStatus;
use Test::More;

my $dir = dir();

# each thread of the pool that looks waits until two do

put('look.c', <<'EOF_C');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

char *
realpath(const char *path, char *buf)
{
    static int    n;
    static char  *(*real)(const char *path, char *buf);

    if (strcmp(path, DIRECTORY "/list") == 0
        && syscall(SYS_gettid) != getpid())
    {
        __atomic_add_fetch(&n, 1, __ATOMIC_SEQ_CST);

        while (__atomic_load_n(&n, __ATOMIC_SEQ_CST) < 2) {
            usleep(1000);
        }
    }

    if (real == NULL) {
        *(void **) &real = dlsym(RTLD_NEXT, "realpath");
    }

    return real(path, buf);
}
EOF_C

build_library("$dir/look.so", "$dir/look.c", qq{'-DDIRECTORY="$dir"'}, '-ldl')
    or plan skip_all => 'no compiler';

put('file', "text\n");
system("cd $dir && sha256sum file > list") == 0 or die "sha256sum failed\n";
for_workers("$dir/list", "$dir/file");

my $kind = load_kind('arrive');

{
    local $ENV{LD_PRELOAD} = preloaded("$dir/look.so");

    start(<<"EOF", 'location /run { arrive verify; }', "$kind\nworker_processes 1;");
    background_threads 4;
    background_task verify { interval off; verify $dir/list; }
EOF
}

my @open = map { begin('/run', '') } 1 .. 2;

poll('both cycles', sub {
    my %task = by_name(status());
    return $task{verify}{cycles}{completed} == 2;
});

is(logged(qr/\[warn\].*may rewrite "\Q$dir\E\/list", which "verify" relies on/),
   1, 'one warning');

stop();
done_testing();
