# "background_redis" with users, passwords, TLS, IPv6 and names: what is not
# right is told in words, and what a reload reads anew counts.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundDns;
use BackgroundDoc;
use BackgroundRedis;
use IO::Socket::IP;
use Test::More;

plan skip_all => 'no redis-server' unless redis_program();

my $dir = redis_dir();

# the user with the least rights, as the page has it

my ($acl) = doc_text('doc/redis.md') =~ /^(user nginx on >PASSWORD .*)$/m;
$acl =~ s/PASSWORD/secret/;

write_file('password', "secret\n");
write_file('wrong', "wrong\n");

certificates();

my ($port, $port6) = (free_port(), free_port());

redis('redis', $acl, "user default on >other ~* +\@all", 'maxmemory 100mb',
      'maxmemory-policy allkeys-lru');

start_host('server unix:' . "$dir/redis.sock; user nginx; password_file ../password; database 3;");
runs_there('a user with the least rights');

like(host_log('a'), qr/\[warn\].*redis "main" at unix:\S+: it has "maxmemory-policy allkeys-lru" and may evict keys of tasks, it should be "noeviction"/,
     'a warning of an eviction policy');
unlike(host_log('a'), qr/secret/, 'no password in the log');
unlike(host_get('a', '/status'), qr/secret/, 'nor in the status');
is(redis_ask('redis', ['AUTH', 'default', 'other'], ['SELECT', 3], 'EXISTS',
             'nginx:{t}:lease'), 1, 'in its database');

# only so many rights

