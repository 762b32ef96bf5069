# interval TIME jitter=TIME: the first cycle, and each pause, wait a random
# time longer.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundStatus;
use List::Util qw/ max min /;
use Test::More;
use Time::Local qw/ timegm /;

start(join('',
           (map { "background_task exact$_ { interval 1h; "
                  . "simulate_io 1 delay=0-0; }\n" } 1 .. 20),
           (map { "background_task spread$_ { interval 1h jitter=2s; "
                  . "simulate_io 1 delay=0-0; }\n" } 1 .. 20),
           (map { "background_task far$_ { interval 1ms jitter=365d; "
                  . "simulate_io 1 delay=0-0; }\n" } 1 .. 64),
           'background_task later { workers all; interval 20d jitter=20d; '
           . 'simulate_io 1 delay=0-0; }'),
      '', 'worker_processes 4;');

my %task;

poll('cycles', sub {
    %task = by_name(status());

    return !grep({ !$_->{last} || !$_->{next} }
                 @task{grep { /^exact|^spread/ } keys %task})
           && !grep({ !$task{"far$_"}{next} } 1 .. 64);
});

# when the next one is due, not when it comes, is a matter of milliseconds

my @exact = pauses('exact');
my @spread = pauses('spread');

cmp_ok(min(@exact), '>=', 3599.9, 'the interval at least');
cmp_ok(max(@exact), '<=', 3601, 'and no more');
cmp_ok(min(@spread), '>=', 3599.9, 'with jitter, too');
cmp_ok(max(@spread), '<=', 3603, 'and some time more');
cmp_ok(max(@spread) - min(@spread), '>=', 0.2, 'which is random');

# that a first cycle comes within these seconds happens once in 50,000 tests

is($task{later}{cycles}{completed}, 0, 'the first cycle waits, too');
is($task{later}{state}, 'waiting', 'state');
like($task{later}{next}, qr/^\d{4}-.*Z$/, 'and it is told for when');

# that all of 64 come within 25 days of 365 happens never

my @far = map { at($task{"far$_"}{next}) } 1 .. 64;

cmp_ok(max(@far) - time, '>', 25 * 24 * 60 * 60, 'up to a year');
cmp_ok(max(@far) - time, '<=', 365 * 24 * 60 * 60 + 60, 'and no longer');

stop();
done_testing();

# from a cycle's end to when the next one is due, in seconds

sub pauses {
    my ($name) = @_;

    return map { at($_->{next}) - at($_->{last}{finished}) }
           map { $task{"$name$_"} } 1 .. 20;
}

sub at {
    my ($y, $m, $d, $h, $min, $s) =
        $_[0] =~ /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):([\d.]+)Z$/;

    return timegm(0, $min, $h, $d, $m - 1, $y) + $s;
}
