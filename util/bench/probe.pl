# The CPU time of checks of 1,000 servers, each 5 s, beside HAProxy with the same
# check of the same servers.

package Bench::probe;

use strict;
use warnings;

use Bench;
use IO::Socket::INET;

my $servers = 1000;
my $first = 21_000;     # port
my $seconds = 20;       # four intervals

my $back;

# another nginx is all the servers

sub back {
    return if $back;

    my $dir = dir();
    my $listen = join '', map { "listen 127.9.8.7:$_;\n" }
                 $first .. $first + $servers - 1;

    mkdir "$dir/back" or die "mkdir: $!\n";
    put('back/nginx.conf', <<"EOF");
daemon off;
master_process off;
pid nginx.pid;
error_log error.log;
events { worker_connections 8192; }
http {
    access_log off;
    client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp;
    uwsgi_temp_path temp; scgi_temp_path temp;
    server { $listen location / { return 200 ok; } }
}
EOF

    $back = program($ENV{TEST_NGINX_BINARY}, '-p', "$dir/back/", '-c',
                           'nginx.conf', '-e', 'error.log');

    poll('the servers answer', sub {
        return IO::Socket::INET->new(PeerAddr => "127.9.8.7",
                                     PeerPort => $first + $servers - 1);
    });
}

# in percent of a CPU, and in microseconds for a check

sub figures {
    my (@pids) = @_;

    my $start = time;
    my $cpu = cpu(@pids);
    sleep $seconds;
    $cpu = cpu(@pids) - $cpu;
    my $took = time - $start;

    return (100 * $cpu / $took, 1e6 * $cpu / ($servers * $took / 5));
}

sub ours {
    back();

    my $list = join '', map { "server 127.9.8.7:$_;\n" }
               $first .. $first + $servers - 1;

    start(http => "upstream app { zone app 4m;\n$list }",
          server => 'background_task app { interval 5s; retry 5s; probe app '
                    . '/health concurrency=64; } '
                    . 'location = /health { internal; proxy_pass http://app; } '
                    . 'location = /up { return 200 $background_peers_up_app; } '
                    . 'location = /age { set_background $age app age_seconds; '
                    . 'return 200 $age; }');

    poll('all are asked', sub { get('/age') ne '' });

    die "not all servers are up\n" if get('/up') ne $servers;

    my @figures = figures(processes());

    stop();

    return @figures;
}

sub other {
    back();

    my $haproxy = haproxy('inter 5s', 1, map { "127.9.8.7:$_" }
                          $first .. $first + $servers - 1);

    # its first checks are spread over the interval

    sleep 6;

    my @figures = figures($haproxy->{pid});

    finish($haproxy);

    return @figures;
}

my $there = has_haproxy();

{
    rounds => 2,
    $there ? () : (notes => ['no HAProxy (Debian\'s package haproxy)']),
    things => [
        ['probe', ['CPU, %', 'us a check'], \&ours],
        $there ? ['HAProxy', ['CPU, %', 'us a check'], \&other] : (),
    ],
    rows => [
        ['CPU, %', 'probe', undef, '<= 2'],
        $there ? (['us a check', 'probe', 'HAProxy', '<= 3']) : (),
    ],
};
