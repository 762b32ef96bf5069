package BackgroundPeer;

# Peers to connect to, on loopback addresses only.

use strict;
use warnings;

use BackgroundStatus;
use Exporter qw/ import /;
use IO::Select;
use IO::Socket::IP;
use IO::Socket::UNIX;
use Socket;

our @EXPORT = qw/ listener unix_listener closed_port full_listener
                  accept_all /;

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
    my @clients;

    for (1 .. 100) {
        my $client = IO::Socket::IP->new(PeerHost => '127.0.0.1',
                                         PeerPort => $listener->sockport,
                                         Type => SOCK_STREAM, Blocking => 0)
            or die "connect: $!\n";

        push @clients, $client;

        return ($listener->sockport, $listener, @clients)
            unless IO::Select->new($client)->can_write(0.3);
    }

    die "the queue is never full\n";
}

# accepts what is there, without waiting; returns how many there were

sub accept_all {
    my ($listener) = @_;

    my $n = 0;

    $listener->blocking(0);

    while (my $peer = $listener->accept) {
        $n++;
        close $peer;
    }

    return $n;
}

1;
