# probe: what nginx accepts and refuses.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundConf;
use BackgroundKind;
use Test::More;

my $app = 'upstream app { zone app 64k; server 127.0.0.1:1; }';

# a task in a server, beside upstreams

sub conf {
    my ($task, $upstreams) = @_;

    return 'http { ' . ($upstreams // $app)
        . " server { listen unix:socket; background_task t {\n$task\n} } }";
}

sub refused {
    my ($probe, $message, $upstreams) = @_;

    rejects('all', conf("$probe # here", $upstreams) => $message);
}

accepts('all', map { conf($_) }
    'probe app;', 'probe app /;', 'probe APP /health;',
    'workers one; probe app;',
    'probe app /$hostname method=HEAD header=Host:a header=X-A:b status=200-299,404;',
    'probe app / body=x test=$upstream_http_x_ready timeout=1ms;',
    'probe app fails=1 passes=100000 mandatory persistent keep=50% need=0;',
    'probe app keep=3 only=down concurrency=1000 peers=1 port=65535;',
    'probe app only=all mandatory;');

# all of nginx's own balancers

accepts('all', map { conf('probe app;', "upstream app { $_ zone app 64k; "
                          . 'server 127.0.0.1:1; server 127.0.0.2:1; }') }
    'least_conn;', 'hash $uri;', 'hash $uri consistent;', 'ip_hash;',
    'random;', 'random two least_conn;', 'keepalive 4;',
    'least_conn; keepalive 4;');

accepts('all', conf('probe app; probe other;',
                    "$app upstream other { zone app; server 127.0.0.1:2; }"));

refused('probe;', 'invalid number of arguments in "probe" directive');
refused('probe none;', 'no upstream "none" for "probe" directive');
refused('probe "";', 'empty name of an upstream in "probe" directive');

# what a "proxy_pass" makes is none

refused('probe 127.0.0.1:1;', 'no upstream "127.0.0.1:1" for "probe" directive',
        "$app server { location / { proxy_pass http://127.0.0.1:1; } }");

refused('probe app;', 'upstream "app" needs a "zone" for "probe" directive',
        'upstream app { server 127.0.0.1:1; }');

refused("probe app;\nprobe App /;", 'duplicate "probe" of upstream "App"');

refused('probe app x;', 'unknown parameter "x" in "probe" directive');
refused('probe app @x;', 'unknown parameter "@x" in "probe" directive');
refused('probe app fails=1 fails=2;',
        'duplicate parameter "fails=2" in "probe" directive');

refused("probe app $_;", "invalid value \"$_\" in \"probe\" directive, it must "
        . 'be a number from 1 to 100000')
    for qw/ fails=0 fails=100001 passes=x peers=0 /;

refused('probe app need=-1;', 'invalid value "need=-1" in "probe" directive, it '
        . 'must be a number from 0 to 100000');
refused("probe app concurrency=$_;", "invalid value \"concurrency=$_\" in "
        . '"probe" directive, it must be a number from 1 to 1000') for 0, 1001;
refused("probe app port=$_;", "invalid port \"port=$_\" in \"probe\" directive, "
        . 'it must be a number from 1 to 65535') for 0, 65536;
refused("probe app timeout=$_;", "invalid time \"timeout=$_\" in \"probe\" "
        . 'directive, it must be from 1ms to 24h') for '0', '25h';
refused("probe app keep=$_;", "invalid value \"keep=$_\" in \"probe\" directive, "
        . 'it must be a number of servers, or from 0% to 100%')
    for '', '%', '101%', 'x', '-1';
refused('probe app only=idle;', 'invalid value "only=idle" in "probe" directive, '
        . 'it must be "all" or "down"');

refused('probe app persistent;', '"persistent" needs "mandatory" in "probe" '
        . 'directive, without it verdicts are kept anyway');

refused("probe app $_;", 'parameters of a request need a URI in "probe" '
        . 'directive')
    for qw/ method=GET header=A:b header=Host:b body=x status=200 test=x /;

accepts('all', map { conf("probe app type=grpc $_;") }
    '', 'grpc_service=a.B', 'grpc_status=0,12 grpc_service=a', 'header=A:b');

refused('probe app type=http;', 'invalid value "type=http" in "probe" directive, '
        . 'it must be "grpc"');
refused("probe app type=grpc grpc_status=$_;", "invalid value \"grpc_status=$_\" "
        . 'in "probe" directive, it must be codes from 0 to 16, as in '
        . '"grpc_status=0,12"') for '', '17', '0,', 'x';
refused('probe app type=grpc grpc_service=' . 'x' x 128 . ';',
        '"grpc_service=" is longer than 127 bytes in "probe" directive');
refused("probe app / type=grpc $_;", '"type=grpc" has a method and a body of its '
        . 'own in "probe" directive') for 'method=GET', 'body=x';
refused("probe app / $_;", 'parameters of gRPC need "type=grpc" in "probe" '
        . 'directive') for 'grpc_service=x', 'grpc_status=0';

rejects('all', "http { $app server { listen unix:socket; background_task t {\n"
    . "probe app; workers all;\n} # here\n } }"
    => '"probe" in background task "t" needs "workers one"');

rejects('all', "http { $app background_redis r { server 127.0.0.1; }\n"
    . "server { listen unix:socket; background_task t {\n"
    . "probe app; workers cluster;\n} # here\n } }"
    => '"probe" in background task "t" needs "workers one"');

rejects('all', "http { $app background_task t {\nprobe app; # here\n} }"
    => '"probe" directive is allowed in a background task of a "server" only: '
       . 'put the task into the server whose locations are requested');

# a balancer of another module

my $kind = load_kind('peers');
my ($code, $said) = nginx_t("$kind\nevents {\n}\n" . conf('probe app;',
    'upstream app { zone app 64k; server 127.0.0.1:1; foreign_balancer; }'));

like($said, qr/^nginx: \[emerg\] upstream "app" has a balancer that is not nginx's own, for "probe" directive in /,
    'a balancer that is not nginx\'s');

# stream, which may be behind http

if ($ENV{TEST_NGINX_LOAD_MODULES} =~ /background_stream/) {
    my $stream = 'stream { upstream app { zone db 64k; server 127.0.0.1:1; } }';

    accepts('all', conf('probe stream:app;') . " $stream",
            "$stream " . conf('probe stream:app; probe app;'));

    stream_fails('no upstream "stream:app" for "probe" directive', '');
    stream_fails('no upstream "stream:app" for "probe" directive', 'stream { }');
    stream_fails('upstream "stream:app" needs a "zone" for "probe" directive',
                 'stream { upstream app { server 127.0.0.1:1; } }');
}

{
    local @BackgroundConf::without = ('ngx_http_background_stream_module');

    rejects('all', conf('probe stream:app; # here') => '"probe stream:app" needs '
            . 'ngx_http_background_stream_module.so');
}

# the line is that of "probe"

sub stream_fails {
    my ($message, $more) = @_;

    my ($code, $said) = nginx_t("events {\n}\n" . conf('probe stream:app;')
                                . " $more");

    like("$said\[$code]", qr/^nginx: \[emerg\] \Q$message\E in \S+nginx\.conf:\d+\n.* failed\n\[1\]\z/m,
        $message);
}

done_testing();
