# "connect" with "resolve": nginx's resolver is asked in each cycle, here a DNS
# server of the test's own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundDns;
use BackgroundLife;
use BackgroundPeer;
use BackgroundStatus;
use Socket qw/ SOCK_STREAM /;
use Test::More;

my $often = 'interval 20ms; retry 20ms;';

my $first = listener('127.0.0.2') or die "listen: $!\n";
my $port = $first->sockport;
my $second = IO::Socket::IP->new(LocalHost => '127.0.0.3', LocalPort => $port,
                                 Type => SOCK_STREAM, Listen => 4096)
    or die "listen on 127.0.0.3:$port: $!\n";
my $v6 = listener('::1');
my $v6_port = $v6 ? $v6->sockport : 1;
drained($first, $second, $v6);

my ($closed, $keep) = closed_port('127.0.0.9');

# of this test's own, so that it is free for the server that is restarted

my $dns = dns_start($ENV{TEST_NGINX_PORT} || 20000);

my %known = (
    'moves.test' => '127.0.0.2',
    'six.test' => '::1',
    'both.test' => "127.0.0.2 ::1",
    'two.test' => '127.0.0.9 127.0.0.2',
    'closed.test' => '127.0.0.9',
    'none.test' => '127.0.0.9 127.0.0.9 127.0.0.9',
    'many.test' => join(' ', ('127.0.0.9') x 40),
    'empty.test' => '',
    'silent.test' => 'silent',
    'held.test' => 'silent',
    'upper.test' => '127.0.0.2',
);

dns_names(%known);

start(<<"EOF", <<"EOF_SERVER", 'worker_processes 1;');
    resolver 127.0.0.1:$dns;
    resolver_timeout 200ms;

    background_task moves { $often connect moves.test:$port resolve; }
    background_task six { $often connect six.test:$v6_port resolve; }
    background_task two { $often connect two.test:$port resolve timeout=1m; }
    background_task closed { $often connect closed.test:$closed resolve; }
    background_task none { $often connect none.test:$closed resolve count=7; }
    background_task many { $often connect many.test:$closed resolve; }
    background_task empty { $often connect empty.test:$port resolve; }
    background_task later { $often connect later.test:$port resolve count=5; }
    background_task silent { $often connect silent.test:$port resolve; }
    background_task dot { $often connect UPPER.test.:$port resolve; }
    background_task held { $often timeout 100ms;
                           connect held.test:$port resolve count=9; }
    background_task address { $often connect 127.0.0.2:$port resolve; }
EOF
    resolver 127.0.0.1:$dns ipv6=off;
    resolver_timeout 1h;

    background_task inside { $often connect both.test:$port resolve; }
    background_task waits { interval 1h; retry 1h; timeout 1h;
                            connect silent.test:$port resolve; }
EOF_SERVER

# where it is

next_cycle($_, 'completed') for qw/ moves two dot address inside /;
pass('connected');

SKIP: {
    skip 'bind() to ::1 is refused', 1 unless $v6;

    next_cycle('six', 'completed');
    pass('connected by IPv6');
}

cmp_ok(accept_all($first), '>', 0, 'the first address had connections');
is(accept_all($second), 0, 'the second one had none');

# the next cycles go where it is now

dns_names(%known, 'moves.test' => '127.0.0.3');

poll('the second address has connections', sub { accept_all($second) });
pass('an address that changes');

# texts, counts

my $refused = qr/failed \(111: Connection refused\)/;

for (['closed', qr/connect\(\) to 127\.0\.0\.9:$closed $refused/],
     ['none', qr/connect\(\) to 127\.0\.0\.9:$closed, the last of 3 addresses, $refused/],
     ['many', qr/connect\(\) to 127\.0\.0\.9:$closed, the last of 32 addresses, $refused/],
     ['empty', qr/"empty\.test" could not be resolved \(3: Host not found\)/],
     ['later', qr/"later\.test" could not be resolved \(3: Host not found\)/],
     ['silent', qr/"silent\.test" could not be resolved \(110: Operation timed out\)/],
     ['held', qr/timed out/])
{
    my ($name, $error) = @$_;
    my $task = next_cycle($name, 'failed',
                          qr/^connect "$name\.test:\d+": $error$/);

    is($task->{last}{failed}, { none => 7, later => 5, held => 9 }->{$name} // 1,
       "$name: each copy counts");
}

is({ by_name(status()) }->{waits}{state}, 'running',
   "a server's own resolver_timeout");

# once it is known

dns_names(%known, 'later.test' => '127.0.0.2');

is(next_cycle('later', 'completed')->{last}{operations}, 5, 'a name appears');

# a server that goes and comes back

dns_stop();
next_cycle('moves', 'failed',
           qr/"moves\.test" could not be resolved \(110: Operation timed out\)/);
dns_start($dns);
next_cycle('moves', 'completed');
pass('a DNS server is restarted');

# reload and exit, while tasks wait for a name

my $asked = dns_asked('silent.test');
my $generation = status()->{generation};

signal('HUP');
poll('the reload', sub { status_anyhow()->{generation} > $generation
                         && workers() == 1 });
poll('the name is asked for again', sub { dns_asked('silent.test') > $asked });
is({ by_name(status()) }->{waits}{cycles}{failed}, 0, 'cancelled by a reload');

is(logged(qr/\[(?:crit|alert)\]/), 0, 'nothing worse');

stop();
done_testing();
