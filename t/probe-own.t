# probe: each check has a connection of its own, and passes by a whole response
# only; by default it ends after a second, and there are 16 of them at once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundServer;
use BackgroundStatus;
use BackgroundUpstream;
use Test::More;

my $dir = dir();

upstream($_) for qw/ kept parts many /;

# twenty servers that are one

symlink "$dir/many", "$dir/many.$_" or die "symlink: $!\n" for 1 .. 20;

my $many = join ' ', map { "server unix:$dir/many.$_;" } 1 .. 20;
my $parts = "server unix:$dir/parts max_fails=0;";

start(<<"EOF_HTTP", <<'EOF_SERVER');
    upstream kept { zone kept 64k; server unix:$dir/kept; keepalive 4; }
    upstream whole { zone whole 64k; $parts }
    upstream cut { zone cut 64k; $parts }
    upstream chunked { zone chunked 64k; $parts }
    upstream hold { zone hold 64k; $parts }
    upstream many { zone many 256k; $many }
EOF_HTTP
        background_task kept { interval 100ms; retry 100ms; probe kept /ok/1 timeout=30s; }
        background_task whole { interval 100ms; retry 100ms; probe whole /ok/2 timeout=30s; }
        background_task cut { interval 100ms; retry 100ms; probe cut /cut/2 timeout=30s; }
        background_task chunked { interval 100ms; retry 100ms; probe chunked /chunked/2 timeout=30s; }
        background_task hold { interval 100ms; retry 100ms; probe hold /hold/1; }
        background_task many { interval 1h; timeout 24h; probe many /hold/2 timeout=24h; }
        proxy_http_version 1.1;
        proxy_set_header   Connection "";
        location = /ok/1      { proxy_pass http://kept; }
        location = /ok/2      { internal; proxy_pass http://whole; }
        location = /cut/2     { internal; proxy_pass http://cut; }
        location = /chunked/2 { internal; proxy_pass http://chunked; }
        location = /hold/1    { internal; proxy_pass http://hold; }
        location = /hold/2    { internal; proxy_pass http://many; }
EOF_SERVER

# a client's connection is kept for other clients

is(found('kept', 'up'), undef, 'up');
is((get('/ok/1'))[0], 200, 'a client') for 1 .. 3;
applied('kept');

my $requests = grep { /^request/ } seen('kept');

cmp_ok($requests, '>=', 5, 'there were checks');
cmp_ok(opened('kept'), '>=', $requests - 2, 'only clients share a connection');

# the whole response

is(found('whole', 'up'), undef, 'a whole response');
ok(found('cut', 'down'), 'half a response');
ok(found('chunked', 'down'), 'one without an end');

# time-out

is(found('hold', 'down'), 'timed out', 'no response');
cmp_ok((values %{{peers('hold')}})[0]{last}{wall_seconds}, '>', 0.9,
    'after a second');

# sixteen checks; what the others wait for does not come

poll('many are asked', sub { opened('many') >= 16 });
applied('kept');
is(opened('many'), 16, 'sixteen at once');

stop();
done_testing();
