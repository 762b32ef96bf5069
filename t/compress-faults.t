# "compress": what goes wrong leaves what was there, and is named.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundControl;
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

start(conf('retry 50ms'), 'location /control/ { background_control pause; }',
      'worker_processes 1;');

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

    between_cycles('c', sub {
        unlink "$tree/d.css.gz" or die "unlink: $!";
        ($other eq 'symlink' ? symlink $victim, "$tree/d.css.gz"
                             : mkdir "$tree/d.css.gz") or die "$other: $!";
    });

    change('tree/d.css', "$text $other");
    faulty($other, qr/"\Q$tree\E\/d.css.gz" is no regular file/);

    $other eq 'symlink' ? unlink "$tree/d.css.gz" : rmdir "$tree/d.css.gz";
    good();
    is(unpacked('d.css'), "$text $other", "$other: made again");
}

is(read_file($victim), 'victim', 'what a symlink leads to stays');

# no right to write

between_cycles('c', sub {
    chmod 0555, "$tree/sub" or die "chmod: $!";
    change('tree/sub/b.css', "$text !");
});

faulty('no right to write', qr/open\(\) of a temporary file for "\Q$tree\E\/sub\/b.css.gz" failed \(13: /);
chmod 0755, "$tree/sub" or die "chmod: $!";
good();
is(unpacked('sub/b.css'), "$text !", 'made in the end');

# somebody else's list

my $list = "$tree/.ngx_http_background_compress";
my $saved = read_file($list);

between_cycles('c', sub {
    change('tree/.ngx_http_background_compress', "something else\n");
});

faulty('list', qr/"\Q$list\E" is no list of this module/);
is(read_file($list), "something else\n", 'it stays');

between_cycles('c', sub {
    change('tree/.ngx_http_background_compress', $saved . '+ 12 half a li');
    change('tree/a.css', "$text again");
});

good();
is(unpacked('a.css'), "$text again", 'a list that ends in the middle of a line');
unlike(read_file($list), qr/half a li/, 'which is mended');

stop();

# the worker is killed in the middle, when it has written something

my $big = join '', map { chr(97 + int rand 16) } 1 .. 1_000_000;

limited('retry 50ms');
my $old = read_file("$tree/a.css.gz");

my $worker = a_worker();
my $temp = at_work(sub {
    my ($temp) = grep { -s } temps();

    return $temp && kill('KILL', $worker) && $temp;
});

poll('another worker', sub {
    my @workers = workers();
    return @workers == 1 && $workers[0] != $worker;
});

ok(!-e "$tree/big.css.gz" || unpacked('big.css') eq $big, 'no half file');
poll('the temporary goes', sub { !-e $temp });
poll('and it is told', sub {
    my ($name) = $temp =~ m{([^/]+)$};
    logged(qr/background task "\w+": removed "\Q$name\E", left by a process that was killed/);
});
is(read_file("$tree/a.css.gz"), $old, 'what was there stays');

put('error.log', join '', grep { !/exited on signal 9/ } split /^/, log_text());
stop();

# a source that changes while it is read

my %change = (
    'it grows' => sub { append($_[0], 'more') },
    'it shrinks' => sub { truncate $_[0], 999_999 or die "truncate: $!" },
    'its mode' => sub { chmod 0600, $_[0] or die "chmod: $!" },
    'another' => sub {
        put('other', $big);
        for_workers("$dir/other");
        rename "$dir/other", $_[0] or die "rename: $!";
    },
    'it vanishes' => sub { unlink $_[0] or die "unlink: $!" },
);

for my $what (sort keys %change) {
    my @before;

    limited('retry 1h');

    at_work(sub {
        @before = stat "$tree/big.css.gz";
        $change{$what}->("$tree/big.css");

        return 1;
    });

    my $error = qr/"\Q$tree\E\/big.css" changed while it was read/;

    my $task = poll($what, sub {
        my %task = by_name(status());
        return $task{c}{last_failure} && $task{c};
    });

    like($task->{last_failure}{error}, $error, "$what: told");

    my @after = stat "$tree/big.css.gz";

    is($after[1] // 'none', $before[1] // 'none', "$what: not made of it");

    stop();
}

start(conf('retry 50ms'), '', 'worker_processes 1;');
change('tree/big.css', $big);
good();
ok(unpacked('big.css') eq $big, 'made in the end');
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

stop();
done_testing();

END {
    my $status = $?;
    system("umount -q $dir/disk 2>/dev/null") if -d "$dir/disk";
    $? = $status;
}

sub conf {
    my ($retry, $limit) = @_;

    return <<"EOF_CONF";
    background_threads 2;
    background_task c {
        interval 50ms;
        $retry;
        compress $tree suffix=.css gzip=1 @{[$limit // '']};
    }
EOF_CONF
}

# an nginx that takes a second at least for a source that is not compressed yet

sub limited {
    my ($retry) = @_;

    change('tree/big.css', $big);
    start(conf($retry, 'limit_rate=1m'), '', 'worker_processes 1;');
}

# Calls the function, until it returns something true, while that source is read
# and the worker is stopped.  Where it is too late for that the source is made
# new.

sub at_work {
    my ($function) = @_;

    return poll('at work', sub {
        frozen(sub {
            my @offsets = offsets("$tree/big.css");

            if (!@offsets && -e "$tree/big.css.gz") {
                change('tree/big.css', $big);
            }

            return grep({ $_ > 0 && $_ < length $big } @offsets)
                   && $function->();
        });
    });
}

# with no worker left of the old configuration

sub reload {
    my $old = a_worker();

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
