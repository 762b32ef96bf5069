# The number of CPU jobs a second of the pool, compared with a thread pool of
# nginx, a ThreadPoolExecutor of Python, used alone and by run_in_executor() of
# asyncio, and threads that need no jobs.

package Bench::jobs;

use strict;
use warnings;

use Bench;
use BackgroundKind;

my $seconds = 1;

my $module = load_kind('bench', undef, undef, 'util/bench');
my $cpus = cpus();
my ($first) = slurp('/proc/self/status') =~ /^Cpus_allowed_list:\s*(\d+)/m;
my $turns = turns();

# Two tasks, each with its next cycle at the end of the last one: the jobs of one
# run while the other one's cycle ends and begins.  Together they have at most
# 1,000 in flight.

sub tasks {
    my ($threads, $turns) = @_;

    my $jobs = "bench_job $turns;\n" x 500;

    return "background_threads $threads max_queue=10000 priority=0;\n"
           . "background_task one { bench_again; $jobs }\n"
           . "background_task two { bench_again; $jobs }\n";
}

# Jobs on the pool without a cycle, or on a thread pool of nginx.  There is a
# task in both cases, so that there are a pool and the same timers.

my $none = "background_threads 1 max_queue=10000 priority=0;\n"
           . "background_task none { interval 1h; bench_job; }\n";

sub pool {
    my ($n, $on) = @_;

    return jobs("${none}bench_pool $n;", '', $on);
}

sub post {
    my ($n, $on) = @_;

    return jobs("${none}bench_post $n;", 'thread_pool bench threads=1;', $on);
}

# jobs a second, and the CPU time of one in microseconds

sub jobs {
    my ($http, $main, $on) = @_;

    begin($http, $main, $on);

    my @before = figures();
    sleep $seconds;
    my @after = figures();

    stop();

    my ($jobs, $took, $cpu) = map { $after[$_] - $before[$_] } 0 .. 2;

    return ($jobs / $took * 1e9, $cpu * 1e6 / $jobs);
}

# number of jobs, time, CPU time

sub figures { (split(' ', get('/count')), cpu(processes())) }

sub begin {
    my ($http, $main, $on) = @_;

    start(main => "$module\n" . ($main // ''), http => $http, cpu => $on,
          server => 'location = /count { bench_count; }');

    poll('jobs', sub { get('/count') !~ /^[01] / });
    sleep 0.2;
}

sub executor {
    my ($mode) = @_;

    return split ' ', run('/usr/bin/python3', "$Bench::folder/jobs.py", $mode,
                          $seconds);
}

# number of turns of the loop that take 1 ms of CPU

sub turns {
    my $try = 100_000;

    return int($try * 1000 / (jobs("bench_threads 1 $try;"))[1]);
}

my @units = ('jobs/s', 'CPU');
my @things = (
    ['operations', \@units, sub { jobs(tasks(1, '')) }],
    ['pool alone', \@units, sub { pool(1000) }],
    ['bare posting', \@units, sub { post(1000) }],
    ['ThreadPoolExecutor', \@units, sub { executor('submit') }],
    ['run_in_executor', \@units, sub { executor('asyncio') }],
    ['pool, one by one', \@units, sub { pool(1) }],
    ['bare, one by one', \@units, sub { post(1) }],
    ['pool, on one CPU', \@units, sub { pool(1, $first) }],
    ['bare, on one CPU', \@units, sub { post(1, $first) }],
);

# The first five have 1,000 jobs in flight.  The time of single jobs depends on
# the CPU that the kernel chooses for the thread, so both are bound to one CPU.

my @pairs = (
    ['operations', 'bare posting', '>= 0.25'],
    ['operations', 'ThreadPoolExecutor', '>= 15'],
    ['operations', 'run_in_executor', '>= 15'],
    ['pool alone', 'bare posting'],
    ['pool, one by one', 'bare, one by one'],
    ['pool, on one CPU', 'bare, on one CPU', '>= 0.9'],
);

for my $n ($cpus > 1 ? (1, $cpus) : 1) {
    my $threads = $n == 1 ? '1 thread' : "$n threads";

    push @things,
        ["1 ms, $threads", \@units, sub { jobs(tasks($n, $turns)) }],
        ["plain, $threads", \@units, sub { jobs("bench_threads $n $turns;") }];

    push @pairs, ["1 ms, $threads", "plain, $threads", '>= 0.97'];
}

# with other work on the machine CPU times are more precise than rates

{
    rounds => 8,
    things => \@things,
    rows => [(map { ['jobs/s', @$_] } @pairs),
             (map { ['CPU', @$_[0, 1]] } @pairs)],
};
