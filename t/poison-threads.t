# Which tasks a crash counts for, where it is not a matter of one thread with a
# job: several crash at the same time, or one that a library has made.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $main = "worker_processes 1; worker_rlimit_core 0;\n";
my %task;

# two at the same time: no one is spared

start(<<'EOF', '', $main . load_kind('pair'));
    background_threads 2;
    background_task one { retry 10ms; pair; }
    background_task two { retry 10ms; pair; }
    background_task waits { retry 10ms; simulate_io 1 delay=1h-1h; }
EOF

poll('both are quarantined', sub { quarantined('one') && quarantined('two') });

is(logged(qr/worker process \d+ exited on signal 11/), 3, 'three crashes');
ok(!quarantined('waits'), 'another one is not');

forget();
stop();

# a library's own thread: a task without a job did not make it

my $file = dir() . '/go';

SKIP: {
    skip 'no C compiler', 4
        unless build_library(dir() . '/thread.so', root() . '/t/calls/thread.c',
                             '-pthread');

    start(<<"EOF", '', $main);
        background_threads 2;
        background_task waits { retry 10ms; simulate_io 1 delay=1h-1h; }
        background_task crashes { retry 10ms; call thread.so crash $file; }
EOF

    poll('both run', sub {
        %task = by_name(status());

        return $task{crashes}{running} && $task{waits}{running};
    });

    put('go', '');

    poll('quarantined', sub { quarantined('crashes') });

    # the last of three deaths, too, interrupted its cycle

    poll('its cycle', sub {
        %task = by_name(status_anyhow());

        return $task{waits}{running} && $task{waits}{cycles}{cancelled} == 3;
    });

    is($task{waits}{cycles}{failed}, 0, 'which did not fail');
    is($task{crashes}{last}{error},
       'worker process died during the cycle: SIGABRT', 'error');
    is(logged(qr/worker process \d+ exited on signal 6/), 3, 'three crashes');
    ok(!quarantined('waits'), 'a task that only waits is not');

    forget();
    stop();
}

done_testing();

sub quarantined {
    %task = by_name(status_anyhow());

    return $task{$_[0]}{state} eq 'quarantined';
}

# what is expected in the log

sub forget {
    put('error.log', join '', grep { !/exited on signal|: quarantined/ }
                                   split /^/, log_text());
}
