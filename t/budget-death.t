# The slot of a worker that is killed in the middle of a job goes to another
# one's job.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use BackgroundStorm;
use List::Util qw/ max /;
use Test::More;
use Time::HiRes qw/ time /;

# jobs that don't take turns

my $kind = load_kind('gate');
my $gate = dir() . '/gate';

put('gate', '');

start(join('', 'background_threads 1; ',
           map { "background_task t$_ { retry 10ms; gate $gate keep; }\n" }
               1 .. 4),
      '', "$kind\nworker_processes 4; worker_rlimit_core 0;");

all_there(4);

my $job = poll('a job runs', sub { job() });
my @took;

# a third death in a row may be one too many for a task

for my $n (1 .. 2) {
    my $dead = $job;

    # of whichever workers: a slow one's tasks may be with another one

    poll('the others wait', sub {
        my $cpu = status_anyhow()->{cpu};

        return $cpu->{running} == 1 && $cpu->{queued} == 3;
    });

    my $killed = time;

    signal('KILL', $dead->{lease}{pid});

    $job = poll("job $n", sub {
        my $now = job();

        return $now && $now->{lease}{pid} != $dead->{lease}{pid} && $now;
    });

    push @took, time - $killed;

    my $status = status_anyhow();

    is($status->{cpu}{running}, 1, "death $n: one job");
    is($status->{cpu}{completed}, 0, "death $n: none done");

    poll("death $n: a cycle failed", sub {
        my %task = by_name(status_anyhow());

        return $task{$dead->{name}}{cycles}{failed};
    });

    poll('workers', sub { @{[workers()]} == 4 });
}

figures('seconds to the next job' => max(@took));

put('error.log', join '', grep { !/exited on signal 9/ }
                               split /^/, log_text());

stop();
done_testing();

# the task whose job is on a thread

sub job {
    my ($one) = grep { $_->{running} && !$_->{waiting} && $_->{lease} }
                     @{status_anyhow()->{tasks}};

    return $one;
}
