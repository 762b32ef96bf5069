# "workers one": one run for each interval, however many workers there are, and
# due when it was due, whoever runs it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use BackgroundStorm;
use Test::More;
use Time::HiRes qw/ time /;

start(<<'EOF', '', 'worker_processes 8; worker_rlimit_core 0;');
    background_task often { interval 100ms; simulate_io 2 delay=1ms-1ms; }
    background_task soon { interval 2s; simulate_io 3 delay=1ms-1ms; }
    background_task rare { interval 1h; simulate_io 1 delay=1ms-1ms; }
EOF

my %task;

poll('a cycle', sub { task('rare')->{cycles}{completed} });

my $first = seconds(task('rare')->{last}{finished});
my $next = seconds(task('rare')->{next});

cmp_ok(abs(since($next, $first) - 3600), '<', 1, 'due after the interval');

# another worker takes it, and after a reload one of the next ones: it is due
# when it was

cycles(5);

my $holder = task('rare')->{lease}{pid};
my $killed = time;

signal('KILL', $holder);

poll('another one', sub {
    my $lease = task('rare')->{lease};

    return $lease && $lease->{pid} != $holder;
});

figures('seconds to a takeover' => time - $killed);

is(task('rare')->{cycles}{completed}, 1, 'rare: no cycle for the takeover');
cmp_ok(abs(seconds(task('rare')->{next}) - $next), '<', 1,
       'rare: due when it was due');

cycles(5);

my @old = workers();

signal('HUP');
all_there(8, @old);

is(task('rare')->{cycles}{completed}, 1, 'rare: no cycle for the reload');
cmp_ok(abs(seconds(task('rare')->{next}) - $next), '<', 1,
       'rare: due when it was due');

# of all the cycles, by whichever worker: a slow machine may be late, but none
# comes before its time

cycles(5);
poll('soon', sub { task('soon')->{cycles}{completed} >= 3 });

for (['often', 0.1], ['soon', 2]) {
    my ($name, $interval) = @$_;
    my @history = map { seconds($_->{finished}) } @{task($name, 1)->{history}};
    my @early = grep { since($history[$_], $history[$_ - 1])
                       < $interval - 0.02 } 1 .. $#history;

    cmp_ok(@history, '>=', 3, "$name: history");
    is(join(' ', map { "$history[$_ - 1] $history[$_]" } @early), '',
       "$name: none before its time");
}

my $told;

poll('soon: each cycle was counted once', sub {
    $told = logged(qr/background task "soon": completed 3 /);

    return task('soon')->{cycles}{completed} == $told
           && $told == logged(qr/background task "soon": completed 3 /);
});

put('error.log', join '', grep { !/exited on signal 9/ }
                               split /^/, log_text());

stop();
done_testing();

sub task {
    my ($name, $history) = @_;

    my %t = by_name(status_anyhow($history ? '/status?history=1'
                                           : '/status'));

    return $t{$name};
}

# waits until there were so many more cycles

sub cycles {
    my ($n) = @_;

    my $before = task('often')->{cycles}{completed};

    poll("$n cycles", sub {
        task('often')->{cycles}{completed} >= $before + $n
    });
}

# from one time of the day to the next

sub since {
    my ($later, $time) = @_;

    my $since = $later - $time;

    return $since < 0 ? $since + 86400 : $since;
}

# of the day

sub seconds {
    my ($h, $m, $s) = $_[0] =~ /T(\d+):(\d+):([\d.]+)Z$/;

    return 3600 * $h + 60 * $m + $s;
}
