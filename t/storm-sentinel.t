# Failovers by Sentinels under "workers cluster" with three nginx: the master is
# killed, or stands still and goes on as a replica.  No two nginx run the task at
# the same time, and the fence only rises.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundRedis;
use Test::More;
use Time::HiRes qw/ clock_gettime CLOCK_MONOTONIC /;

plan skip_all => 'no redis-server' unless redis_program();

# BACKGROUND_STORM: a failover for fifteen of it, but two at least

my $rounds = int(($ENV{BACKGROUND_STORM} || 0) / 15);
$rounds = 2 if $rounds < 2;

my $dir = redis_dir();
my $library = lease_library() or plan skip_all => 'no compiler';
my %port = map { $_ => free_port() } qw/ m1 m2 s1 s2 s3 /;
my %took;

write_file('password', "sesame\n");
redis_sentinels(\%port, 'sesame');

host($_, conf($_)) for qw/ a b c /;

for my $round (1 .. $rounds) {
    failover($round % 2 ? 'KILL' : 'STOP');
}

host_stop($_) for qw/ a b c /;

is(join("\n", overlaps('out/runs', {})), '', 'no two at once');

my @fences = map { $_->[2] } sort { $a->[3] <=> $b->[3] } runs('out/runs');

is_deeply(\@fences, [sort { $a <=> $b } @fences], 'the fence only rises');
note(scalar(@fences), ' runs');

my $figure = $ENV{BACKGROUND_STORM} ? \&diag : \&note;

for my $signal (sort keys %took) {
    my @times = sort { $a <=> $b } @{$took{$signal}};

    $figure->(sprintf "failover by SIG%s: %d, without a runner for p50 %.2f s, "
                      . "at most %.2f s", $signal, scalar(@times),
                      @times[$#times / 2, -1]);
}

done_testing();

###############################################################################

sub failover {
    my ($signal) = @_;

    my ($master, $replica) = (info('m1') =~ /role:master/) ? ('m1', 'm2')
                                                           : ('m2', 'm1');

    my $n = () = runs('out/runs');

    poll('it runs', sub { runs('out/runs') > $n + 5 });

    my $since = clock_gettime(CLOCK_MONOTONIC);

    if ($signal eq 'KILL') {
        redis_kill($master);

    } else {
        redis_signal($master, 'STOP');
    }

    poll('there is another master', sub { info($replica) =~ /role:master/ });

    if ($signal eq 'KILL') {
        redis($master);

    } else {
        redis_signal($master, 'CONT');
    }

    # or the other way round: on a busy machine there may be more failovers

    poll('one is the replica of the other', sub {
        my @info = map { info($_) } 'm1', 'm2';

        return (grep { /role:master/ } @info)
               && grep { /role:slave.*master_link_status:up/s } @info;
    });

    $n = () = runs('out/runs');
    poll('it runs again', sub { runs('out/runs') > $n + 5 });

    push @{$took{$signal}}, pause($since);
}

# the longest time since then in which nothing ran

sub pause {
    my ($since) = @_;

    my ($longest, $end) = (0, $since);

    for my $run (sort { $a->[3] <=> $b->[3] } runs('out/runs')) {
        next if !defined $run->[4] || $run->[4] < $since;

        $longest = $run->[3] - $end if $run->[3] - $end > $longest;
        $end = $run->[4] if $run->[4] > $end;
    }

    return $longest;
}

sub info {
    my ($name) = @_;

    return eval { redis_ask($name, 'INFO', 'replication') } // '';
}

sub conf {
    my ($name) = @_;

    my $servers = join ' ', map { "server 127.0.0.1:$port{$_};" } qw/ s1 s2 s3 /;

    return <<"EOF_CONF";
background_redis main {
    $servers
    sentinel main;
    sentinel_password_file $dir/password;
    connect_timeout 300ms;
    timeout 300ms;
}
background_task t {
    workers cluster lease=1s;
    interval 20ms;
    call $library lease $dir/out/runs $name 20;
}
EOF_CONF
}
