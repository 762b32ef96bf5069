# One tree, or list, in several threads: who is done with a file takes the next
# one, whatever the others are at.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $dir = dir();
my $tree = "$dir/tree";
my ($large, $small, $size) = (100_000_000_000, 20, 262_144);

# the first one takes far longer than all the others

mkdir $tree;
put('tree/0.txt', '');
truncate "$tree/0.txt", $large or die "truncate: $!";
put("tree/$_.txt", 'x' x $size) for 1 .. $small;

put('list', '0' x 64 . "  0.txt\n" . `cd $tree && sha256sum [1-9]*.txt`);

for_workers($tree);

for my $operation ("digest $tree", "verify $dir/list root=$tree",
                   "compress $tree suffix=.txt gzip=1")
{
    my ($name) = $operation =~ /^(\w+)/;

    start(<<"EOF_CONF", '', 'worker_processes 2;');
        background_threads 3;
        background_task t { interval 1h; retry 1h; $operation; }
EOF_CONF

    # the lead has the first file; helpers end when there is nothing left to
    # hand out

    my ($status, $done);

    poll("$name: the others are done", sub {
        $status = status();
        $done = $status->{tasks}[0]{progress}{done} // 0;

        return $status->{cpu}{running} == 1
               && ($name eq 'digest' ? $done >= $small * $size
                   : $name eq 'verify' ? $done == $small
                   : $small == (() = glob "$tree/*.gz"));
    });

    my ($offset) = offsets("$tree/0.txt");

    is($status->{tasks}[0]{running}, 1, "$name: the third goes on");
    cmp_ok($offset, '<', $large, "$name: while one reads the first file");

    stop();
}

done_testing();
