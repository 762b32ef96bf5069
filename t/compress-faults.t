# "compress": what goes wrong leaves what was there, and is named.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use IO::Socket::UNIX;
use POSIX ();
use Test::More;
use Time::HiRes qw/ stat utime /;

my $dir = dir();
my $tree = "$dir/tree";
my $time = 1_000_000_000;

mkdir $tree;
mkdir "$tree/$_" for qw/ sub deep /;

my $text = join '', map { "line $_ of a text\n" } 1 .. 20_000;

change("tree/$_", $text) for qw( a.css sub/b.css deep/c.css );
link "$tree/a.css", "$tree/sub/hard.css" or die "link: $!";
symlink '..', "$tree/deep/up" or die "symlink: $!";
POSIX::mkfifo("$tree/fifo.css", 0644) or die "mkfifo: $!";
for_workers("$tree/fifo.css", $tree, "$tree/sub", "$tree/deep");

my $socket = IO::Socket::UNIX->new(Local => "$tree/socket.css", Listen => 1)
    or die "socket: $!";

start(<<"EOF_CONF", '', 'worker_processes 1;');
    background_threads 2;
    background_task c {
        interval 50ms;
        retry 50ms;
        compress $tree suffix=.css gzip=1;
    }
EOF_CONF

good();
is_deeply([made()], [qw( a.css.gz deep/c.css.gz sub/b.css.gz sub/hard.css.gz )],
          'regular files, hard links too; no loop, FIFO, socket');

# a source that can't be read

