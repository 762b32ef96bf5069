# "digest", its list, and "verify": what goes wrong is named, and the old list
# stays.  See also digest-manifest.t and verify.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use IO::Socket::UNIX;
use Test::More;

my $dir = dir();

mkdir "$dir/$_" for qw/ trees sums lists tree own /;
for_workers("$dir/sums", "$dir/own");

# files that change while they are read, and lists of them; they are read again
# and again until then

my $size = 3_000_000;
my $time = 1_000_000_000;
my ($sum) = `head -c $size /dev/zero | sha256sum` =~ /^(\w+)/;

my %change = (
    grows => sub { append($_[0], 'more') },
    shrinks => sub { truncate $_[0], $size - 1 or die "truncate: $!" },
    written => sub {
        open my $file, '+<', $_[0] or die "open: $!";
        print $file 'written';
        close $file or die "close: $!";
    },
    backdated => sub {
        open my $file, '+<', $_[0] or die "open: $!";
        print $file 'written';
        close $file or die "close: $!";
        utime $time, $time, $_[0] or die "utime: $!";
    },
    mode => sub { chmod 0600, $_[0] or die "chmod: $!" },
    replaced => sub {
        put('other', 'other');
        rename "$dir/other", $_[0] or die "rename: $!";
    },
    vanishes => sub { unlink $_[0] or die "unlink: $!" },
    moved => sub { rename $_[0], "$dir/moved" or die "rename: $!" },
);

my $tasks = '';
my $times = 'interval 1ms; retry 1h;';
my $limit = 'limit_rate=2m';

for my $kind (sort keys %change) {
    my $tree = "$dir/trees/$kind";

    mkdir $tree;
    put("trees/$kind/file", '');
    truncate "$tree/file", $size or die "truncate: $!";
    utime $time, $time, "$tree/file" or die "utime: $!";

    put("sums/$kind", "old\n");
    put("lists/$kind", "$sum  file\n");

    $tasks .= <<"EOF_CONF";
    background_task ${kind}_tree { $times digest $tree manifest=$dir/sums/$kind $limit; }
    background_task ${kind}_file { $times digest $tree/file $limit; }
    background_task ${kind}_list { $times verify $dir/lists/$kind root=$tree $limit; }
EOF_CONF
}

# a list that is written anew while it is read

put('trees/same', '');
truncate "$dir/trees/same", $size or die "truncate: $!";
put('lists/anew', "$sum  same\n");

$tasks .= "    background_task anew { $times "
          . "verify $dir/lists/anew root=$dir/trees $limit; }\n";

start("background_threads ${\(3 * keys(%change) + 1)};\n$tasks", '',
      'worker_processes 1;');

my %left = (%change, anew => sub { put('lists/anew', "# nothing\n") });
my %list;

poll('all change while they are read', sub {
    frozen(sub {
        for my $kind (sort keys %left) {
            my ($file, $tasks) = $kind eq 'anew'
                                 ? ("$dir/trees/same", 1)
                                 : ("$dir/trees/$kind/file", 3);

            if ($tasks == grep { $_ > 0 && $_ < $size } offsets($file)) {
                $list{$kind} = list_of("$dir/sums/$kind");
                $left{$kind}->($file);
                delete $left{$kind};
            }
        }
    });

    return !%left;
});

my %task;

poll('all are noticed', sub {
    %task = by_name(status());
    return !grep { !$_->{last_failure} } values %task;
});

