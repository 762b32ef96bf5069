# The pool's threads: niced, with idle I/O priority, on all CPUs that nginx was
# started with; the event loop keeps its own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

my ($cpu) = affinity($$) =~ /^(\d+)/;
my $mask = '1' . '0' x $cpu;

start(<<'EOF', '', "worker_processes 1; worker_cpu_affinity $mask;");
    background_threads 2 priority=19 quota=20%;
    background_task burns { interval 1h; simulate_cpu 1h; }
EOF

poll('a job is under way', sub {
    my ($task) = @{status()->{tasks}};

    return $task->{progress} && $task->{progress}{done};
});

my $worker = a_worker();
my @threads = threads($worker);
my @busy = grep { nice_of($worker, $_) == 19 } @threads;

cmp_ok(scalar(@busy), '>=', 1, 'nice value of threads that had a job');
is(nice_of($worker, $worker), getpriority(0, 0), 'and of the worker');
is(affinity($worker), $cpu, 'the worker is bound to a CPU');
is(affinity($_), affinity($$), 'a thread is not') for @busy;

SKIP: {
    skip 'no ionice', 2 unless `ionice -V 2>&1` =~ /ionice/;

    like(`ionice -p $busy[0]`, qr/^idle/, 'idle I/O priority');
    is(`ionice -p $worker`, `ionice -p $$`, 'the worker has its own');
}

SKIP: {
    my $slice = slice_of($worker, $busy[0]);
    my ($major, $minor) = `uname -r` =~ /^(\d+)\.(\d+)/;

    skip 'sched_setattr() of this Linux sets no slice', 1
        unless $slice && ($major > 6 || $major == 6 && $minor >= 12);

    is($slice, 100_000, 'the time slice of a thread, in nsec');
}

cmp_ok(abs(status()->{cpu}{quota} - 0.2), '<', 0.001, 'quota');

stop();

# a share of 20 % makes 100 ms of CPU time last some 500 ms; not niced, as on a
# busy machine that might be all that is left for it

start(<<'EOF');
    background_threads 1 priority=0 quota=20%;
    background_task limited { interval 1h; simulate_cpu 100ms; }
EOF

my $last = poll('a job is done', sub { status()->{tasks}[0]{last} });

cmp_ok($last->{cpu_seconds}, '>=', 0.1, 'thread CPU time');
cmp_ok($last->{wall_seconds}, '>=', 2 * $last->{cpu_seconds},
       'the threads pace themselves');

stop();

# short jobs, one after the other, are no way around it

my $work = 'simulate_cpu 1ms; ' x 150;

start("background_threads 1 priority=0 quota=20%; "
      . "background_task short { interval 1h; $work }");

$last = poll('short jobs are done', sub { status()->{tasks}[0]{last} });

cmp_ok($last->{cpu_seconds}, '>=', 0.15, 'thread CPU time of short jobs');
cmp_ok($last->{wall_seconds}, '>=', ($last->{cpu_seconds} - 0.02) / 0.2,
       'short jobs pace themselves');

stop();

start('background_threads 1 priority=idle; '
      . 'background_task waits { interval 1h; simulate_cpu 1ms; }');

poll('a job of the class idle is done', sub { status()->{tasks}[0]{last} });

$worker = a_worker();

is_deeply([sort { $a <=> $b } map { policy_of($worker, $_) } threads($worker)],
          [(policy_of($worker, $worker)) x 4, 5],
          'SCHED_IDLE is that of the thread that had a job');

stop();
done_testing();

sub nice_of { (split ' ', stat_of(@_))[16] }

sub policy_of { (split ' ', stat_of(@_))[38] }

sub slice_of {
    my ($pid, $tid) = @_;

    open my $file, '<', "/proc/$pid/task/$tid/sched" or return;
    local $/;

    return (<$file> =~ /^se\.slice\s*:\s*(\d+)/m)[0];
}

sub stat_of {
    my ($pid, $tid) = @_;

    open my $file, '<', "/proc/$pid/task/$tid/stat" or die "stat: $!\n";

    return <$file> =~ s/.*\) //r;
}

sub affinity {
    my ($tid) = @_;

    open my $file, '<', "/proc/$tid/status" or die "status: $!\n";

    return (map { /^Cpus_allowed_list:\s*(\S+)/ ? $1 : () } <$file>)[0];
}
