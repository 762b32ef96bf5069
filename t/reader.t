# The lines of a file, for kinds: the same on the event loop and on a thread,
# in memory that does not grow with the file.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use List::Util qw/ sum /;
use Test::More;

my $kind = load_kind('step');
my $dir = dir();

# lengths from 0 on, in a file that is many buffers

my @lines = map { 'x' x ($_ % 101) } 0 .. 20_000;

put('many', join "\n", @lines);
put('empty', '');
put('breaks', "\n\n");
put('long', 'a' x 101 . "\n" . 'b' x 100 . "\n\n" . 'c' x 200_000 . "\n"
            . 'd' x 100);
mkdir "$dir/folder" or die "mkdir: $!\n";

my $tasks = join '', map { my $how = $_; map {
    "background_task ${how}_$_ { interval 1h; retry 1h; lines $dir/$_ $how; }"
} qw/ many empty breaks long missing folder / } qw/ io cpu /;

start(<<"EOF", '', $kind);
    $tasks
    background_task io_longest { interval 1h; lines $dir/long io max=200000; }
    background_task cpu_longest { interval 1h; lines $dir/long max=200000 cpu; }
EOF

my %task;

poll('all are over', sub {
    %task = by_name(status());

    return !grep { !$_->{last} } values %task;
});

for my $how (qw/ io cpu /) {
    is_deeply(said("${how}_many"), [20_001, 0, sum(map { length } @lines)],
              "$how: many lines");
    is_deeply(said("${how}_breaks"), [2, 0, 0], "$how: empty lines");
    is_deeply(said("${how}_long"), [3, 2, 200], "$how: lines that are too long");
    is($task{"${how}_long"}{last}{error}, "lines \"$dir/long\": line 1",
       "$how: by number");
    is_deeply(said("${how}_longest"), [5, 0, 101 + 100 + 200_000 + 100],
              "$how: a longer line");

    is($task{"${how}_empty"}{last}{error}, "lines \"$dir/empty\": no result, "
       . 'nothing was completed or failed', "$how: no lines");
    is($task{"${how}_missing"}{last}{error}, "lines \"$dir/missing\": open() "
       . "\"$dir/missing\" failed (2: No such file or directory)",
       "$how: no such file");
    is($task{"${how}_folder"}{last}{error}, "lines \"$dir/folder\": not a "
       . "regular file: \"$dir/folder\"", "$how: a folder");
}

# all are closed

my @open = map { readlink } glob '/proc/' . (workers())[0] . '/fd/*';

is(join(' ', grep { m{^\Q$dir\E/(?:many|empty|breaks|long)} } @open), '',
   'the files are closed');

stop();
done_testing();

# completed, failed, bytes

sub said { [@{$task{$_[0]}{operations}}{qw/ completed failed bytes /}] }
