# A reload with 1,000 tasks, beside one without tasks: until the new
# configuration answers, and until the old worker has gone.

package Bench::reload;

use strict;
use warnings;

use Bench;

my $reloads = 10;

# Until an old worker is told to exit it accepts connections, too, so each
# configuration has a socket that no other one has.

my $sockets = 0;

sub next_socket {
    my $name = 'socket.' . ++$sockets;

    put('listen.conf', "listen unix:" . dir() . "/$name;\n");

    return $name;
}

sub reload {
    my ($n) = @_;

    next_socket();

    start(http => "background_zone 16m;\n"
                  . join('', map { "background_task task_$_ { interval 1d; "
                                   . "simulate_io 2 delay=0-0; }\n" } 1 .. $n),
          server => 'include listen.conf;');

    my (@answers, @gone);

    for (1 .. $reloads) {

        # a worker takes tasks in its polls; their first cycles are not of the
        # reload

        sleep 0.5;

        my $socket = next_socket();
        my $start = time;

        kill 'HUP', (processes())[0];

        poll('the new configuration answers',
             sub { eval { get('/answers', $socket); 1 } }, 0.0002);
        push @answers, 1000 * (time - $start);

        poll('one worker', sub { (my @all = processes()) == 2 }, 0.0002);
        push @gone, 1000 * (time - $start);
    }

    stop();

    return median(@gone), median(@answers);
}

{
    rounds => 10,
    notes => ["medians of $reloads reloads"],
    things => [
        ['1,000 tasks', ['ms', 'ms to answer'], sub { reload(1000) }],
        ['no tasks', ['ms', 'ms to answer'], sub { reload(0) }],
    ],
    rows => [['ms', '1,000 tasks', 'no tasks', '<= 1.2'],
             ['ms to answer', '1,000 tasks', 'no tasks']],
};
