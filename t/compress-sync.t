# A cycle of "compress" that made something waits until it is on the disk.

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
#include <errno.h>

int  syncfs(int fd);

int
syncfs(int fd)
{
    (void) fd;
    errno = EIO;
    return -1;
}
EOF_C

system("cc -shared -fPIC -o $dir/refuse.so $dir/refuse.c") == 0
    or plan skip_all => 'no compiler';

mkdir $tree or die "mkdir: $!";
put('tree/a.css', 'a of many, ' x 100);
chown +(getpwnam 'nobody')[2, 3], $tree, "$tree/a.css" if $> == 0;

{
    local $ENV{LD_PRELOAD} = "$dir/refuse.so";

    start(<<"EOF_CONF", '', 'worker_processes 1;');
    background_task compress {
        interval 20ms;
        retry 20ms;
        compress $tree suffix=.css gzip=1;
    }
EOF_CONF
}

my %task;

poll('a cycle that makes nothing', sub {
    %task = by_name(status());
    return $task{compress}{cycles}{completed};
});

is($task{compress}{cycles}{failed}, 1, 'the first cycle fails, no other one');
ok(logged(qr/syncfs\(\) "\Q$tree\E" failed \(5: /), 'it is told why');
ok(-s "$tree/a.css.gz", 'what it made is there');

stop();
done_testing();
