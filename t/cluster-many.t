# Many tasks with "workers cluster": all of a worker are asked for in one
# command, and nearly nothing is sent while they wait.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundRedis;
use Test::More;
use Time::HiRes qw/ sleep time /;

plan skip_all => 'no redis-server' unless redis_program();

my $n = 1000;
my $server = redis('redis');

my $tasks = join '', map {
    "background_task t$_ { workers cluster; interval 1h; "
    . "simulate_io 1 delay=1ms-1ms; }\n"
} 1 .. $n;

host($_, "background_zone 16m;\nbackground_redis main { server $server; }\n"
         . $tasks) for qw/ a b /;

my $leaders = sub {
    return scalar grep { $_->{cluster}{leader} }
           map { @{host_status($_)->{tasks}} } 'a', 'b';
};

poll('each has a leader', sub { $leaders->() == $n });
pass('each task has one leader');

poll('all have run', sub {
    $n == grep { $_->{cycles}{completed} }
          map { @{host_status($_)->{tasks}} } 'a', 'b';
});

# from now on they wait

redis_ask('redis', 'CONFIG', 'RESETSTAT');

my @before = map { seconds($_) } pids();
my $start = time;

# the script calls MGET once, and commands that only read are MGET alone

poll('looked at often', sub { calls('mget') > 60 });

my $time = time - $start;
my @after = map { seconds($_) } pids();

cmp_ok(calls('set') / calls('evalsha'), '>=', 10, 'many tasks a command');
cmp_ok(calls('evalsha'), '<', calls('mget'), 'no script where nothing is set');
is(calls('eval'), 0, 'by the sum of the script');

note(sprintf '%d tasks, two nginx of two workers each, for %.0f s: %.1f '
             . 'commands a second', $n, $time, calls('mget') / $time);
note('CPU of a core, of Redis and of each worker: '
     . join ' ', map { sprintf '%.2f%%', 100 * ($after[$_] - $before[$_]) / $time }
                     0 .. $#after);

poll('each task still has one', sub { $leaders->() == $n });

# the other one takes all, in a few commands

host_stop('a');
my $left = time;

poll('b has all', sub {
    $n == grep { $_->{cluster}{leader} } @{host_status('b')->{tasks}};
});
note(sprintf 'all are taken over after %.2f s', time - $left);
pass('all are taken over');

host_stop('b');
done_testing();

sub pids { (redis_pid('redis'), host_workers('a'), host_workers('b')) }

# CPU time

sub seconds {
    my ($pid) = @_;

    my @stat = split ' ', read_file("/proc/$pid/stat") =~ s/.*\) //sr;

    return ($stat[11] + $stat[12]) / 100;
}

sub calls {
    my ($command) = @_;

    return redis_ask('redis', 'INFO', 'commandstats')
               =~ /^cmdstat_$command:calls=(\d+)/m ? $1 : 0;
}
