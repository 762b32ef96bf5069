package BackgroundServer;

# Servers of an upstream, on ports of 127.0.0.1, that are made to answer, to
# fail, to hang, to die and to come back.

use strict;
use warnings;

use BackgroundProtocol ();
use BackgroundStatus;
use Exporter qw/ import /;
use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Socket;

our @EXPORT = qw/ server says dies lives asked_for connected peers peer
                  state_of found applied settles client answers /;

my $test = $$;
my (%host, %port, %pid, %held, %protocol);

###############################################################################

# server(NAME, ANSWER, HOST, PORT, PROTOCOL): returns its address.  ANSWER is a
# status, or "hang", or "close", then more of the header; it is "NAME ANSWER" in
# the body.  With "Connection: keep-alive" in the header the connection is not
# closed.

sub server {
    my ($name, $answer, $host, $port, $protocol) = @_;

    # bound but not listening: the port is refused while the server is dead, and
    # nobody else gets it

    socket my $socket, PF_INET, SOCK_STREAM, 0 or die "socket: $!\n";
    setsockopt $socket, SOL_SOCKET, SO_REUSEADDR, 1 or die "setsockopt: $!\n";
    $protocol{$name} = $protocol || 'http';
    $host{$name} = $host || '127.0.0.1';
    bind $socket, sockaddr_in($port || 0, inet_aton($host{$name}))
        or die "bind: $!\n";

    $held{$name} = $socket;
    $port{$name} = (sockaddr_in(getsockname $socket))[0];

    says($name, defined $answer ? $answer : 200);
    lives($name);

    return "$host{$name}:$port{$name}";
}

sub says {
    my ($name, $answer) = @_;

    replace("$name.says", $answer);
}

sub dies {
    my ($name) = @_;

    my $pid = delete $pid{$name};

    kill 'KILL', $pid;
    waitpid $pid, 0;
}

sub lives {
    my ($name) = @_;

    my $listener = IO::Socket::INET->new(LocalAddr => $host{$name},
        LocalPort => $port{$name}, Listen => 4096, ReuseAddr => 1)
        or die "listen: $!\n";

    defined(my $pid = fork) or die "fork: $!\n";

    if ($pid == 0) {
        $SIG{PIPE} = 'IGNORE';
        $SIG{$_} = 'DEFAULT' for qw/ INT TERM HUP /;
        serve($name, $listener, getppid());
        POSIX::_exit(0);
    }

    $pid{$name} = $pid;
}

sub serve {
    my ($name, $listener, $parent) = @_;

    my $dir = dir();
    my (%in, %socket);

    open my $log, '>>', "$dir/$name.log" or POSIX::_exit(1);
    $log->autoflush(1);

    my $select = IO::Select->new($listener);

    while (getppid() == $parent) {
        for my $socket ($select->can_read(0.1)) {

            if ($socket == $listener) {
                my $new = $listener->accept or next;
                print $log "open\n";
                $select->add($new);
                $in{$new} = '';
                next;
            }

            if (!sysread $socket, $in{$socket}, 65536, length $in{$socket}) {
                $select->remove($socket);
                delete $in{$socket};
                next;
            }

            my $request = BackgroundProtocol::request($protocol{$name},
                                                      $in{$socket})
                // next;

            print $log $request =~ s/[^\x20-\x7e]+/ /gr, "\n";

            my ($answer, $more) = said("$dir/$name.says");

            next if $answer eq 'hang';

            my $keeps = $more =~ /^Connection: keep-alive/m;

            if ($answer ne 'close') {
                $more .= "Connection: close\r\n"
                    if !$keeps && $protocol{$name} eq 'http';

                my $text = BackgroundProtocol::response($protocol{$name},
                               $answer, $more, "$name $answer", $request);

                $text =~ s/\r\n\r\n\K.*//s if $request =~ /^HEAD/;

                print $socket $text;
                $socket->flush;
            }

            if ($keeps) {
                $in{$socket} = '';
                next;
            }

            $select->remove($socket);
            delete $in{$socket};
            close $socket;
        }
    }
}

sub said {
    my ($path) = @_;

    open my $file, '<', $path or return (500, '');
    local $/;

    my ($answer, $more) = split /\n/, scalar(<$file>), 2;

    $more = '' unless defined $more;
    $more =~ s/\n/\r\n/g;

    return ($answer, $more);
}

# the requests that have come, as "GET /x HTTP/1.0 host=NAME"; connections

sub asked_for { grep { $_ ne 'open' } lines($_[0]) }
sub connected { scalar grep { $_ eq 'open' } lines($_[0]) }

sub lines {
    my ($name) = @_;

    open my $file, '<', dir() . "/$name.log" or return ();

    return map { chomp; $_ } <$file>;
}

# what the status says of a task's servers, by address; of one of them, by name

sub peers {
    my ($task) = @_;

    my %task = by_name(status("/status?task=$task"));

    return map { $_->{address} => $_ } @{$task{$task}{peers} || []};
}

sub peer {
    my ($task, $name) = @_;

    my %peers = peers($task);

    return $peers{"$host{$name}:$port{$name}"};
}

sub state_of { (peer(@_) || {})->{state} || 'none' }

# the last error of a task's only server, when it has that state

sub found {
    my ($task, $state) = @_;

    my $peer;

    poll("$task: $state", sub {
        my %task = by_name(status());
        $peer = $task{$task}{peers}[0];
        return $peer && $peer->{state} eq $state;
    });

    return $peer->{last}{error};
}

# a cycle of the task that has begun after the call has ended

sub applied {
    my ($task) = @_;

    my $n = ended($task) + 2;

    poll("two cycles of $task", sub { ended($task) >= $n });
}

sub ended {
    my ($task) = @_;

    my %task = by_name(status());

    return $task{$task}{cycles}{completed} + $task{$task}{cycles}{failed};
}

# servers have these states, by name, and they are in force

sub settles {
    my ($task, %states) = @_;

    poll("$task: " . join(' ', %states), sub {
        return !grep { state_of($task, $_) ne $states{$_} } keys %states;
    });

    # what a cycle has found is in force when it has ended

    applied($task);
}

# who answers that many clients

sub answers {
    my ($uri, $n) = @_;

    my %who;
    $who{client($uri)}++ for 1 .. $n || 40;

    return join ' ', sort keys %who;
}

# who answers a client

sub client {
    my ($uri) = @_;

    my ($code, undef, $body) = get($uri);

    return $body =~ /^(\w+) \d+$/ ? $1 : $code;
}

END {
    if ($$ == $test) {
        my $status = $?;

        for (values %pid) {
            kill 'KILL', $_;
            waitpid $_, 0;
        }

        $? = $status;
    }
}

1;