chmod 0, "$tree/sub/b.css" or die "chmod: $!";
faulty('unreadable', qr/open\(\) "\Q$tree\E\/sub\/b.css" failed \(13: /);
chmod 0644, "$tree/sub/b.css" or die "chmod: $!";
good();

chmod 0, "$tree/sub" or die "chmod: $!";
faulty('unreadable folder', qr/open\(\) "\Q$tree\E\/sub" failed \(13: /);
chmod 0755, "$tree/sub" or die "chmod: $!";
good();
is(scalar(my @made = made()), 4, 'what can not be seen is not gone');

# something else in the place of the target

my $victim = "$dir/victim";
change('victim', 'victim');

for my $other (qw/ symlink directory /) {
    change('tree/d.css', $text);
    good();

    unlink "$tree/d.css.gz" or die "unlink: $!";
    $other eq 'symlink' ? symlink $victim, "$tree/d.css.gz"
                        : mkdir "$tree/d.css.gz";
    change('tree/d.css', "$text $other");
    faulty($other, qr/"\Q$tree\E\/d.css.gz" is no regular file/);

    $other eq 'symlink' ? unlink "$tree/d.css.gz" : rmdir "$tree/d.css.gz";
    good();
    is(unpacked('d.css'), "$text $other", "$other: made again");
}

is(read_file($victim), 'victim', 'what a symlink leads to stays');

# no right to write

change('tree/sub/b.css', "$text no");
chmod 0555, "$tree/sub" or die "chmod: $!";
change('tree/sub/b.css', "$text !");
faulty('no right to write', qr/open\(\) of a temporary file for "\Q$tree\E\/sub\/b.css.gz" failed \(13: /);
chmod 0755, "$tree/sub" or die "chmod: $!";
good();
is(unpacked('sub/b.css'), "$text !", 'made in the end');

# somebody else's list

my $list = "$tree/.ngx_http_background_compress";
my $saved = read_file($list);

change('tree/.ngx_http_background_compress', "something else\n");
faulty('list', qr/"\Q$list\E" is no list of this module/);
is(read_file($list), "something else\n", 'it stays');
change('tree/.ngx_http_background_compress', $saved . '+ 12 half a li');
change('tree/a.css', "$text again");
good();
is(unpacked('a.css'), "$text again", 'a list that ends in the middle of a line');
unlike(read_file($list), qr/half a li/, 'which is mended');

# the worker is killed in the middle; the limit makes that long

my $big = join '', map { "$_ is a number\n" } 1 .. 100_000;

reload('gzip=1', 'gzip=1 limit_rate=500k');
change('tree/big.css', $big);
my $old = read_file("$tree/a.css.gz");

poll('at work', sub { () = temps() });

my ($worker) = workers();
my ($temp) = poll('writes', sub { (grep { -s } temps())[0] });

kill 'KILL', $worker;

poll('another worker', sub {
    my @workers = workers();
    return @workers == 1 && $workers[0] != $worker;
});

ok(!-e "$tree/big.css.gz", 'no half file');
poll('the temporary goes', sub { !-e $temp });
poll('and it is told', sub {
    my ($name) = $temp =~ m{([^/]+)$};
    logged(qr/background task "\w+": removed "\Q$name\E", left by a process that was killed/);
});
is(read_file("$tree/a.css.gz"), $old, 'what was there stays');

# a source that changes while it is read

sub busy {
    my ($what, $change) = @_;

    my %task = by_name(status());
    my $failed = $task{c}{cycles}{failed};

    poll("$what: at work", sub {
        my @stat = map { stat } temps();
        return @stat;
    });

    $change->();

    my $error = qr/"\Q$tree\E\/big.css" changed while it was read/;

    poll($what, sub {
        %task = by_name(status());
        return $task{c}{cycles}{failed} > $failed
               && ($task{c}{last}{error} || '') =~ $error;
    });

    ok(!-e "$tree/big.css.gz", "$what: not made of it");
}

busy('it grows', sub { append("$tree/big.css", 'more') });
busy('it shrinks', sub { truncate "$tree/big.css", 100_000 or die });
put('tree/big.css', $big);
busy('another', sub { put('other', $big); for_workers("$dir/other");
                      rename "$dir/other", "$tree/big.css" or die });
busy('it vanishes', sub { unlink "$tree/big.css" or die });

reload(' limit_rate=500k', '');
change('tree/big.css', $big);
good();
is(unpacked('big.css'), $big, 'made in the end');
is_deeply([temps()], [], 'no temporary is left');

# a full disk

SKIP: {
    my $disk = "$dir/disk";
    mkdir $disk;

    skip 'mount() of a tmpfs is refused', 3
        if system("mount -t tmpfs -o size=64k,mode=777 tmpfs $disk 2>/dev/null");

    my $noise = join '', map { chr(97 + int rand 16) } 1 .. 32_000;
    change('disk/a.css', $noise);
    change('disk/fill', 'f' x 16_000);

    reload("compress $tree", "compress $disk");
    faulty('full disk',
           qr/write\(\) of a temporary file for "\Q$disk\E\/a.css.gz" failed \(28: /);

    # between two cycles, as it is tried again and again

    ok(poll('nothing is left', sub {
        return "@{[glob qq{$disk/* $disk/.ngx*}]}" eq "$disk/a.css $disk/fill";
    }), 'nothing is left');

    unlink "$disk/fill";
    good();
    is(`gzip -dc $disk/a.css.gz`, $noise, 'with more room it is made');

}

put('error.log', join '', grep { !/exited on signal 9/ } split /^/, log_text());

stop();
done_testing();

END {
    my $status = $?;
    system("umount -q $dir/disk 2>/dev/null") if -d "$dir/disk";
    $? = $status;
}

# with no worker left of the old configuration

sub reload {
    my ($old) = workers();

    reconfigure(@_);

    poll('reloaded', sub {
        my @workers = workers();
        return @workers == 1 && $workers[0] != $old;
    });
}

sub change {
    my ($name, $text) = @_;

    put($name, $text);
    for_workers("$dir/$name");
    $time += 1.5;
    utime $time, $time, "$dir/$name" or die "utime: $!";
}

sub append {
    my ($name, $text) = @_;

    open my $file, '>>', $name or die "open: $!";
    print $file $text;
    close $file or die "close: $!";
}

sub temps { glob "$tree/.ngx_http_background_*.tmp" }

sub made {
    return sort grep { /\.gz$/ } map { s/\n//r } `cd $tree && find . -type f -printf '%P\n'`;
}

sub good { next_cycle('c', 'completed', qr/^$/) }

# fails with that, and leaves all that was made

sub faulty {
    my ($name, $error) = @_;

    my @before = map { join ' ', $_, (stat "$tree/$_")[1, 7, 9] } made();
    my $task = next_cycle('c', 'failed', $error);

    like($task->{last}{error}, $error, $name);

    my %after = map { $_ => 1 } map { join ' ', $_, (stat "$tree/$_")[1, 7, 9] } made();
    is_deeply([grep { !$after{$_} } @before], [], "$name: the old ones stay")
        unless $name eq 'unreadable folder';
}

sub unpacked { return scalar `gzip -dc $tree/$_[0].gz` }
