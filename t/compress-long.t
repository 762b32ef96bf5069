# "compress": paths that take more than a buffer in the list, and are longer
# than what a system call takes.

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
my $list = "$tree/.ngx_http_background_compress";

# the deepest folder of a tree; each byte of the names is written as two

my $folder = '\\' x 255;
my $depth = 126;

my $text = join '', map { "line $_ of a text\n" } 1 .. 1000;
my $cwd = Cwd::getcwd();

mkdir $tree or die "mkdir: $!";
put('tree/near.css', $text);
deep(sub { write_file('far.css', $text) });
for_all();

start(<<"EOF_CONF", '', 'worker_processes 1;');
    background_threads 2;
    background_task c {
        interval 50ms;
        retry 50ms;
        compress $tree suffix=.css gzip=1;
    }
EOF_CONF

next_cycle('c', 'completed');

my $worker = a_worker();

ok(deep(sub { -s 'far.css.gz' }), 'a file far below');
is_deeply([paths()], ['far.css.gz', 'near.css.gz'], 'both are in the list');

# the list is written anew when something in it is gone

unlink "$tree/near.css" or die "unlink: $!";
next_cycle('c', 'completed');
is_deeply([paths()], ['far.css.gz'], 'the list is written anew');
ok(deep(sub { -s 'far.css.gz' }), 'the file far below stays');

# several buffers

put("tree/$_.css", $text) for 1 .. 3;
deep(sub { write_file("far$_.css", "$text$_") for 1 .. 3 });
for_all();
next_cycle('c', 'completed');
unlink map { "$tree/$_.css" } 1 .. 3 or die "unlink: $!";
next_cycle('c', 'completed');
is_deeply([paths()], ['far.css.gz', map { "far$_.css.gz" } 1 .. 3],
          'of several long ones');

# a path that had no file, and has one again

my $noise = join '', map { chr int rand 256 } 1 .. 4000;

deep(sub { write_file('far.css', $noise) });
next_cycle('c', 'completed');
ok(!deep(sub { -e 'far.css.gz' }), 'noise is not compressed');
deep(sub { write_file('far.css', "$text again") });
next_cycle('c', 'completed');
put('tree/near.css', $text);
for_all();
next_cycle('c', 'completed');
unlink "$tree/near.css" or die "unlink: $!";
next_cycle('c', 'completed');
ok(deep(sub { -s 'far.css.gz' }), 'a text is compressed again');
is_deeply([paths()], ['far.css.gz', map { "far$_.css.gz" } 1 .. 3],
          'one line of a path');

# what is made of a source that is gone goes, wherever it is

deep(sub { unlink 'far.css' or die "unlink: $!" });
next_cycle('c', 'completed');
ok(!deep(sub { -e 'far.css.gz' }), 'a file far below is removed');
is_deeply([paths()], [map { "far$_.css.gz" } 1 .. 3], 'and forgotten');

is_deeply([workers()], [$worker], 'the same worker');

# nothing is left of a folder that is gone

frozen(sub { system('rm', '-r', "$tree/$folder") == 0 or die });
next_cycle('c', 'completed');
is_deeply([paths()], [], 'a folder that is gone is forgotten');

stop();
done_testing();

END {
    my $status = $?;
    system('rm', '-rf', $tree) if $tree;
    $? = $status;
}

# in the deepest folder, which is made if it is not there

sub deep {
    my ($function) = @_;

    chdir $tree or die "chdir: $!";

    for (1 .. $depth) {
        mkdir $folder;
        chdir $folder or die "chdir: $!";
    }

    my $rv = $function->();
    chdir $cwd or die "chdir: $!";

    return $rv;
}

sub write_file {
    my ($name, $text) = @_;

    open my $file, '>', $name or die "open: $!";
    print $file $text;
    close $file or die "close: $!";
}

sub for_all {
    return if $> != 0;
    frozen(sub { system("chown -R nobody $tree") == 0 or die });
}

# the last parts of the paths in the list; dies if there is anything else in it

sub paths {
    my ($header, @lines) = split /^/, read_file($list);
    my $far = '\\\\' x 255;
    my @paths;

    die 'no header' if $header ne "# ngx_http_background_compress 2\n";

    for (@lines) {
        my ($path) = /^[+-]2 \d+ \d+\.\d{9} \d+ \d+ \d+\.\d{9} [0-9a-f]{64} (.+)\n\z/ or die "no line: $_";
        1 while $path =~ s/^\Q$far\E\///;
        push @paths, $path;
    }

    return sort @paths;
}
