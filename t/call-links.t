# A link on the way to a library, in a folder that others may write, leads to
# another one as soon as the library has been checked.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundConf;
use BackgroundPreload;
use Test::More;

my $dir = conf_dir();

chmod 0755, $dir or die "chmod: $!\n";

put('switch.c', <<'EOF_C');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

char *
realpath(const char *path, char *resolved)
{
    char  *real;

    static char  *(*libc)(const char *path, char *resolved);

    if (libc == NULL) {
        *(void **) &libc = dlsym(RTLD_NEXT, "realpath");
    }

    real = libc(path, resolved);

    (void) rename(FOLDER "/other", FOLDER "/link.so");

    return real;
}
EOF_C

build_library("$dir/switch.so", "$dir/switch.c", "'-DFOLDER=\"$dir/open\"'")
    or plan skip_all => 'no C compiler';
build_library("$dir/test.so", source());

put('bad.so', "not what was checked\n");
mkdir "$dir/open" or die "mkdir: $!\n";
chmod 0777, "$dir/open" or die "chmod: $!\n";

symlink $_->[0], "$dir/$_->[1]" or die "symlink: $!\n"
    for ['open/link.so', 'link.so'], ['../test.so', 'open/link.so'],
        ['../bad.so', 'open/other'];

{
    local $ENV{LD_PRELOAD} = preloaded("$dir/switch.so");

    accepts('empty', 'call link.so echo;');
}

is(readlink "$dir/open/link.so", '../bad.so', 'it leads to another one now');
rejects('empty', 'call link.so echo;' => "dlopen() \"$dir/link.so\" of "
        . '"call" directive failed (file too short)');

done_testing();