for my $kind (sort keys %change) {
    my $error = qr/: "\Q$dir\E\/trees\/$kind\/file" changed while it was read$/;

    for (qw/ tree file list /) {
        like($task{"${kind}_$_"}{last}{error} // 'none', $error, "$kind: $_");
    }

    is(list_of("$dir/sums/$kind"), $list{$kind}, "$kind: the old list stays");
}

like($task{anew}{last}{error} // 'none',
     qr/: "\Q$dir\E\/lists\/anew" changed while it was read$/,
     'a list that is written anew');

stop();

is_deeply([glob "$dir/sums/.ngx*"], [], 'no temporary is left');

# the worker is killed in the middle; the lines are more than a buffer, so that
# some are written before the last file has been read

my $tree = "$dir/tree";
my $sums = "$dir/own/SUMS";
my $name = 'n' x 200;

put("tree/$name$_", $_) for 100 .. 500;
put('tree/zlast', 'z' x 600_000);

start(<<"EOF_CONF", '', 'worker_processes 1;');
    background_threads 2;
    background_task tree {
        interval 50ms;
        retry 50ms;
        digest $tree manifest=$sums limit_rate=300k;
    }
EOF_CONF

my $worker = worker();
my $temp = poll('lines are written', sub {
    frozen(sub {
        my ($temp) = grep { -s } temps();

        return $temp && kill('KILL', $worker) && $temp;
    });
});

$worker = worker($worker);

ok(!-e $sums || check() eq '', 'no half list');
poll('the temporary goes', sub { !-e $temp });
poll('and it is told', sub {
    my ($name) = $temp =~ m{([^/]+)$};
    logged(qr/background task "tree": removed "\Q$name\E", left by a process that was killed/);
});
poll('a list', sub { -e $sums });
is(check(), '', 'a whole one');

if ($> == 0) {
    my $nobody = getpwnam 'nobody';

    is((stat "/proc/$worker")[4], $nobody, 'the worker\'s user');
    is((stat $sums)[4], $nobody, 'whose the list is');
}

put('error.log', join '', grep { !/exited on signal 9/ } split /^/, log_text());
stop();

# what can't be written

unlink temps();

put('socket_list', '0' x 64 . "  socket\n");
put('secret_list', '0' x 64 . "  zlast\n");
chmod 0, "$dir/secret_list" or die "chmod: $!";

my $socket = IO::Socket::UNIX->new(Local => "$tree/socket", Listen => 1)
    or die "socket: $!";

start(<<"EOF_CONF", '', 'worker_processes 1;');
    background_threads 2;
    background_task tree {
        interval 50ms;
        retry 50ms;
        digest $tree manifest=$sums;
    }
    background_task socket {
        interval 1h;
        retry 1h;
        verify $dir/socket_list root=$tree;
    }
    background_task secret {
        interval 1h;
        retry 1h;
        verify $dir/secret_list root=$tree;
    }
EOF_CONF

good();

poll('lists are checked', sub {
    %task = by_name(status());
    return $task{socket}{last} && $task{secret}{last};
});

like($task{socket}{last}{error}, qr/open\(\) "\Q$tree\E\/socket" failed \(6: /,
     'a socket in a list');
like($task{secret}{last}{error}, qr/open\(\) "\Q$dir\E\/secret_list" failed \(13: /,
     'a list that can\'t be read');

chmod 0555, "$dir/own" or die "chmod: $!";
faulty('no right to write',
       qr/open\(\) of a temporary file for "\Q$sums\E" failed \(13: /);
chmod 0755, "$dir/own" or die "chmod: $!";
good();
is(check(), '', 'made in the end');

rename "$dir/own", "$dir/away" or die "rename: $!";
like(next_cycle('tree', 'failed')->{last}{error},
     qr/open\(\) of the directory of "\Q$sums\E" failed \(2: /, 'no folder');
rename "$dir/away", "$dir/own" or die "rename: $!";
good();

# a full disk

SKIP: {
    my $disk = "$dir/disk";
    mkdir $disk;

    skip 'mount() of a tmpfs is refused', 6
        if system("mount -t tmpfs -o size=256k,mode=777 tmpfs $disk 2>/dev/null");

    $worker = worker();
    $sums = "$disk/SUMS";
    reconfigure("$dir/own/SUMS", $sums);
    worker($worker);

    good();
    is(check(), '', 'a list on a small disk');

    # while no cycle has a file there

    chmod 0555, $disk or die "chmod: $!";
    next_cycle('tree', 'failed');
    unlink temps();
    put('disk/fill', 'f' x 110_000);
    chmod 0777, $disk or die "chmod: $!";

    faulty('full disk',
           qr/write\(\) of a temporary file for "\Q$sums\E" failed \(28: /);

    # between two cycles, as it is tried again and again

    ok(poll('nothing is left', sub { !(() = temps()) }), 'nothing is left');

    unlink "$disk/fill" or die "unlink: $!";
    good();
    is(check(), '', 'with more room it is made');
}

stop('QUIT');

is_deeply([temps()], [], 'no temporary is left');

done_testing();

END {
    my $status = $?;
    system("umount -q $dir/disk 2>/dev/null") if -d "$dir/disk";
    $? = $status;
}

# the only worker, when it is not the old one

sub worker {
    my ($old) = @_;

    return poll('a worker', sub {
        my @workers = workers();
        return @workers == 1 && $workers[0] != ($old // 0) && $workers[0];
    });
}

# its number and content

sub list_of { join ' ', (stat $_[0])[1] // 'none', read_file($_[0]) }

sub append {
    my ($name, $text) = @_;

    open my $file, '>>', $name or die "open: $!";
    print $file $text;
    close $file or die "close: $!";
}

sub temps { glob(($sums =~ s{[^/]+$}{}r) . '.ngx_http_background_*.tmp') }

sub check {
    my $said = `cd $tree && sha256sum --quiet --strict -c $sums 2>&1`;

    return $? ? "$? $said" : $said;
}

sub good { next_cycle('tree', 'completed') }

# fails with that, and leaves the old list

sub faulty {
    my ($name, $error) = @_;

    my $old = read_file($sums);
    my @old = stat $sums;

    put('tree/zlast', $name);
    like(next_cycle('tree', 'failed')->{last}{error}, $error, $name);
    is(read_file($sums), $old, "$name: the old list stays");
    is((stat $sums)[1], $old[1], "$name: it is the same file");
}
