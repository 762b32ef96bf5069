# "workers cluster" and "schedule": an nginx that takes a task over knows what
# was due while none had it, and what another one has done, by the server alone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundClock;
use BackgroundPreload;
use BackgroundRedis;
use Test::More;
use Time::HiRes qw/ time /;

plan skip_all => 'no redis-server' unless redis_program();
plan(skip_all => clock_missing()) if clock_missing();

my $dir = redis_dir();
my $server = redis('redis');
my ($library) = glob '/usr/lib/*/faketime/libfaketimeMT.so.1';

my %begun;      # the tasks when the nginx has both

# an nginx whose clock shows that time

sub begins {
    my ($host, $time) = @_;

    write_file("$host.clock", sprintf "%+.3f\n", clock_utc($time) - time);

    my %env = (
        FAKETIME_TIMESTAMP_FILE => "$dir/$host.clock",
        FAKETIME_NO_CACHE => 1,
        FAKETIME_DONT_FAKE_MONOTONIC => 1,
        FAKETIME_DONT_RESET => 1,
        NO_FAKE_STAT => 1,
    );

    local @ENV{keys %env} = values %env;
    local $ENV{LD_PRELOAD} = preloaded($library);

    host($host, <<"EOF_HTTP", join "\n", map { "env $_;" } sort keys %env);
background_redis main { server $server; }
background_task once {
    workers cluster lease=1s;
    schedule "0 12 * * *" timezone=UTC missed=run;
    simulate_io 1 delay=1ms-1ms;
}
background_task skips {
    workers cluster lease=1s;
    schedule "0 12 * * *" timezone=UTC;
    simulate_io 1 delay=1ms-1ms;
}
EOF_HTTP

    poll("$host has both", sub {
        %begun = map { $_ => host_status($host, $_) } qw/ once skips /;
        !grep { !$_->{next} || !$_->{cluster}{leader} } values %begun;
    });
}

sub done {
    my ($host, $task) = @_;

    return poll("$host: $task rests", sub {
        my $now = host_status($host, $task);
        return $now->{running} == 0 && $now->{next} && $now;
    });
}

begins('a', '2026-06-01 11:00:00');
like($begun{$_}{next}, qr/^2026-06-01T12:00:00/, "$_: due")
    for qw/ once skips /;
host_stop('a');

begins('b', '2026-06-01 15:00:00');
poll('it runs', sub { host_status('b', 'once')->{cycles}{completed} });

my $task = done('b', 'once');

is($task->{cycles}{missed}, 1, 'what was due while no nginx had it is missed');
is($task->{cycles}{completed}, 1, 'missed=run: one cycle');
like($task->{next}, qr/^2026-06-02T12:00:00/, 'the next is due then');

$task = done('b', 'skips');
is($task->{cycles}{missed}, 1, 'missed=skip: it is counted');
is($task->{cycles}{started}, 0, 'no cycle');
host_stop('b');

begins('a', '2026-06-01 15:00:30');

for my $name (qw/ once skips /) {
    $task = done('a', $name);
    is($task->{cycles}{started}, 0, "$name: the other one has done it");
    is($task->{cycles}{missed}, 0, "$name: nothing more is missed");
    like($task->{next}, qr/^2026-06-02T12:00:00/, "$name: the next day");
}

host_stop('a');

unlike(host_log($_), qr/\[(?:alert|crit|emerg)\]/, "$_: nothing to complain of")
    for qw/ a b /;

done_testing();
