# background_control peers: an operator takes servers of "probe" out of
# balancing, for all workers, over cycles and reloads.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundControl;
use BackgroundLife;
use BackgroundServer;
use BackgroundStatus;
use Test::More;

my %address = map { $_ => server($_) } qw/ a b off c d /;
my $socket = 'unix:' . dir() . '/own';

sub order {
    my ($upstream, $name, $action) = @_;

    return code("/control/peers/$upstream/$address{$name}/$action");
}

# which servers answer clients, in the end

sub balanced {
    my ($uri, $names, $what) = @_;

    poll("$what: $names", sub { answers($uri) eq $names });
    is(answers($uri), $names, $what);
}

sub cycles {
    my %task = by_name(status());

    return $task{$_[0]}{cycles}{completed} + $task{$_[0]}{cycles}{failed};
}

sub own_state { (values %{{peers('own')}})[0]{state} || 'none' }

start(<<"EOF", <<"EOF2", 'worker_processes 2;');
    upstream app {
        zone app 64k;
        server $address{a} max_fails=0;
        server $address{b} max_fails=0;
        server $address{off} down;
    }
    upstream rare {
        zone rare 64k;
        server $address{c} max_fails=0;
        server $address{d} max_fails=0;
    }
    upstream own {
        zone own 64k;
        server $socket;
    }
    upstream unasked {
        zone unasked 64k;
        server $address{c};
    }
EOF
    listen $socket;
    background_task app { interval 200ms; retry 200ms; probe app timeout=30s; }
    background_task rare { interval 1h; probe rare timeout=30s; }
    background_task own { interval 1h; probe own timeout=30s; }
    location / { proxy_pass http://app; proxy_next_upstream off; }
    location /rare { proxy_pass http://rare; proxy_next_upstream off; }
    location /control/ { background_control peers; }
    location /orders { background_control run pause cancel; }
    location /some { background_control peers task=rare task=own; }
    location /none/ { deny all; background_control peers; }
EOF2

settles('app', a => 'up', b => 'up', off => 'disabled');
poll('rare', sub { cycles('rare') && state_of('rare', 'd') eq 'up' });
poll('own', sub { cycles('own') && own_state() eq 'up' });

# who may not

my $a = "app/$address{a}";

is(code("/control/peers/$a/down", method => 'GET'), 405, 'GET');
is(code("/control/peers/$a/down", 'X-Background' => undef), 403, 'no field');
is(code("/control/peers/$a/down", 'Sec-Fetch-Site' => 'cross-site'), 403,
   'another site');
is(code("/none/peers/$a/down"), 403, 'access control');

is(code($_), 404, $_) for "/orders/peers/$a/down", "/some/peers/$a/down",
    "/control/peers/$a/", "/control/peers/$a", "/control/peers/$a/downs",
    "/control/peers/$a/dow", "/control/peers/$a/run", '/control/peers/',
    '/control/peers/app/', '/control/peers/app/down', '/control/peers/down',
    "/control/peers/$a/x/down", "/control/peers/$address{a}/down",
    "/control/peers/app/$address{c}/down", "/control/peers/ap/$address{a}/down",
    "/control/peers/unasked/$address{c}/down", '/control/app/run';

is(state_of('app', 'a'), 'up', 'nothing has changed');
is(logged(qr/: down by unix:/), 0, 'nor was logged');

# down

my ($code, $body) = request("/control/peers/$a/down",
                            Authorization => 'Basic YW5uCmE6cHc=');

is($code, 202, 'down');
my $answer = parse($body);
is($answer->{name}, 'app', 'the answer is the task');
is((grep { $_->{address} eq $address{a} } @{$answer->{peers}})[0]{state},
   'disabled', 'with the server');
is(logged(qr/\[notice\].*upstream "app": server \Q$address{a}\E: down by unix:, user ann%0Aa/),
   1, 'who has ordered it is logged');
balanced('/', 'b', 'it gets no requests');

applied('app');
is(answers('/'), 'b', 'nor after cycles');
is(state_of('app', 'a'), 'disabled', 'it is disabled');
is(peer('app', 'a')->{last}{error}, undef, 'but asked');

my %task = by_name(status());
is($task{app}{last}{message}, '1 of 1 servers up',
   'and not counted');

# without a cycle

my $n = cycles('rare');

is(code("/some/peers/rare/$address{d}/down"), 202, 'of the tasks allowed');
balanced('/rare', 'c', 'down');
is(order('rare', 'c', 'down'), 202, 'the other one');
balanced('/rare', '502', 'both are down');
is(order('rare', 'd', 'up'), 202, 'up');
balanced('/rare', 'd', 'up');
is(cycles('rare'), $n, 'no cycle was needed');

# reloads, of which the second one has another size of shared memory

my %old = map { $_ => 1 } workers();
signal('HUP');
poll('new workers', sub { my @w = workers(); @w && !grep { $old{$_} } @w });
is(answers('/'), 'b', 'after a reload');
is(answers('/rare'), 'd', 'after a reload, of the other task');
is(state_of('app', 'a'), 'disabled', 'it is disabled');
is(state_of('rare', 'c'), 'disabled', 'the other one');

%old = map { $_ => 1 } workers();
reconfigure('probe app timeout=30s' => 'probe app timeout=30s peers=2000');
poll('new workers', sub { my @w = workers(); @w && !grep { $old{$_} } @w });
is(answers('/'), 'b', 'after a reload with more memory');
is(state_of('app', 'a'), 'disabled', 'it is disabled');

# verdicts are valid meanwhile

dies('a');
applied('app');
is(order('app', 'a', 'up'), 202, 'up');
is(state_of('app', 'a'), 'down', 'its verdict is "down"');
applied('app');
is(answers('/'), 'b', 'so it gets no requests');

lives('a');
settles('app', a => 'up');
is(answers('/'), 'a b', 'it is back');

# "down" of the configuration

is(order('app', 'off', 'up'), 202, '"down" of the configuration');
applied('app');
is(state_of('app', 'off'), 'disabled', 'is not lifted');
is(answers('/'), 'a b', 'and gets no requests');

# the address of a unix socket has slashes

is(code("/control/peers/own/$socket/down"), 202, 'unix socket');
is(own_state(), 'disabled', 'is down');
is(code("/control/peers/own/$socket/up"), 202, 'unix socket');
is(own_state(), 'up', 'is up');

# drain

my ($major, $minor, $patch) = status()->{nginx} =~ /^(\d+)\.(\d+)\.(\d+)/;
my $drains = $major * 1000000 + $minor * 1000 + $patch >= 1029006;

is(order('app', 'b', 'drain'), $drains ? 202 : 409, 'drain');

if ($drains) {
    balanced('/', 'a', 'drained');
    applied('app');
    is(answers('/'), 'a', 'after cycles');
    is(order('app', 'b', 'up'), 202, 'up');

} else {
    is(logged(qr/\[notice\].*upstream "app": server \Q$address{b}\E is not drained, which needs nginx 1\.29\.6/),
       1, 'why is logged');
}

balanced('/', 'a b', 'both are up');

stop();
done_testing();
