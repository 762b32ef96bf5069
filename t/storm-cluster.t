# A storm on "workers cluster": the nginx that has the task is killed, all its
# processes at once, or exits, or the server is killed and comes back with its
# data (AOF).  No two nginx run the task at the same time, it is run again soon,
# and the fence only rises.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundRedis;
use Test::More;
use Time::HiRes qw/ sleep time clock_gettime CLOCK_MONOTONIC /;

plan skip_all => 'no redis-server' unless redis_program();

# BACKGROUND_STORM: how many rounds, each with all three

my $rounds = $ENV{BACKGROUND_STORM} || 2;
my $lease = 1;

my $dir = redis_dir();
my $library = lease_library() or plan skip_all => 'no compiler';
my $server = redis('redis', 'appendonly yes', 'appendfsync always');

my (%dead, %took);

host($_, conf($_)) for qw/ a b c /;

for my $round (1 .. $rounds) {
    died();
    left();
    server_died();
}

host_stop($_) for qw/ a b c /;

is(join("\n", overlaps('out/runs', \%dead)), '', 'no two at once');

my @fences = map { $_->[2] } runs('out/runs');

is_deeply(\@fences, [sort { $a <=> $b } @fences], 'the fence only rises');

for my $what (sort keys %took) {
    my @times = sort { $a <=> $b } @{$took{$what}};

    note(sprintf "%s: %d, without a runner for p50 %.2f s, p99 %.2f s, "
                 . "at most %.2f s", $what, scalar(@times),
                 @times[$#times / 2, $#times * 0.99, -1]);
}

cmp_ok(scalar(@fences), '>', 3 * $rounds, 'runs');

done_testing();

###############################################################################

sub conf {
    my ($name) = @_;

    return <<"EOF";
background_redis main { server $server; }
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

# the first run of others since then

sub again {
    my ($what, $host, $since) = @_;

    my $run = poll("$what: it runs again", sub {
        (grep { $_->[3] > $since && (!$host || $_->[0] ne $host) }
              runs('out/runs'))[0];
    });

    push @{$took{$what}}, $run->[3] - $since;
}

sub died {
    my $host = runner();
    my @pids = host_workers($host);

    host_kill($host);

    my $since = now();

    $dead{$_} = $since for @pids;
    again('kill -9 of nginx', $host, $since);
    host($host);
}

sub left {
    my $host = runner();

    my $since = now();

    host_signal($host, 'QUIT');
    again('exit of nginx', $host, $since);
    host_stop($host);
    host($host);
}

sub server_died {
    runner();

    my $since = now();

    redis_kill('redis');
    redis('redis');
    again('kill -9 of Redis', '', $since);
}
