# "connect" resets no connection: a server that sends something first, at once
# or late, gets an end of file, and reads one.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundPeer;
use BackgroundStatus;
use IO::Select;
use POSIX ();
use Socket qw/ IPPROTO_TCP SOL_SOCKET SO_ERROR TCP_INFO /;
use Test::More;
use Time::HiRes qw/ sleep time /;

my $closed = 7;    # of enum tcp_state

my $dir = dir();
my $silent = unix_listener('silent');
my $mute = unix_listener('mute');
my %task;

$SIG{PIPE} = 'IGNORE';

my %peer;

for my $mode (qw/ first late /) {
    my $tcp = listener('127.0.0.1') or die "listen: $!\n";

    $peer{"tcp_$mode"} = '127.0.0.1:' . $tcp->sockport;
    $peer{"unix_$mode"} = "unix:$dir/$mode";

    serve("tcp_$mode", $tcp, $mode);
    serve("unix_$mode", unix_listener($mode), $mode);
}

serve('flood', unix_listener('flood'), 'flood');

start('background_task idle { interval 1h; simulate_io 1 delay=0-0; }', '',
      'worker_processes 1; debug_points abort;');

my $worker = a_worker();

poll('it has all that it opens', sub {
    status()->{tasks}[0]{last};
});

my $before = fds($worker);

# a peer that never closes, and is not waited for

reconfigure('background_task idle', <<"EOF");
    background_task mute { interval 1h; connect unix:$dir/mute count=30; }
    background_task idle
EOF

my @held = map { end_of_file($mute) } 1 .. 30;

another_worker();

poll('all are closed', sub { fds($worker) <= $before });
pass('one that does not close is closed');

%task = by_name(status());

is($task{mute}{last}{operations}, 30, 'as good ones');

my $often = 'interval 20ms; retry 20ms;';

# nobody accepts its connections, the queue takes 4096 of them

my $seldom = 'interval 200ms; retry 200ms;';

reconfigure('background_task idle', join "\n",
    (map { "background_task $_ { $often connect $peer{$_}; }" } sort keys %peer),
    "background_task silent { $seldom connect unix:$dir/silent; }",
    "background_task flood { $often connect unix:$dir/flood; }",
    'background_task idle');

another_worker();

# Where the machine was slow, a second may have been too short for some of them.
# When each connection is reset, there is never a good one.

for my $name (sort keys %peer) {
    poll("$name reads an end of file", sub {
        (() = read_file("$dir/$name.said") =~ /^end of file$/mg) >= 10;
    });

    pass("$name: no reset");
}

# the second is not in the times

my $last = poll('cycles shorter than that', sub {
    %task = by_name(status());

    my $last = $task{silent}{last};

    return $last && $last->{wall_seconds} < 1 && $last->{io_seconds} < 1
           && $last;
});

is($last->{error}, undef, 'what lingers is connected');

# what is read is limited; the buffers of the socket take some of it, too

# one that it came to too late had none of it

my $flood = poll('the flood is over', sub {
    return read_file("$dir/flood.said") =~ /^([1-9]\d*) bytes$/m && $1;
});

cmp_ok($flood, '<', 2 * 1024 * 1024, 'a flood is not read');

is(logged(qr/recv\(\)|shutdown\(\)|reset by peer/i), 0, 'none of it is logged');

# A worker that exits does not wait for those that linger, which takes a second;
# on a slow machine some other things do, too.

poll('a worker exits at once', sub {
    my $old = a_worker();
    my $cycles = { by_name(status()) }->{silent}{cycles}{completed};

    poll('some linger', sub {
        my %task = by_name(status());

        return $task{silent}{cycles}{completed} > $cycles + 2
               && ($task{silent}{lease}{pid} // 0) == $old;
    });

    my $start = time;

    signal('QUIT', $old);

    poll('exits', sub { gone($old) });
    my $took = time - $start;

    poll('another one', sub { grep { $_ != $old } workers() });

    return $took < 0.7;
});

pass('a worker exits at once');

# at the exit some of "silent" linger

signal('QUIT');

poll('exits', sub { !workers() });

is(logged(qr/open socket/), 0, 'no socket is left');

stop();
done_testing();

sub fds { scalar(my @fds = glob "/proc/$_[0]/fd/*") }

# the only worker, when it is another one than before

sub another_worker {
    poll('another worker', sub {
        my @workers = workers();

        return @workers == 1 && $workers[0] != $worker
               && ($worker = $workers[0]);
    });
}

# accepts a connection and returns it after its end of file

sub end_of_file {
    my ($listener) = @_;

    IO::Select->new($listener)->can_read($BackgroundStatus::deadline)
        or die "timed out: a connection\n";

    my $peer = $listener->accept or die "accept: $!\n";

    sysread $peer, my $bytes, 1;

    return $peer;
}

# a process with a peer, which notes how each connection has ended

sub serve {
    my ($name, $listener, $mode) = @_;

    my $test = $$;

    defined(my $pid = fork) or die "fork: $!\n";
    return if $pid;

    open my $said, '>', "$dir/$name.said" or POSIX::_exit(1);
    $said->autoflush(1);

    while (getppid == $test) {
        IO::Select->new($listener)->can_read(0.1) or next;

        my $peer = $listener->accept or next;

        print $said $mode eq 'flood' ? flooded($peer) : ended($peer, $mode),
                    "\n";
    }

    POSIX::_exit(0);
}

# "end of file", or the error that a reset is for the peer

sub ended {
    my ($peer, $mode) = @_;

    my $bytes;

    return "read: $!" if $mode eq 'late' && !defined sysread $peer, $bytes, 1;
    defined syswrite $peer, '5.7.0-greeting' or return "write: $!";
    return "read: $!" if !defined sysread $peer, $bytes, 1;

    return 'end of file' if $peer->isa('IO::Socket::UNIX');

    # a reset that comes later than the end of file

    shutdown $peer, 1 or $!{ENOTCONN} or return "shutdown: $!";

    my $end = time + $BackgroundStatus::deadline;

    until (ord getsockopt($peer, IPPROTO_TCP, TCP_INFO) == $closed) {
        return 'not closed' if time > $end;
        sleep 0.001;
    }

    $! = unpack 'i', getsockopt $peer, SOL_SOCKET, SO_ERROR;

    return $! ? "closed: $!" : 'end of file';
}

# how many bytes somebody takes

sub flooded {
    my ($peer) = @_;

    my ($n, $sum) = (0, 0);

    $sum += $n while $n = syswrite $peer, 'x' x 4096;

    return "$sum bytes";
}
