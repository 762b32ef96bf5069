package BackgroundControl;

# Orders to "background_control", as a client that may give them.

use strict;
use warnings;

use BackgroundStatus;
use Exporter qw/ import /;
use IO::Socket::UNIX;

our @EXPORT = qw/ request code half_order whole_order between_cycles /;

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

# Calls the function while no cycle of the task is under way: what a cycle writes
# at its end does not replace what the function changes.  "pause" is allowed in
# "location /control/".

sub between_cycles {
    my ($name, $function) = @_;

    my $seen = 0;

    poll("$name: an order", sub { code("/control/$name/pause") == 202 });

    # twice, as a worker may be about to begin one

    poll("$name: no cycle", sub {
        my %task = by_name(status());
        my $task = $task{$name};

        $seen++ if $task->{paused};
        $seen = 0 if grep { $task->{$_} } qw/ running queued waiting /;

        return $seen > 1;
    });

    $function->();

    poll("$name: an order", sub { code("/control/$name/resume") == 202 });
}

1;
