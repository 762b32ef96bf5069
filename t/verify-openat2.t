# Paths beneath a root on a kernel, or in a sandbox, that has no openat2().

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

put('refuse.c', <<'EOF_C');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

long
syscall(long number, ...)
{
    int      i;
    long     a[6];
    va_list  args;

    static long  (*real)(long, ...);

    if (number == SYS_openat2) {
        errno = REFUSE;
        return -1;
    }

    va_start(args, number);
    for (i = 0; i < 6; i++) {
        a[i] = va_arg(args, long);
    }
    va_end(args);

    if (real == NULL) {
        *(void **) &real = dlsym(RTLD_NEXT, "syscall");
    }

    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
EOF_C

for my $errno (38, 1) {
    build_library("$dir/$errno.so", "$dir/refuse.c", "-DREFUSE=$errno", '-ldl')
        or plan skip_all => 'no compiler';
}

mkdir "$dir/tree";
mkdir "$dir/tree/a";
put('tree/a/b', 'content');
put('tree/c', 'content');
symlink 'a', "$dir/tree/link" or die "symlink: $!";
symlink 'c', "$dir/tree/last" or die "symlink: $!";

my ($hash) = `sha256sum $dir/tree/c` =~ /^(\S+)/;

my %name = (good => "a/b\n$hash  ./a//b\n$hash  c", link => 'link/b',
            last => 'last', above => 'a/../../tree/c', absolute => "$dir/above",
            missing => 'a/x/y', long => 'x' x 256 . '/a', folder => 'a/');

put($_, "$hash  $name{$_}\n") for keys %name;

for my $errno (38, 1) {
    local $ENV{LD_PRELOAD} = preloaded("$dir/$errno.so");

    start(join "\n", 'background_threads 2;', map {
        "background_task $_ { interval 1h; retry 1h; "
        . "verify $dir/$_ root=$dir/tree; }" } sort keys %name);

    delete $ENV{LD_PRELOAD};

    my %task;

    poll('done', sub {
        %task = by_name(status());
        return !grep { !$_->{last} } values %task;
    });

    my %error = map { $_ => $task{$_}{last}{error} // '' } keys %name;

    is($error{good}, '', "$errno: beneath");
    is($task{good}{last}{operations}, 3, "$errno: all");
    like($error{link}, qr/open\(\) ".*link\/b" failed \((20|40): /, 'a link');
    like($error{last}, qr/open\(\) ".*last" failed \(40: /, 'the last part');
    like($error{$_}, qr/leads out of the root$/, $_) for qw/ above absolute /;
    like($error{missing}, qr/failed \(2: /, 'missing');
    like($error{long}, qr/failed \(36: /, 'too long a part');
    like($error{folder}, qr/is no regular file$/, 'a folder');

    stop();
}

done_testing();
