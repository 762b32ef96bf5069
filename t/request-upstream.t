# Requests to upstreams of all sorts, with answers good, bad, late and short.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundPeer;
use BackgroundStatus;
use BackgroundUpstream;
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Test::More;

my $dir = dir();

upstream('peer');
upstream('kept');
upstream('kept2');

mkdir "$dir/store" or die "mkdir: $!\n";
chmod 0777, "$dir/store" or die "chmod: $!\n";

certificates();

second_nginx(<<"EOF_SECOND");
    server {
        listen unix:$dir/tls ssl;
        ssl_certificate $dir/good.crt;
        ssl_certificate_key $dir/good.key;
        location / { return 200 tls; }
    }
EOF_SECOND

my ($closed, $keep) = closed_port('127.0.0.1');
my $tcp = listener('127.0.0.1') or die "listen: $!\n";
my ($dns, $tcp_pid) = servers();
my $port = $tcp->sockport;

my %ok = (
    plain      => 'request /peer/ok/100;',
    head       => 'request /peer/ok/100 method=HEAD;',
    post       => 'request /peer/ok/1 "body=a=$background_task" '
                  . 'header=Content-Type:text/x;',
    unbuffered => 'request /unbuffered/ok/100000;',
    large      => 'request /peer/ok/5000000;',
    large_unbuffered => 'request /unbuffered/ok/5000000;',
    kept       => 'request /kept/ok/1;',
    tls        => 'request /tls/;',
    resolved   => 'request /resolved;',
    stored     => 'request /stored/ok/100;',
    early      => 'request /peer/code/404 status=404;',
    closed     => 'request /fallback;',
    mirrored   => 'request /mirrored body=copied;',
    auth       => 'request /auth;',
    many       => 'request /peer/wait/20 count=150;',
    named      => 'request @upstream;',
);

my %bad = (
    cut        => ['/peer/cut/1000', 'response is incomplete, it ended after N '
                   . 'bytes'],
    ucut       => ['/unbuffered/cut/1000', 'response is incomplete, it ended '
                   . 'after N bytes'],
    chunked    => ['/peer/chunked/1000', 'response is incomplete, it ended '
                   . 'after N bytes'],
    lost       => ['/peer/lost', 'unexpected status 502'],
    late       => ['/late', 'unexpected status 504'],
    refused    => ['/refused', 'unexpected status 502'],
    code       => ['/peer/code/503', 'unexpected status 503'],
    denied     => ['/denied', 'unexpected status 403'],
    untrusted  => ['/untrusted', 'unexpected status 502'],
    misnamed   => ['/misnamed', 'unexpected status 502'],
    unresolved => ['/unresolved', 'unexpected status 502'],
    nostore    => ['/stored/cut/1000', 'response is incomplete, it ended after '
                   . 'N bytes'],
);

my $tasks = join "\n",
    (map { "background_task $_ { interval 1h; $ok{$_} }" } sort keys %ok),
    (map { "background_task $_ { retry 1h; request $bad{$_}[0]; }" }
     sort keys %bad);

$tasks =~ s/interval 1h; request \/kept/interval 5ms; request \/kept/;

my $verify = 'proxy_ssl_verify on; proxy_ssl_session_reuse off; '
             . 'proxy_ssl_server_name on; '
             . 'proxy_ssl_trusted_certificate';

start(<<"EOF_HTTP", <<"EOF_SERVER");
    upstream kept {
        server unix:$dir/kept;
        keepalive 4;
        keepalive_requests 1000000;
    }
    resolver 127.0.0.1:$dns ipv6=off valid=1s;
    resolver_timeout 60s;
