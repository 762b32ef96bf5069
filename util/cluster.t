# What else keeps a task to one of several hosts, on the same storm as "workers
# cluster": a loop in a shell with "redis-cli SET NX PX", as from cron, and timers
# of Lua with a lock that is released by its owner only.  Prints how often two ran
# at once, by "util/storm.sh ROUNDS util/cluster.t": each event comes once for
# thirty rounds.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../t/lib";

use BackgroundRedis;
use Test::More;
use Time::HiRes qw/ sleep time /;

my $rounds = int(($ENV{BACKGROUND_STORM} || 0) / 30) || 1;
my $dir = redis_dir();
my $redis = '/usr/share/lua/5.1/nginx/redis.lua';
my $lua = '/usr/lib/nginx/modules/ngx_http_lua_module.so';

plan skip_all => 'no redis-server, redis-cli, or lua-nginx-redis'
    unless redis_program() && -x '/usr/bin/redis-cli' && -e $redis && -e $lua;

my $library = lease_library() or plan skip_all => 'no compiler';

my $server = do {
    local $BackgroundRedis::preload = redis_clock();
    redis('redis');
};

$BackgroundRedis::load_after = "load_module $lua;\n";

write_file('job.pl', <<'EOF_JOB');
use Time::HiRes qw/ sleep clock_gettime CLOCK_MONOTONIC /;
my ($file, $host, $ms) = @ARGV;
for my $what ('start', 'end') {
    open my $f, '>>', $file or die;
    syswrite $f, sprintf "%s %d 0 %s %d\n", $host, $$, $what,
                         clock_gettime(CLOCK_MONOTONIC) * 1e6;
    sleep $ms / 1000 if $what eq 'start';
}
EOF_JOB

write_file('loop.sh', <<'EOF_LOOP');
while :; do
    if [ "$(redis-cli -s "$1" SET lock "$3" NX PX 1000)" = OK ]; then
        perl "$2/job.pl" "$4" "$3" "$5"
        [ "$(redis-cli -s "$1" GET lock)" = "$3" ] && redis-cli -s "$1" DEL lock
    fi
    sleep 0.05
done > /dev/null 2>&1
EOF_LOOP

my %contender = (
    'redis-cli SET NX PX' => [\&loop_start, \&loop_stop],
    'Lua'                 => [\&lua_start, \&host_stop],
    'workers cluster'     => [\&ours_start, \&host_stop],
);

my (%loop, %result);
my $ms;                 # of a job
my $file;

for my $name (sort keys %contender) {
    my ($start, $stop) = @{$contender{$name}};
    my $n = 0;

    for my $event (['jobs of 1.5 s, a lock of 1 s', 1500, sub { sleep 3 }],
                   ['FLUSHALL', 900, sub { redis_ask('redis', 'FLUSHALL') }],
                   ['the clock of Redis steps by 11 s', 900, sub {
                       write_file('clock', ($n % 2 ? 0 : 11) . "\n");
                   }])
    {
        my ($what, $do);

        ($what, $ms, $do) = @$event;
        $file = 'out/' . join '-', map { tr/a-zA-Z0-9//cdr } $name, $what;

        redis_ask('redis', 'FLUSHALL');
        $start->($_) for 'a', 'b';

        for (1 .. $rounds) {
            my $before = () = runs($file);

            poll("$name, $what: it runs", sub { runs($file) > $before + 1 });
            poll("$name, $what: a job runs", sub {
                my @runs = runs($file);
                !defined $runs[-1][4];
            });
            $do->();
            $n++;
        }

        $stop->($_) for 'a', 'b';
        $result{$what}{$name} = [scalar(() = overlaps($file, {})),
                                 scalar(() = runs($file))];
    }
}

for my $what (sort keys %result) {
    note("$what, $rounds times: ", join ', ', map {
        my ($twice, $runs) = @{$result{$what}{$_}};
        "$_: $twice of $runs runs began during another one";
    } sort keys %contender);

    is($result{$what}{'workers cluster'}[0], 0, "$what: workers cluster");
}

done_testing();

###############################################################################

sub loop_start {
    my ($host) = @_;

    defined($loop{$host} = fork) or die "fork: $!\n";
    return if $loop{$host};

    setpgrp;
    exec 'sh', "$dir/loop.sh", "$dir/redis.sock", $dir, $host, "$dir/$file", $ms
        or die "exec: $!\n";
}

sub loop_stop {
    my $pid = delete $loop{$_[0]};

    kill 'KILL', -$pid;
    waitpid $pid, 0;
}

END { kill 'KILL', map { -$_ } values %loop if %loop }

sub lua_start {
    my ($host) = @_;

    my $seconds = $ms / 1000;

    host($host, <<"EOF_HTTP", 'worker_processes 1;');
lua_package_path "/usr/share/lua/5.1/?.lua;;";
init_worker_by_lua_block {
    local redis = require "nginx.redis"

    local function line(what)
        local file = io.open("$dir/$file", "a")
        ngx.update_time()
        file:write(string.format("$host %d 0 %s %d\\n", ngx.worker.pid(), what,
                                 ngx.now() * 1000000))
        file:close()
    end

    local function try()
        local db = redis:new()
        local me = "$host" .. ngx.worker.pid()
        if not db:connect("unix:$dir/redis.sock") then return end
        if db:set("lock", me, "NX", "PX", 1000) == "OK" then
            line("start")
            ngx.sleep($seconds)
            line("end")
            if db:get("lock") == me then db:del("lock") end
        end
        db:close()
    end

    local function again(stop)
        if stop then return end
        pcall(try)
        ngx.timer.at(0.05, again)
    end

    ngx.timer.at(0, again)
}
EOF_HTTP
}

sub ours_start {
    my ($host) = @_;

    host($host, <<"EOF_HTTP", 'worker_processes 1;');
background_redis main { server $server; }
background_task t {
    workers  cluster lease=1s;
    interval 50ms;
    call     $library lease $dir/$file $host $ms;
}
EOF_HTTP
}
