# The CPU time of tasks that wait for their next cycle, and of some that have
# one now and then.

package Bench::idle;

use strict;
use warnings;

use Bench;

# twice the interval of the tasks that have cycles

my $seconds = 6;

# in percent of a CPU, all processes of nginx together

sub idle {
    my ($n, $interval) = @_;

    my $tasks = join '', map {
        "background_task t$_ { interval $interval; "
        . "simulate_io 1 delay=1ms-1ms; }\n"
    } 1 .. $n;

    start(main => 'worker_processes 2;',
          http => "background_zone 100m;\n$tasks",
          server => "location = /age {\n"
                    . "    set_background \$age t$n age_seconds;\n"
                    . "    return 200 \$age;\n}");

    poll('the last task has had its cycle', sub { get('/age') ne '' });
    sleep 1;

    my $start = time;
    my $cpu = cpu(processes());
    sleep $seconds;
    $cpu = cpu(processes()) - $cpu;
    my $took = time - $start;

    stop();

    return 100 * $cpu / $took;
}

{
    rounds => 4,
    things => [
        ['1 task', ['CPU, %'], sub { idle(1, '1h') }],
        ['1,000 tasks', ['CPU, %'], sub { idle(1000, '1h') }],
        ['10,000 tasks', ['CPU, %'], sub { idle(10_000, '1h') }],
        ['1,000 of "interval 3s"', ['CPU, %'], sub { idle(1000, '3s') }],
    ],
    rows => [
        ['CPU, %', '1 task'],
        ['CPU, %', '1,000 tasks', undef, '<= 0.3'],
        ['CPU, %', '10,000 tasks', undef, '<= 3.2'],
        ['CPU, %', '10,000 tasks', '1,000 tasks'],
        ['CPU, %', '1,000 of "interval 3s"'],
    ],
};
