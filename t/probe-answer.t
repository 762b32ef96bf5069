# probe: what makes a server pass: its own answer, whole, with such a status; and
# the parameters "keep", "need", "only", "port", "test", "mandatory".

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundServer;
use BackgroundStatus;
use Test::More;

my $dir = dir();
my $kind = load_kind('peers');
my %address = map { $_ => server($_) } qw/ a b c spare health /;
my ($health) = $address{health} =~ /(\d+)$/;

mkdir "$dir/cache" or die "mkdir: $!\n";
for_workers("$dir/cache");

# each upstream is asked in one way

my %probe = (
    page   => 'probe page /page timeout=30s',
    stale  => 'probe stale /stale timeout=30s',
    static => 'probe static /static',
    other  => 'probe other /other timeout=30s',
    five   => 'probe five /five status=200-599 timeout=30s',
    tested => 'probe tested /tested test=$upstream_http_x_ready timeout=30s',
    body   => 'probe body /body "test=$ready" timeout=30s',
    keep   => 'probe keep /keep keep=50% timeout=30s',
    need   => 'probe need need=2 timeout=30s',
    only   => 'probe only /only only=down timeout=30s',
    port   => "probe port port=$health timeout=30s",
    agent  => "probe agent /agent port=$health timeout=30s",
    post   => 'probe post /post method=PUT body=$background_peer timeout=30s',
    args   => 'probe args /args?$background_task timeout=30s',
    few    => 'probe few /few peers=1 timeout=30s',
);

my ($upstreams, $tasks, $locations) = ('', '', '');

for (sort keys %probe) {
    my $servers = "server $address{a} max_fails=0; server $address{b} max_fails=0;";

    $servers .= " server $address{c} max_fails=0;" if $_ eq 'keep';
    $servers .= " server $address{spare} down;" if $_ eq 'keep';
    $servers =~ s/max_fails=0/max_fails=1 fail_timeout=1h/g if $_ eq 'only';

    $upstreams .= "upstream $_ { zone $_ 64k; $servers }\n";
    $tasks .= "background_task $_ { interval 100ms; retry 100ms; $probe{$_}; }\n";
    $locations .= "location = /$_ { internal; proxy_pass http://$_; }\n"
        unless /^(?:page|stale|static|other|agent)$/;
}

start(<<"EOF_HTTP", <<"EOF_SERVER", $kind);
    proxy_cache_path cache keys_zone=c:1m;
    map \$background_body \$ready { ~200 1; default 0; }
    $upstreams
EOF_HTTP
        $tasks
        $locations
        location = /page {
            internal;
            proxy_pass http://page;
            proxy_intercept_errors on;
            error_page 500 502 504 =200 /good;
        }
        location = /good { return 200 good; }
        location = /stale {
            internal;
            proxy_pass http://stale;
            proxy_cache c;
            proxy_cache_key \$background_peer;
            proxy_cache_valid 200 1s;
            proxy_cache_use_stale error timeout http_500;
        }
        location = /static { return 200 good; }
        location = /other { internal; proxy_pass http://page; }
        location = /agent { internal; proxy_pass http://\$background_peer; }
        location /client/keep { proxy_pass http://keep; proxy_next_upstream off; }
        location /client/only { proxy_pass http://only; proxy_next_upstream off; }
        location = /up { return 200 \$background_peers_up_keep; }
        location = /show { peers keep show; }
EOF_SERVER

settles($_, a => 'up', b => 'up') for qw/ page five body keep need post args /;

# more servers than "peers=" says

settles('few', a => 'up', b => 'none');
is(logged(qr/\[error\] .* upstream "few": 1 servers are not judged, "peers=" of "probe" is 1$/m),
    1, 'peers: is logged');

# what has no answer of a server counts as neither

my %error = (
    static => 'probe "static": 2 of 2 servers were not asked: the location '
              . 'asked no server of "static"',
    other  => 'probe "other": 2 of 2 servers were not asked: the location '
              . 'asked no server of "other"',
);

for (sort keys %error) {
    is(next_cycle($_, 'failed')->{last}{error}, $error{$_}, "$_: the error");
    is(state_of($_, 'a'), 'unknown', "$_: no verdict");
}

# another port

settles($_, a => 'up', b => 'up') for qw/ port agent /;
says('health', 500);
settles('agent', a => 'down', b => 'down');
is(state_of('port', 'a'), 'up', 'a connection needs no answer');
dies('health');
settles('port', a => 'down', b => 'down');
lives('health');
says('health', 200);
settles($_, a => 'up', b => 'up') for qw/ port agent /;
ok((grep { /^GET \/agent .* host=127\.0\.0\.1:$health$/ } asked_for('health')),
    '$background_peer');

# requests as they are said to be

ok((grep { m{^PUT /post .* body=\Q$address{a}\E$} } asked_for('a')),
    'a method, a body');
ok((grep { /^GET \/args\?args / } asked_for('a')), 'variables in the URI');

# a header, a body

settles('tested', a => 'down', b => 'down');
is(peer('tested', 'a')->{last}{error}, 'test "$upstream_http_x_ready" is empty',
    'test: why');
says('a', "200\nX-Ready: 1\n");
settles('tested', a => 'up', b => 'down');
says('a', "200\nX-Ready: 0\n");
settles('tested', a => 'down');
says('a', 201);
settles('body', a => 'down', b => 'up');

# what nginx makes of the answer does not count

says('a', 500);
settles($_, a => 'down', b => 'up') for qw/ page stale keep /;
settles('five', a => 'up');
is(peer('page', 'a')->{last}{error}, 'unexpected status 500', 'error_page: why');

says('a', 'close');
settles('five', a => 'down');
is(peer('five', 'a')->{last}{error}, 'no response', 'any status: no response');
dies('a');
settles($_, a => 'down', b => 'up') for qw/ page stale five need /;

# need: of two one is too few

is(next_cycle('need', 'failed')->{last}{error},
    'probe "need": 1 of 2 servers of "need" is up, "need=2"', 'need');
is(next_cycle('five', 'completed')->{last}{message}, '1 of 2 servers up',
    'one of two is no failure otherwise');

# keep: half of three is two, as one is "down"; those that were last stay

settles('keep', a => 'down', b => 'up', c => 'up', spare => 'disabled');
is(answers('/client/keep'), 'b c', 'keep: two of three are up');
says('b', 500);
settles('keep', b => 'down', c => 'up');
is(answers('/client/keep'), 'b c', 'keep: the last one that was up is kept');
is(logged(qr/\[warn\] .* upstream "keep": 1 servers that are down get requests, by "keep=" of "probe"/),
    1, 'keep: is logged');
says('c', 500);
settles('keep', c => 'down');
is(answers('/client/keep'), 'b c', 'keep: the last two');
lives('a');
says('a', 200);
settles('keep', a => 'up');
is(answers('/client/keep'), 'a c', 'keep: the last one');
says($_, 200) for qw/ b c /;
settles('keep', a => 'up', b => 'up', c => 'up');
is(answers('/client/keep'), 'a b c', 'keep: all');
is((get('/up'))[2], '3', 'all are counted');

# only those that are down are asked

is(scalar(grep { m{^GET /only } } map { asked_for($_) } qw/ a b /), 0,
    'only: nobody is asked');
dies('a');
client('/client/only') for 1 .. 10;
settles('only', a => 'down');
is(scalar(grep { m{^GET /only } } asked_for('b')), 0,
    'only: the one that is good is not asked');
lives('a');
settles('only', a => 'up');

stop();
done_testing();
