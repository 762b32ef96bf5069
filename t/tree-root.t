# A root that can be opened, but not be read: nothing is replaced or removed.

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

put('refuse.c', <<'EOF_C');
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

DIR *
fdopendir(int fd)
{
    struct stat  root, fi;

    static DIR  *(*real)(int fd);

    if (access(DIRECTORY "/refuse", F_OK) == 0
        && stat(DIRECTORY "/tree", &root) == 0
        && fstat(fd, &fi) == 0
        && fi.st_ino == root.st_ino)
    {
        errno = EIO;
        return NULL;
    }

    if (real == NULL) {
        *(void **) &real = dlsym(RTLD_NEXT, "fdopendir");
    }

    return real(fd);
}
EOF_C

build_library("$dir/refuse.so", "$dir/refuse.c",
              qq{'-DDIRECTORY="$dir"'}, '-ldl')
    or plan skip_all => 'no compiler';

mkdir $_ or die "mkdir: $!" for $tree, "$dir/own";
put("tree/$_.css", "$_ of many, " x 100) for qw/ stays changes /;
for_workers($tree, "$dir/own", map { "$tree/$_.css" } qw/ stays changes /);

{
    local $ENV{LD_PRELOAD} = preloaded("$dir/refuse.so");

    start(<<"EOF_CONF", '', 'worker_processes 1;');
    background_threads 2;
    background_task digest {
        interval 20ms;
        retry 20ms;
        digest $tree manifest=$dir/own/SUMS;
    }
    background_task compress {
        interval 20ms;
        retry 20ms;
        compress $tree suffix=.css gzip=1;
    }
EOF_CONF
}

next_cycle($_, 'completed') for qw/ compress digest /;

my @old = found();
is(scalar @old, 3, 'a list and two compressed files');

put('refuse', '');
next_cycle($_, 'failed') for qw/ compress digest /;

put('tree/changes.css', 'something else');

for my $kind (qw/ digest compress /) {
    like(next_cycle($kind, 'failed')->{last}{error},
         qr/fdopendir\(\) "\Q$tree\E" failed \(5: /, "$kind fails");
}

is_deeply([found()], \@old, 'what was made stays');

unlink "$dir/refuse" or die "unlink: $!";

next_cycle($_, 'completed') for qw/ compress digest /;

my @new = found();
isnt($new[0], $old[0], 'digest goes on');
is(scalar @new, 2, 'compress goes on');

stop();
done_testing();

# what was made, by name, number and size

sub found {
    return map { join ' ', $_, (stat)[1, 7] }
           grep { -e } "$dir/own/SUMS",
                       map { "$tree/$_.css.gz" } qw/ changes stays /;
}
