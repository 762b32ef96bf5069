# limit_rate of a tree is for all of its threads together, as many as there are.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $dir = dir();
my $threads = 64;

mkdir "$dir/$_" or die "mkdir: $!\n" for qw/ one many /;

put('one/file', 'x' x 393_216);
put("many/$_", 'x' x 100_000) for 1 .. 20;

start(<<"EOF", '', 'worker_processes 1;');
    background_threads $threads;
    background_task one { interval 1h; digest $dir/one limit_rate=128k; }
    background_task many { interval 1h; digest $dir/many limit_rate=1m; }
EOF

my %task;

poll('both are done', sub {
    %task = by_name(status());

    return $task{one}{last} && $task{many}{last};
});

is($task{one}{last}{bytes}, 393_216, 'one: all of it');
is($task{many}{last}{bytes}, 2_000_000, 'many: all of it');

# two or three seconds; if those that find nothing to read had their shares it
# would take minutes

cmp_ok($task{one}{last}{wall_seconds}, '>=', 1, 'one: paced');
cmp_ok($task{many}{last}{wall_seconds}, '>=', 1, 'many: paced together');

stop();
done_testing();
