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
my ($large, $small, $size) = (1_000_000_000, 20, 262_144);

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
        background_task t { interval 1h; retry 1h; $operation limit_rate=3m; }
EOF_CONF

    # a job is over when there is nothing left to hand out

    my $status = poll("$name: two jobs of three are over", sub {
        my $status = status();
        return $status->{cpu}{running} == 1
               && $status->{cpu}{completed} == 2 && $status;
    });

    my ($offset) = offsets("$tree/0.txt");
    my $done = $status->{tasks}[0]{progress}{done};

    is($status->{tasks}[0]{running}, 1, "$name: the third goes on");
    cmp_ok($done, '>=', $small * $size, "$name: the others are done")
        if $name eq 'digest';
    is($done, $small, "$name: the others are done") if $name eq 'verify';
    is(scalar(() = glob "$tree/*.gz"), $small, "$name: the others are done")
        if $name eq 'compress';
    cmp_ok($offset, '<', $large, "$name: while one reads the first file");

    stop();
}

done_testing();
