# 10,000 connections, and 10,000 waits, at the same time in one worker, which
# answers while they start.  "prove -v" shows how long it took.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundPeer;
use BackgroundStatus;
use Test::More;
use Time::HiRes qw/ time /;

my $files = 11000;
my $limit = `sh -c 'ulimit -Hn'`;
chomp $limit;

plan skip_all => "RLIMIT_NOFILE is $limit, less than $files"
    if $> != 0 && $limit ne 'unlimited' && $limit < $files;

my ($full, @full) = full_listener();

start('', '', "worker_processes 1; worker_rlimit_nofile $files;");

my $old = poll('a worker', sub { (workers())[0] });

reconfigure("events {\n}\nhttp {", <<"EOF");
events { worker_connections $files; }
http {
    background_task waits { simulate_io 10000 delay=1s-2s; }
    background_task connects {
        retry 1h; timeout 5m;
        connect 127.0.0.1:$full timeout=4s count=10000;
    }
EOF

my $worker;

poll('another worker', sub {
    my @workers = workers();

    return @workers == 1 && ($worker = $workers[0]) != $old;
});

# while they start, and then

my (%slowest, %answers, %task);
my $phase = 'starting';
my $most = 0;
my $end = time + 60;

until ($phase eq 'over' && $task{waits}{last} || time > $end) {
    my $started = time;

    %task = by_name(status());

    my $took = time - $started;
    my $fds = fds($worker);

    next unless $task{connects};

    $most = $fds if $fds > $most;

    $phase = $task{connects}{last} ? 'over'
             : $fds >= 10000       ? 'waiting'
             : $phase eq 'waiting' ? 'closing'
             :                       $phase;

    $answers{$phase}++;
    $slowest{$phase} = $took if $took > ($slowest{$phase} || 0);
}

note(sprintf '%-8s %4d answers, the slowest took %.1f ms', $_, $answers{$_},
     1000 * $slowest{$_})
    for grep { $answers{$_} } qw/ starting waiting closing over /;

cmp_ok($most, '>=', 10000, 'all connections at the same time');
cmp_ok($answers{starting}, '>=', 1, 'an answer while they start');
is($task{connects}{last}{failed}, 10000, 'connections: all ended');
is($task{connects}{last}{error},
   "connect \"127.0.0.1:$full\": connect() timed out", 'as they should');
is($task{waits}{last}{operations}, 10000, 'waits: all ended');
cmp_ok(fds($worker), '<', 100, 'no descriptors left');

stop();
done_testing();

sub fds {
    opendir my $dir, "/proc/$_[0]/fd" or die "opendir: $!\n";

    return scalar(my @fds = readdir $dir);
}
