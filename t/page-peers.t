# The page in a browser: the servers that a task with "probe" asks.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundPage;
use BackgroundServer;
use BackgroundStatus;
use Test::More;

browser();

my %address = map { $_ => server($_) } qw/ a spare /;

says('a', 503);

start_page(<<"EOF_HTTP", <<'EOF_SERVER');
    upstream app {
        zone app 64k;
        server $address{a};
        server $address{spare} backup;
    }
EOF_HTTP
    background_task app { interval 200ms; retry 200ms; probe app /x timeout=30s; }
    location = /x { internal; proxy_pass http://app; }
EOF_SERVER

settles('app', a => 'down', spare => 'up');

visit('/page');
js('document.querySelector("[data-f=name]").click()');

my $table = '[aria-label="Servers of app"]';

wait_text($table, qr/\Q$address{a}\Edown[^s]*\d:\d\d[^s]*\d+(?:\.\d+)? m?sunexpected status 503/,
    'a server that is down: since when, how long the check took, why');
wait_text($table, qr/\Q$address{spare}\E, backupup/, 'a backup that is up');

says('a', 200);
wait_text($table, qr/\Q$address{a}\Eup/, 'it is up again');

stop();
done_testing();
