# "workers cluster": one worker of one nginx of two has the task, and another
# one when that is gone: which may be a worker, the whole nginx, or only its
# connection.  A library writes who ran from when to when.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundRedis;
use Test::More;
use Time::HiRes qw/ sleep time clock_gettime CLOCK_MONOTONIC /;

plan skip_all => 'no redis-server' unless redis_program();

my $dir = redis_dir();
my $server = redis('redis');
my $library = lease_library() or plan skip_all => 'no compiler';

my %dead;
my $key = 'nginx:{t}:lease';

write_file('fence.sh', "#!/bin/sh\necho \$BACKGROUND_FENCE >> $dir/out/exec\n");
chmod 0755, "$dir/fence.sh";

host($_, conf($_), '', locations($_)) for qw/ a b /;

my ($first, $other) = leads(5);

my (%task, %metrics, $redis);

# A slow machine may have let a lease end: all of this is of one leader.

poll('one has it, as the other knows', sub {
    %task = map { $_ => host_status($_, 't') } 'a', 'b';
    ($first, $other) = $task{a}{cluster}{leader} ? ('a', 'b') : ('b', 'a');

    return 0 unless $task{$first}{cluster}{state} eq 'leader'
                    && $task{$other}{cluster}{state} eq 'other';

    %metrics = map { $_ => host_get($_, '/metrics') } 'a', 'b';
    $redis = host_status($first)->{redis}[0];

    my $now = host_status($first, 't')->{cluster};

    return $now->{leader} && $now->{fence} eq $task{$first}{cluster}{fence}
           && $redis->{connected} == $redis->{workers};
});

is($task{$first}{workers}, 'cluster', 'workers');
ok($task{$first}{cluster}{leader}, 'the one that has it');
is($task{$first}{cluster}{state}, 'leader', 'its state');
ok(!$task{$other}{cluster}{leader}, 'the other one');
is($task{$other}{cluster}{state}, 'other', 'its state');
cmp_ok($task{$_}{cluster}{fence}, '>', 1e12, "$_: fence") for 'a', 'b';

for my $host ('a', 'b') {
    like($task{$host}{cluster}{$_}, qr/^2\d\d\d-/, "$host: $_")
        for 'since', 'until';
}

ok($task{$first}{cluster}{host}, 'host');
is($task{$other}{cluster}{host}, $task{$first}{cluster}{host}, 'as the other says');
is($task{$other}{running}, 0, 'the other one runs nothing');
is($task{$other}{next}, undef, 'and nothing is due in it');
ok(!$task{$other}{overdue}, 'which is not late');

is($redis->{name}, 'main', 'redis: name');
is($redis->{connected}, $redis->{workers}, 'redis: connected');

# a reply may take longer than a third of the lease

like($redis->{error} // 'none', qr/^none$|^a reply takes too long/,
     'redis: no error');

like($metrics{$first},
     qr/^nginx_background_cluster_leader\{task="t"\} 1$/m, 'leader');
unlike($metrics{$first}, qr/cluster_leader\{task="one"\}/,
       'not for other tasks');
like($metrics{$first}, qr/^nginx_background_redis_up\{redis="main"\} 1$/m, 'up');
like($metrics{$first}, qr/^nginx_background_redis_errors_total\{redis="main",reason="connect"\} 0$/m,
     'errors');
like($metrics{$other},
     qr/^nginx_background_cluster_leader\{task="t"\} 0$/m, 'not the leader');

# no more than a command for all tasks of a worker at a time; how often they
# look is a matter of time

like(redis_ask('redis', 'INFO', 'commandstats'), qr/cmdstat_evalsha:/,
     'scripts by their sums');

my $fence = fence();

# A worker dies: another one of the same nginx goes on, without a pause that is
# as long as the lease, and with a higher fence.  On a busy machine that may take
# as long as the lease: once more.

for (1 .. 5) {
    my $last = (runs('out/runs'))[-1];

    kill_worker($last->[1]);

    my $run = poll('another worker', sub {
        my $run = (runs('out/runs'))[-1];
        return $run->[1] != $last->[1] && $run->[2] > $last->[2] && $run;
    });

    ($first, $other) = ($last->[0], $run->[0]);
    last if $other eq $first;
}

