# Commands: how many "exec" gets through, beside xargs with as many processes.

package Bench::exec;

use strict;
use warnings;

use Bench;

my $threads = 4;
my $n = 10_000;

# one task has its pause between two cycles while the commands of the other one
# run

sub tasks {
    my $commands = "exec /bin/true;\n" x 200;

    return "background_threads $threads max_queue=10000 priority=0;\n"
           . "background_task one { interval 1ms; $commands }\n"
           . "background_task two { interval 1ms; $commands }\n";
}

# how many a second, and how many descriptors, processes and zombies are left
# more than before

sub commands {
    start(http => tasks(),
          server => 'location = /metrics { background_status prometheus; }'
                    . 'location = /status { background_status; }'
                    . 'location /control/ { background_control pause; }');

    poll('commands', sub { done() > 500 });
    my @left = left();

    my ($before, $begun) = (done(), time);
    order('resume');
    poll('so many', sub { done() >= $before + $n });
    my ($after, $ended) = (done(), time);

    @left = map { $_ - shift @left } left();

    die "commands failed\n"
        if get('/metrics') =~ /operations_total\{.*result="failure"\} [1-9]/;

    stop();

    return (($after - $before) / ($ended - $begun), @left);
}

# counts descriptors and processes when no command runs

sub left {
    order('pause');

    poll('rest', sub { get('/status') !~ /"running": ?[1-9]/ });

    my (undef, $worker) = processes();
    my @all = ($worker, below($worker));
    my @fds = map { glob "/proc/$_/fd/*" } @all;
    my @zombies = grep { slurp("/proc/$_/stat") =~ /\) Z / } @all;

    return (scalar @fds, scalar @all, scalar @zombies);
}

sub below {
    my ($pid) = @_;

    return map { ($_, below($_)) }
           map { split ' ', slurp($_) } glob "/proc/$pid/task/*/children";
}

sub order {
    my ($order) = @_;

    for my $task (qw/ one two /) {
        my $socket = IO::Socket::UNIX->new(Peer => dir() . '/socket')
            or die "connect: $!\n";

        print $socket "POST /control/$task/$order HTTP/1.0\r\n"
                      . "X-Background: 1\r\nContent-Length: 0\r\n\r\n";
        $socket->flush;

        die "$order was refused\n" unless (readline($socket) // '') =~ / 202 /;
    }
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

my @left = qw/ descriptors processes zombies /;

{
    rounds => 4,
    notes => ["$threads commands at the same time, /bin/true"],
    things => [
        ['exec', ['commands/s', map { "$_ left" } @left], \&commands],
        ['xargs', ['commands/s'], \&xargs],
    ],
    rows => [
        ['commands/s', 'exec', 'xargs', '>= 1.0'],
        (map { ["$_ left", 'exec', undef, '<= 0'] } @left),
    ],
};
