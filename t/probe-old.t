# probe: a worker of an older configuration does not count servers for the newer
# one, which has others.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundControl;
use BackgroundLife;
use BackgroundServer;
use BackgroundStatus;
use Test::More;

my %address = map { $_ => server($_) } qw/ a b c d /;

start(<<"EOF_HTTP", <<'EOF_SERVER');
    upstream app {
        zone app 64k;
        server $address{a};
        server $address{b}; # more
    }
EOF_HTTP
        background_task app { interval 1h; probe app timeout=30s; }
        location / { proxy_pass http://app; proxy_next_upstream off; }
        location /control/ { background_control peers; }
        location = /up { return 200 $background_peers_up_app; }
EOF_SERVER

poll('both are up', sub {
    state_of('app', 'a') eq 'up' && state_of('app', 'b') eq 'up'
});

my $client = half_order("/control/peers/app/$address{b}/down");

# connections are accepted one after the other: the worker has that one, too

is((get('/up'))[2], '2', 'both are counted');

my %old = map { $_ => 1 } workers();

reconfigure('# more', "server $address{c}; server $address{d};");
poll('a new worker', sub { grep { !$old{$_} } workers() });
poll('it answers', sub { (get('/up'))[2] eq '4' });

is(whole_order($client), 202, 'an order to the old worker');

# it would count one; the new one may know the order by now

like((get('/up'))[2], qr/^[34]$/, 'the old worker does not count');
poll('the new one does', sub { answers('/') eq 'a c d' });
is((get('/up'))[2], '3', 'when it knows the order');

stop();
done_testing();
