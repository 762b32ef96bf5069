# A task whose cycles take worker processes down is left alone after three of
# them in a row, and after a reload after one more; everything else goes on,
# also what was under way in all of these workers, which did not fail.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $kind = load_kind('crash') . load_kind('gate');
my $gate = dir() . '/gate';
my $file = dir() . '/files/crash';

mkdir dir() . '/files' or die "mkdir: $!\n";
chmod 0777, dir() . '/files' or die "chmod: $!\n";

my $main = "$kind\nworker_processes 4; worker_rlimit_core 0;";
my $others = <<"EOF2";
    background_threads 8 quota=20;
    background_task waits { workers all; interval 40ms; retry 10ms; simulate_io 2 delay=1ms-5ms; }
    background_task burns { interval 40ms; retry 10ms; simulate_cpu 2ms; }
    background_task holds_long { workers all; retry 10ms; gate $gate; }
    background_task waits_long { workers all; retry 10ms; timeout 1d; simulate_io 1 delay=1h-1h; }
EOF2

put('files/page', 'here');
put('gate', '');

my $location = "location /files/ { root ${\dir()}; }";
my $killed = 0;
my %task;

# by one worker after the other

put('files/crash', 'always');
start("$others background_task bad { interval 1s; retry 20ms; health fails=9; crash $file; }",
      $location, $main);

# the line comes last

my $quarantined = qr/background task "bad": quarantined/;

poll('quarantined', sub {
    task('bad')->{state} eq 'quarantined' && logged($quarantined)
});

is_deeply(task('bad')->{cycles},
          { completed => 0, failed => 3, cancelled => 0,
            consecutive_failures => 3, started => 3, declined => 0,
            skipped => 0, missed => 0, coalesced => 0 }, 'three cycles failed');
is(task('bad')->{last}{error},
   'worker process died during the cycle: SIGSEGV', 'error');
ok(!task('bad')->{healthy}, 'not healthy, whatever "health" says');
is(status_anyhow()->{status}, 'degraded', 'degraded');
is(task('bad')->{next}, undef, 'no next cycle');
is(logged(qr/\[alert\].*background task "bad": quarantined until the next reload, 3 worker processes in a row died in it, the last one of SIGSEGV$/m),
   1, 'alert');
is(logged(qr/\[error\].*background task "bad": failed: worker process died during the cycle: SIGSEGV, retrying in 20ms$/m),
   2, 'the failures before are logged');
is(logged(qr/background task "bad": failed/), 2, 'the last one is not');
died(3, 'three workers died');

goes_on('bad');

# another holder of the lease leaves it alone, too

my $holder = task('bad')->{lease}{pid};

signal('KILL', $holder);
$killed = 1;

poll('another holder', sub {
    my $lease = task('bad')->{lease};

    return $lease && $lease->{pid} != $holder;
});

is(task('bad')->{state}, 'quarantined', 'still quarantined');
is(task('bad')->{cycles}{failed}, 3, 'it was in no cycle');

# a refused reload is none

reconfigure('retry 20ms;', 'retry 0;');
poll('refused', sub { logged(qr/invalid time "0"/) });
is(task('bad')->{state}, 'quarantined', 'after a refused reload, too');

# a reload: once more, from the start

reconfigure('retry 0;', 'retry 30ms;');

poll('quarantined again', sub {
    return logged($quarantined) == 2
           && status_anyhow()->{generation} == 2;
});

is(task('bad')->{state}, 'quarantined', 'state');
is(task('bad')->{cycles}{failed}, 4, 'one more');
died(4, 'and one worker');
is(logged(qr/\[alert\].*background task "bad": quarantined until the next reload, 4 worker processes in a row died in it, the last one of SIGSEGV$/m),
   1, 'alert');
is(logged(qr/background task "bad": failed/), 2, 'and no other line');
goes_on('bad');

# once the reason is gone a reload is all it takes

unlink $file or die "unlink: $!\n";
signal('HUP');

poll('runs', sub { task('bad')->{cycles}{completed} });
poll('waiting', sub { task('bad')->{state} eq 'waiting' });
pass('waiting');
ok(task('bad')->{healthy}, 'healthy');

