# probe stream:UPSTREAM: connections to servers of stream, and requests to
# another port of them, as of Patroni's "/primary"; the verdicts at a reload.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundConf qw/ nginx_t /;
use BackgroundControl;
use BackgroundLife;
use BackgroundServer;
use BackgroundStatus;
use IO::Socket::UNIX;
use Test::More;

if ($ENV{TEST_NGINX_LOAD_MODULES} !~ /ngx_http_background_stream_module/) {
    my ($code, $said) = nginx_t('events { } http { server { listen unix:socket; '
                                . 'background_task t { probe stream:db; } } }');

    like($said, qr/"probe stream:db" needs ngx_http_background_stream_module\.so/,
        'nginx has no stream');
    done_testing();
    exit;
}

my $dir = dir();
my %address = map { $_ => server($_) } qw/ db1 db2 agent /;
my ($agent) = $address{agent} =~ /(\d+)$/;

my $stream = <<"EOF";
stream {
    upstream db {
        zone db 64k;
        server $address{db1} max_fails=0;
        server $address{db2} max_fails=0;
    }
    upstream primary {
        zone primary 64k;
        server $address{db1} max_fails=0;
    }
    server { listen unix:$dir/db; proxy_pass db; proxy_next_upstream off; }
    server { listen unix:$dir/primary; proxy_pass primary; }
}
EOF

start('', <<"EOF_SERVER", "worker_processes 2;\n$stream");
        background_task db { interval 100ms; retry 100ms; probe stream:db fails=2 timeout=30s; }
        background_task primary {
            interval 100ms;
            retry    100ms;
            probe stream:primary /primary port=$agent status=200 mandatory persistent
                  timeout=30s;
        }
        location = /primary { internal; proxy_pass http://\$background_peer; }
        location /control/ { background_control peers; }
        location = /up { return 200 \$background_peers_up_db/\$background_peers_up_primary; }
EOF_SERVER

# who answers through stream

sub through {
    my ($name) = @_;

    my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => "$dir/$name")
        or return 'none';

    local $SIG{PIPE} = 'IGNORE';
    print $socket "GET /$name HTTP/1.0\r\n\r\n";
    $socket->flush;

    my $answer = join '', <$socket>;

    return $answer =~ /(\w+) \d+$/ ? $1 : 'none';
}

sub all_through {
    my ($name) = @_;

    my %who = map { through($name) => 1 } 1 .. 20;

    return join ' ', sort keys %who;
}

settles('db', db1 => 'up', db2 => 'up');
settles('primary', db1 => 'up');
is(all_through('db'), 'db1 db2', 'both get connections');
is(all_through('primary'), 'db1', 'the primary');
is(peer('db', 'db1')->{upstream}, 'stream:db', 'the name');

says('agent', 503);
settles('primary', db1 => 'down');
is(all_through('primary'), 'none', 'no primary any more');
ok((grep { /^GET \/primary .* host=127\.0\.0\.1:$agent$/ } asked_for('agent')),
    'the agent is asked');

dies('db1');
settles('db', db1 => 'down', db2 => 'up');
is(all_through('db'), 'db2', 'one is dead');
is((get('/up'))[2], '1/0', 'and not counted');
like(log_text(), qr/upstream "stream:db": server \S+ is down after 2 failures: connect\(\) failed/,
    'logged');

lives('db1');
settles('db', db1 => 'up');
is(all_through('db'), 'db1 db2', 'both again');

# orders

sub order {
    my ($upstream, $action) = @_;

    return code("/control/peers/$upstream/$address{db1}/$action");
}

is(order('db', 'down'), 404, 'an order for http is not one for stream');
is(order('stream:db', 'down'), 202, 'an order: down');
is(state_of('db', 'db1'), 'disabled', 'its state');
poll('it gets no connection', sub { all_through('db') eq 'db2' });
applied('db');
is(all_through('db'), 'db2', 'nor after cycles');
is((get('/up'))[2], '1/0', 'nor is it counted');
is(order('stream:db', 'drain'), 409, 'servers of stream are not drained');
is(logged(qr/\[notice\].*upstream "stream:db": server \S+ is not drained, which needs nginx 1\.29\.6 and an upstream of http/),
   1, 'why is logged');
is(order('stream:db', 'up'), 202, 'an order: up');
poll('both once more', sub { all_through('db') eq 'db1 db2' });
is(order('stream:db', 'down'), 202, 'an order before a reload');

# a reload, with no cycle in an hour

my %old = map { $_ => 1 } workers();

reconfigure("interval 100ms;\n            retry    100ms;", 'interval 1h; retry 1h;');
poll('new workers', sub {
    my @pids = workers();
    return @pids == 2 && !grep { $old{$_} } @pids;
});

is(all_through('primary'), 'none', 'nor after a reload');
is(all_through('db'), 'db2', 'the order, too');
is(order('stream:db', 'up'), 202, 'up');
poll('without a cycle', sub { all_through('db') eq 'db1 db2' });

stop();
done_testing();
