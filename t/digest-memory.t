# "digest": while a file takes long, a limited number of lines waits for its own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Cwd ();
use Test::More;

my $dir = dir();
my $tree = "$dir/tree";
my $files = 2000;

mkdir $_ or die "mkdir: $!" for $tree, "$dir/own";

# the first file of the tree, which is never read to its end

put('tree/a', '');
my ($size) = grep { truncate "$tree/a", $_ << 40 } 8000, 800, 80, 8, 4;
plan skip_all => 'no file system for files of 4 TB' unless $size;

# lines of 25 kB, 50 MB together

my $cwd = Cwd::getcwd();
chdir $tree or die "chdir: $!";

for (1 .. 100) {
    mkdir 'b' x 250 or die "mkdir: $!";
    chdir 'b' x 250 or die "chdir: $!";
}

for (1 .. $files) {
    open my $file, '>', $_ or die "open: $!";
}

chdir $cwd or die "chdir: $!";
for_workers("$dir/own");

start(<<"EOF_CONF", '', 'worker_processes 1;');
    background_threads 2;
    background_task d {
        interval 1h;
        timeout 3s;
        digest $tree manifest=$dir/own/SUMS;
    }
EOF_CONF

my $task = poll('the time is up', sub {
    my %task = by_name(status());
    return $task{d}{cycles}{failed} ? $task{d} : 0;
});

like($task->{last}{error}, qr/timed out/, 'it times out');
cmp_ok($task->{last}{operations}, '<', $files / 2,
       'one thread has stopped, the other has not come to the next file');
stop();
done_testing();

END {
    my $status = $?;
    system('rm', '-rf', $tree) if $tree;
    $? = $status;
}
