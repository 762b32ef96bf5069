# "compress": what is in memory of a list are its lines, not the file.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

plan skip_all => 'sanitizers take memory of their own'
    if $ENV{BACKGROUND_ASAN};

my $dir = dir();
my $tree = "$dir/tree";
my $list = "$tree/.ngx_http_background_compress";

mkdir $tree;
put('tree/a.css', 'text ' x 1000);
put('tree/.ngx_http_background_compress',
    "# ngx_http_background_compress 1\n");
truncate $list, 256 * 1024 * 1024 or die "truncate: $!";
for_workers($tree, $list, "$tree/a.css");

start(<<"EOF_CONF", '', 'worker_processes 1;');
    background_threads 2;
    background_task c {
        interval 50ms;
        retry 50ms;
        compress $tree suffix=.css gzip=1;
    }
EOF_CONF

# nothing can be added to it, but it is written anew without what is no line

next_cycle('c', 'completed');

my $worker = a_worker();
my ($peak) = read_file("/proc/$worker/status") =~ /^VmHWM:\s+(\d+) kB/m;

cmp_ok($peak, '<', 64 * 1024, 'peak memory in kB');
like(read_file($list), qr/\A# .*\n\+2 .* a\.css\.gz\n\z/, 'the list is mended');
ok(-s "$tree/a.css.gz", 'and goes on');

stop();
done_testing();
