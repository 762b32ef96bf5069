# probe: servers by name: those that nginx resolves when it starts, and those that
# it resolves again and again, where it has "resolve": they come, go, and come
# back, and nginx's count of those that are up stays right.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundConf qw/ nginx_t /;
use BackgroundDns;
use BackgroundKind;
use BackgroundLife;
use BackgroundServer;
use BackgroundStatus;
use Test::More;

my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';
my ($major, $minor, $patch) = `'$nginx' -v 2>&1` =~ /(\d+)\.(\d+)\.(\d+)/;

my $kind = load_kind('peers');
my $a = server('a', 500);
my ($port) = $a =~ /:(\d+)$/;

# a name of the system

start(<<"EOF_HTTP", <<'EOF_SERVER', 'worker_processes 2;');
    upstream named {
        zone named 256k;
        server localhost:$port max_fails=0;
    }
EOF_HTTP
        background_task named { interval 100ms; retry 100ms; probe named /x timeout=30s; }
        location = /x { internal; proxy_pass http://named; }
        location /named { proxy_pass http://named; proxy_next_upstream off; }
EOF_SERVER

settles('named', a => 'down');
is(peer('named', 'a')->{server}, "localhost:$port", 'the name');
is(logged(qr/upstream "named": server localhost:$port \(127\.0\.0\.1:$port\) is down after 1 failure: unexpected status 500/),
   1, 'both are logged');
is(answers('/named'), '502', 'the server is down');
says('a', 200);
settles('named', a => 'up');
is(answers('/named'), 'a', 'it is up');
says('a', 500);

stop();

# names that are resolved again and again

if ($major * 1e6 + $minor * 1e3 + $patch < 1027003) {
    my ($code, $said) = nginx_t('events { } http { upstream app { zone app 64k; '
                                . 'server localhost:1 resolve; } }');

    like($said, qr/invalid parameter "resolve"/, 'nginx does not resolve again');
    done_testing();
    exit;
}

server('b', 200, '127.0.0.2', $port);
server('c', 500, '127.0.0.3', $port);

my $dns = dns_start();

my %names = ('app.test' => '127.0.0.1 127.0.0.2', 'few.test' => '127.0.0.2',
             'many.test' => addresses(0));

dns_names(%names);

start(<<"EOF_HTTP", <<'EOF_SERVER', "$kind\nworker_processes 2;");
    resolver 127.0.0.1:$dns ipv6=off valid=1s;
    upstream app {
        zone app 256k;
        server app.test:$port resolve max_fails=0;
    }
    upstream must {
        zone must 256k;
        server app.test:$port resolve max_fails=0;
    }
    upstream many {
        zone many 1m;
        server many.test:$port resolve;
    }
    upstream few {
        zone few 256k;
        server few.test:$port resolve;
    }
EOF_HTTP
        background_task many { interval 400ms; retry 400ms; probe many timeout=30s peers=64; }
        background_task few  { interval 100ms; retry 100ms; probe few timeout=30s; }
        location = /many { proxy_pass http://many; }
        location = /few { proxy_pass http://few; }
        background_task app  { interval 100ms; retry 100ms; probe app /x timeout=30s; }
        background_task must { interval 100ms; retry 100ms; probe must /y mandatory persistent timeout=30s; }
        location = /x { internal; proxy_pass http://app; }
        location = /y { internal; proxy_pass http://must; }
        location /must { proxy_pass http://must; proxy_next_upstream off; }
        location = /show { peers must show; }
EOF_SERVER

sub shown { (get('/show'))[2] }

settles($_, a => 'down', b => 'up') for qw/ app must /;
is(answers('/must'), 'b', 'one is down');

my $peer = peer('must', 'a');
is($peer->{server}, "app.test:$port", 'the name');

# the one that is down goes and comes, with another one that is

for my $n (1 .. 3) {
    dns_names(%names, 'app.test' => '127.0.0.2 127.0.0.3');

    poll('the other one', sub {
        client('/must');
        return state_of('must', 'a') eq 'none'
               && state_of('must', 'c') eq 'down';
    });

    is(answers('/must'), 'b', "change $n: one is up");
    like(shown(), qr/^tries=1$/m, "change $n: tries");

    dns_names(%names, 'app.test' => '127.0.0.1 127.0.0.2');

    poll('the first one', sub {
        client('/must');
        return state_of('must', 'c') eq 'none'
               && state_of('must', 'a') eq 'down';
    });
}

is(scalar(grep { m{^GET /must} } map { asked_for($_) } qw/ a c /), 0,
    'no client met one that is down or was not judged');

settles('app', a => 'down', b => 'up');

# an upstream whose addresses change again and again has as many records as
# "peers=", each for a server of its own, and leaves those of others alone

sub addresses { join ' ', map { "127.2.$_[0].$_" } 1 .. 64 }

for my $n (0 .. 5) {
    dns_names(%names, 'many.test' => addresses($n));

    poll("change $n of many", sub {
        my %peers = peers('many');

        return 64 == grep { $peers{"127.2.$n.$_:$port"}
                            && $peers{"127.2.$n.$_:$port"}{state} eq 'down' }
                          1 .. 64;
    });
}

is(logged(qr/servers are not judged/), 0, 'all are judged');
dns_names(%names, 'many.test' => addresses(5),
          'few.test' => '127.0.0.2 127.0.0.3');
settles('few', b => 'up', c => 'up');
is(logged(qr/servers are not judged/), 0, 'of others, too');

# a reload keeps addresses and verdicts

my %old = map { $_ => 1 } workers();

reconfigure('interval 100ms; retry 100ms; probe must', 'interval 1h; retry 1h; probe must');
poll('new workers', sub {
    my @pids = workers();
    return @pids == 2 && !grep { $old{$_} } @pids;
});

is(answers('/must', 20), 'b', 'a reload keeps addresses and verdicts');

stop();
done_testing();
