package BackgroundPeer;

# Peers to connect to, on loopback addresses only.

use strict;
use warnings;

use BackgroundPoll ();
use BackgroundStatus;
use Exporter qw/ import /;
use IO::Select;
use IO::Socket::IP;
use IO::Socket::UNIX;
use Socket;

our @EXPORT = qw/ listener unix_listener closed_port full_listener drained
                  accept_all asked answer /;

my %drained;

# a listener; its address is HOST:PORT

sub listener {
    my ($host, $backlog) = @_;

    return IO::Socket::IP->new(LocalHost => $host, LocalPort => 0,
                               Type => SOCK_STREAM,
                               Listen => $backlog || 4096);
}

sub unix_listener {
    my ($name, $backlog) = @_;

    my $path = dir() . "/$name";
    my $listener = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $path,
                                         Listen => $backlog || 4096)
        or die "listen on $path: $!\n";

    chmod 0666, $path or die "chmod: $!\n";

    return $listener;
}

# a port of the host where nobody listens; what keeps it from being taken is
# to be kept

sub closed_port {
    my ($host) = @_;

    my $socket = IO::Socket::IP->new(LocalHost => $host, LocalPort => 0,
                                     Type => SOCK_STREAM)
        or die "bind: $!\n";

    return ($socket->sockport, $socket);
}

# a listener whose queue is full: who connects gets no answer

sub full_listener {
    my $listener = listener('127.0.0.1', 1) or die "listen: $!\n";
    my $port = $listener->sockport;
    my @clients;

    for (1 .. 100) {
        push @clients, IO::Socket::IP->new(PeerHost => '127.0.0.1',
                                           PeerPort => $port,
                                           Type => SOCK_STREAM, Blocking => 0)
                       || die "connect: $!\n";

        # as Linux, a queue takes one more than was asked for

        return ($port, $listener, @clients) if queued($port) == 2;
    }

    die "the queue is never full\n";
}

# how many connections wait to be accepted

sub queued {
    my ($port) = @_;

    my $hex = sprintf '%04X', $port;

    open my $tcp, '<', '/proc/net/tcp' or die "open: $!\n";

    for (<$tcp>) {
        my (undef, $at, undef, $state, $queues) = split;

        return hex((split /:/, $queues)[1])
            if $state eq '0A' && $at =~ /:$hex$/;
    }

    die "no listener on $port\n";
}

# Returns listeners whose queues are emptied while the test polls: tasks that
# connect often would fill them on a slow machine.

sub drained {
    my (@listeners) = @_;

    for my $listener (grep { defined } @listeners) {
        $drained{$listener} = 0;
        push @BackgroundPoll::each,
             sub { $drained{$listener} += accept_now($listener) };
    }

    return @listeners;
}

# how many connections there were since the last call

sub accept_all {
    my ($listener) = @_;

    my $n = accept_now($listener) + ($drained{$listener} // 0);

    $drained{$listener} = 0 if defined $drained{$listener};

    return $n;
}

sub accept_now {
    my ($listener) = @_;

    my $n = 0;

    $listener->blocking(0);

    while (my $peer = $listener->accept) {
        $n++;
        close $peer;
    }

    return $n;
}

# A peer that answers when the test says so: asked(LISTENER, HEADER) waits for a
# request, stores its header, if there is a reference for it, and returns the
# connection; answer(CONNECTION, CODE) is the end of it.

sub asked {
    my ($listener, $header) = @_;

    my $request = '';

    IO::Select->new($listener)->can_read($BackgroundStatus::deadline)
        or die "timed out: a request\n";

    my $peer = $listener->accept or die "accept: $!\n";

    until ($request =~ /\r\n\r\n/) {
        sysread $peer, $request, 65536, length $request
            or die "half a request\n";
    }

    $$header = $request if $header;

    return $peer;
}

sub answer {
    my ($peer, $code) = @_;

    syswrite $peer, "HTTP/1.1 $code Code\r\nContent-Length: 0\r\n"
                    . "Connection: close\r\n\r\n" or die "write: $!\n";
    close $peer;
}

1;
