#!/usr/bin/env perl

# Counters never go down: not by reloads, fewer workers, or a worker's death.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

###############################################################################

start(<<'EOF', <<'EOF2', 'worker_processes 3;');
    background_task all {
        workers  all;
        interval 5ms;
        simulate_io 2 delay=1ms-10ms;
    }
    background_task bad {
        retry   5ms;
        timeout 5ms;
        simulate_io 2 delay=1h-1h;
    }
    background_task cpu {
        interval 5ms;
        retry    5ms;
        simulate_cpu 5ms;
    }
EOF
    location = /metrics { background_status prometheus; }
EOF2

my (%last, %first, $n);
my @down;

sub watch {
    my (%now) = (get('/metrics'))[2] =~
                /^(nginx_background_\w+(?:_total|_bucket|_sum|_count)\S*) (\S+)$/mg;

    for (keys %now, keys %last) {
        push @down, $_ if ($now{$_} // -1) < ($last{$_} // 0);
    }

    %first = %now unless %first;
    %last = %now;
    $n++;

    return \%now;
}

sub cycles {
    my ($task, $result) = @_;

    return watch()->{"nginx_background_cycles_total\{task=\"$task\","
                     . "result=\"$result\"}"};
}

sub go_on {
    my ($what) = @_;
    my $all = cycles('all', 'success');
    my $bad = cycles('bad', 'failure');
    my $cpu = cycles('cpu', 'success');

    poll("$what: cycles", sub {
        cycles('all', 'success') > $all + 30
            && cycles('bad', 'failure') > $bad + 5
            && cycles('cpu', 'success') > $cpu + 5;
    });
}

go_on('at first');

my $restarts = logged(qr/start worker process \d/);

signal('HUP');
poll('a reload', sub {
    watch();
    logged(qr/start worker process \d/) == $restarts + 3;
});
go_on('after a reload');

reconfigure('worker_processes 3', 'worker_processes 1');
poll('one worker', sub { watch(); 1 == grep { $_ } workers() });
go_on('with one worker');

my ($killed) = workers();
signal('KILL', $killed);
poll('a death', sub { watch() && grep { $_ != $killed } workers() });
go_on('after a death');

is_deeply(\@down, [], 'no counter went down');
cmp_ok($n, '>', 20, 'looked often');
cmp_ok(scalar(grep { $last{$_} > $first{$_} } keys %last), '>', 30,
    'many went up');

# the one that was killed

put('error.log', join '', grep { !/exited on signal 9/ }
                              split /^/, log_text());

stop();

done_testing();
