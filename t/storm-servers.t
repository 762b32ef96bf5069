# probe: servers of an upstream that come and go under load, by names in DNS where
# nginx resolves them again, or else by reloads.  With "mandatory" no client
# meets one that has not passed, and those that come never do.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundClients;
use BackgroundDns;
use BackgroundKind;
use BackgroundLife;
use BackgroundServer;
use BackgroundStatus;
use BackgroundStorm;
use POSIX ();
use Test::More;
use Time::HiRes qw/ time /;

my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';
my ($major, $minor, $patch) = `'$nginx' -v 2>&1` =~ /(\d+)\.(\d+)\.(\d+)/;
my $resolves = $major * 1e6 + $minor * 1e3 + $patch >= 1027003;

my $kind = load_kind('peers');
my $rounds = POSIX::ceil(rounds(9) / 3);

my ($port) = server('one', 500) =~ /:(\d+)$/;

server('good', 200, '127.0.0.2', $port);
server('two', 500, '127.0.0.3', $port);

my $dns = dns_start();

dns_names('app.test' => '127.0.0.1 127.0.0.2');

my $list = $resolves ? "server app.test:$port resolve max_fails=0;"
                     : "server 127.0.0.1:$port; server 127.0.0.2:$port max_fails=0;";

start(<<"EOF_HTTP", <<'EOF_SERVER', "$kind\nworker_processes 2;");
    resolver 127.0.0.1:$dns ipv6=off valid=1s;
    upstream app {
        zone app 256k;
        $list
    }
EOF_HTTP
        background_task app {
            interval 50ms;
            retry    50ms;
            probe    app /health mandatory persistent timeout=30s;
        }
        location = /health { internal; proxy_pass http://app; }
        location /client { proxy_pass http://app; proxy_next_upstream off; }
        location = /show { peers app show; }
EOF_SERVER

settles('app', one => 'down', good => 'up');
clients_start('/client');

my $start = time;

for my $n (1 .. $rounds) {
    my ($goes, $comes, $from, $to) = $n % 2 ? qw/ one two 1 3 /
                                            : qw/ two one 3 1 /;

    if ($resolves) {
        dns_names('app.test' => "127.0.0.2 127.0.0.$to");
    } else {
        reconfigure("127.0.0.$from:$port", "127.0.0.$to:$port");
    }

    poll('the change', sub {
        return eval { state_of('app', $goes) eq 'none'
                      && state_of('app', $comes) eq 'down' };
    });
    served('good');
}

my $took = time - $start;

clients_end();

is(clients($_), 0, "$_: no client met it") for qw/ one two /;
is(peer('app', 'good')->{changes}, 0, 'the good one was up all the time');
like((get('/show'))[2], qr/^tries=1$/m, 'nginx knows how many are up');

figures(($resolves ? 'changes of DNS' : 'changes by reloads') => $rounds,
        'seconds' => $took, 'client requests' => clients('good'),
        'of the others' => clients('one') + clients('two'),
        'checks of the others' => connected('one') + connected('two'));

stop();
done_testing();
