# A cycle of a schedule that waits for its lock starts when the lock is free, also
# if the worker that found it due has exited, or has died, meanwhile.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundClock;
use BackgroundControl qw/ code /;
use BackgroundKind;
use BackgroundLife qw/ active_workers log_text master signal /;
use BackgroundPost qw/ begin rest /;
use BackgroundStatus;
use Test::More;

plan skip_all => clock_missing() if clock_missing();

my $dir = dir();
my $kind = load_kind('gate');

# a request keeps the lock, in a worker that exits only after it

put('closed', '');

clock_start('2026-03-29 00:50:00', <<"EOF", <<'EOF2', "$kind\nworker_processes 1;");
    background_threads 2;
    background_task holder {
        interval off;
        lock     one;
        timeout  1d;
        gate     $dir/closed;
    }
    background_task waits {
        schedule "51 * * * *" timezone=UTC missed=run;
        lock     one;
        simulate_io 1 delay=1ms-1ms;
    }
    background_task mark { interval off; simulate_io 1 delay=1ms-1ms; }
EOF
    location = /hold { background_run holder; }
    location /control/ { background_control run; }
EOF2

my $marks = 0;
my ($n, $client);

# the time comes while the lock is taken, and a worker finds it due

$client = hold();
due('2026-03-29 00:51:00', '2026-03-29T01:51');

# that worker exits

replaced('HUP', master());
stays(0);
free();
starts(1, '2026-03-29T01:51', 'a reload');

# once more, as a time that was missed, and the worker is killed

$client = hold();
due('2026-03-29 01:55:00', '2026-03-29T02:51');
like(log_text(), qr/"waits": 1 times of its schedule missed, it starts now/,
     'it is late');

replaced('KILL', active_workers());
stays(1);
free();
starts(2, '2026-03-29T02:51', 'a death');

put('error.log', join '', grep { !/exited on signal 9/ } split /^/, log_text());

stop();
done_testing();

sub task {
    my %task = by_name(status("/status?history=1&task=$_[0]"));
    return $task{$_[0]};
}

sub hold {
    put('closed', '');

    my $client = begin('/hold', '');

    poll('the lock is taken', sub { task('holder')->{running} });

    return $client;
}

sub free {
    unlink "$dir/closed" or die "unlink: $!\n";
    rest($client);
}

# a new worker looks at the clock at once

sub due {
    my ($now, $next) = @_;

    clock_set($now);
    replaced('HUP', master());
    poll('it is due', sub { task('waits')->{next} =~ /^$next/ });
    seen();
}

sub replaced {
    my ($signal, @pids) = @_;

    my ($old) = active_workers();

    local $BackgroundStatus::quiet = 1;

    signal($signal, @pids);
    poll('another worker', sub {
        my $task = eval { task('waits') };
        return $task && $task->{lease} && $task->{lease}{pid} != $old;
    });
}

# a worker that runs an order of "mark" has looked at the schedule before it, and
# with the second one it has looked again at what waits

sub seen {
    for (1 .. 2) {
        is(code('/control/mark/run'), 202, 'an order');
        $marks++;
        poll('it runs', sub { task('mark')->{cycles}{completed} == $marks });
    }
}

sub stays {
    my ($started) = @_;

    seen();
    is(task('waits')->{cycles}{started}, $started, 'the cycle waits');
}

sub starts {
    my ($completed, $next, $what) = @_;

    poll("$what: it starts", sub {
        return task('waits')->{cycles}{completed} == $completed;
    });
    seen();

    my $task = task('waits');

    is($task->{cycles}{started}, $completed, "$what: once");
    is($task->{causes}[-1]{cause}, 'schedule', "$what: its cause");
    like($task->{next}, qr/^$next/, "$what: the next one is not due yet");
}
