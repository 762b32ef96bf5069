# A cycle: all operations at once, gather, record, log, timer.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

start(<<'EOF');
    background_task io_cycle { interval 1h; simulate_io 5; }
    background_task fails { interval 1h; retry 40ms max=100ms; health fails=2; digest /proc/self/mem; }
    background_task slow { interval 1h; retry 1h; timeout 50ms; simulate_io 3 delay=1h-1h; simulate_io 1 delay=1ms-1ms; }
    background_task burns { interval 1h; retry 1h; timeout 50ms; simulate_cpu 1h; }
    background_task quick { interval 20ms; simulate_io 1 delay=5ms-5ms; }
EOF

my %task;

poll('cycles end', sub {
    %task = by_name(status());

    return $task{io_cycle}{cycles}{completed} && $task{slow}{cycles}{failed}
           && $task{fails}{cycles}{failed} >= 4
           && $task{fails}{state} eq 'retrying' && $task{burns}{cycles}{failed}
           && $task{quick}{cycles}{completed} >= 5;
});

# as the Python service's loop

my $last = $task{io_cycle}{last};

is($last->{operations}, 5, 'five operations');
cmp_ok($last->{bytes}, '<=', 5000, 'data sizes');
cmp_ok($last->{wall_seconds}, '>=', 0.5, 'each of 0.5s at least');
cmp_ok($last->{io_seconds}, '>=', 2.5, 'time of all');
cmp_ok($last->{wall_seconds}, '<', $last->{io_seconds}, 'at once');

is(logged(qr/\[info\].*background task "io_cycle": completed 5 operations, total IO time: \d+\.\d{3}s, total CPU time: 0\.000s, wall time: \d+\.\d{3}s$/m),
   1, 'its line in the log');

# failures: back-off, health

is($task{fails}{state}, 'retrying', 'state');
ok(!$task{fails}{healthy}, 'unhealthy');
is($task{fails}{last}{error},
   'digest "/proc/self/mem": read() "/proc/self/mem" failed (5: Input/output error)',
   'error');

my @delays = log_text() =~
    /\[error\].*background task "fails": failed: digest .* retrying in (\d+ms)$/mg;

is("@delays[0 .. 3]", '40ms 80ms 100ms 100ms', 'retry doubles up to max');

# timeouts

is($task{slow}{last}{error}, 'simulate_io "3": timed out', 'I/O timed out');
is($task{slow}{last}{failed}, 3, 'what still ran counts as failed');
is($task{slow}{last}{operations}, 4, 'the rest as completed');
is($task{burns}{last}{error}, 'simulate_cpu "1h": timed out', 'CPU timed out');

poll('the job came home', sub { status()->{cpu}{running} == 0 });

is(status()->{status}, 'degraded', 'degraded');

stop();
done_testing();