EOF_HTTP
        $tasks
        location /peer/ { proxy_pass http://unix:$dir/peer:/; }
        location /unbuffered/ {
            proxy_buffering off;
            proxy_pass http://unix:$dir/peer:/;
        }
        location /kept/ {
            proxy_pass http://kept/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
        location /tls/ {
            proxy_pass https://unix:$dir/tls;
            $verify $dir/ca.crt;
            proxy_ssl_name good.test;
        }
        location = /untrusted {
            proxy_pass https://unix:$dir/tls;
            $verify $dir/other.crt;
            proxy_ssl_name good.test;
        }
        location = /misnamed {
            proxy_pass https://unix:$dir/tls;
            $verify $dir/ca.crt;
            proxy_ssl_name other.test;
        }
        location = /resolved {
            set \$name peer.test;
            proxy_pass http://\$name:$port;
        }
        location = /unresolved {
            set \$name missing.test;
            proxy_pass http://\$name:$port;
        }
        location /stored/ {
            proxy_pass http://unix:$dir/peer:/;
            proxy_store $dir/store\$uri;
            proxy_temp_path $dir/store/temp;
        }
        location = /late {
            proxy_read_timeout 100ms;
            proxy_pass http://unix:$dir/peer:/hold;
        }
        location = /refused { proxy_pass http://127.0.0.1:$closed; }
        location = /fallback {
            proxy_pass http://127.0.0.1:$closed;
            error_page 502 = \@upstream;
        }
        location \@upstream { proxy_pass http://unix:$dir/peer; }
        location = /mirrored {
            mirror /mirror;
            proxy_pass http://unix:$dir/peer:/ok/1;
        }
        location = /mirror {
            internal;
            proxy_set_header X-Task \$background_task;
            proxy_pass http://unix:$dir/kept2:/ok/2;
        }
        location = /auth {
            auth_request /check;
            alias $dir/nginx.conf;
        }
        location = /check { proxy_pass http://unix:$dir/peer:/ok/0; }
        location = /denied {
            auth_request /check_not;
            alias $dir/nginx.conf;
        }
        location = /check_not { proxy_pass http://unix:$dir/peer:/code/403; }
EOF_SERVER

my %task;

poll('all are over', sub {
    %task = by_name(status());

    return $task{kept}{cycles}{completed} > 20
           && !grep { !$_->{last} } values %task;
});

$bad{unresolved}[1] = 'unexpected status 502';

for (sort keys %ok) {
    is($task{$_}{last}{error}, undef, "$_: $ok{$_}");
    is($task{$_}{cycles}{failed}, 0, "$_: not failed");
}

for (sort keys %bad) {
    my $error = $task{$_}{last}{error} || '';

    $error =~ s/after [1-9]\d* bytes/after N bytes/;
    is($error, "request \"$bad{$_}[0]\": $bad{$_}[1]", "$_: error");
}

cmp_ok($task{$_}{last}{bytes}, '>', 5_000_000, "$_: bytes")
    for qw/ large large_unbuffered /;

is(opened('kept'), 1, 'one connection is kept');
is($task{many}{operations}{completed}, 150, 'many at once');
is(length read_text("$dir/store/stored/ok/100"), 100, 'proxy_store');
ok(!-e "$dir/store/stored/cut/1000", 'nothing of a short answer is stored');

my @peer = seen('peer');

ok((grep { /^body a=post$/ } @peer), 'body');
ok((grep { m{^request POST /ok/1\|.*Content-Type: text/x} } @peer),
   'method and header');
ok((grep { m{^request HEAD /ok/100\|} } @peer), 'HEAD');

my @mirror;

poll('the mirror', sub { (@mirror = seen('kept2')) >= 2 });

like($mirror[0], qr/^request POST \/ok\/2\|.*X-Task: mirrored/,
     'the mirror has the variable');
is($mirror[1], 'body copied', 'and the body');

stop();
kill 'KILL', $tcp_pid;
waitpid $tcp_pid, 0;
done_testing();

# a CA, a certificate of it, and one that has nothing to do with it

sub certificates {
    my $ec = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2';

    for my $command (
        "req -x509 $ec -subj '/CN=test CA' -keyout ca.key -out ca.crt",
        "req -x509 $ec -subj '/CN=other' -keyout other.key -out other.crt",
        "req -x509 $ec -subj '/CN=good.test' -CA ca.crt -CAkey ca.key"
            . " -addext subjectAltName=DNS:good.test"
            . " -addext basicConstraints=critical,CA:FALSE"
            . " -keyout good.key -out good.crt")
    {
        system("cd '$dir' && openssl $command 2> openssl.log") == 0
            or die read_text("$dir/openssl.log");
    }

    chmod 0644, "$dir/good.key" or die "chmod: $!\n";
}

# a DNS server that knows peer.test, and that peer

sub servers {
    my $udp = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'udp')
        or die "bind: $!\n";
    my $parent = $$;

    defined(my $pid = fork) or die "fork: $!\n";

    return ($udp->sockport, $pid) if $pid;

    $SIG{$_} = 'DEFAULT' for qw/ INT TERM HUP /;

    my $select = IO::Select->new($udp, $tcp);

    while (getppid() == $parent) {
        for my $socket ($select->can_read(0.1)) {
            if ($socket == $tcp) {
                my $peer = $tcp->accept or next;
                sysread $peer, my $in, 65536;
                syswrite $peer, "HTTP/1.0 200 OK\r\n\r\nok";
                close $peer;
                next;
            }

            my $from = recv $udp, my $query, 512, 0;
            my ($id, $name) = unpack 'n x10 a*', $query;
            my $question = substr $query, 12, index($query, "\0", 12) + 5 - 12;
            my $found = $question =~ /^\x04peer/;

            send $udp, pack('n6', $id, $found ? 0x8180 : 0x8183, 1, $found, 0, 0)
                . $question
                . ($found ? pack 'n3 N n C4', 0xc00c, 1, 1, 60, 4, 127, 0, 0, 1
                          : ''), 0, $from;
        }
    }

    POSIX::_exit(0);
}
