# probe with "type=grpc": the gRPC health checking protocol.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundServer;
use BackgroundStatus;
use BackgroundUpstream;
use Test::More;

my $dir = dir();

# An nginx that speaks HTTP/2 answers with the bytes of a file as the message,
# and with a trailer; it hands what it was asked to a server that keeps it.

upstream('seen');

my %message = (
    serving => "\0\0\0\0\2\x08\1",
    not     => "\0\0\0\0\2\x08\2",
    unknown => "\0\0\0\0\0",
    short   => "\0\0\0\0\2\x08",
    long    => "\0\0\0\0\1\x08",
    packed  => "\1\0\0\0\2\x08\1",
    others  => "\0\0\0\0\7\x12\3abc\x08\1",
    fixed   => "\0\0\0\0\x10\x11abcdefgh\x1dabcd\x08\1",
    cut     => "\0\0\0\0\6\x08\1\x1dabc",
    text    => 'x',
);

put($_, $message{$_}) for keys %message;

my $servers = '';

sub grpc {
    my ($name, $status, $file) = @_;

    $servers .= <<"EOF";
    server {
        listen unix:$dir/$name.socket http2;
        root   $dir;

        location = /grpc.health.v1.Health/Check {
            proxy_pass   http://unix:$dir/files:/$file;
            proxy_method GET;
            add_trailer  grpc-status $status always;
            mirror       /seen/$name;
        }
        location /seen/ {
            internal;
            proxy_pass http://unix:$dir/seen:/ok/1/;
        }
        location = /plain { return 204; }
    }
EOF
}

grpc($_, 0, $_) for keys %message;
grpc('unimplemented', 12, 'text');

second_nginx("$servers server { listen unix:$dir/files; root $dir; }");

my %names = map { $_ => 1 } keys %message, 'unimplemented';

my $upstreams = join '', map {
    "upstream $_ { zone $_ 64k; server unix:$dir/$_.socket; }\n"
} sort keys %names;

my $tasks = join '', map { my $more = $_ eq 'unimplemented'
        ? 'grpc_status=12' : 'grpc_service=abc';
    "server { listen unix:$dir/front.$_; location / { grpc_pass grpc://$_; }\n"
    . "background_task $_ { interval 100ms; retry 100ms; probe $_ type=grpc "
    . "timeout=30s $more; } }\n"
} sort keys %names;

start("$upstreams $tasks\n"
      . "server { listen unix:$dir/front.z; location / { grpc_pass grpc://serving; } }",
      '');

is(found('serving', 'up'), undef, 'serving');
is(found($_, 'up'), undef, "serving, with fields that are not known: $_")
    for qw/ others fixed /;
is(found('unimplemented', 'up'), undef, 'another code that is wanted');
is(found('not', 'down'), 'the service is not serving, its status is 2',
    'not serving');
is(found('unknown', 'down'), 'the service is not serving, its status is 0',
    'unknown');
is(found($_, 'down'), 'invalid gRPC message', $_)
    for qw/ short long packed cut text /;

# the requests, which are mirrored beside the answers: a message of
# HealthCheckRequest, whose field 1 is the service

for ([serving => "\0\0\0\0\5\x0a\3abc"], [unimplemented => "\0\0\0\0\0"]) {
    my ($name, $message) = @$_;

    ok(poll("$name: the request", sub {
        read_text("$dir/seen.log") =~
            m{^request POST /ok/1/$name\|.*content-type: application/grpc(?:\|.*)?\nbody \Q$message\E\n}mi;
    }), "$name: the request");
}

stop();
done_testing();
