# "verify": a list with an endless line is read until the time is up.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $dir = dir();
my $list = "$dir/LIST";

put('LIST', '# ');
for_workers($list);

# as large as the file system takes

my ($size) = grep { truncate $list, $_ << 40 } 8000, 800, 80, 8, 4;
plan skip_all => 'no file system for files of 4 TB' unless $size;

start(<<"EOF_CONF", '', 'worker_processes 1;');
    background_threads 2;
    background_task v {
        interval 50ms;
        retry 50ms;
        timeout 300ms;
        verify $list root=$dir;
    }
EOF_CONF

like(next_cycle('v', 'failed')->{last}{error}, qr/timed out/, 'it times out');

stop();
done_testing();
