# A root that can be opened, but not be read: nothing is replaced or removed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

plan skip_all => 'sanitizers want to be the first library'
    if $ENV{BACKGROUND_ASAN};

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

system("cc -shared -fPIC '-DDIRECTORY=\"$dir\"' -o $dir/refuse.so "
       . "$dir/refuse.c -ldl") == 0
    or plan skip_all => 'no compiler';

mkdir $_ or die "mkdir: $!" for $tree, "$dir/own";
put("tree/$_.css", "$_ of many, " x 100) for qw/ stays changes /;
own($tree, "$dir/own", map { "$tree/$_.css" } qw/ stays changes /);

{
    local $ENV{LD_PRELOAD} = "$dir/refuse.so";

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

cycle($_, 'completed') for qw/ compress digest /;

my @old = found();
is(scalar @old, 3, 'a list and two compressed files');

put('refuse', '');
cycle($_, 'failed') for qw/ compress digest /;

put('tree/changes.css', 'something else');

for my $kind (qw/ digest compress /) {
    like(cycle($kind, 'failed')->{last}{error},
         qr/fdopendir\(\) "\Q$tree\E" failed \(5: /, "$kind fails");
}

is_deeply([found()], \@old, 'what was made stays');

unlink "$dir/refuse" or die "unlink: $!";

cycle($_, 'completed') for qw/ compress digest /;

my @new = found();
isnt($new[0], $old[0], 'digest goes on');
is(scalar @new, 2, 'compress goes on');

stop();
done_testing();

sub own {
    return if $> != 0;
    chown +(getpwnam 'nobody')[2, 3], @_ or die "chown: $!";
}

# what was made, by name, number and size

sub found {
    return map { join ' ', $_, (stat)[1, 7] }
           grep { -e } "$dir/own/SUMS",
                       map { "$tree/$_.css.gz" } qw/ changes stays /;
}

# a cycle that started after the call

sub cycle {
    my ($task, $result) = @_;

    my %task = by_name(status());
    my $cycles = $task{$task}{cycles};
    my $n = $cycles->{completed} + $cycles->{failed};
    my $before = $cycles->{$result};

    return poll("a cycle of $task is $result", sub {
        %task = by_name(status());
        my $now = $task{$task}{cycles};

        return $now->{completed} + $now->{failed} >= $n + 2
               && $now->{$result} > $before ? $task{$task} : 0;
    });
}
