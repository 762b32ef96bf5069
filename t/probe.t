# probe: a server of an upstream that fails is taken out of balancing for all
# workers, and comes back; backups and those that are down are asked, too.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundServer;
use BackgroundStatus;
use Test::More;

my %address = map { $_ => server($_) } qw/ a b spare off /;

start(<<"EOF_HTTP", <<'EOF_SERVER', 'worker_processes 2;');
    upstream app {
        zone app 64k;
        server $address{a} max_fails=0;
        server $address{b} max_fails=0;
        server $address{spare} backup;
        server $address{off} down;
    }
    upstream tcp {
        zone tcp 64k;
        server $address{a} max_fails=0;
        server $address{b} max_fails=0;
    }
EOF_HTTP
        background_task app {
            interval 200ms;
            retry    200ms;
            probe app /health fails=2 passes=2 status=200 timeout=30s
                  header=Host:probe.test;
        }
        background_task tcp { interval 200ms; retry 200ms; probe tcp; }
        location = /health {
            internal;
            proxy_pass http://app;
            proxy_set_header Host $http_host;
        }
        location / { proxy_pass http://app; proxy_next_upstream off; }
        location /tcp { proxy_pass http://tcp; proxy_next_upstream off; }
        location = /metrics { background_status prometheus; }
        location = /up {
            return 200 $background_peers_up_app/$background_peers_up_tcp;
        }
EOF_SERVER

settles('app', a => 'up', b => 'up', spare => 'up', off => 'disabled');
settles('tcp', a => 'up', b => 'up');

is(answers('/'), 'a b', 'both get requests');
is((get('/up'))[2], '2/2', 'both are counted');
ok((grep { m{^GET /health HTTP/1\.\d host=probe\.test$} } asked_for('off')),
    'one that is "down" is asked, as the location does');

my $peer = peer('app', 'a');
is($peer->{last}{status}, 200, 'the status is known');
is($peer->{server}, $address{a}, 'and the server');
ok($peer->{since}, 'and since when');

dies('a');
settles('app', a => 'down', b => 'up');
settles('tcp', a => 'down');

is(answers('/'), 'b', 'one that is dead gets no request');
is(answers('/tcp'), 'b', 'nor with a connection');
is((get('/up'))[2], '1/1', 'and is not counted');
is(peer('app', 'a')->{last}{error}, 'unexpected status 502', 'why');
like(peer('tcp', 'a')->{last}{error}, qr/^connect\(\) failed \(111: /,
    'why, with a connection');
is(logged(qr/\[notice\] .* upstream "app": server \S+ is down after 2 failures: unexpected status 502/),
    1, 'it is logged once');

my $labels = qq/task="app",upstream="app",peer="$address{a}",server="$address{a}"/;
my $metrics = (get('/metrics'))[2];

like($metrics, qr/^nginx_background_peer_up\{\Q$labels\E\} 0$/m, 'metrics: down');
like($metrics, qr/^nginx_background_peer_checks_total\{\Q$labels\E,result="$_"\} [1-9]/m,
    "metrics: $_") for qw/ success failure /;
like($metrics, qr/^nginx_background_peer_changes_total\{\Q$labels\E\} 1$/m,
    'metrics: one change');

lives('a');
settles('app', a => 'up');
settles('tcp', a => 'up');
is(answers('/'), 'a b', 'it comes back');
like(log_text(), qr/upstream "app": server \S+ is up after 2 passes, it was down for \d+s/,
    'which is logged');

says('b', 503);
settles('app', b => 'down');
is(answers('/'), 'a', 'one that answers with another status');

says('a', 500);
settles('app', a => 'down');
is(answers('/'), 'spare', 'the backup is there for both');

my %task = by_name(status());
is($task{app}{last}{error},
    'probe "app": 0 of 2 servers of "app" are up, "need=1"', 'the cycle fails');

says('a', 200);
settles('app', a => 'up');
is(answers('/'), 'a', 'and not needed any more');
is((peer('app', 'off')->{checks}{failed}), 0, 'the one that is off passes');

stop();
done_testing();
