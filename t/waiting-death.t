# Jobs that waited in a worker that was killed do not count as waiting in the
# one that goes on with the task.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $kind = load_kind('gate');
my $gate = dir() . '/gate';

put('gate', '');

# "keep", as otherwise the jobs take turns, and neither waits in the queue

start("background_threads 1;
       background_task two {
           retry 10ms;
           gate $gate keep;
           gate $gate keep;
       }",
      '', "$kind worker_processes 1; worker_rlimit_core 0;");

my $first = one_of_two(1, 0);

is($first->{waiting}, 1, 'the second job waits');

signal('KILL', $first->{lease}{pid});

my $second = one_of_two(2, 1);

isnt($second->{lease}{pid}, $first->{lease}{pid}, 'in another worker');
is($second->{waiting}, 1, 'again one job waits');

put('error.log', join '', grep { !/exited on signal 9/ }
                               split /^/, log_text());

stop();
done_testing();

# the task when both jobs were posted and one is on its thread

sub one_of_two {
    my ($started, $failed) = @_;

    return poll("cycle $started", sub {
        my $status = status_anyhow();
        my ($task) = @{$status->{tasks}};
        my $cycles = $task->{cycles};

        return $cycles->{started} == $started && $cycles->{failed} == $failed
               && $status->{cpu}{queued} == 1 && $task->{progress}
               && $task->{progress}{done} && $task;
    });
}
