# Nothing starves: mixes of jobs that go on for ever, that sleep under a
# limit_rate, that share their work, that keep their slots, and that are short,
# in some workers with some threads, with reloads and kills. All go on within
# the time that turns take, and never do more than "background_threads".

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use BackgroundStorm;
use List::Util qw/ max min /;
use Test::More;
use Time::HiRes qw/ time /;

my $storm = $ENV{BACKGROUND_STORM};
my $seed = $ENV{BACKGROUND_STORM_SEED} || time % 1_000_000;

srand $seed;

# as in t/kinds/fair.c

my ($places, $tasks) = (16, 16);

# a turn, and how long it takes until it is seen that one is over, in seconds

my $turn = 0.1 + 2 * 0.02;

# what the suite has: workers, threads, and what may be parked

my @suite = ([1, 1, qw/ long long share /],
             [1, 2, qw/ late late share /],
             [2, 1, qw/ long long sleep /]);

my $rounds = rounds(scalar @suite);

my $kind = load_kind('fair');
my $file = dir() . '/fair';
my $longest = 0;

sub pick { $_[0] + int rand $_[1] - $_[0] + 1 }

# an integer of the file

sub get_int {
    my ($offset) = @_;

    open my $in, '<:raw', $file or die "open: $!\n";
    sysseek $in, $offset, 0;
    sysread $in, my $bytes, 4;

    return unpack 'L', $bytes;
}

# whether it counts how many go on: not while those who died are among them

sub check {
    my ($on) = @_;

    open my $out, '+<:raw', $file or die "open: $!\n";
    sysseek $out, 8, 0;
    syswrite $out, pack 'L', $on;
}

# how often each task went on in each worker that there is, or nothing if a
# worker is not ready

sub beats {
    my ($n) = @_;

    my %place = map { get_int(16 + 4 * $_) => $_ } 0 .. $places - 1;
    my %beats;

    for my $pid (workers()) {
        my $place = $place{$pid} // return;

        $beats{"$pid $_"} = get_int(16 + 4 * $places
                                    + 4 * ($tasks * $place + $_))
            for 0 .. $n - 1;
    }

    return \%beats;
}

sub all_go_on {
    my ($what, $n, $workers, $bound) = @_;

    # a slow machine, or a sanitizer, is not what starves them

    local $BackgroundStatus::deadline = max(
        $BackgroundStatus::deadline, 10 * $bound);

    # the second time with those that come late

    for (1 .. 2) {
        my ($before, $now);

        poll("$what: all workers", sub {
            $before = beats($n);
            return $before && keys %$before == $workers * $n;
        });

        my $start = time;

        poll("$what: all go on", sub {
            $now = beats($n) or return;
            return !grep { ($now->{$_} // 0) == $before->{$_} }
                         keys %$before;
        });

        $longest = max($longest, (time - $start) / $bound);
    }
}

# Each worker has a thread more than what may be parked.  A thread has a few
# turns to give until all have had one: with more of them a round only takes
# longer.

sub mix {
    my ($workers, $threads, $parked);

    do {
        ($workers, $threads) = (pick(1, 8), pick(1, 8));
        $parked = pick(1, min(6, 3 + $threads));
    } while ($workers * ($parked + 1) > 4 * $threads);

    return ($workers, $threads, 'long',
            map { (qw/ long late sleep share /)[rand 4] } 2 .. $parked);
}

for my $round (1 .. $rounds) {
    my ($workers, $threads, @work) = $storm ? mix() : @{$suite[$round - 1]};
    my $parked = @work;

    push @work, 'short' for 1 .. pick(1, 3);
    push @work, 'hold' if rand() < 0.5;

    my $mix = "seed $seed, round $round: $workers workers, $threads threads, "
              . join ' ', @work;

    note($mix);

    open my $out, '>:raw', $file or die "open: $!\n";
    print $out "\0" x (16 + 4 * $places + 4 * $places * $tasks);
    close $out or die "close: $!\n";
    for_workers($file);
    check(1);

    my $number = 0;
    my $conf = join '', map {
        "background_task t$number { workers all; retry 20ms; "
        . ($_ eq 'late' ? 'interval 100ms; ' : 'interval 20ms; ')
        . "fair $_ " . $number++ . "; }\n"
    } @work;

    start("fair_file $file;\n"
          . "background_threads $threads priority=0 quota=100;\n$conf",
          '', "$kind\nworker_processes $workers; "
          . 'worker_rlimit_core 0;');

    # each parked job of each worker has a turn, and as many turns are for those
    # that start

    my $bound = 2 * $workers * ($parked + 1) * $turn / $threads + 0.5;

    all_go_on($mix, scalar @work, $workers, $bound);

    if ($round % 3 == 0) {
        my @workers = workers();
        my $pid = $workers[rand @workers];

        check(0);
        signal('KILL', $pid);

        poll('another one', sub {
            my @now = workers();
            return @now == $workers && !grep({ $_ == $pid } @now)
                   && beats(scalar @work);
        });

        check(1);
        all_go_on("$mix, a worker killed", scalar @work, $workers, $bound);
    }

    my %old = map { $_ => 1 } workers();

    signal('HUP');

    poll('the old ones are gone', sub {
        my @now = workers();
        return @now == $workers && !grep { $old{$_} } @now;
    });

    all_go_on("$mix, reloaded", scalar @work, $workers, $bound);

    my $most = get_int(12);

    cmp_ok($most, '<=', $threads, "$mix: never more at a time");
    cmp_ok($most, '>=', 1, "$mix: counted");

    is(logged(qr/of 8 pieces|no memory/), 0,
       "$mix: all of shared work is done");

    put('error.log', join '', grep { !/exited on signal 9$/ }
                                   split /^/, log_text());

    stop();
}

figures('seed' => $seed, 'longest wait, of what turns take' => $longest);

done_testing();
