# "digest", "verify" and "compress" of a tree, compared with the usual tools with
# as many processes as the module has threads, at the same priority.  With TMPDIR
# in a tmpfs the time that a disk's file system takes is left out.

package Bench::files;

use strict;
use warnings;

use Bench;

my $files = 4000;
my $threads = cpus();
my $cleaned = 0;
my $tree = dir() . '/tree';
my $mb = make_tree();

# read once, so that the files are cached in all measurements

tool('cat');

# the list of all hashes, and a part of it for each process

run('sh', '-c', 'cd "$0" && find . -name "*.txt" -print0 '
                . '| xargs -0 sha256sum > ../list '
                . '&& split -n "l/$1" ../list ../part.', $tree, $threads);

# in MB: four of five files are small pages, one of fifty is large

sub make_tree {
    my $bytes = 0;

    srand 1;

    my @words = map { join '', map { chr 97 + int rand 26 } 1 .. 2 + rand 9 }
                1 .. 4000;
    my $text = join ' ', map { $words[rand(@words) * rand] } 1 .. 200_000;

    mkdir $tree or die "mkdir: $!\n";

    for my $n (1 .. $files) {
        my ($min, $max) = $n % 50 == 0 ? (65_536, 524_288)
                        : $n % 5 == 0 ? (8192, 65_536) : (512, 8192);
        my $size = int($min + rand($max - $min));
        my $folder = 'tree/' . $n % 100;

        mkdir dir() . "/$folder";
        put("$folder/$n.txt", substr $text, rand(length($text) - $max), $size);

        $bytes += $size;
    }

    return $bytes / 1e6;
}

# one cycle: MB a second, CPU time in seconds

sub background {
    my ($operation, $n) = (@_, $threads);

    clean();
    start(http => "background_threads $n priority=0;\n"
                  . "background_task files { interval 1h; $operation }\n",
          server => 'location = /status { background_status; }');

    my $last = first_cycle();

    stop();

    return ($mb / $last->{wall_seconds}, $last->{cpu_seconds});
}

# parts of the list

sub check {
    my $start = time;
    my @before = times;

    run('sh', '-c', 'cd "$0" && ls ../part.* | ionice -c 3 '
                    . 'xargs -P "$1" -n 1 sha256sum -c --quiet', $tree,
        $threads);

    my @after = times;

    return ($mb / (time - $start),
            $after[2] + $after[3] - $before[2] - $before[3]);
}

# the same with a tool

sub tool { tools($threads, @_) }

sub tools {
    my ($n, @command) = @_;

    clean();

    my $start = time;
    my @before = times;

    run('sh', '-c', 'find "$0" -name "*.txt" -print0 | ionice -c 3 '
                    . 'xargs -0 "$@" > /dev/null',
        $tree, '-P', $n, '-n', 100, @command);

    my @after = times;

    return ($mb / (time - $start),
            $after[2] + $after[3] - $before[2] - $before[3]);
}

# Files that were made are moved away: ext4 is slow to create a file while there
# are inodes that were freed in the last minute.

sub clean {
    my $old = dir() . '/old.' . $cleaned++;

    mkdir $old or die "mkdir: $!\n";
    run('find', $tree, '-type', 'f', '!', '-name', '*.txt',
        '-exec', 'mv', '-t', $old, '{}', '+');
}

my @units = ('MB/s', 'CPU s');

{
    rounds => 5,
    notes => [sprintf '%d files, %.0f MB, %d threads or processes, %s', $files,
                      $mb, $threads,
                      run('stat', '-f', '-c', '%T', $tree) =~ s/\n//r],
    things => [
        ['digest', \@units, sub { background("digest $tree;") }],
        ['sha256sum', \@units, sub { tool('sha256sum') }],
        ['verify', \@units,
         sub { background('verify ' . dir() . "/list root=$tree;") }],
        ['sha256sum -c', \@units, \&check],
        ['compress gzip=6', \@units,
         sub { background("compress $tree suffix=.txt gzip=6;") }],
        ['gzip -6', \@units, sub { tool('gzip', '-6', '-k') }],
        ['compress, one thread', \@units,
         sub { background("compress $tree suffix=.txt gzip=6;", 1) }],
        ['gzip, one process', \@units, sub { tools(1, 'gzip', '-6', '-k') }],
    ],
    rows => [
        ['MB/s', 'digest', 'sha256sum', '>= 0.95'],
        ['MB/s', 'verify', 'sha256sum -c', '>= 0.95'],
        ['MB/s', 'compress gzip=6', 'gzip -6', '>= 1.5'],
        ['MB/s', 'compress, one thread', 'gzip, one process', '>= 1.5'],
        ['CPU s', 'digest', 'sha256sum'],
        ['CPU s', 'verify', 'sha256sum -c'],
        ['CPU s', 'compress gzip=6', 'gzip -6'],
    ],
};
