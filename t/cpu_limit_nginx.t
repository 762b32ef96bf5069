# The CPU limit as nginx finds it where it was started: what it logs, how many
# threads there are, and how they pace themselves.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCgroup;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

# not niced, as on a busy machine that might be all that is left for it

my $job = 'priority=0; background_task burns { interval 1h; '
          . 'simulate_cpu 100ms; }';
my $auto = "background_threads auto $job";
my @cpus = cpus();

SKIP: {
    skip 'no taskset', 6 unless `taskset -V 2>&1` =~ /taskset/;

    bind_to($cpus[0]);
    limited('one CPU by taskset', $auto, 1, 'affinity', 1, '1.00');
    bind_to(join ',', @cpus);
}

SKIP: {
    my ($parent, $why) = v1_group('cpu', 'cpu.cfs_quota_us');
    skip $why, 28 unless $parent;
    skip 'sched_getaffinity() has one CPU only', 28 if @cpus < 2;

    my $child = group("$parent/child") or die "mkdir $parent/child: $!\n";
    my ($own) = $parent =~ m{(.*)/};

    my $in = sub {
        my ($quota, @case) = @_;

        quota($parent, $quota);

        # nginx is where it was started, and this test is not limited

        spew("$child/cgroup.procs", $$);
        limited("a quota of $quota", @case, sub {
            spew("$own/cgroup.procs", $$);
        });
    };

    $in->(0.5, $auto, 1, 'cgroup v1', 1, '0.35');
    $in->(1.5, $auto, 1, 'cgroup v1', 1, '0.70');
    $in->(1.5, "background_threads 4 $job", 1, 'cgroup v1', 4, '0.26');
    $in->(1.5, "background_threads 4 quota=90% $job", 1, 'cgroup v1', 4,
          '0.90');
}

done_testing();

sub limited {
    my ($name, $http, $limit, $source, $threads, $quota, $started) = @_;

    start($http);
    $started->() if $started;

    my $task;

    poll("$name: a job is done", sub {
        $task = status()->{tasks}[0];
        return $task->{cycles}{completed};
    });

    my $cpu = status()->{cpu};

    is("$cpu->{limit} $cpu->{source}", "$limit $source", "$name: the limit");
    is($cpu->{threads}, $threads, "$name: threads");
    is(sprintf('%.2f', $cpu->{quota}), $quota, "$name: pace");
    is(threads(a_worker()), $threads + 4, "$name: threads of the worker");
    is(logged(qr/background: CPU limit $limit \($source\), thread pool started with $threads threads/),
       1, "$name: logged");

    # what a thread may use at once after it was idle comes on top

    cmp_ok($task->{last}{wall_seconds}, '>=',
           ($task->{last}{cpu_seconds} - 0.02) / $cpu->{quota} - 0.02,
           "$name: a job takes its share only") if $quota < 1;

    stop();
}

sub bind_to {
    system("taskset -pc $_[0] $$ > /dev/null") == 0 or die "taskset failed\n";
}

sub cpus {
    my ($list) = slurp('/proc/self/status') =~ /^Cpus_allowed_list:\s*(\S+)/m;

    return map { /(\d+)-(\d+)/ ? $1 .. $2 : $_ } split /,/, $list;
}
