# background_control peers: servers that are down by order do not count for
# "keep=" and "need="; a server that is drained keeps its sessions.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundControl;
use BackgroundLife;
use BackgroundServer;
use BackgroundStatus;
use Test::More;

my %address = map { $_ => server($_) } qw/ a b c /;

sub order {
    my ($upstream, $name, $action) = @_;

    return code("/control/peers/$upstream/$address{$name}/$action");
}

sub balanced {
    my ($uri, $names, $what) = @_;

    poll("$what: $names", sub { answers($uri) eq $names });
    is(answers($uri), $names, $what);
}

my ($major, $minor, $patch) = do {
    start('', '');
    my @version = status()->{nginx} =~ /^(\d+)\.(\d+)\.(\d+)/;
    stop();
    @version;
};

my $drains = $major * 1000000 + $minor * 1000 + $patch >= 1029006;
my ($sticky, $drain) = $drains ? ('sticky cookie route;', 'drain') : ('', 'down');

start(<<"EOF", <<'EOF2', 'worker_processes 2;');
    upstream app {
        zone app 64k;
        server $address{a} max_fails=0;
        server $address{b} max_fails=0;
        server $address{c} max_fails=0;
        $sticky
    }
    upstream drained {
        zone drained 64k;
        server $address{a} max_fails=0;
        server $address{b} max_fails=0 $drain;
        $sticky
    }
EOF
    background_task app {
        interval 200ms;
        retry 200ms;
        probe app /x timeout=30s keep=1 need=2;
    }
    background_task drained { interval 200ms; retry 200ms; probe drained timeout=30s; }
    location = /x { internal; proxy_pass http://app; }
    location = /drained { proxy_pass http://drained; proxy_next_upstream off; }
    location / { proxy_pass http://app; proxy_next_upstream off; }
    location = /up { return 200 $background_peers_up_app; }
    location /control/ { background_control peers; }
EOF2

sub task { my %task = by_name(status()); $task{app} }

settles('app', map { $_ => 'up' } qw/ a b c /);
is((get('/up'))[2], '3', 'all are up');

is(order('app', 'a', 'down'), 202, 'one down by order');
balanced('/', 'b c', 'the others');
is((get('/up'))[2], '2', 'it is not counted');
applied('app');
is(task()->{last}{error}, undef, '"need=2" of the other two');

is(order('app', 'b', 'down'), 202, 'another');
applied('app');
is(task()->{last}{error},
   'probe "app": 1 of 1 servers of "app" is up, "need=2"', '"need=2"');

# "keep=1" keeps the last one that may get requests, not one that is disabled

says($_, 503) for qw/ a c /;
settles('app', c => 'down');
balanced('/', 'c', '"keep=1" is of servers without an order');

says($_, 200) for qw/ a c /;
is(order('app', $_, 'up'), 202, 'up') for qw/ a b /;
settles('app', map { $_ => 'up' } qw/ a b c /);
balanced('/', 'a b c', 'all are up');

# what the configuration says stays

settles('drained', a => 'up', b => 'disabled');
is(answers('/drained'), 'a', "\"$drain\" of the configuration");
is(order('drained', 'b', 'up'), 202, 'up');
applied('drained');
is(state_of('drained', 'b'), 'disabled', 'stays');
is(answers('/drained'), 'a', 'and gets no requests');

# before 1.29.6 nginx has no "sticky", and "drain" is an error

if ($drains) {
    my %cookie;

    poll('a session of each', sub {
        my ($code, $head, $body) = get('/');
        my ($name) = $body =~ /^(\w+) /;
        ($cookie{$name}) = $head =~ /^Set-Cookie: (route=[^;\r\n]+)/mi;
        keys %cookie == 3;
    });

    is(order('app', 'b', 'drain'), 202, 'drain');
    balanced('/', 'a c', 'a server that is drained gets no new clients');
    applied('app');
    is((http("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
             . "Cookie: $cookie{b}\r\n\r\n") =~ /\r\n\r\n(\w+) /)[0], 'b',
       'but those of its sessions');
    is(order('app', 'b', 'down'), 202, 'down');
    poll('and then not these', sub {
        http("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
             . "Cookie: $cookie{b}\r\n\r\n") =~ /\r\n\r\n(?!b)\w+ /
    });
}

stop();
done_testing();
