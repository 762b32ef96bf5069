# "connect" takes no client's place when there are few connections.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundPeer;
use BackgroundStatus;
use IO::Socket::UNIX;
use Test::More;

my ($port, $socket) = closed_port('127.0.0.1');
my $dir = dir();

start('', '', 'worker_processes 1;');

my $old = a_worker();

reconfigure("events {\n}\nhttp {", <<"EOF");
events { worker_connections 64; }
http {
    keepalive_timeout 1h;
    background_task connect {
        interval 10ms; retry 10ms; timeout 1h;
        connect 127.0.0.1:$port timeout=300ms count=100;
    }
EOF

poll('reloaded', sub {
    my ($worker, @others) = workers();

    return $worker && !@others && $worker != $old;
});

# clients that stay; they come while the peer refuses, as new ones make nginx
# close those that wait

my @clients = map { IO::Socket::UNIX->new(Type => SOCK_STREAM,
                                          Peer => "$dir/socket")
                    || die "connect: $!\n" } 1 .. 10;

my %task;

sub asks {
    my ($client) = @_;

    syswrite $client, "GET /status HTTP/1.1\r\nHost: x\r\n\r\n" or return;

    my $answer = '';

    until ($answer =~ /\r\n\r\n.*"tasks".*\]\s*\}\s*$/s) {
        sysread $client, $answer, 65536, length $answer or return;
    }

    %task = by_name(parse($answer =~ s/.*\r\n\r\n//sr));

    return 1;
}

local $SIG{PIPE} = 'IGNORE';

my ($asked, $answered) = (0, 0);

sub answer_until {
    my ($name, $function) = @_;

    poll($name, sub {
        $asked += @clients;
        $answered += grep { asks($_) } @clients;

        return $task{connect} && $function->();
    });
}

sub failed_cycles {
    my ($n) = @_;

    answer_until("$n cycles", sub { $task{connect}{cycles}{failed} >= $n });
}

failed_cycles(2);

like($task{connect}{last}{error}, qr/refused/, 'refused');

# now it has a queue, which is full at once

listen $socket, 1 or die "listen: $!\n";

answer_until('it is full', sub {
    return ($task{connect}{last}{error} || '') =~ /too few/;
});

my $failed = $task{connect}{cycles}{failed};

# where nginx gets no CPU for long, the time of the first ones may be over

answer_until('two more cycles', sub {
    $task{connect}{cycles}{failed} >= $failed + 2
        && $task{connect}{last}{error} =~ /too few/;
});

like($task{connect}{last}{error}, qr/^connect\ "127.0.0.1:$port":\ too\ few\ free
     \ connections,\ (?:5\d|6[0-4])\ of\ 64\ "worker_connections"
     \ are\ in\ use$/x, 'it says why');
is($task{connect}{last}{failed}, 100, 'also those that found a place');

failed_cycles($task{connect}{cycles}{failed} + 3);

is($answered, $asked, 'no client was closed');
is(logged(qr/worker_connections are (?:not enough|exhausted)|reusing/), 0,
   'nor does nginx complain');

stop();
done_testing();
