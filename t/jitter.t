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

my $far = join '', map { "background_task far$_ { interval 1ms jitter=365d; "
                         . "simulate_io 1 delay=0-0; }\n" } 1 .. 64;

start(<<"EOF", '', 'worker_processes 4;');
    $far
    background_task exact { interval 100ms; simulate_io 1 delay=0-0; }
    background_task spread { interval 100ms jitter=200ms; simulate_io 1 delay=0-0; }
    background_task later { workers all; interval 20d jitter=20d; simulate_io 1 delay=0-0; }
EOF

my %task;

poll('cycles', sub {
    %task = by_name(status('/status?history=1'));

    return @{$task{spread}{history}} > 20
           && !grep { !$task{"far$_"}{next} } 1 .. 64;
});

my @exact = pauses('exact');
my @spread = pauses('spread');

cmp_ok(min(@exact), '>=', 0.095, 'the interval at least');
cmp_ok(min(@spread), '>=', 0.095, 'with jitter, too');
cmp_ok(max(@spread) - min(@spread), '>=', 0.05, 'and a random time more');
cmp_ok(@exact, '>', 1.3 * @spread, 'so there are fewer cycles');

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

# between the ends of two cycles, in seconds

sub pauses {
    my @at = map { at($_->{finished}) } @{$task{$_[0]}{history}};

    return map { $at[$_] - $at[$_ - 1] } 1 .. $#at;
}

sub at {
    my ($y, $m, $d, $h, $min, $s) =
        $_[0] =~ /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):([\d.]+)Z$/;

    return timegm(0, $min, $h, $d, $m - 1, $y) + $s;
}
