# Requests in four workers at once, over reloads: each worker runs its own, no
# failure, no connection left.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use BackgroundUpstream;
use Test::More;

my $dir = dir();

put('file', 'x' x 1000);
put('list', "/file\n/204\n/proxy\n/cached?a\n\@named\n" x 20);
upstream('peer');

start(<<"EOF_HTTP", <<"EOF_SERVER", 'worker_processes 4; debug_points abort;');
    upstream peer { server unix:$dir/peer; keepalive 4; }
    proxy_cache_path cache keys_zone=cache:1m;
EOF_HTTP
        background_task all {
            workers all;
            interval 5ms;
            request /204 count=20;
            request /file;
            request /proxy;
            request /cached;
            request \@named;
        }
        background_task list { workers all; interval 5ms; requests list; }
        background_task one { interval 5ms; request /proxy; }
        background_task held { workers all; timeout 1h; request /held count=5; }
        root $dir;
        location = /204 { return 204; }
        location = /proxy {
            proxy_pass http://peer/ok/10;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
        location = /cached {
            proxy_pass http://unix:$dir/peer:/ok/100;
            proxy_cache cache;
            proxy_cache_valid 1s;
        }
        location = /held { proxy_pass http://unix:$dir/peer:/hold; }
        location \@named { return 200; }
        location = /stub { stub_status; }
EOF_SERVER

for my $reload (0 .. 3) {
    if ($reload) {
        my @old = workers();

        signal('HUP');

        poll('old workers leave', sub {
            my %now = map { $_ => 1 } workers();
            return keys %now == 4 && !grep { $now{$_} } @old;
        });
    }

    my %first = by_name(status());

    poll("cycles after $reload reloads", sub {
        my %now = by_name(status());

        return $now{held}{running} == 4 && !grep {
            $now{$_}{cycles}{completed} < $first{$_}{cycles}{completed} + 20
        } qw/ all list one /;
    });

    my %task = by_name(status());

    is($task{$_}{cycles}{failed}, 0, "$_: no failure after $reload reloads")
        for sort keys %task;
}

is(logged(qr/exited with code [^0]|exited on signal|\[error\]/), 0,
   'no error in the log');

stop();

poll('no connection is left', sub { opened('peer') == closed('peer') });

done_testing();
