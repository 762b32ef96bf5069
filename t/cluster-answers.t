# "workers cluster": what an nginx does after answers, and what it has heard
# before its connection was lost.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundGate;
use BackgroundRedis;
use Test::More;
use Time::HiRes qw/ time /;

plan skip_all => 'no redis-server' unless redis_program();

my $dir = redis_dir();
my $gate = "$dir/gate.sock";
my $key = 'nginx:{t}:lease';

redis('redis');
gate($gate, "$dir/redis.sock");

# The state is written though the first attempt is answered with an error.  The
# lease is an hour, so the next renewal comes after the test.

saves('a forgotten script', sub { redis_ask('redis', 'SCRIPT', 'FLUSH') },
      sub { redis_ask('redis', 'INFO', 'commandstats') =~ /^cmdstat_eval:/m },
      sub { });

saves('no memory', sub { redis_ask('redis', 'CONFIG', 'SET', 'maxmemory', 1) },
      sub { (host_status('a')->{redis}[0]{error} // '') =~ /OOM/ },
      sub { redis_ask('redis', 'CONFIG', 'SET', 'maxmemory', 0) });

# A key that was missing on the connection before may have been there meanwhile:
# it waits for the whole lease again.

my $lease = 3;

do {
    host_stop('a') if -e "$dir/a/nginx.pid";
    gate_say($gate, 'pass');
    redis_ask('redis', 'DEL', $key);
    redis_ask('redis', 'CONFIG', 'RESETSTAT');
    begin("${lease}s");
    poll('it has looked', sub {
        my ($n) = redis_ask('redis', 'INFO', 'commandstats')
                      =~ /^cmdstat_mget:calls=(\d+)/m;
        $n && $n > 2;
    });
    gate_say($gate, 'hold');
    gate_say($gate, 'cut');
} while (redis_ask('redis', 'EXISTS', $key));

my $end = time + $lease;

poll('the lease has passed', sub { time > $end });

my $start = time;

gate_say($gate, 'pass');
poll('it takes the task', sub { leader('t', 'a') });
cmp_ok(time - $start, '>=', $lease, 'it has waited since it was connected');
host_finish('a');

done_testing();

###############################################################################

sub begin {
    my ($lease) = @_;

    host('a', <<"EOF_CONF", 'worker_processes 1;', <<'EOF_LOCATIONS');
background_redis main { server unix:$gate; }
background_task t {
    workers  cluster lease=$lease;
    interval 1h;
    retry    1h;
    exec     /usr/bin/test -e $dir/good;
}
EOF_CONF
location /control/ { background_control run; }
EOF_LOCATIONS
}

sub saved {
    my ($failures) = @_;

    return redis_ask('redis', 'GET', $key)
           =~ /^\d+ \w+ \d+ h \d+ \d+ \d+ $failures /;
}

# what happens before the state changes, how it is seen, and what ends it

sub saves {
    my ($name, $before, $seen, $after) = @_;

    lease_given(3600000);
    begin('1h');
    poll("$name: it has failed", sub { saved(1) });

    write_file('good', '');
    redis_ask('redis', 'CONFIG', 'RESETSTAT');
    $before->();
    is(host_order('a', '/control/t/run'), 202, "$name: run");
    poll("$name: it has succeeded", sub {
        host_status('a', 't')->{cycles}{completed};
    });
    poll("$name: an error is answered", $seen);
    $after->();
    poll("$name: the state is written", sub { saved(0) });
    pass("$name: the state is written");
    unlink "$dir/good" or die "unlink: $!\n";
    host_finish('a');
}
