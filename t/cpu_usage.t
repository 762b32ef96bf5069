#!/usr/bin/env perl

# Jobs in a container give way where it uses up its CPU quota, whoever uses it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCgroup;
use BackgroundLife;
use BackgroundStatus;
use POSIX ();
use Test::More;

my $quota = 0.2;

# what a thread takes where the container has nothing left, of a CPU

my $floor = $quota * 0.7 / 10;

# not niced, as on a busy machine that might be all that is left for it

my $threads = 'background_threads 1 priority=0';
my $task = 'background_task burns { interval 1ms; simulate_cpu 60ms; }';

my @groups = container();
my (@own, $other);

END {
    kill 'KILL', $other if $other;
    enter(@own);
}

SKIP: {
    skip $groups[1], 9 unless $groups[0];

    # beside what else the machine does

    spew("$groups[0]/cpu.shares", 100_000);
    quota($groups[0], $quota);

    @own = map { m{(.*)/} } @groups;

    enter(@groups);
    $other = burn();

    start("$threads; $task");
    is(sprintf('%.2f', status()->{cpu}{quota}), '0.14', 'the default quota');

    # Most of three jobs: the time of a virtual machine that does not run counts
    # as CPU time.  What a thread may use at once after it was idle comes on top.

    my ($way, @took) = (0);

    for my $n (1 .. 3) {
        my $cycle = cycle("job $n beside others that use up the quota", $n);

        push @took, "$cycle->{cpu_seconds} of $cycle->{wall_seconds} s";
        $way++ if $cycle->{wall_seconds}
                  >= ($cycle->{cpu_seconds} - 0.02) / $floor;

        last if $way == 2 || $n - $way == 2;
    }

    is($way, 2, "jobs give way: CPU time @took");

    enter(@own);
    kill 'KILL', $other;
    waitpid $other, 0;
    undef $other;

    ok(poll('the others are gone', \&takes), 'then jobs take more');

    stop();
    enter(@groups);

    $other = burn();

    start("$threads quota=14%; $task");
    cycle('a job with a "quota" of its own', 1);
    ok(poll('"quota" is kept', \&takes), 'a configured quota is kept');

    kill 'KILL', $other;
    waitpid $other, 0;
    undef $other;

    stop();

    quota($groups[0], 1000);

    start("$threads; $task");
    is(status()->{cpu}{quota}, 1, 'a large quota');
    cycle('a job with a large quota', 1);
    pass('jobs run with a large quota');

    stop();
    enter(@own);
}

done_testing();

# the last cycle that has ended, once there are so many

sub cycle {
    my ($name, $n) = @_;

    poll($name, sub {
        my $task = status()->{tasks}[0];

        return $task->{cycles}{completed} >= $n && $task->{last};
    });
}

# whether it took much more than what is always left

sub takes {
    my $last = status()->{tasks}[0]{last};

    return $last->{cpu_seconds} > 2 * $floor * $last->{wall_seconds};
}

sub burn {
    defined(my $pid = fork) or die "fork: $!\n";

    if ($pid == 0) {
        my $test = getppid;

        1 while getppid == $test;
        POSIX::_exit(0);
    }

    return $pid;
}

sub enter { spew("$_/cgroup.procs", $$) for @_ }
