# probe: all balancers of nginx, with weights, backups, kept connections, and one
# server only: a server that is down gets no request, and when it is back, each
# one gets what it got before.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundBalancers;
use BackgroundKind;
use BackgroundServer;
use BackgroundStatus;
use Test::More;

my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';
my ($major, $minor, $patch) = `'$nginx' -v 2>&1` =~ /(\d+)\.(\d+)\.(\d+)/;
my $version = $major * 1e6 + $minor * 1e3 + $patch;

my $kind = load_kind('peers');
my %address = map { $_ => server($_, answer()) } qw/ a b c spare only /;

# the servers keep connections

sub answer { return ($_[0] || 200) . "\nConnection: keep-alive\n" }

# by key: the same key is always for the same server.  Those by key and "random"
# have no backup

my %balancer = (
    rr         => '',
    least      => 'least_conn;',
    hash       => 'hash $arg_key;',
    consistent => 'hash $arg_key consistent;',
    ip         => 'ip_hash;',
    random     => 'random;',
    two        => 'random two least_conn;',
    $version >= 1029006 ? (sticky => 'sticky cookie route;') : (),
    $version >= 1031000 ? (time => 'least_time header;') : (),
);

my %by_key = map { $_ => 1 } qw/ hash consistent ip /;
my %backup = map { $_ => 1 } qw/ rr least time sticky /;
my @all = sort keys %balancer;
my $keepalive = 'keepalive 4;';

my ($upstreams, $server) = ('', '');

sub upstream {
    my ($name, $balancer, @servers) = @_;

    my $list = join ' ', map { "server $_;" } @servers;

    $upstreams .= "upstream $name { $balancer zone $name 256k; $list }\n";
    $server .= <<"EOF_SERVER";
        background_task $name { interval 400ms; retry 400ms; probe $name /probe/$name timeout=30s; }
        location = /probe/$name { internal; proxy_pass http://$name; }
        location = /$name {
            proxy_pass          http://$name;
            proxy_next_upstream off;
            proxy_http_version  1.1;
            proxy_set_header    Connection "";
        }
        location = /show/$name { peers $name show; }
EOF_SERVER
}

for (@all) {
    my $kept = /^(?:rr|hash|random)$/ ? $keepalive : '';

    upstream($_, "$balancer{$_} $kept",
             "$address{a} weight=3 max_fails=2", $address{b}, $address{c},
             $backup{$_} ? "$address{spare} backup" : ());
    upstream("one_$_", $balancer{$_}, $address{only});
}

start(<<"EOF_HTTP", $server, "$kind\nworker_processes 2;");
    set_real_ip_from unix:;
    real_ip_header   X-Real-IP;
    $upstreams
EOF_HTTP

# who answers the client with this key, the address of which has it, too; with
# the cookie of a server

sub who {
    my ($name, $key, $cookie) = @_;

    my ($head, $body) = split /\r\n\r\n/,
        http("GET /$name?key=$key HTTP/1.1\r\nHost: test\r\n"
             . "Connection: close\r\nX-Real-IP: 10.$key.0.1\r\n"
             . ($cookie ? "Cookie: $cookie\r\n" : '') . "\r\n"), 2;

    $_[3] = $1 if $head =~ /^Set-Cookie: (route=\w+)/mi;

    return $body =~ /^(\w+) 200$/ ? $1 : $head =~ /^\S+ (\d+)/ ? $1 : $head;
}

$BackgroundBalancers::who = \&who;
$BackgroundBalancers::any{time} = 1;      # "least_time"

sub peers_of { (get("/show/$_[0]"))[2] }

# all upstreams have these states of servers, as nginx itself sees them

sub all_settle {
    my (%states) = @_;

    for my $name (@all, map { "one_$_" } @all) {
        poll("$name: " . join(' ', %states), sub {
            my $peers = peers_of($name);

            return !grep {
                my $down = $states{$_} eq 'down' ? 40000000 : 0;
                $peers =~ /^\Q$address{$_}\E down=(?!$down )/m;
            } keys %states;
        });
    }
}

all_checked();

my (%keys, %cookie);

for (@all) {
    served($_, 'a b c', "$_: all are up");
    served("one_$_", 'only', "$_: a single one");
    $keys{$_} = keys_of($_) if $by_key{$_};
}

is_deeply(share('rr'), { a => 18, b => 6, c => 6 }, 'shares by weight');

if ($balancer{sticky}) {
    poll('a cookie of each', sub {
        my $cookie;
        my $who = who('sticky', 1, undef, $cookie);

        $cookie{$who} = $cookie;
        return keys %cookie == 3;
    });
    is(who('sticky', 1, $cookie{a}), 'a', 'sticky: a cookie');
}

# no client asks now: what nginx counts stays as it is, while all are asked, and
# also when they fail

my %before = map { $_ => peers_of($_) } @all;

all_checked();
is(peers_of($_), $before{$_}, "$_: checks change nothing") for @all;

dies('a');
dies('only');
all_settle(a => 'down', b => 'up', c => 'up', only => 'down');
all_checked();

for (@all) {
    my $expected = $before{$_};

    $expected =~ s/^(\Q$address{a}\E) down=0 /$1 down=40000000 /m
        or die "no server: $expected";
    $expected =~ s/tries=3/tries=2/;
    is(peers_of($_), $expected, "$_: failed checks change nothing else");
}

# it gets no request

for (@all) {
    served($_, 'b c', "$_: one is down");
    is(who("one_$_", 1), 502, "$_: the single one is down");
    others_stay($_, $keys{$_}, 'a') if $by_key{$_};
}

like(who('sticky', 1, $cookie{a}), qr/^[bc]$/, 'sticky: the cookie of it')
    if $balancer{sticky};

is_deeply(share('rr'), { b => 15, c => 15 }, 'shares of those that are up');

# it comes back

lives('a');
lives('only');
all_settle(a => 'up', b => 'up', c => 'up', only => 'up');

for (@all) {
    served($_, 'a b c', "$_: it is back");
    is(who("one_$_", 1), 'only', "$_: the single one is back");
    is(keys_of($_), $keys{$_}, "$_: keys are as before") if $by_key{$_};
}

is(who('sticky', 1, $cookie{a}), 'a', 'sticky: its cookie is valid again')
    if $balancer{sticky};

my $share = share('rr');

cmp_ok(abs($share->{$_->[0]} - $_->[1]), '<=', 2, "share of $_->[0]")
    for ['a', 18], ['b', 6], ['c', 6];

# one that answers, but badly: connections to it are kept and not used

my $asked = clients('a');

says('a', answer(503));
all_settle(a => 'down', b => 'up', c => 'up');
served($_, 'b c', "$_: one that answers badly") for @all;

# none but the backup

says($_, answer(503)) for qw/ b c /;
all_settle(a => 'down', b => 'down', c => 'down');
is(who($_, 1), $backup{$_} ? 'spare' : 502, "$_: all are down") for @all;
is(clients('a'), $asked, 'it was not asked');

says('a', answer());
all_settle(a => 'up', b => 'down', c => 'down');
served($_, 'a', "$_: one of three") for @all;

says($_, answer()) for qw/ b c /;
all_settle(a => 'up', b => 'up', c => 'up');
served($_, 'a b c', "$_: all are up again") for @all;
is(keys_of($_), $keys{$_}, "$_: keys are as before") for sort keys %by_key;

sub clients { scalar grep { !m{^GET /probe/} } asked_for($_[0]) }

stop();
done_testing();
