# Where connections or descriptors are few, requests are refused with that
# reason, clients keep their connections, and it recovers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use IO::Socket::UNIX;
use Test::More;

my $dir = dir();

put('list', "/slow\n" x 100);
put('free', '');

start(<<'EOF_HTTP', <<"EOF_SERVER", 'worker_processes 1;');
    keepalive_timeout 1h;
    keepalive_requests 1000000;
    limit_req_zone $nginx_version zone=slow:1m rate=1r/s;
EOF_HTTP
        location = /slow {
            if (-f $dir/free) { return 204; }
            limit_req zone=slow burst=100000;
            try_files /nothing =204;
        }
        background_task count {
            interval 50ms;
            retry 50ms;
            timeout 500ms;
            request /slow count=100;
        }
        background_task list {
            interval 50ms;
            retry 50ms;
            timeout 500ms;
            requests list concurrency=100;
        }
EOF_SERVER

restart("events {\n}", 'events { worker_connections 64; }');

# they come while there is place, as new ones make nginx close those that wait

my @clients = clients();
my %task;
my ($asked, $answered) = (0, 0);

local $SIG{PIPE} = 'IGNORE';

wait_for('good cycles', sub { good() >= 2 });

unlink "$dir/free" or die "unlink: $!\n";

# on a busy machine the time may be over before a request is refused

wait_for('refused', sub {
    return bad() >= 3
           && 2 == grep { ($task{$_}{last_failure}{error} // '')
                          =~ /too few free connections/ } keys %task;
});

like($task{count}{last_failure}{error}, qr/^request\ "\/slow":\ too\ few\ free
     \ connections,\ \d+\ of\ 64\ "worker_connections"\ are\ in\ use$/x,
     'request: the reason');
is($task{count}{last}{operations}, 100,
   'request: all are counted');
like($task{list}{last_failure}{error},
     qr/^requests "list": too few free connections, \d+ of 64 /,
     'requests: the reason');

put('free', '');

my $good = good();

wait_for('recovers', sub { good() > $good + 2 });

is($answered, $asked, 'no client was closed');
is(logged(qr/worker_connections are (?:not enough|exhausted)|reusing/), 0,
   'nor does nginx complain');

close $_ for @clients;

# descriptors

restart('events { worker_connections 64; }',
        'worker_rlimit_nofile 40; events { worker_connections 512; }');

@clients = clients();
wait_for('good cycles', sub { good() > 2 });
unlink "$dir/free" or die "unlink: $!\n";

wait_for('out of descriptors', sub {
    return ($task{count}{last}{error} || '')
           =~ /^request "\/slow": (?:socket\(\) failed|unexpected status 500)/;
});

pass('out of descriptors');
put('free', '');
wait_for('recovers', sub { !$task{count}{cycles}{consecutive_failures} });
pass('recovers');

stop();
done_testing();

# changes the configuration; only the new worker is there when it returns

sub restart {
    my ($from, $to) = @_;

    my $old = a_worker();

    reconfigure($from, $to);

    poll('reloaded', sub {
        my ($worker, @others) = workers();

        return $worker && !@others && $worker != $old;
    });
}

sub clients {
    return map { IO::Socket::UNIX->new(Type => SOCK_STREAM,
                                       Peer => "$dir/socket")
                 || die "connect: $!\n" } 1 .. 8;
}

sub good { least('completed') }

sub bad { least('failed') }

sub least {
    my ($what) = @_;

    my ($n) = sort { $a <=> $b } map { $_->{cycles}{$what} } values %task;

    return $n;
}

# over the clients' connections only

sub wait_for {
    my ($name, $done) = @_;

    poll($name, sub {
        $asked += @clients;
        $answered += grep { asks($_) } @clients;

        return %task && $done->();
    });
}

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
