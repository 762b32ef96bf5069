#!/usr/bin/env perl

# task= narrows the answer and the verdict, failing= gives the verdict a code.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundStatus;
use Test::More;

###############################################################################

start(<<'EOF', <<'EOF2');
    background_task good { interval 1d; simulate_io 1 delay=0-0; }
    background_task bad {
        retry   1d;
        timeout 1ms;
        simulate_io 1 delay=1h-1h;
    }
    background_task worse {
        retry   1d;
        timeout 1ms;
        simulate_io 3 delay=1h-1h;
    }
    background_task ba { timeout 1d; simulate_io 1 delay=1h-1h; }
EOF
    location = /failing   { background_status failing=503; }
    location = /json      { background_status json failing=500; }
    location = /good      { background_status task=good failing=503; }
    location = /bad       { background_status task=bad failing=503; }
    location = /bad-ok    { background_status task=bad; }
    location = /ba        { background_status task=ba failing=503; }
    location = /good-bad  { background_status failing=400 task=good task=bad; }
    location = /bad-good  { background_status task=bad failing=599 task=good; }
    location = /bad-bad   { background_status task=bad task=bad failing=444; }
    location = /two-good  { background_status task=good task=ba failing=503; }
    location = /two-bad   { background_status task=worse task=bad; }

    location /nested {
        background_status task=good;

        location /nested/bad { background_status task=bad failing=503; }
    }
EOF2

poll('three tasks have come to an end', sub {
    3 == grep { $_->{last} } @{status()->{tasks}};
});

my $ok = 'Server is running with background tasks';

for (['/status', 200, 'good bad worse ba', 2, 4],
     ['/failing', 503, 'good bad worse ba', 2, 4],
     ['/json', 500, 'good bad worse ba', 2, 4],
     ['/good', 200, 'good', 0, 1],
     ['/bad', 503, 'bad', 1, 1],
     ['/bad-ok', 200, 'bad', 1, 1],
     ['/ba', 200, 'ba', 0, 1],
     ['/good-bad', 400, 'good bad', 1, 2],
     ['/bad-good', 599, 'good bad', 1, 2],
     ['/bad-bad', 444, 'bad', 1, 1],
     ['/two-good', 200, 'good ba', 0, 2],
     ['/two-bad', 200, 'bad worse', 2, 2],
     ['/nested', 200, 'good', 0, 1],
     ['/nested/bad', 503, 'bad', 1, 1])
{
    my ($uri, $code, $names, $bad, $all) = @$_;

    my ($is, $headers, $body) = get($uri);
    my $status = eval { parse($body) } || { tasks => [] };

    is($is, $code, "$uri: code");
    like($headers, qr/^Content-Type: application\/json\r$/m, "$uri: type");
    like($headers, qr/^Cache-Control: no-store\r?$/m, "$uri: no-store");
    is(join(' ', map { $_->{name} } @{$status->{tasks}}), $names,
        "$uri: tasks");
    is($status->{status}, $bad ? 'degraded' : 'ok', "$uri: status");
    is($status->{message}, $bad == 0 ? $ok
        : $bad == 1 ? "1 of $all background tasks is not healthy"
        : "$bad of $all background tasks are not healthy", "$uri: message");
}

# HEAD has the code, too, and a keepalive connection goes on after it

like(http("HEAD /bad HTTP/1.1\r\nHost: test\r\n\r\n"
          . "HEAD /good HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"),
    qr/^HTTP\/1\.1 503 .*\r\n\r\nHTTP\/1\.1 200 .*\r\n\r\n\z/s, 'HEAD');

stop();

done_testing();
