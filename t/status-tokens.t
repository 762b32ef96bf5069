# "server_tokens off": no version in any format, and all else as it is.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundStatus;
use Test::More;

start('background_task t { interval 1h; simulate_io 1 delay=0-0; }',
      <<'EOF_LOCATIONS', 'worker_processes 1;');
    location = /metrics { background_status prometheus; }
    location = /brief   { background_status prometheus brief; }

    location /off/ {
        server_tokens off;

        location = /off/status  { background_status; }
        location = /off/page    { background_status html; }
        location = /off/metrics { background_status prometheus; }
    }

    location = /build { background_status; server_tokens build; }
EOF_LOCATIONS

poll('a cycle', sub { (by_name(status()))[1]{last} });

my ($module, $nginx) = @{status()}{qw/ version nginx /};
my $versions = qr/\Q$module\E|\Q$nginx\E|"nginx"|"version"/;

like($module, qr/^\d+\.\d+\.\d+$/, 'the version of the module');
like($nginx, qr/^\d+\.\d+\.\d+/, 'the version of nginx');
is_deeply([@{status('/build')}{qw/ version nginx /}], [$module, $nginx],
          '"server_tokens build"');

my ($code, $headers, $body) = get('/off/status');
my ($on, $off) = (status(), parse($body));

is($code, 200, 'an answer');
unlike($headers . $body, $versions, 'no versions');
is($off->{pid}, $on->{pid}, 'it has all else');
is_deeply([sort keys %$off],
          [grep { !/^(?:version|nginx)$/ } sort keys %$on], 'and no other keys');

($body) = http("GET /off/page HTTP/1.0\r\nAccept: application/json\r\n\r\n")
          =~ /\r\n\r\n(.*)/s;
unlike($body, $versions, 'nor in the JSON of a page');
is_deeply([sort keys %{parse($body)}], [sort keys %$off], 'which is the same');

unlike(join('', get('/off/page')), qr/\Q$nginx\E/, 'nor in the page');

# the metric stays

my $info = qr/^# TYPE nginx_background_info gauge\nnginx_background_info/m;

like((get('/metrics'))[2], qr/$info\{version="$module",nginx="$nginx"\} 1\n/,
     'versions in a metric');
like((get($_))[2], qr/$info 1\n/, "$_: none") for qw{ /off/metrics /brief };

stop();
done_testing();
