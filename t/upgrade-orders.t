# An upgrade of nginx's binary, and back: a pause stays, times that pass meanwhile
# are not missed, and a cycle of a schedule that the upgrade cancels starts again.
# So does one that a reload cancels that changes the size of the zone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundClock;
use BackgroundControl;
use BackgroundKind;
use BackgroundLife qw/ active_workers gone new_binary process_stat reconfigure
                       signal status_anyhow /;
use BackgroundStatus;
use Test::More;

plan skip_all => clock_missing() if clock_missing();

my $dir = dir();
my $kind = load_kind('gate');

# a new binary gets the clock, and what sanitizers need

my $env = join ' ', map { "env $_;" }
          'LD_PRELOAD', map { "${_}_OPTIONS" } qw/ ASAN LSAN UBSAN TSAN /;

put('closed', '');

clock_start('2026-03-29 00:50:00', <<"EOF", <<'EOF2', <<"EOF3");
    background_zone 1m;
    background_task nightly {
        schedule "0 1 * * *" timezone=UTC missed=run;
        simulate_io 1 delay=1ms-1ms;
    }
    background_task long {
        schedule "51 * * * *" timezone=UTC;
        timeout 1d;
        gate $dir/closed;
    }
    background_task mark { workers all; interval off; simulate_io 1 delay=1ms-1ms; }
EOF
    location /control/ { background_control run pause; }
EOF2
    $kind
    daemon on;
    worker_processes 1;
    $env
EOF3

is(code('/control/nightly/pause'), 202, 'a pause');
seen();

# days later a cycle of the other one is under way

clock_set('2026-04-02 00:51:00');

my ($worker) = active_workers();

signal('HUP');
poll('another worker', sub {
    my @now = active_workers();
    return @now == 1 && $now[0] != $worker;
});
poll('long: under way', sub { by('long')->{running} });

my ($old, $new) = new_binary(1);

poll('the new one knows', sub { by('long', $new)->{lease} });
ok(by('nightly', $new)->{paused}, 'the pause is known before');

signal('WINCH', $old);
poll('the old workers are gone', sub { !active_workers($old) });
poll('long: in the new one', sub { by('long')->{running} });

my $task = by('long');

is($task->{cycles}{cancelled}, 1, 'long: was cancelled');
is($task->{causes}[-1]{cause}, 'schedule', 'long: its cause');
like($task->{next}, qr/^2026-04-02T01:51/, 'long: the next one is not due yet');

poll('nightly: in the new one', sub { by('nightly')->{lease} });
seen();

$task = by('nightly');

ok($task->{paused}, 'nightly: paused');
is($task->{cycles}{started}, 0, 'nightly: no cycle');
is($task->{cycles}{missed}, 0, 'nightly: no time is missed');

# the pause ends in the new one, and so it has ended in the old one

is(code('/control/nightly/resume'), 202, 'the end of the pause');
seen();

signal('HUP', $old);
poll('the old one has a worker', sub { active_workers($old) == 1 });
signal('QUIT', $new);
poll('the new one is gone', sub { gone($new) });
poll('long: in the old one', sub { by('long')->{running} });
poll('nightly: in the old one', sub { by('nightly')->{lease} });
seen();

$task = by('nightly');

ok(!$task->{paused}, 'nightly: not paused');
is($task->{cycles}{started}, 0, 'nightly: not due');

# another zone in the same nginx

my $cancelled = by('long')->{cycles}{cancelled};

($worker) = active_workers($old);
reconfigure('background_zone 1m;', 'background_zone 2m;');

poll('long: in a zone of another size', sub {
    my $task = by('long');
    return $task->{running} && $task->{lease}{pid} != $worker;
});
is(by('long')->{cycles}{cancelled}, $cancelled + 1, 'long: was cancelled');

unlink "$dir/closed" or die "unlink: $!\n";
poll('long: ends', sub { by('long')->{cycles}{completed} == 1 });

stop();
done_testing();

# a task, as a worker of that master or any one tells

sub by {
    my ($name, $master) = @_;

    return poll("$name, as told by " . ($master // 'any'), sub {
        my $status = status_anyhow("/status?history=1");

        return 0 if $master && process_stat($status->{pid})->[1] != $master;

        my %task = by_name($status);

        return $task{$name};
    });
}

# A worker that runs an order of "mark" has seen what was ordered before it, and
# has looked at the schedules.

sub seen {
    for (1 .. 2) {
        my $n = by('mark')->{cycles}{completed};

        is(code('/control/mark/run'), 202, 'an order');
        poll('it runs', sub { by('mark')->{cycles}{completed} == $n + 1 });
    }
}
