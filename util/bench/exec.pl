# Commands: how many "exec" gets through, beside xargs with as many processes.

package Bench::exec;

use strict;
use warnings;

use Bench;

my $threads = 4;
my $seconds = 3;
my $n = 2000;

# one task has its pause between two cycles while the commands of the other one
# run

sub tasks {
    my $commands = "exec /bin/true;\n" x 200;

    return "background_threads $threads max_queue=10000 priority=0;\n"
           . "background_task one { interval 1ms; $commands }\n"
           . "background_task two { interval 1ms; $commands }\n";
}

sub commands {
    start(http => tasks(),
          server => 'location = /metrics { background_status prometheus; }');

    poll('commands', sub { done() > 500 });

    my ($before, $begun) = (done(), time);
    sleep $seconds;
    my ($after, $ended) = (done(), time);

    die "commands failed\n" if get('/metrics') =~ /operations_total\{.*result="failure"\} [1-9]/;

    stop();

    return ($after - $before) / ($ended - $begun);
}

sub done {
    my $done = 0;
    $done += $_ for get('/metrics') =~ /operations_total\{.*result="success"\} (\d+)/g;

    return $done;
}

sub xargs {
    my $begun = time;

    system("yes | head -n $n | xargs -n 1 -P $threads /bin/true") == 0
        or die "xargs failed\n";

    return $n / (time - $begun);
}

{
    rounds => 4,
    notes => ["$threads commands at the same time, /bin/true"],
    things => [
        ['exec', ['commands/s'], \&commands],
        ['xargs', ['commands/s'], \&xargs],
    ],
    rows => [
        ['commands/s', 'exec', 'xargs', '>= 1.0'],
    ],
};
