# A worker that always has a job waiting leaves a slot to another one's now and
# then.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

# unless workers are slow to start, the first and the third task are with one of
# them: while one runs the other one comes to wait

start(<<'EOF', '', 'worker_processes 2;');
    background_threads 1 priority=0 quota=100;
    background_task hog { interval 10ms; simulate_cpu 20ms; }
    background_task meek { interval 10ms; simulate_cpu 1ms; }
    background_task hog2 { interval 10ms; simulate_cpu 20ms; }
EOF

my %task;

poll('each has had its turn often', sub {
    %task = by_name(status());

    return !grep { $_->{cycles}{completed} < 5 } values %task;
});

is($task{$_}{cycles}{failed}, 0, "$_: none failed") for sort keys %task;

stop();
done_testing();
