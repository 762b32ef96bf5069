# How many threads a worker makes: by default, with "per_worker=", and where the
# directives that it depends on come later.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $task = 'background_task t { interval 1h; simulate_cpu 1ms; }';

# as many as may run, and 4 for jobs that have given their slots away

for my $case (['background_threads 3;', 1, 3 + 4],
              ['background_threads 40;', 1, 40 + 4],
              ['background_threads 40;', 4, 40 + 4],
              ['background_threads 16;', 5, 13 + 4],
              ['background_threads 40;', 6, 27 + 4],
              ['background_threads 1;', 8, 1 + 4],
              ['background_threads 16 per_worker=2;', 2, 2 + 4])
{
    my ($threads, $workers, $expected) = @$case;

    start("$threads $task", '', "worker_processes $workers;");

    poll("$threads $workers workers", sub {
        my @workers = workers();
        return @workers == $workers
               && @workers == grep { threads($_) == $expected } @workers;
    });

    is(logged(qr/\[warn\]/), 0, 'no limit is in the way');

    stop();
}

done_testing();
