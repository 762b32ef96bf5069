package BackgroundGate;

# A gate before a server at a unix socket: data pass, or wait, or are lost, as
# the test says.

use strict;
use warnings;

use Exporter qw/ import /;
use IO::Select;
use IO::Socket::UNIX;
use POSIX ();

our @EXPORT = qw/ gate gate_say /;

my %control;

# gate(SOCKET, SERVER): the paths of both; returns the address of the gate

sub gate {
    my ($path, $server) = @_;

    my $listener = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $path,
                                         Listen => 64) or die "socket: $!\n";
    chmod 0777, $path or die "chmod: $!\n";

    socketpair my $control, my $other, AF_UNIX, SOCK_STREAM, 0
        or die "socketpair: $!\n";

    defined(my $pid = fork) or die "fork: $!\n";

    if ($pid == 0) {
        close $_ for $control, values %control;
        run($listener, $server, $other);
        POSIX::_exit(0);
    }

    close $other;
    $control{$path} = $control;

    return "unix:$path";
}

# gate_say(SOCKET, WHAT) returns when it is so:
#
# pass     data pass in both directions
# hold     connections are accepted, and no data pass
# replies  no replies pass
# lose     the next reply to a script is lost with its connection, then "pass"
# cut      all connections are closed; the state stays
#
# Returns the state, and with "state" does nothing else.  A gate ends with the
# test.

sub gate_say {
    my ($path, $what) = @_;

    syswrite $control{$path}, "$what\n";
    sysread $control{$path}, my $state, 100 or die "the gate is gone\n";

    return $state;
}

sub run {
    my ($listener, $server, $control) = @_;

    my $state = 'pass';
    my @pairs;          # { from a client, to the server, was a script sent }

    $SIG{PIPE} = 'IGNORE';

    while () {
        my $select = IO::Select->new($control, $listener);

        for my $pair (@pairs) {
            $select->add($pair->{client}) if $state ne 'hold';
            $select->add($pair->{server}) if $state =~ /pass|lose/;
        }

        my %ready = map { $_ => 1 } $select->can_read;

        # what is said holds for data that are here already

        if ($ready{$control}) {
            sysread $control, my $said, 100 or return;
            chomp $said;

            @pairs = () if $said eq 'cut';
            $state = $said if $said !~ /cut|state/;
            syswrite $control, $state;
            next;
        }

        for my $pair (@pairs) {
            for (['client', 'server'], ['server', 'client']) {
                my ($from, $to) = @$_;

                next if !$ready{$pair->{$from}};

                my $n = sysread $pair->{$from}, my $data, 65536;

                $pair->{script} = 1 if $n && $data =~ /EVAL/;

                if ($state eq 'lose' && $from eq 'server' && $pair->{script}) {
                    $state = 'pass';
                    $n = 0;
                }

                while ($n) {
                    my $written = syswrite $pair->{$to}, $data or last;
                    substr $data, 0, $written, '';
                    last if $data eq '';
                }

                $pair->{closed} = !$n;
                last if $pair->{closed};
            }
        }

        @pairs = grep { !$_->{closed} } @pairs;

        if ($ready{$listener}) {
            my $client = $listener->accept or next;
            my $real = IO::Socket::UNIX->new(Type => SOCK_STREAM,
                                             Peer => $server) or next;

            push @pairs, { client => $client, server => $real };
        }
    }
}

1;
