# A reload with 1,000 tasks, beside one without tasks: until a new worker answers.

package Bench::reload;

use strict;
use warnings;

use Bench;

my $reloads = 10;

sub reload {
    my ($n) = @_;

    start(http => "background_zone 16m;\n"
                  . join('', map { "background_task task_$_ { interval 1d; "
                                   . "simulate_io 2 delay=0-0; }\n" } 1 .. $n),
          server => 'location = /pid { return 200 $pid; }');

    # what a first cycle does is not of the reload

    sleep 0.5;

    my @took;

    for (1 .. $reloads) {
        my $old = get('/pid');
        my $start = time;

        kill 'HUP', (processes())[0];

        poll('another worker', sub { get('/pid') != $old });

        push @took, 1000 * (time - $start);

        # the old one ends meanwhile

        poll('one worker', sub { (my @all = processes()) == 2 });
    }

    stop();

    return median(@took);
}

{
    rounds => 10,
    notes => ["medians of $reloads reloads"],
    things => [
        ['1,000 tasks', ['ms'], sub { reload(1000) }],
        ['no tasks', ['ms'], sub { reload(0) }],
    ],
    rows => [['ms', '1,000 tasks', 'no tasks', '<= 1.2']],
};
