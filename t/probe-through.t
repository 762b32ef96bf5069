# probe: checks through locations of all kinds: what TLS, FastCGI, uwsgi, SCGI and
# memcached say of a server is what clients would meet.

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
my ($upstreams, $server) = ('', '');

sub task {
    my ($name, $address, $pass) = @_;

    $upstreams .= "upstream $name { zone $name 64k; server $address max_fails=0; }\n";
    $server .= <<"EOF_SERVER";
        background_task $name { interval 200ms; retry 200ms; probe $name /probe/$name timeout=30s; }
        location = /probe/$name { internal; $pass }
        location = /$name { $pass }
EOF_SERVER
}

###############################################################################

# servers of the other protocols

my %pass = (
    fastcgi   => 'fastcgi_pass fastcgi; fastcgi_param URI $uri;',
    uwsgi     => 'uwsgi_pass uwsgi; uwsgi_param URI $uri;',
    scgi      => 'scgi_pass scgi; scgi_param URI $uri;',
    memcached => 'set $memcached_key $uri; memcached_pass memcached;',
);

my @protocols = sort keys %pass;

task($_, server($_, 200, undef, undef, $_), $pass{$_}) for @protocols;

# A server of HTTPS that knows one name, and wants a certificate of its clients.
# All is signed by one CA; "other.pem" is not.

sub command {
    my ($command) = @_;

    system("($command) > $dir/openssl.out 2>&1") == 0
        or die read_text("$dir/openssl.out");
}

for (qw/ ca other /) {
    command("openssl req -x509 -newkey ed25519 -nodes -subj /CN=$_ -days 10 "
            . "-keyout $dir/$_.key -out $dir/$_.pem");
}

for (qw/ server client /) {
    command("openssl req -newkey ed25519 -nodes -subj /CN=app.test "
            . "-keyout $dir/$_.key -out $dir/$_.csr && "
            . "openssl x509 -req -in $dir/$_.csr -CA $dir/ca.pem "
            . "-CAkey $dir/ca.key -CAcreateserial -days 10 -out $dir/$_.pem");
}

my $tls = "$dir/tls.socket";

# who asks for another name gets the other certificate, who asks for none nothing

my $https = <<"EOF";
    server {
        listen unix:$tls ssl default_server;
        ssl_reject_handshake on;
    }
    server {
        listen unix:$tls ssl;
        server_name other.test;
        ssl_certificate other.pem;
        ssl_certificate_key other.key;
        location / { return 200 "other 200"; }
    }
    server {
        listen unix:$tls ssl;
        server_name app.test;
        ssl_certificate server.pem;
        ssl_certificate_key server.key;
        ssl_client_certificate ca.pem;
        ssl_verify_client on;
        location / { return 200 "tls 200"; }
    }
EOF

$https =~ s/(\w+\.(?:pem|key));/$dir\/$1;/g;
second_nginx($https);

my %tls = (
    name => 'proxy_ssl_name app.test; proxy_ssl_server_name on;',
    cert => "proxy_ssl_certificate $dir/client.pem; "
            . "proxy_ssl_certificate_key $dir/client.key;",
    ca   => "proxy_ssl_verify on; proxy_ssl_trusted_certificate $dir/ca.pem;",
);

my %https = (
    good    => $tls{name} . $tls{cert} . $tls{ca},
    nosni   => $tls{cert},
    nocert  => $tls{name} . $tls{ca},
    badname => $tls{cert} . $tls{ca}
               . 'proxy_ssl_name other.test; proxy_ssl_server_name on;',
    badca   => $tls{name} . $tls{cert} . $tls{ca} =~ s/ca\.pem/other.pem/r,
);

task($_, "unix:$tls", "proxy_pass https://$_; proxy_set_header Host app.test; $https{$_}")
    for sort keys %https;

start($upstreams, $server);

is(found('good', 'up'), undef, 'https: name, certificates');
is((get('/good'))[2], 'tls 200', 'https: a client');

my %error = (
    nosni   => 'unexpected status 502',
    nocert  => 'unexpected status 400',
    badname => 'unexpected status 502',
    badca   => 'unexpected status 502',
);

for (sort keys %error) {
    is(found($_, 'down'), $error{$_}, "https: $_");
    is((get("/$_"))[0], 502, "https: $_: no client asks it");
}

stop_second();
is(found('good', 'down'), 'unexpected status 502', 'https: dead');

unlink $tls, "$dir/second/nginx.pid";
second_nginx($https);
is(found('good', 'up'), undef, 'https: it is back');

# the other protocols

my %bad = (memcached => 404);

for my $name (@protocols) {
    my $bad = $bad{$name} || 503;

    is(found($name, 'up'), undef, "$name: up");
    is(client("/$name"), $name, "$name: a client");
    ok((grep { m{^(?:\Q$name\E|get) .*/probe/$name} } asked_for($name)),
        "$name: the request");

    says($name, $bad);
    is(found($name, 'down'), "unexpected status $bad", "$name: another status");

    my $asked = clients($name);

    is(client("/$name"), 502, "$name: no client asks it");
    is(clients($name), $asked, "$name: it is not asked");

    says($name, 'close');
    poll("$name: no answer", sub {
        found($name, 'down') eq 'unexpected status 502';
    });

    says($name, 200);
    is(found($name, 'up'), undef, "$name: up again");

    dies($name);
    is(found($name, 'down'), 'unexpected status 502', "$name: dead");

    lives($name);
    is(found($name, 'up'), undef, "$name: it is back");
    is(client("/$name"), $name, "$name: for clients, too");
}

sub clients { scalar grep { !m{/probe/} } asked_for($_[0]) }

# what memcached says that is no answer

says('memcached', 500);
is(found('memcached', 'down'), 'unexpected status 502', 'memcached: an error');

# what nginx says of handshakes and of a socket that is not there

put('error.log', join '', grep { !/SSL_do_handshake|tls\.socket failed/ }
                              split /^/, log_text());
stop();
done_testing();
