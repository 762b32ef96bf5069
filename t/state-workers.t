# "workers all", with fewer workers for a while: what came meanwhile is not for
# those that come back, and the file does not have the times of those that went.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundClock;
use BackgroundControl;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

plan(skip_all => clock_missing()) if clock_missing();

my $dir = dir();

sub task {
    my %task = by_name(status('/status'));
    return $task{$_[0] // 'daily'};
}

mkdir "$dir/state" or die "mkdir: $!\n";
chmod 0777, "$dir/state" or die "chmod: $!\n";

my $file = "$dir/state/tasks";
my $all = 'workers all; simulate_io 1 delay=1ms-1ms;';

sub begin {
    clock_start($_[0], <<"EOF_HTTP", <<'EOF_SERVER', 'worker_processes 4;');
    background_state $file;

    background_task daily {
        schedule "0 12 * * *" timezone=UTC missed=run;
        $all
    }
    background_task off { interval off; $all }
    background_task follows { after off; $all }
    background_task each { interval off; $all }
EOF_HTTP
    location /control/ { background_control run; }
EOF_SERVER
}

# The old workers are gone, and each new one has handled an order.  It has looked
# at the clock and at the other tasks before.

sub workers_are {
    my ($n) = @_;

    poll("$n workers", sub {
        return workers() == $n && active_workers() == $n;
    });

    my $before = task('each')->{cycles}{completed};

    is(code('/control/each/run'), 202, "$n workers: an order");
    poll("$n cycles", sub {
        return task('each')->{cycles}{completed} >= $before + $n;
    });
}

sub started { map { task($_)->{cycles}{started} } qw/ off follows / }

begin('2026-06-01 15:00:00');
workers_are(4);

reconfigure('worker_processes 4', 'worker_processes 2');
workers_are(2);

# orders for two workers

is(code('/control/off/run'), 202, 'an order');
poll('two cycles', sub { task('off')->{cycles}{completed} == 2 });
poll('what follows', sub {
    my $cycles = task('follows')->{cycles};

    return $cycles->{started} + $cycles->{coalesced} == 4
           && task('follows')->{running} == 0;
});

# a week later the time is missed in two workers, after they have looked at the
# clock

clock_set('2026-06-08 15:00:00');
is(code('/control/daily/run'), 202, 'an order');
poll('what was missed runs', sub {
    my $task = task();

    return $task->{cycles}{started} == 4 && $task->{running} == 0;
});
is(task()->{cycles}{missed}, 14, 'for both workers');

my @before = started();

reconfigure('worker_processes 2', 'worker_processes 4');
workers_are(4);

is_deeply([started()], \@before, 'nothing that was ordered before is started');
is(task()->{cycles}{missed}, 14, 'nothing was missed');
is(task()->{cycles}{started}, 4, 'and nothing is started for it');

# a task that was not configured for a while, and whose record is still there, as
# an old worker is

my $old = (workers())[0];

signal('STOP', $old);
poll('it is stopped', sub { process_stat($old)->[0] eq 'T' });
reconfigure('background_task daily', 'background_task other');
poll('another task', sub { task('other') });
clock_set('2026-06-10 15:00:00');
reconfigure('background_task other', 'background_task daily');
poll('the task is back', sub { task() });
signal('CONT', $old);
workers_are(4);

is(task()->{cycles}{missed}, 14, 'nothing was missed while it was not there');
is(task()->{cycles}{started}, 4, 'and nothing is started');

# the workers that are gone have times of a week ago

reconfigure('worker_processes 4', 'worker_processes 2');
workers_are(2);
clock_set('2026-06-15 15:00:00');
is(code('/control/daily/run'), 202, 'an order');
poll('what was missed runs', sub {
    my $task = task();

    return $task->{cycles}{started} == 8 && $task->{running} == 0;
});
stop();

my ($checked) = read_file($file) =~ /^daily (\d+)/m;
cmp_ok($checked, '>=', clock_utc('2026-06-15 15:00:00'),
       'the file has the time of those that are there');

begin('2026-06-15 15:10:00');
workers_are(4);
is(task()->{cycles}{missed}, 0, 'nothing was missed');
is(task()->{cycles}{started}, 0, 'nothing is started');

done_testing();
