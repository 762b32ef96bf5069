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

my (%last, %first);
my @down;

sub watch {
    local $BackgroundStatus::quiet = 1;

    my $text = poll('metrics', sub { eval { (get('/metrics'))[2] } });
    my %now = $text =~
                /^(nginx_background_\w+(?:_total|_bucket|_sum|_count)\S*) (\S+)$/mg;

    for (keys %now, keys %last) {
        push @down, $_ if ($now{$_} // -1) < ($last{$_} // 0);
    }

    %first = %now unless %first;
    %last = %now;

    return \%now;
}

# so many more cycles of each task

sub go_on {
    my ($what) = @_;

    my %more = ('all",result="success' => 30, 'bad",result="failure' => 5,
                'cpu",result="success' => 5);
    my $cycles = sub {
        watch()->{qq/nginx_background_cycles_total{task="$_[0]"}/};
    };
    my %from = map { $_ => $cycles->($_) } keys %more;

    for my $task (sort keys %more) {
        poll("$what: cycles of $task", sub {
            $cycles->($task) > $from{$task} + $more{$task};
        });
    }
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

my $killed = a_worker();
signal('KILL', $killed);
poll('a death', sub { watch() && grep { $_ != $killed } workers() });
go_on('after a death');

is_deeply(\@down, [], 'no counter went down');

my %result = (all => 'success', bad => 'failure', cpu => 'success');

cmp_ok($last{"nginx_background_$_"}, '>', $first{"nginx_background_$_"},
    "$_ went up")
    for 'jobs_total', 'job_seconds_total', 'io_seconds_total{task="all"}',
        'cpu_seconds_total{task="cpu"}',
        'bytes_total{task="all"}',
        map {
            my ($task, $result) = ($_, $result{$_});

            (map { qq/${_}_total{task="$task",result="$result"}/ }
                 qw/ cycles operations /),
            (map { qq/cycle_duration_seconds_$_/ } qq/count{task="$task"}/,
                 qq/sum{task="$task"}/, qq/bucket{task="$task",le="+Inf"}/)
        } sort keys %result;

# the one that was killed

put('error.log', join '', grep { !/exited on signal 9/ }
                              split /^/, log_text());

stop();

done_testing();
