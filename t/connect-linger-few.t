# Connections of "connect" that linger take the place of nobody else: neither of
# clients, nor of the next ones of "connect".

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundPeer;
use BackgroundStatus;
use IO::Socket::UNIX;
use Test::More;

my $silent = unix_listener('silent');
my $dir = dir();

start('', '', 'worker_processes 1;');

my $old = a_worker();

# each cycle takes most of what is free

reconfigure("events {\n}\nhttp {", <<"EOF");
events { worker_connections 64; }
http {
    keepalive_timeout 1h;
    background_task connect {
        interval 400ms; retry 1h;
        connect unix:$dir/silent count=35;
    }
EOF

poll('reloaded', sub {
    my ($worker, @others) = workers();

    return $worker && !@others && $worker != $old;
});

my @clients = map { IO::Socket::UNIX->new(Type => SOCK_STREAM,
                                          Peer => "$dir/socket")
                    || die "connect: $!\n" } 1 .. 10;

my %task;
my ($asked, $answered) = (0, 0);

local $SIG{PIPE} = 'IGNORE';

sub asks {
    my ($client) = @_;

    my $answer = '';

    syswrite $client, "GET /status HTTP/1.1\r\nHost: x\r\n\r\n" or return;

    until ($answer =~ /\r\n\r\n.*"tasks".*\]\s*\}\s*$/s) {
        sysread $client, $answer, 65536, length $answer or return;
    }

    %task = by_name(parse($answer =~ s/.*\r\n\r\n//sr));

    return 1;
}

poll('many cycles', sub {
    $asked += @clients;
    $answered += grep { asks($_) } @clients;

    my $cycles = $task{connect} ? $task{connect}{cycles} : {};

    return $cycles->{failed} || ($cycles->{completed} // 0) >= 10;
});

is($task{connect}{last}{error}, undef, 'there is room for each one');
is($task{connect}{cycles}{failed}, 0, 'no cycle has failed');
is($answered, $asked, 'no client was closed');
is(logged(qr/worker_connections are (?:not enough|exhausted)|reusing/), 0,
   'nor does nginx complain');

stop();
done_testing();
