# Short jobs of one worker, one after the other: each has a turn of its own, so
# none of them gives its slot away, and all run on one thread.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

# a thread has its nice value since its first job

my $nice = getpriority(0, 0) + 1;

my $jobs = 60;
my $work = 'simulate_cpu 3ms; ' x $jobs;

my $used;
my $end = time + $BackgroundStatus::deadline;

# a job that waits for a CPU for 100 ms on a busy machine gives its slot away

do {
    start("background_threads 1 priority=$nice; "
          . "background_task short { interval 1h; $work }");

    my $last = poll('the jobs are over', sub { status()->{tasks}[0]{last} });
    my $worker = a_worker();

    is($last->{operations}, $jobs, 'all jobs');
    $used = grep { nice_of($worker, $_) == $nice } threads($worker);

    stop();
} until $used == 1 || time > $end;

is($used, 1, 'one thread had them all');

done_testing();

sub nice_of {
    my ($pid, $tid) = @_;

    open my $file, '<', "/proc/$pid/task/$tid/stat" or die "stat: $!\n";

    return (split ' ', <$file> =~ s/.*\) //r)[16];
}
