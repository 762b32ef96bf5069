package BackgroundControl;

# Orders to "background_control", as a client that may give them.

use strict;
use warnings;

use BackgroundStatus;
use Exporter qw/ import /;
use IO::Socket::UNIX;

our @EXPORT = qw/ request code half_order whole_order /;

# the code and the body of the answer; "method" and header fields may differ,
# undef leaves a field out

sub request {
    my ($uri, %with) = @_;

    my $method = delete $with{method} || 'POST';
    my %headers = ('X-Background' => 1, %with);
    my $fields = join '', map { "$_: $headers{$_}\r\n" }
                          grep { defined $headers{$_} } sort keys %headers;

    my ($head, $body) = split /\r\n\r\n/,
        http("$method $uri HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
             . "Content-Length: 0\r\n$fields\r\n"), 2;
    my ($code) = ($head // '') =~ /^HTTP\/1\.1 (\d+)/;

    return ($code, $body);
}

sub code { (request(@_))[0] // 0 }

# an order that a worker has the first half of; the code when it has all of it

sub half_order {
    my ($uri) = @_;

    my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM,
                                       Peer => dir() . '/socket')
        or die "connect: $!\n";

    print $socket "POST $uri HTTP/1.1\r\nHost: test\r\nX-Background: 1\r\n";
    $socket->flush;

    return $socket;
}

sub whole_order {
    my ($socket) = @_;

    print $socket "Connection: close\r\nContent-Length: 0\r\n\r\n";
    $socket->flush;

    my $answer = join '', <$socket>;

    return $answer =~ m{^HTTP/1.1 (\d+)} ? $1 : $answer;
}

1;