is($other, $first, 'the same nginx has it');
($first, $other) = lead();
higher('a worker died');

# a planned exit: the other one at once

host_stop($first);
ran($other, 3);
higher('an exit');
host($first);

# a reload gives it back, too

my $reloaded = $other;

host_reload($reloaded);
poll('after a reload', sub { lead() && fence() > $fence });
higher('a reload');

# kill -9 of the whole nginx

my ($held, $renewed, $status);

do {
    ($first, $other) = lead();
    ($held, $renewed) = renewed();
    $status = host_status($first, 't')->{cluster};
} until $status->{leader} && $status->{fence} == $held;

kill_host($first);
ran($other, 3);

my ($next) = grep { $_->[2] > $held } runs('out/runs');

cmp_ok($next->[3] - $renewed, '>', 0.99, 'not before the lease has ended');
higher('an nginx died');
host($first);

# requests have the fence of their task, others have none

poll('requests', sub {
    grep { $_->{completed} + $_->{failed} > 3 }
    map { host_status($_, 'asks')->{cycles} } 'a', 'b';
});
is(host_status($_, 'asks')->{last}{error}, undef, "$_: the fence in requests")
    for 'a', 'b';
is(host_get('a', '/fence'), '[]', 'none in others');

# and programs

poll('programs', sub { (read_file('out/exec') =~ tr/\n//) > 3 });
is_deeply([grep { !/^\d{13}$/ } split /\n/, read_file('out/exec')], [],
          'the fence in the environment');

# What the server has is gone: who runs it goes on.  On a busy machine its lease
# may end meanwhile: once more.

my ($n, $same);

for (1 .. 5) {
    leads(1);
    $n = fence();

    redis_ask('redis', 'FLUSHALL');
    poll('the key is there again', sub { redis_ask('redis', 'GET', $key) });
    ($first, $other) = leads(3);

    $same = fence();
    last if $same == $n;
}

is($same, $n, 'FLUSHALL: the same fence');

# and when nobody has it then, all wait

host_stop($_) for $first, $other;
redis_ask('redis', 'FLUSHALL');
host($_) for $first, $other;
($first, $other) = leads(2);
higher('FLUSHALL without a leader');

# the server dies, and comes back without its data

redis_kill('redis');
poll('they see that', sub {
    2 == grep { host_status($_)->{redis}[0]{connected} == 0 } 'a', 'b';
});
like(host_get('a', '/metrics'), qr/^nginx_background_redis_up\{redis="main"\} 0$/m,
     'not up');
like(host_status('a')->{redis}[0]{error}, qr/connect\(\) failed|closed/,
     'why it is not');
poll('nobody runs it', sub { !lead() });
redis('redis');
($first, $other) = leads(3);
higher('a restart without data');

# it stands still

redis_signal('redis', 'STOP');
poll('nobody has it', sub {
    !grep { $_->{cluster}{leader} || $_->{running} }
          map { host_status($_, 't') } 'a', 'b';
});

my $runs = () = runs('out/runs');

poll('it is late', sub { host_status('a', 't')->{overdue} });
is(scalar(() = runs('out/runs')), $runs, 'nobody runs it');
redis_signal('redis', 'CONT');
lead();
poll('it runs again', sub { runs('out/runs') > $runs + 2 });
poll('it is not late any more', sub { !host_status('b', 't')->{overdue} });
cmp_ok(fence(), '>=', $fence, 'it stood still: no lower fence');
$fence = fence();

# a script that it has forgotten

redis_ask('redis', 'SCRIPT', 'FLUSH');
($first, $other) = leads(3);

# a value that is none of ours, and a key that is no string

for (['SET', $key, 'x' x 1000], ['SET', $key, ''],
     ['SET', $key, '1 2 3'], ['SET', $key, "18446744073709551615 " . 'a' x 32
                              . ' 1 h 1000 0 0 0 0 0 - host']) {
    redis_ask('redis', @$_);
    poll("after @{$_}[0, 1] ...", sub {
        (redis_ask('redis', 'GET', $key) // '') =~ /^1\d{12} \w{32} \d+ h/;
    });
    lead();
}

redis_ask('redis', 'LPUSH', '{t}list', 'a');
redis_ask('redis', 'RENAME', '{t}list', $key);
poll('it is told', sub {
    (host_status('a')->{redis}[0]{error} // '')
        =~ /the key has another type: "WRONGTYPE /;
});
redis_ask('redis', 'DEL', $key);
lead();
higher('other values');

# never two at once in all this

is(join("\n", overlaps('out/runs', \%dead)), '', 'no two at once');

my @fences = map { $_->[2] } runs('out/runs');
is_deeply(\@fences, [sort { $a <=> $b } @fences], 'the fence only rises');

for my $host ('a', 'b') {
    host_stop($host);

    my $log = host_log($host);

    $log =~ s/.*exited on signal 9\n//g;
    unlike($log, qr/\[(?:alert|crit|emerg)\]/, "$host: nothing to complain of");
}

done_testing();

###############################################################################

sub conf {
    my ($name) = @_;

    return <<"EOF";
background_redis main { server $server; }
map "\$background_fence \$http_fence" \$same {
    "~^(?<n>\\d{13}) \\k<n>\$" 1;
}
background_task t {
    workers cluster lease=1s;
    interval 20ms;
    call $library lease $dir/out/runs $name 20;
}
background_task program {
    workers cluster lease=1s;
    interval 50ms;
    exec $dir/fence.sh;
}
background_task one { interval 1h; simulate_io 1 delay=1ms-1ms; }
EOF
}

sub locations {
    return <<'EOF_LOCATIONS';
background_task asks {
    workers cluster lease=1s;
    interval 50ms;
    request /fence header=Fence:$background_fence test=$same;
}
location = /fence {
    return 200 [$background_fence];
}
EOF_LOCATIONS
}

# who has it, and who has not

sub lead {
    my $leader = '';

    poll('one of them has it', sub { $leader = leader('t', 'a', 'b') })
        unless defined wantarray && !wantarray;

    $leader ||= leader('t', 'a', 'b');

    return wantarray ? ($leader, $leader eq 'a' ? 'b' : 'a') : $leader;
}

# The one that has it and has run it so many times, and the other one.  A slow
# machine lets leases end.

sub leads {
    my ($n) = @_;

    my ($leader, $before) = ('', 0);

    poll('one of them runs it', sub {
        my $now = leader('t', 'a', 'b') or return;
        my $count = grep { $_->[0] eq $now } runs('out/runs');

        if ($now ne $leader) {
            ($leader, $before) = ($now, $count);
            return;
        }

        return $count >= $before + $n;
    });

    return ($leader, $leader eq 'a' ? 'b' : 'a');
}

# it runs so many times from now on

sub ran {
    my ($host, $n) = @_;

    my $before = grep { $_->[0] eq $host } runs('out/runs');

    poll("$host runs it", sub {
        $before + $n <= grep { $_->[0] eq $host } runs('out/runs');
    });
}

sub fence { (runs('out/runs'))[-1][2] }

# the fence of the lease when it has just been renewed, and a time before that

sub renewed {
    my ($value, $before) = ('', 0);

    return @{poll('a renewal', sub {
        my $time = clock_gettime(CLOCK_MONOTONIC);
        my $now = redis_ask('redis', 'GET', $key) // '';

        return [$now =~ /^(\d+)/, $before]
            if $value ne '' && $now =~ /^\d+ \w+ \d+ h / && $now ne $value;

        ($value, $before) = ($now, $time);
        return 0;
    })};
}

sub higher {
    my ($name) = @_;

    my $now = fence();

    cmp_ok($now, '>', $fence, "$name: a higher fence");
    $fence = $now;
}

sub kill_worker {
    my ($pid) = @_;

    my $since = clock_gettime(CLOCK_MONOTONIC);

    kill 'KILL', $pid;
    poll('it is dead', sub { read_file("/proc/$pid/stat") !~ /\) [^Z]/ });
    killed('out/runs', \%dead, $since, $pid);
}

sub kill_host {
    my ($host) = @_;

    my @pids = host_workers($host);
    my $since = clock_gettime(CLOCK_MONOTONIC);

    host_kill($host);
    killed('out/runs', \%dead, $since, @pids);
}