# a new row starts

put('files/crash', 'always');

poll('quarantined by three', sub { task('bad')->{state} eq 'quarantined' });
died(7, 'three workers');

forget();
stop();
$killed = 0;

# two crashes, and a cycle that its worker survived, again and again

unlink $file or die "unlink: $!\n";
start("$others background_task bad { interval 20ms; retry 20ms; crash $file; }",
      $location, $main);

for my $n (1 .. 6) {
    replace('files/crash', 'once');

    poll("crash $n", sub {
        logged(qr/"bad": failed: worker process died/) == $n
    });

    if ($n % 2 == 0) {
        my $completed = task('bad')->{cycles}{completed};

        poll("survived $n", sub {
            return task('bad')->{cycles}{completed} > $completed + 1;
        });
    }
}

is(logged(qr/quarantined/), 0, 'six crashes, no three in a row');
died(6, 'six workers');
goes_on('bad');

forget();
stop();

# in all workers at the same time: those that wait for their turn don't die

put('files/crash', 'always');
start("$others background_task bad { workers all; interval 1h; retry 3s; crash $file; }",
      $location, $main);

poll('quarantined in all', sub { task('bad')->{state} eq 'quarantined' });

# those that died before have a retry due

my $since = time;

poll('a retry\'s time is over', sub { time > $since + 4 });
poll('all workers are there', sub {
    return !task('bad')->{running} && @{[workers()]} == 4;
});

my $died = logged(qr/exited on signal 11/);

goes_on('bad');

is(logged(qr/exited on signal 11/), $died, 'no worker dies any more');
cmp_ok($died, '>=', 3, 'three workers died');
cmp_ok($died, '<=', 4, 'and one that was in a cycle then');
is(task('bad')->{cycles}{failed}, $died, 'each of them failed');
is(logged(qr/\[alert\].*background task "bad": quarantined/), 1, 'one alert');

# all of them may try it after a reload, one by one: the first one dies

signal('HUP');

poll('quarantined again', sub {
    return logged($quarantined) == 2;
});

$since = time;

poll('a retry\'s time is over again', sub { time > $since + 4 });
died($died + 1, 'one worker');
is(task('bad')->{cycles}{failed}, $died + 1, 'one cycle');
ok(!task('bad')->{healthy}, 'not healthy');

# one by one, until one is good

unlink $file or die "unlink: $!\n";
signal('HUP');

poll('all have had a cycle', sub { task('bad')->{cycles}{completed} == 4 });
ok(task('bad')->{healthy}, 'healthy');
died($died + 1, 'no other worker');

forget();
stop();

done_testing();

sub task {
    my %task = by_name(status_anyhow());

    return $task{$_[0]};
}

# other tasks, and requests

sub goes_on {
    my ($but) = @_;

    my %before = by_name(status_anyhow());
    my $generation = status_anyhow()->{generation};

    poll('others go on', sub {
        %task = by_name(status_anyhow());

        return !grep { /long/ ? $task{$_}{running} < 4
                       : $_ ne $but && $task{$_}{cycles}{completed}
                                       <= $before{$_}{cycles}{completed} + 20 }
                     keys %task;
    });

    for (grep { $_ ne $but } sort keys %task) {
        is($task{$_}{state} eq 'quarantined', !1, "$_: not quarantined");
        cmp_ok($task{$_}{cycles}{failed}, '<=', $killed,
               "$_: no cycle has failed but in a killed worker");
    }

    is($task{$but}{cycles}{failed}, $before{$but}{cycles}{failed},
       "$but: no cycle meanwhile") if $before{$but}{state} eq 'quarantined';

    like((get('/files/page'))[2], qr/^here$/, 'requests');
}

# nginx's master may be the last to know

sub died {
    my ($n, $name) = @_;

    poll($name, sub { logged(qr/exited on signal 11/) >= $n });
    is(logged(qr/exited on signal 11/), $n, $name);
}

# what is expected in the log

sub forget {
    put('error.log', join '', grep { !/exited on signal|: quarantined|invalid time "0"/ }
                                   split /^/, log_text());
}
