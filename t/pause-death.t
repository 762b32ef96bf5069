# A pause ends while the worker that has the task does not see it, and dies: for
# the next one times of the pause are not missed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundClock;
use BackgroundControl;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

plan skip_all => clock_missing() if clock_missing();

clock_start('2026-03-29 00:50:00', <<'EOF', <<'EOF2', 'worker_processes 2;');
    background_task nightly {
        schedule "0 1 * * *" timezone=UTC missed=run;
        simulate_io 1 delay=1ms-1ms;
    }
    background_task mark { workers all; interval off; simulate_io 1 delay=1ms-1ms; }
EOF
    location /control/ { background_control run pause; }
EOF2

my $marks = 0;

sub task {
    my %task = by_name(status());
    return $task{$_[0]};
}

# a worker that runs "mark" has seen the orders before it

sub seen {
    for (1 .. 2) {
        poll('an order', sub { code('/control/mark/run') == 202 });
        $marks += 2;
        poll('both run it', sub { task('mark')->{cycles}{completed} >= $marks });
    }
}

my $owner = poll('a worker has the task', sub { task('nightly')->{lease}{pid} });

is(code('/control/nightly/pause'), 202, 'a pause');
seen();
clock_set('2026-04-02 00:51:00');

signal('STOP', $owner);
poll('it stands still', sub { process_stat($owner)->[0] eq 'T' });
is(code('/control/nightly/resume'), 202, 'the end of the pause');
signal('KILL', $owner);

# it has the lease before it looks at the schedule

poll('the other one has looked at the schedule', sub {
    my $task = task('nightly');
    return $task->{lease} && $task->{lease}{pid} != $owner
           && $task->{next} && $task->{next} !~ /^2026-03-29/;
});

my $task = task('nightly');

ok(!$task->{paused}, 'not paused');
like($task->{next}, qr/^2026-04-02T01:00/, 'the next time');

# a cycle for a missed time would have been started before that of an order

poll('an order', sub { code('/control/nightly/run') == 202 });
poll('it is run', sub { task('nightly')->{cycles}{completed} });

$task = task('nightly');

is($task->{cycles}{missed}, 0, 'no time is missed');
is($task->{cycles}{started}, 1, 'none is made up for');

put('error.log', join '', grep { !/exited on signal 9/ } split /^/, log_text());
stop();
done_testing();
