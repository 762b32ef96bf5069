package BackgroundDns;

# A DNS server of the test's own, on a loopback address and UDP.
#
# What it says is in the file "dns" of the test's folder, which is read for each
# question: lines of a name and its addresses.  A name that is not there does
# not exist; one with "silent" gets no answer.

use strict;
use warnings;

use BackgroundStatus;
use Exporter qw/ import /;
use IO::Socket::INET;
use Socket qw/ AF_INET AF_INET6 inet_pton /;

our @EXPORT = qw/ dns_start dns_stop dns_names dns_asked /;

my $test = $$;
my $pid;

# dns_start([PORT]): starts it, on a port that is free; returns the port

sub dns_start {
    my ($port) = @_;

    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'udp',
                                       LocalPort => $port || 0)
        or die "DNS server: $!\n";

    dns_names() unless -e dir() . '/dns';

    defined($pid = fork) or die "fork: $!\n";
    return $socket->sockport if $pid;

    $SIG{TERM} = 'DEFAULT';

    while (1) {
        defined(my $peer = $socket->recv(my $query, 4096)) or next;
        my $reply = reply($query);
        $socket->send($reply, 0, $peer) if defined $reply;
    }
}

sub dns_stop {
    local $?;

    kill 'KILL', $pid;
    waitpid $pid, 0;
    undef $pid;
}

# dns_names(NAME => 'ADDRESS ADDRESS'...): what it says from now on

sub dns_names {
    my %addresses = @_;

    replace('dns', join '', map { "$_ $addresses{$_}\n" } keys %addresses);
}

# how many questions there have been for the name

sub dns_asked {
    my ($name) = @_;

    open my $log, '<', dir() . '/dns.log' or return 0;

    return scalar grep { /^\Q$name\E$/ } <$log>;
}

sub reply {
    my ($query) = @_;

    return undef if length $query < 17;

    my ($labels, $type) = question(substr $query, 12);
    my $name = lc join '.', @$labels;

    open my $log, '>>', dir() . '/dns.log' or die "open: $!\n";
    syswrite $log, "$name\n";
    close $log;

    my $said = said($name);

    return undef if defined $said && $said eq 'silent';

    my @data = grep { defined && length == ($type == 28 ? 16 : 4) }
               map { inet_pton(/:/ ? AF_INET6 : AF_INET, $_) }
               split ' ', $said // '';

    # the name is at offset 12, answers are not to be kept

    return pack('a2 n n n n n', $query, defined $said ? 0x8180 : 0x8183, 1,
                scalar @data, 0, 0)
           . pack('(C/a)*', @$labels) . pack('C n n', 0, $type, 1)
           . join '', map { pack 'n n n N n/a', 0xc00c, $type, 1, 0, $_ } @data;
}

sub question {
    my ($bytes) = @_;

    my @labels;

    while (my $length = unpack 'C', $bytes) {
        push @labels, substr $bytes, 1, $length;
        $bytes = substr $bytes, 1 + $length;
    }

    return (\@labels, unpack 'x n', $bytes);
}

sub said {
    my ($name) = @_;

    open my $file, '<', dir() . '/dns' or return undef;

    for (<$file>) {
        chomp;
        return $2 if /^(\S+) (.*)$/ && $1 eq $name;
    }

    return undef;
}

END {
    dns_stop() if $pid && $$ == $test;
}

1;