reload('server unix:' . "$dir/redis.sock; user nginx; password_file ../password; prefix other:;");
says(qr/the user has no right to a command or key: "NOPERM/, 'another prefix');

reload('server unix:' . "$dir/redis.sock; user nginx; password_file ../wrong;");
says(qr/user or password is wrong, or the user is disabled: "WRONGPASS/,
     'a wrong password');

reload('server unix:' . "$dir/redis.sock;");
says(qr/it needs a password, set "password_file": "NOAUTH/,
     'without one');

# a server that does not know AUTH repeats its arguments, also as a Sentinel

write_file('refused', "opensesame\n");

for my $case (['server', '', ''], ['sentinel', 'sentinel main;', 'sentinel_']) {
    my ($name, $lines, $prefix) = @$case;
    my $error = qr/\[error\].* at unix:\S+$name-noauth\.sock: it refuses the command "AUTH", its reply may have the password and is not logged/;

    redis("$name-noauth", 'rename-command AUTH ""');
    host_reload('a', conf("server unix:$dir/$name-noauth.sock; $lines "
                          . "${prefix}user nginx; "
                          . "${prefix}password_file ../refused;"),
                'worker_processes 1; error_log debug.log debug;');
    poll("$name: an error", sub {
        host_log('a') =~ $error
        && (host_status('a')->{redis}[0]{error} // '')
           =~ /it refuses the command "AUTH"/
    });

    pass("$name without AUTH: the error, and the status");
    unlike($_->[1], qr/opensesame/,
           "$name without AUTH: no password in the $_->[0]")
        for ['log', host_log('a')], ['debug log', read_file('a/debug.log')],
            map { [$_, host_get('a', "/$_")] } qw/ status page metrics /;
}

redis('open');
reload("server unix:$dir/open.sock; password_file ../refused;");
says(qr/it needs no password, remove "password_file": "ERR"$/,
     'a password that is not needed');

# a password that is another one at a reload

write_file('wrong', "secret\n");
reload('server unix:' . "$dir/redis.sock; user nginx; password_file ../wrong;");
runs_there('another password after a reload');

# several servers: the first that answers

reload('server unix:' . "$dir/nobody.sock; server unix:$dir/redis.sock; user nginx; password_file ../wrong;");
runs_there('the second server');

# TLS

redis('tls', "tls-port $port", "tls-cert-file $dir/server.crt",
      "tls-key-file $dir/server.key", "tls-ca-cert-file $dir/ca.crt",
      'tls-auth-clients yes', 'bind 127.0.0.1');

my $tls = "server 127.0.0.1:$port; tls on; tls_certificate ../client.crt; "
          . 'tls_certificate_key ../client.key;';

reload("$tls tls_name redis.test; tls_trusted_certificate ../ca.crt;");
runs_there('TLS, with certificates of both');

reload("$tls tls_trusted_certificate ../ca.crt;");
runs_there('TLS, the address is in the certificate');

reload("$tls tls_name other.test; tls_trusted_certificate ../ca.crt;");
says(qr/the certificate is not for "other\.test"/, 'another name');

reload("$tls tls_name redis.test; tls_trusted_certificate ../other.crt;");
says(qr/the certificate is not accepted \(/, 'another authority');

# the authority and all certificates are replaced, in the same files

reload("$tls tls_name redis.test; tls_trusted_certificate ../ca.crt;");
runs_there('TLS again');
certificates();
redis_kill('tls');
redis('tls');
says(qr/the certificate is not accepted \(|the connection was closed|the TLS handshake failed/,
     'other certificates');
host_reload('a');
runs_there('other certificates after a reload');

reload("$tls tls_verify off;");
runs_there('TLS without verification');

reload("server 127.0.0.1:$port; tls on; tls_verify off;");
says(qr/the connection was closed|the TLS handshake failed/,
     'without a certificate of nginx');

reload("server unix:$dir/tls.sock; tls on; tls_verify off; timeout 500ms;");
says(qr/the TLS handshake failed|connecting takes longer/, 'no TLS there');

# a name, by a resolver

my $port4 = free_port();
my $dns = dns_start();

dns_names('redis.test' => '127.0.0.1');
redis('named', "port $port4");
host_reload('a', "resolver 127.0.0.1:$dns valid=1s ipv6=off;\n"
                 . conf("server redis.test:$port4;"), 'worker_processes 1;');
runs_there('a name');

dns_names();
redis_kill('named');
says(qr/the name cannot be resolved \(Host not found\)/, 'no such name');

dns_names('redis.test' => '127.0.0.1');
redis('named');
runs_there('the name is there again');
dns_stop();

# IPv6

SKIP: {
    skip 'no IPv6, as the interface lo has no address ::1', 2
        unless IO::Socket::IP->new(LocalHost => '::1', LocalPort => 0,
                                   Listen => 1);

    redis('six', "port $port6", 'bind ::1');
    reload("server [::1]:$port6;");
    runs_there('IPv6');

    redis_kill('six');
    redis('six', "tls-port $port6", 'bind ::1', 'tls-auth-clients no',
          "tls-cert-file $dir/server.crt", "tls-key-file $dir/server.key",
          "tls-ca-cert-file $dir/ca.crt");
    reload("server [::1]:$port6; tls on; tls_trusted_certificate ../ca.crt;");
    runs_there('TLS, the IPv6 address is in the certificate');
}

# Redis Cluster

my ($port_cluster, $bus) = (free_port(), free_port());

redis('cluster', "port $port_cluster", 'cluster-enabled yes',
      "cluster-port $bus");
reload("server 127.0.0.1:$port_cluster;");
says(qr/it is a node of a Redis Cluster, which is not supported/,
     'Redis Cluster');

host_stop('a');

done_testing();

###############################################################################

sub conf {
    my ($lines) = @_;

    return <<"EOF";
background_redis main { $lines }
background_task t {
    workers  cluster lease=1s;
    interval 20ms;
    simulate_io 1 delay=1ms-1ms;
}
EOF
}

sub start_host { host('a', conf(@_), 'worker_processes 1;') }
sub reload { host_reload('a', conf(@_), 'worker_processes 1;') }

sub runs_there {
    my ($name) = @_;

    my $n = host_status('a', 't')->{cycles}{completed};

    poll("$name: it runs", sub {
        my $s = host_status('a');
        my ($t) = grep { $_->{name} eq 't' } @{$s->{tasks}};

        $s->{redis}[0]{connected} == 1 && $t->{cluster}{leader}
            && $t->{cycles}{completed} > $n + 3;
    });

    pass("$name: it runs");
}

sub says {
    my ($error, $name) = @_;

    my $said = poll("$name: nginx says so", sub {
        my $e = host_status('a')->{redis}[0]{error} // '';
        $e =~ $error && $e;
    });

    like($said, $error, $name);
}

sub certificates {
    my $openssl = sub {
        system("cd '$dir' && openssl $_[0] > openssl.log 2>&1") == 0
            or die read_file('openssl.log');
    };

    for my $ca ('ca', 'other') {
        $openssl->("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
                   . "-nodes -days 2 -subj '/CN=$ca' -keyout $ca.key -out $ca.crt");
    }

    for my $name ('server', 'client') {
        write_file("$name.ext",
                   "subjectAltName = DNS:redis.test, IP:127.0.0.1, IP:::1\n");
        $openssl->("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
                   . "-subj '/CN=$name' -keyout $name.key -out $name.csr");
        $openssl->("x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -days 2 "
                   . "-CAcreateserial -extfile $name.ext -out $name.crt");
    }

    chmod 0644, map { "$dir/$_" } qw/ server.key client.key /;
}
