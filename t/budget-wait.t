# Jobs that wait for a thread take no CPU time.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use BackgroundStorm;
use List::Util qw/ max /;
use POSIX ();
use Test::More;
use Time::HiRes qw/ sleep time /;

# one job runs, hundreds wait, in all workers; some have started, and take turns
# on the threads that each worker has beside the one

my $threads = 4 * (1 + 4);

start('background_threads 1; background_task fills { workers all; '
      . 'simulate_cpu 1h; ' x 300 . '}', '', 'worker_processes 4;');

all_there(4);

poll('one runs, all others wait', sub {
    my $cpu = status()->{cpu};

    return $cpu->{running} == 1 && $cpu->{queued} == 4 * 300 - $threads;
});

# of the worker that has the job, its main thread alone

my @workers = workers();
my %before = map { $_ => cpu($_) } @workers;
my $start = time;

sleep 0.02 while time < $start + 2;

my %took = map { $_ => (cpu($_) - $before{$_}) / (time - $start) } @workers;

for (@workers) {
    cmp_ok($took{$_}, '<', 0.2, "worker $_: idle");
}

is(status()->{cpu}{queued}, 4 * 300 - $threads, 'they still wait');

figures('a CPU\'s part that a worker with 300 waiting jobs takes'
        => max(values %took));

stop();
done_testing();

sub cpu {
    open my $file, '<', "/proc/$_[0]/task/$_[0]/stat" or die "open: $!\n";

    my @fields = split ' ', <$file> =~ s/.*\) //r;

    return ($fields[11] + $fields[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}
