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

    poll("$name: three jobs of one task", sub {
        my $status = status();
        return $status->{cpu}{running} == 3
               && $status->{tasks}[0]{running} == 1;
    });

    my $status = poll("$name: the others are done", sub {
        my $status = status();
        return $status->{cpu}{running} == 1
               && others($name, $status->{tasks}[0]{progress}{done}) && $status;
    });

    my ($offset) = offsets("$tree/0.txt");

    is($status->{cpu}{completed}, 2, "$name: two jobs have done the others");
    cmp_ok($offset, '<', $large, "$name: while one reads the first file");

    stop();
}

done_testing();

# whether all but the first one are done; what has been read of that is looked up
# after the total, so as not to count too much

sub others {
    my ($name, $done) = @_;

    return $done == $small if $name eq 'verify';
    return $small == (() = glob "$tree/*.gz") if $name eq 'compress';

    my ($offset) = offsets("$tree/0.txt");

    return $done - $offset > $size * $small - $size / 2;
}
