# The recipes of the pages with "probe", as they are there but for addresses and
# times: two application servers and a backup; blue and green; gRPC; Patroni's
# primary in stream.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundDoc;
use BackgroundServer;
use BackgroundStatus;
use BackgroundUpstream;
use IO::Socket::UNIX;
use Test::More;

my $dir = dir();
my %address = map { $_ => server($_) } qw/ one two spare old1 old2 new1 new2 /;

says($_, 503) for qw/ new1 new2 /;

# servers of gRPC, which say how the service is

put('serving', "\0\0\0\0\2\x08\1");
put('not', "\0\0\0\0\2\x08\2");

second_nginx("server { listen unix:$dir/files; root $dir; }"
             . join '', map { greeter($_) } qw/ serving not /);

sub greeter {
    my ($name) = @_;

    return <<"EOF";
    server {
        listen unix:$dir/$name.socket http2;

        location = /grpc.health.v1.Health/Check {
            proxy_pass   http://unix:$dir/files:/$name;
            proxy_method GET;
            add_trailer  grpc-status 0 always;
        }
    }
EOF
}

# databases, and the agents of their hosts

my %database = map { $_ => server($_, 200, "127.0.0.$_") } 1, 2;
my ($port) = server('agent1', 200, '127.0.0.1') =~ /:(\d+)$/;

server('agent2', 503, '127.0.0.2', $port);

my ($stream, $http) = ('', '');

if ($ENV{TEST_NGINX_LOAD_MODULES} =~ /ngx_http_background_stream_module/) {
    ($stream, $http) =
        changed(doc_block('nginx', 'probe stream:pg'), 'port=8008' => "port=$port",
                'listen     5432' => "listen unix:$dir/pg",
                'listen 127.0.0.1:8080' => "listen unix:$dir/front",
                map { ("10.0.0.$_:5432" => $database{$_}) } 1, 2)
        =~ /\A(stream \{.*^\})\s+http \{\n(.*)^\}/ms
        or die "not the configuration of stream and http\n";
}

start($http . recipe('gRPC', 'listen 8080' => "listen unix:$dir/greeter",
                     '10.0.0.1:50051' => "unix:$dir/serving.socket",
                     '10.0.0.2:50051' => "unix:$dir/not.socket",
                     'interval 5s' => 'interval 100ms')
      . recipe('probe', 'listen 8080' => "listen unix:$dir/app",
               '10.0.0.1:8080' => $address{one}, '10.0.0.2:8080' => $address{two},
               '10.0.0.9:8080' => $address{spare})
      . recipe('Blue and green', 'listen 80' => "listen unix:$dir/version",
               '10.0.0.1:8080' => $address{old1}, '10.0.0.2:8080' => $address{old2},
               '10.0.0.3:8080' => $address{new1}, '10.0.0.4:8080' => $address{new2}),
      '', $stream);

sub recipe {
    my ($name, %change) = @_;

    return changed(doc_recipe($name), %change);
}

sub changed {
    my ($text, %change) = @_;

    %change = (%change, 'interval 5s jitter=1s' => 'interval 100ms',
               'interval 2s' => 'interval 100ms', 'retry    5s' => 'retry 100ms',
               'retry    2s' => 'retry 100ms');

    for (sort { length $b <=> length $a } keys %change) {
        $text =~ s/\Q$_\E/$change{$_}/g;
    }

    # a busy machine takes its time

    $text =~ s/^( *probe [^;]*);/$1 timeout=30s;/mg;

    return $text;
}

# who answers clients of that server

sub from {
    my ($server) = @_;

    my %who;

    local $SIG{PIPE} = 'IGNORE';

    for (1 .. 20) {
        my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM,
                                           Peer => "$dir/$server")
            or die "connect: $!\n";

        print $socket "GET / HTTP/1.0\r\n\r\n";
        $socket->flush;
        $who{join('', <$socket>) =~ /(\w+) \d+\z/ ? $1 : 'none'}++;
    }

    return join ' ', sort keys %who;
}

settles('app_servers', one => 'up', two => 'up', spare => 'up');
is(from('app'), 'one two', 'two servers');
dies('one');
settles('app_servers', one => 'down');
is(from('app'), 'two', 'one of them');
says('two', 500);
settles('app_servers', two => 'down');
is(from('app'), 'spare', 'the backup');

settles('blue', old1 => 'up', old2 => 'up');
settles('green', new1 => 'down', new2 => 'down');
is(from('version'), 'old1 old2', 'blue');
says('new2', 200);
settles('green', new2 => 'up');
is(from('version'), 'new2', 'green, as soon as one is ready');
says('new1', 200);
settles('green', new1 => 'up');
is(from('version'), 'new1 new2', 'and both of it');
dies($_) for qw/ new1 new2 /;
settles('green', new1 => 'down', new2 => 'down');
is(from('version'), 'old1 old2', 'blue again');

# gRPC

poll('gRPC', sub {
    my %peers = peers('greeters');

    return 2 == grep { $peers{"unix:$dir/$_->[0].socket"}{state} eq $_->[1] }
                     ['serving', 'up'], ['not', 'down'];
});
pass('gRPC');

# the primary

if ($stream) {
    settles('primary', 1 => 'up', 2 => 'down');
    is(from('pg'), '1', 'the primary');
    says('agent1', 503);
    settles('primary', 1 => 'down');
    is(from('pg'), 'none', 'there is none');
    says('agent2', 200);
    settles('primary', 2 => 'up');
    is(from('pg'), '2', 'the other one');
}

stop();
done_testing();
