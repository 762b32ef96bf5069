# "compress gzip=": sources up to a size are compressed at once, by libdeflate,
# larger ones as a stream, by zlib.  Each file unpacks to its source.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $whole = 512 * 1024;
my $dir = dir();

srand 1;

my @words = map { join '', map { chr 97 + int rand 26 } 1 .. 2 + rand 9 }
            1 .. 500;
my $text = '';

$text .= "$words[rand @words] " while length $text < 2 * $whole;

# name => source

my %sources = (
    (map { ("size$_" => substr $text, 0, $_) }
         100, 16_383, 16_384, 65_536, 65_537, $whole - 1, $whole, $whole + 1,
         2 * $whole),
    zeros => "\0" x $whole,
    noise => join('', map { chr rand 256 } 1 .. 100_000),
);

my $tasks = '';

for my $level (1, 6, 9) {
    my $tree = "$dir/$level";

    mkdir $tree or die "mkdir: $!\n";
    put("$level/$_.txt", $sources{$_}) for sort keys %sources;
    for_workers($tree, glob "$tree/*");

    $tasks .= "background_task level$level { interval 1d; "
              . "compress $tree suffix=.txt gzip=$level; }\n";
}

start("background_threads 2;\n$tasks", '', 'worker_processes 1;');

my %tasks;

poll('all are over', sub {
    %tasks = by_name(status());
    return !grep { !$_->{last} } values %tasks;
});

# the byte that names the system: libdeflate says that it does not know

sub system_of {
    my ($file) = @_;

    return unpack 'x9 C', read_file($file);
}

for my $level (1, 6, 9) {
    my $task = $tasks{"level$level"};

    is($task->{last}{error}, undef, "level $level");
    is($task->{last}{operations}, scalar keys %sources, "level $level: sources");

    for my $name (sort keys %sources) {
        my $file = "$dir/$level/$name.txt.gz";

        if ($name eq 'noise') {
            ok(!-e $file, "level $level: $name gets no smaller");
            next;
        }

        ok(qx/gzip -cd '$file'/ eq $sources{$name}, "level $level: $name");
        is(system_of($file) == 255 ? 'whole' : 'stream',
           length $sources{$name} <= $whole ? 'whole' : 'stream',
           "level $level: $name: how");
    }
}

stop();
done_testing();
