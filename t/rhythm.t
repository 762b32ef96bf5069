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
use Time::HiRes qw/ sleep time /;

start(<<'EOF', '', 'worker_processes 8; worker_rlimit_core 0;');
    background_task often { interval 100ms; simulate_io 2 delay=1ms-1ms; }
    background_task rare { interval 5s; simulate_io 1 delay=1ms-1ms; }
EOF

my %task;

poll('a cycle', sub { task('rare')->{cycles}{completed} });

my $first = seconds(task('rare')->{last}{finished});
my $next = seconds(task('rare')->{next});

cmp_ok(abs($next - $first - 5), '<', 1, 'due after the interval');

# with the interval half over, another worker takes it, and after a reload one
# of the next ones: it is due when it was

my $count = task('often')->{cycles}{completed};
my $start = time;

sleep 0.02 while time < $start + 1.5;

my $cycles = task('often')->{cycles}{completed} - $count;
my $took = time - $start;

cmp_ok($cycles, '>=', 2, 'often: cycles');
cmp_ok($cycles, '<=', $took / 0.1 + 1, 'often: one each interval, not eight');

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

sleep 0.02 while time < $start + 2.7;

my @old = workers();

signal('HUP');
all_there(8, @old);

is(task('rare')->{cycles}{completed}, 1, 'rare: no cycle for the reload');
cmp_ok(abs(seconds(task('rare')->{next}) - $next), '<', 1,
       'rare: due when it was due');

poll('the next one', sub { task('rare')->{cycles}{completed} == 2 });

# a slow machine may be late, but nobody is early

my $second = seconds(task('rare')->{last}{finished});

cmp_ok($second - $first, '>', 4.9, 'rare: not early');
cmp_ok($second - $first, '<', 50, 'rare: not forgotten');

# of all the cycles, by whichever worker: none comes before its time

my @history = map { seconds($_->{finished}) } @{task('often', 1)->{history}};
my @early = grep { $history[$_] - $history[$_ - 1] < 0.08 } 1 .. $#history;

cmp_ok(@history, '>', 10, 'often: history');
is(join(' ', map { "$history[$_ - 1] $history[$_]" } @early), '',
   'often: none before its time');

$cycles = task('often')->{cycles};
is($cycles->{completed}, logged(qr/background task "often": completed 2 /),
   'often: each cycle was counted once');

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

# of the day

sub seconds {
    my ($h, $m, $s) = $_[0] =~ /T(\d+):(\d+):([\d.]+)Z$/;

    return 3600 * $h + 60 * $m + $s;
}
