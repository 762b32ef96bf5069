# Warming of a cache, as in doc/recipes.md: what a task has requested is a HIT for
# the clients, and stays one.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use BackgroundUpstream;
use Test::More;

my $dir = dir();

upstream('app');
put('warm.list', join '', "# what clients ask for most\n",
    map { "/ok/$_\n" } 1000 .. 1100);

start(<<'EOF_HTTP', <<"EOF_SERVER", 'worker_processes 2;');
    proxy_cache_path cache keys_zone=app:1m;
EOF_HTTP
        background_task warm {
            interval 1h;

            requests warm.list concurrency=8;
        }
        background_task vary {
            interval 20ms;

            request /vary/5000 header=Accept-Encoding:identity;
            request /vary/5000 header=Accept-Encoding:gzip;
        }
        background_task lock {
            interval 1h;
            request /wait/100 count=20;
        }
        background_task short { retry 50ms; request /cut/1000; }
        background_task head { interval 1h; request /ok/7 method=HEAD; }

        location /vary/ {
            proxy_pass http://unix:$dir/app:;
            proxy_cache app;
            proxy_cache_valid 200 10m;
            add_header X-Cache \$upstream_cache_status;
        }
        location / {
            proxy_pass http://unix:$dir/app:;
            proxy_cache app;
            proxy_cache_valid 200 10m;
            proxy_cache_lock on;
            proxy_cache_lock_timeout 1h;
            proxy_cache_lock_age 1h;
            proxy_cache_bypass \$background_task;
            add_header X-Cache \$upstream_cache_status;
        }
EOF_SERVER

my %task;

poll('all are over', sub {
    %task = by_name(status());

    return $task{short}{cycles}{failed} > 3
           && $task{vary}{cycles}{completed} > 3
           && !grep { !$_->{last} } values %task;
});

is($task{$_}{last}{error}, undef, "$_: no error") for qw/ warm vary lock /;
is($task{warm}{operations}{completed}, 101, 'the list');


is(cache("/ok/$_"), '200 HIT', "a client's /ok/$_") for 1000 .. 1100;
is(cache('/vary/5000', 'Accept-Encoding: identity'), '200 HIT',
   'Vary: identity');
is(cache('/vary/5000', 'Accept-Encoding: gzip'), '200 HIT', 'Vary: gzip');
is(cache('/ok/7'), '200 HIT', 'HEAD is converted to GET');


is((grep { m{^request GET /wait/100\|} } seen('app')), 20,
   'bypassed, each copy asks for itself');

my $n = $task{short}{cycles}{failed};

like($task{short}{last}{error}, qr/^request "\/cut\/1000": response is /,
     'a short answer');
cmp_ok((grep { m{/cut/1000} } seen('app')), '>=', $n, 'it is not cached');

# the lock, where the cache is not bypassed

my $conf = read_text("$dir/nginx.conf");

$conf =~ s/proxy_cache_bypass.*//;
$conf =~ s{background_task lock \{}{background_task lock2 \{};
$conf =~ s{/wait/100 }{/wait/101 };
put('nginx.conf', $conf);
signal('HUP');

poll('locked', sub {
    %task = by_name(status());
    return $task{lock2} && $task{lock2}{last};
});

is($task{lock2}{last}{operations}, 20, 'all are answered');
is((grep { m{^request GET /wait/101\|} } seen('app')), 1,
   'and one has asked the upstream');
is(cache('/wait/101'), '200 HIT', 'the lock has gone');

stop();
done_testing();

sub cache {
    my ($uri, @headers) = @_;

    my $answer = http(join "\r\n", "GET $uri HTTP/1.1", 'Host: any.test',
                      'Connection: close', @headers, '', '');
    my ($code) = $answer =~ /^HTTP\/1.1 (\d+)/;
    my ($cache) = $answer =~ /^X-Cache: (\w+)/m;

    return "$code " . ($cache || 'none');
}
