# The recipes of doc/recipes.md, as they are there but for addresses and times.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundDoc;
use BackgroundStatus;
use BackgroundUpstream;
use IO::Socket::UNIX;
use Test::More;
use Time::HiRes qw/ stat /;

my $dir = dir();

mkdir "$dir/cache" or die "mkdir: $!\n";
upstream('app');
upstream('api');
put('warm.list', "# what clients ask for most\n/ok/1\n/ok/2?a=b\n/ok/30000\n");

second_nginx(<<"EOF_SECOND");
    server {
        listen unix:$dir/second.sock;
        location = /health {
            if (-f $dir/down) { return 503; }
            return 200;
        }
    }
EOF_SECOND

start(recipe('Warm a cache', 'warm', 'interval 5m' => 'interval 100ms',
             '/var/cache/nginx' => "$dir/cache",
             'proxy_cache ' => 'add_header X-Cache $upstream_cache_status;'
                               . ' proxy_cache ')
      . recipe('Ready when a back end is', 'ready',
               '5s' => '20ms', '1s' => '20ms', 'timeout  3s' => 'timeout 1m',
               '10.0.0.0/8' => 'unix:')
      . recipe('Heartbeat to an HTTP API', 'beat', 'interval 1m' => 'interval 100ms'), '',
      'worker_processes 2;');

my %task;

poll('all ran', sub {
    %task = by_name(status());
    return !grep { !$_->{last} } @task{qw/ warm backend heartbeat /};
});

is($task{$_}{last}{error}, undef, "$_: no error")
    for qw/ warm backend heartbeat /;

# no client ever meets a MISS, while each entry is replaced by a new one twice

my ($asked, $hits) = (0, 0);
my %entries;

poll('each entry is replaced', sub {
    for my $uri ('/ok/1', '/ok/2?a=b', '/ok/30000') {
        $asked++;
        $hits++ if ask('warm', $uri) =~ /^HTTP\/1.1 200 .*X-Cache: HIT\r\n/s;
    }

    for my $file (glob "$dir/cache/app/*") {
        $entries{$file}{join ' ', (stat $file)[1, 9]} = 1;
    }

    return 3 == grep { keys %$_ >= 3 } values %entries;
});

is($hits, $asked, 'clients get all from the cache');

# ready

ok(poll('ready', sub {
    ask('ready', '/ready') =~ /^HTTP\/1.1 200 .*"status":"ok"/s;
}), 'ready');
put('down', '');
poll('not ready', sub {
    ask('ready', '/ready') =~ /^HTTP\/1.1 503 .*"status":"degraded"/s;
});
unlink "$dir/down" or die "unlink: $!\n";
poll('ready again', sub { ask('ready', '/ready') =~ /^HTTP\/1.1 200 / });
like(ask('ready', '/backend/health'), qr/^HTTP\/1.1 404 /,
     'the probe is not for clients');

# heartbeats

my ($request, $body) = seen('api');

like($request,
     qr{^request POST /v1/heartbeats\|.*Content-Type: application/json},
     'heartbeat');
like($body, qr/^body \{"host":"[^"]+","time":"\d{4}-\d\d-\d\dT[^"]+"\}$/,
     'its body');

stop();
stop_second();
done_testing();

# the block below a heading, with replacements

sub recipe {
    my ($name, $socket, %change) = @_;

    my $text = doc_recipe($name);

    %change = (%change, 'listen 80' => "listen unix:$dir/$socket",
               'http://127.0.0.1:8081/health'
                   => "http://unix:$dir/second.sock:/health",
               'http://127.0.0.1:8081;' => "http://unix:$dir/app:;",
               'http://127.0.0.1:8082' => "http://unix:$dir/api:");

    for (sort { length $b <=> length $a } keys %change) {
        $text =~ s/\Q$_\E/$change{$_}/g || /^http/
            or die "no \"$_\" in recipe \"$name\"\n";
    }

    return $text;
}

sub ask {
    my ($socket, $uri) = @_;

    my $client = IO::Socket::UNIX->new(Peer => "$dir/$socket")
        or die "connect: $!\n";

    print $client "GET $uri HTTP/1.0\r\nHost: test\r\n\r\n";
    $client->flush;
    local $/;

    return scalar(<$client>) // '';
}
