# "workers cluster" when replies are lost, when the server stands still for less
# than the lease, and with two masters.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundGate;
use BackgroundRedis;
use Test::More;
use Time::HiRes qw/ time clock_gettime CLOCK_MONOTONIC /;

plan skip_all => 'no redis-server' unless redis_program();

my $dir = redis_dir();
my $library = lease_library() or plan skip_all => 'no compiler';
my $key = 'nginx:{t}:lease';
my $gate = "$dir/gate.sock";

redis('redis');
gate($gate, "$dir/redis.sock");

lost_replies();
a_short_stop();
host_stop('a');
two_masters();

done_testing();

###############################################################################

# The reply to the command that takes the task is lost: the server has executed
# it, and the same worker goes on with the fence that it got.  With a lease of
# an hour nothing else could help.

sub lost_replies {
    redis_ask('redis', 'SET', $key,
              '1 ' . 'a' x 32 . ' 1 f 3600000 1 0 0 0 0 '
              . redis_epoch('redis') . ' other');
    host('a', conf('a', 'lease=1h', 'timeout 1h; connect_timeout 1h;',
                   "unix:$gate"), 'worker_processes 1;');

    my $taken = poll('it has the task', sub {
        my @value = split ' ', redis_ask('redis', 'GET', $key);
        $value[1] ne 'a' x 32 && "@value[0, 1]";
    });

    # also those to commands that renew it; a task that has ended makes it send
    # one

    for my $n (1 .. 3) {
        gate_say($gate, 'lose');
        poll("$n: a reply is lost", sub { gate_say($gate, 'state') eq 'pass' });

        my $runs = () = runs('out/net');

        poll("$n: it runs", sub { runs('out/net') > $runs + 3 });
    }

    is(join(' ', (split ' ', redis_ask('redis', 'GET', $key))[0, 1]), $taken,
       'it has kept the task');

    # taken again and again, each time without the reply

    for my $n (1 .. 3) {
        redis_ask('redis', 'SET', $key,
                  '1 ' . 'b' x 32 . ' 1 f 3600000 1 0 0 0 0 '
                  . redis_epoch('redis') . ' other');
        gate_say($gate, 'lose');
        poll("$n: a reply is lost", sub { gate_say($gate, 'state') eq 'pass' });
        poll("$n: it has the task", sub {
            redis_ask('redis', 'GET', $key) !~ /b{32}/ && leader('t', 'a');
        });
    }

    pass('lost replies');
}

# it goes on while the server stands still, and keeps the lease

sub a_short_stop {
    my ($fence, $id) = split ' ', redis_ask('redis', 'GET', $key);

    redis_signal('redis', 'STOP');

    my $n = () = runs('out/net');

    poll('it runs while the server stands still', sub {
        runs('out/net') > $n + 10;
    });
    redis_signal('redis', 'CONT');
    poll('it asks again', sub {
        my $value = redis_ask('redis', 'GET', $key);
        $n = (split ' ', $value)[2];
        leader('t', 'a');
    });
    poll('it renews the lease', sub {
        (split ' ', redis_ask('redis', 'GET', $key))[2] != $n;
    });
    is(join(' ', (split ' ', redis_ask('redis', 'GET', $key))[0, 1]),
       "$fence $id", 'the server stood still for less than the lease');
}

# Each nginx sees a master of its own: both run the task, with different fences,
# until the partition ends.

sub two_masters {
    my %port = map { $_ => free_port() } qw/ m1 m2 /;
    my $cut = "$dir/cut.sock";

    redis('m1', "port $port{m1}", 'repl-diskless-sync-delay 0',
          'repl-ping-replica-period 1');
    redis('m2', "port $port{m2}", "replicaof 127.0.0.1 $port{m1}");
    gate($cut, "$dir/m1.sock");
    replicates('m2');

    # a lease that a busy machine keeps

    my @more = ('lease=3s', 'connect_timeout 1s; timeout 1s;');

    host('a', conf('a', @more, "unix:$dir/m1.sock", "unix:$dir/m2.sock"));
    poll('a has it', sub { leader('t', 'a') });
    host('b', conf('b', @more, "unix:$cut", "unix:$dir/m2.sock"));
    poll('b sees that', sub {
        host_status('b', 't')->{cluster}{state} eq 'other';
    });

    redis_ask('m2', 'REPLICAOF', 'NO', 'ONE');
    gate_say($cut, 'hold');
    gate_say($cut, 'cut');

    poll('both have it', sub { leader('t', 'a') && leader('t', 'b') });
    poll('both run it', sub {
        my %fence = map { $_->[0] => $_->[2] } runs('out/net');
        $fence{b} && $fence{a} < $fence{b};
    });
    pass('two masters: the fence of the second one is higher');

    # the end of the partition

    redis_ask('m1', 'REPLICAOF', '127.0.0.1', $port{m2});
    poll('one has it', sub { leader('t', 'a', 'b') eq 'b' });
    poll('a sees that', sub {
        host_status('a', 't')->{cluster}{state} eq 'other';
    });

    my $last = (grep { $_->[0] eq 'b' } runs('out/net'))[-1][2];

    is_deeply([grep { $_->[0] eq 'a' && $_->[2] >= $last } runs('out/net')], [],
              'a storage refuses what the first one has done');

    # once more, with a master that takes no writes without its replica

    replicates('m1');
    redis_ask('m2', 'CONFIG', 'SET', $_->[0], $_->[1])
        for ['min-replicas-max-lag', 2], ['min-replicas-to-write', 1];

    gate_say($cut, 'pass');

    # on a busy machine b may have lost it meanwhile

    host_stop('a');
    poll('b has it', sub { leader('t', 'b') });
    host('a');
    poll('a sees that', sub {
        host_status('a', 't')->{cluster}{state} eq 'other';
    });

    my $since = clock_gettime(CLOCK_MONOTONIC);

    # b can renew the lease no more, and the replica knows its last value

    redis_ask('m2', 'CONFIG', 'SET', 'min-replicas-to-write', 2);
    poll('the replica has it', sub {
        redis_ask('m1', 'GET', $key) eq redis_ask('m2', 'GET', $key);
    });

    # a connects to the replica, which has become a master

    gate_say($cut, 'hold');
    redis_ask('m1', 'REPLICAOF', 'NO', 'ONE');
    redis_ask('m2', 'CLIENT', 'KILL', 'TYPE', 'normal');

    poll('a has it', sub { leader('t', 'a', 'b') eq 'a' });
    poll('a runs it', sub { (runs('out/net'))[-1][2] > $last });
    like(poll('b says why not', sub {
        my $error = host_status('b')->{redis}[0]{error} // '';

        # not of the server that does not answer, which it tries, too

        return $error =~ /NOREPLICAS/ && $error;
    }), qr/it has too few replicas, so it refuses writes: "NOREPLICAS/,
         'b has a master without its replica');

    is(join("\n", grep { / and \w+ \d+ \d+ (\S+)/ && $1 > $since }
                  overlaps('out/net', {})), '',
       'not two at once with min-replicas-to-write');

    host_stop($_) for 'a', 'b';
}

sub replicates {
    my ($name) = @_;

    poll("$name is a replica", sub {
        (eval { redis_ask($name, 'INFO', 'replication') } // '')
            =~ /master_link_status:up/;
    });
}

sub conf {
    my ($name, $lease, $lines, @servers) = @_;

    my $servers = join ' ', map { "server $_;" } @servers;

    return <<"EOF_CONF";
background_redis main { $servers $lines }
background_task t {
    workers  cluster $lease;
    interval 20ms;
    call     $library lease $dir/out/net $name 10;
}
EOF_CONF
}
