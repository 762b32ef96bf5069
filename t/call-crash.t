# A function that crashes takes its worker along, three times at most.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $dir = dir();

build_library("$dir/test.so", source())
    or plan skip_all => 'no C compiler';

# "long" is first: its cycle has begun when the other one's job may crash

start(<<"EOF", '', 'worker_processes 2; worker_rlimit_core 0;');
    background_threads 1;
    background_task long { workers all; retry 10ms; timeout 1d; simulate_io 1 delay=1h-1h; }
    background_task crash { retry 10ms; call test.so crash; }
    background_task good { interval 10ms; simulate_io 1 delay=1ms-1ms; }
EOF

my %task;

poll('quarantined', sub {
    %task = by_name(status_anyhow());

    # the quarantine comes before the third cycle is recorded

    return $task{crash} && $task{crash}{state} eq 'quarantined'
           && $task{crash}{cycles}{failed} >= 3;
});

# nginx's master may be the last to know

poll('three workers died', sub {
    logged(qr/worker process \d+ exited on signal 6/) >= 3
});

is(logged(qr/worker process \d+ exited on signal 6/), 3, 'and no more');
is($task{crash}{cycles}{failed}, 3, 'three failed cycles');
is($task{crash}{last}{error}, 'worker process died during the cycle: SIGABRT',
   'error');

my $n = $task{good}{cycles}{completed};

poll('the others go on', sub {
    %task = by_name(status_anyhow());

    return $task{good}{cycles}{completed} > $n;
});

poll('a long cycle, too', sub {
    %task = by_name(status_anyhow());

    return $task{long}{running} == 2;
});

is($task{long}{cycles}{failed}, 0, 'which has not failed');
cmp_ok($task{long}{cycles}{cancelled}, '>=', 3, 'but was cancelled');

# a better library, and a reload

build_library("$dir/test.so", source(), '-DCRASH=0');
signal('HUP');

poll('a good cycle', sub {
    %task = by_name(status_anyhow());

    return $task{crash}{cycles}{completed};
});

is($task{crash}{state}, 'waiting', 'no quarantine');

signal('QUIT');
poll('exits', sub { !workers() });

done_testing();
