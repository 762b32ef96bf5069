# A storm on "workers cluster" with three nginx.  The nginx that has the task is
# killed, all its processes at once, or exits, or reloads, or its worker is killed
# or stands still for longer than the lease; the server is killed and comes back with its
# data (AOF), stands still, loses its data, or its clock steps; a reply is lost.
# No two nginx run the task at the same time, it is run again soon, and the fence
# only rises.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundGate;
use BackgroundRedis;
use Test::More;
use Time::HiRes qw/ sleep time clock_gettime CLOCK_MONOTONIC /;

plan skip_all => 'no redis-server' unless redis_program();

# BACKGROUND_STORM: how often nginx is killed; all others come less often.  From
# 100 on the server stands still for a random time of up to a minute, too.
# BACKGROUND_EVENTS: only these, by the names of the functions, in each round

my $rounds = $ENV{BACKGROUND_STORM} || 2;
my $lease = 1;

my $dir = redis_dir();
my $library = lease_library() or plan skip_all => 'no compiler';

$BackgroundRedis::preload = redis_clock();

redis('redis', 'appendonly yes', 'appendfsync always');

my (%ends, %took);

# the server and replies are lost for one nginx, or for all

for my $host ('a', 'b', 'c') {
    gate("$dir/$host.sock", "$dir/redis.sock");
    host($host, conf($host));
}

# in each round of so many

my @events = (
    [1, 'died', \&died],
    [3, 'exits', \&exits],
    [3, 'reloads', \&reloads],
    [3, 'worker_dies', \&worker_dies],
    [3, 'server_dies', \&server_dies],
    [10, 'server_stops', \&server_stops],
    [10, 'worker_stops', \&worker_stops],
    [10, 'data_are_lost', \&data_are_lost],
    [10, 'clock_steps', \&clock_steps],
    [10, 'reply_is_lost', \&reply_is_lost],
);

my %only = map { $_ => 1 } split ' ', $ENV{BACKGROUND_EVENTS} // '';

for my $round (1 .. $rounds) {
    for my $i (0 .. $#events) {
        my ($part, $name, $event) = @{$events[$i]};

        next if %only ? !$only{$name}
                      : $rounds >= $part && ($round + $i) % $part;

        $event->();
    }
}

host_stop($_) for qw/ a b c /;

is(join("\n", overlaps('out/runs', \%ends)), '', 'no two at once');

my @fences = map { $_->[2] } sort { $a->[3] <=> $b->[3] } runs('out/runs');

is(scalar(grep { $fences[$_] < $fences[$_ - 1] } 1 .. $#fences), 0,
   'the fence only rises');

my $figure = $ENV{BACKGROUND_STORM} ? \&diag : \&note;

for my $what (sort keys %took) {
    my @times = sort { $a <=> $b } @{$took{$what}};

    $figure->(sprintf "%s: %d, without a runner for p50 %.2f s, p99 %.2f s, "
                      . "at most %.2f s", $what, scalar(@times),
                      @times[$#times / 2, $#times * 0.99, -1]);
}

cmp_ok(scalar(@fences), '>', 2 * $rounds, 'runs');

done_testing();

###############################################################################

sub conf {
    my ($name) = @_;

    return <<"EOF";
background_redis main { server unix:$dir/$name.sock; }
background_task t {
    workers cluster lease=${lease}s;
    interval 10ms;
    call $library lease $dir/out/runs $name 10;
}
EOF
}

sub now { clock_gettime(CLOCK_MONOTONIC) }

# who runs it, by what was written last

sub runner {
    my $n = () = runs('out/runs');

    return poll('it runs', sub {
        my @runs = runs('out/runs');
        @runs > $n + 2 && $runs[-1][0];
    });
}

# the first run since then, or since then of others than the host

sub again {
    my ($what, $host, $since) = @_;

    my $run = poll("$what: it runs again", sub {
        my @runs = runs('out/runs');
        my $first;

        for my $run (reverse @runs) {
            last if $run->[3] < $since;
            $first = $run if !$host || $run->[0] ne $host;
        }

        $first;
    });

    push @{$took{$what}}, $run->[3] - $since;
}

sub died {
    my $host = runner();
    my @pids = host_workers($host);

    my $since = now();

    host_kill($host);
    killed('out/runs', \%ends, $since, @pids);
    again('kill -9 of nginx', $host, $since);
    host($host);
}

sub exits {
    my $host = runner();

    my $since = now();

    host_signal($host, 'QUIT');
    again('exit of nginx', $host, $since);
    host_stop($host);
    host($host);
}

# another worker of the same nginx has it, or any nginx

sub worker_dies {
    my $host = runner();
    my $pid = (runs('out/runs'))[-1][1];

    my $since = now();

    kill 'KILL', $pid;

    my $run = poll('kill -9 of the worker: it runs again', sub {
        (grep { $_->[3] > $since && $_->[1] != $pid } runs('out/runs'))[0];
    });

    killed('out/runs', \%ends, $since, $pid);
    push @{$took{'kill -9 of the worker'}}, $run->[3] - $since;
}

# any nginx may have it afterwards

sub reloads {
    my $host = runner();
    my %old = map { $_ => 1 } host_workers($host);

    my $since = now();

    host_signal($host, 'HUP');

    my $run = poll('reload: it runs again', sub {
        (grep { $_->[3] > $since && !$old{$_->[1]} } runs('out/runs'))[0];
    });

    push @{$took{'reload of nginx'}}, $run->[3] - $since;
}

sub server_dies {
    runner();

    my $since = now();

    redis_kill('redis');
    redis('redis');
    again('kill -9 of Redis', '', $since);
}

# for less than the lease, or for longer

sub server_stops {
    my %seconds = ('0.5 s' => 0.5, '3 s' => 3);

    $seconds{'1 s to 60 s'} = 1 + rand 59 if $rounds >= 100;

    for my $time (sort keys %seconds) {
        runner();
        redis_signal('redis', 'STOP');
        sleep $seconds{$time};
        redis_signal('redis', 'CONT');
        again("Redis stopped for $time, from when it goes on", '', now());
    }
}

# its job does not end before it goes on, and the storage refuses what comes then

sub worker_stops {
    my $host = runner();
    my $pid = (runs('out/runs'))[-1][1];

    my $since = now();

    kill 'STOP', $pid;
    again('SIGSTOP of the worker', $host, $since);
    killed('out/runs', \%ends, $since, $pid);
    kill 'CONT', $pid;
    poll('it sees that', sub {
        host_status($host, 't')->{cluster}{state} ne 'leader';
    });

    # the next worker with this PID is another one

    host_stop($host);
    host($host);
}

sub data_are_lost {
    runner();

    my $since = now();

    redis_ask('redis', 'FLUSHALL');
    again('FLUSHALL', '', $since);
}

sub clock_steps {
    for my $step (11, -60, 0) {
        my $host = runner();

        my $since = now();

        write_file('clock', "$step\n");
        again('step of the clock', '', $since);
    }
}

sub reply_is_lost {
    my $host = runner();

    my $since = now();

    gate_say("$dir/$host.sock", 'lose');
    poll('a reply is lost', sub {
        gate_say("$dir/$host.sock", 'state') eq 'pass';
    });
    again('a lost reply', '', $since);
}
