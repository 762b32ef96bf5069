# "background_redis" with "sentinel": the Sentinels say which server is the
# master, and after a failover the task is run through the new one.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundDoc;
use BackgroundRedis;
use Test::More;
use Time::HiRes qw/ sleep time /;

plan skip_all => 'no redis-server' unless redis_program();

my $dir = redis_dir();
my $library = lease_library() or plan skip_all => 'no compiler';
my %port = map { $_ => free_port() } qw/ m1 m2 s1 s2 s3 /;

# the user with the least rights, as the page has it, and one with none

my ($acl) = doc_text('doc/redis.md')
            =~ /^(user nginx on >PASSWORD -\@all \+sentinel.*)$/m;
$acl =~ s/PASSWORD/secret/;

write_file('password', "sesame\n");
write_file('secret', "secret\n");

redis_sentinels(\%port, 'sesame', $acl, 'user none on >secret -@all');

host($_, conf($_, 'main')) for qw/ a b /;

poll('one of them has it', sub { leader('t', 'a', 'b') });
poll('it runs', sub { runs('out/runs') > 5 });

my $fence = (runs('out/runs'))[-1][2];

# the master dies

redis_kill('m1');

# a replica that becomes the master closes its connections

poll('another master', sub {
    (eval { redis_ask('m2', 'INFO', 'replication') } // '') =~ /role:master/;
});

my $n = () = runs('out/runs');

poll('it runs again', sub { runs('out/runs') > $n + 5 });
pass('a failover by kill -9');

# the old one is its replica, then: back again by a stop of the new one

redis('m1');
poll('the old master is a replica', sub {
    (eval { redis_ask('m1', 'INFO', 'replication') } // '') =~ /master_link_status:up/;
});

redis_signal('m2', 'STOP');
poll('the first master again', sub {
    (eval { redis_ask('m1', 'INFO', 'replication') } // '') =~ /role:master/;
});

$n = () = runs('out/runs');
poll('it runs again', sub { runs('out/runs') > $n + 5 });
pass('a failover by SIGSTOP');

redis_signal('m2', 'CONT');
poll('the stopped one is a replica', sub {
    (eval { redis_ask('m2', 'INFO', 'replication') } // '') =~ /role:slave/;
});

$n = () = runs('out/runs');
poll('it runs on', sub { runs('out/runs') > $n + 5 });

my @fences = map { $_->[2] } sort { $a->[3] <=> $b->[3] } runs('out/runs');

is_deeply(\@fences, [sort { $a <=> $b } @fences], 'the fence only rises');
cmp_ok($fences[-1], '>=', $fence, 'the last one');

# a Sentinel less

redis_kill('s1');
host_reload('a', conf('a', 'main'));
poll('one of them has it', sub { leader('t', 'a', 'b') });
pass('without the first Sentinel');

# a master that they do not know

host_reload('b', conf('b', 'other'));
like(poll('nginx says so', sub {
    my $e = host_status('b')->{redis}[0]{error} // '';
    $e =~ /master/ && $e;
}), qr/it knows no master "other"/, 'an unknown master');
cmp_ok(host_status('b')->{redis}[0]{errors}{sentinel}, '>', 0, 'is counted');

# users

host_reload('b', conf('b', 'main', 'nginx'));
poll('it is connected', sub {
    my ($redis) = @{host_status('b')->{redis}};
    $redis->{connected} && $redis->{connected} == $redis->{workers};
});
pass('a user with the least rights');

host_reload('b', conf('b', 'main', 'none'));
like(poll('nginx says so', sub {
    my $e = host_status('b')->{redis}[0]{error} // '';
    $e =~ /NOPERM/ && $e;
}), qr/the user has no right to a command or key/, 'a user without rights');

# with another password

write_file('password', "wrong\n");
host_reload('b', conf('b', 'main'));
like(poll('nginx says so', sub {
    my $e = host_status('b')->{redis}[0]{error} // '';
    $e =~ /WRONGPASS/ && $e;
}), qr/user or password is wrong/, 'a wrong password of Sentinels');

host_stop($_) for 'a', 'b';

done_testing();

sub conf {
    my ($name, $master, $user) = @_;

    my $login = $user ? "sentinel_user $user; sentinel_password_file $dir/secret;"
                      : "sentinel_password_file $dir/password;";

    return <<"EOF";
background_redis main {
    server 127.0.0.1:$port{s1};
    server 127.0.0.1:$port{s2};
    server 127.0.0.1:$port{s3};
    sentinel $master;
    $login
    connect_timeout 300ms;
    timeout 300ms;
}
background_task t {
    workers cluster lease=1s;
    interval 20ms;
    call $library lease $dir/out/runs $name 20;
}
EOF
}
