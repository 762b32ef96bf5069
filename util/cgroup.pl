# See cgroup.sh, which runs it.

use strict;
use warnings;

use BackgroundCgroup qw/ container group quota slurp spew /;
use BackgroundLife;
use BackgroundStatus;
use IO::Socket::UNIX;
use Test::More ();
use Time::HiRes qw/ sleep time /;

# results of test helpers are not printed

Test::More->builder->output('/dev/null');
Test::More->builder->no_ending(1);

my $rounds = shift || 5;
my $seconds = shift || 3;

# requests a second, far below the limit of one event loop

my $rate = 200;

my $quota = 1.5;
my $workers = 4;

my $task = 'background_task burns { workers all; interval 1ms; '
           . 'simulate_cpu 200ms; }';

my @cases = (
    ['budget and pacing (default)', $task],
    ['budget, no pacing', "background_threads 1 quota=100%; $task"],
    ['neither: a busy thread in each worker',
     "background_threads $workers quota=100%; $task"],
    ['no CPU work', ''],
);

my @groups = container();
my $group = $groups[0];

if (!$group) {
    print "skipped: $groups[1]\n";
    exit;
}

# Other work of the machine must disturb neither nginx nor the client.

my @home = map { m{(.*)/} } @groups;
my $client = group("${group}_client") or die "can't make ${group}_client: $!\n";

spew("$_/cpu.shares", 100_000) for $group, $client;

END { enter(@home) }

my %figures;

quota($group, $quota);

for my $round (1 .. $rounds) {
    for my $case (@cases) {
        push @{$figures{$case->[0]}}, measure($case->[1]);
    }

    print STDERR "round $round of $rounds\n";
}

printf "quota %s CPUs, %d workers, %d requests of /status a second; "
       . "medians of %d rounds of %d s\n\n", $quota, $workers, $rate, $rounds,
       $seconds;
printf "%-39s %9s %9s %8s %8s %8s %6s\n", '', 'throttled', 'of', 'p50 ms',
       'p99 ms', 'max ms', 'CPUs';

my %median;

for (map { $_->[0] } @cases) {
    my @rows = @{$figures{$_}};
    my @median = map { my $n = $_; median(map { $_->[$n] } @rows) } 0 .. 5;

    $median{$_} = \@median;
    printf "%-39s %9d %9d %8.2f %8.2f %8.2f %6.2f\n", $_, @median;
}

my @names = map { $_->[0] } @cases;
my ($with, $without) = @median{@names[0, 2]};

printf "\nneither, compared with the default: nr_throttled %s times, "
       . "p99 %.1f times\n",
       $with->[0] ? sprintf('%.1f', $without->[0] / $with->[0])
                  : "$without->[0] to 0, any number of",
       $without->[3] / $with->[3];

# the spread shows how precise the medians are

for (@names) {
    my @p99 = sort { $a <=> $b } map { $_->[3] } @{$figures{$_}};
    my @n = sort { $a <=> $b } map { $_->[0] } @{$figures{$_}};

    printf "%s: p99 %.2f-%.2f ms, throttled %d-%d\n", $_, @p99[0, -1],
           @n[0, -1];
}

# nginx reads the quota when it starts, so it must be in the group before

sub measure {
    my ($tasks) = @_;

    enter(@groups);
    start($tasks, '', "worker_processes $workers;");
    enter(@home, $client);

    poll('all workers burn', sub {
        my ($burns) = @{status()->{tasks}} or return 1;

        return $burns->{running} == $workers;
    });

    sleep 0.5;

    my %before = cpu_stat();
    my $start = time;
    my @times = requests();
    my $took = time - $start;
    my %after = cpu_stat();

    stop();

    @times = sort { $a <=> $b } @times;

    return [$after{nr_throttled} - $before{nr_throttled},
            $after{nr_periods} - $before{nr_periods},
            (map { 1000 * $times[$_ * $#times] } 0.5, 0.99, 1),
            ($after{usage} - $before{usage}) / 1e9 / $took];
}

# Requests are sent at fixed times, even if the last one is not answered; a
# delay is counted from the time at which the request was due.

sub requests {
    my $start = time;
    my @times;

    for my $n (0 .. $rate * $seconds - 1) {
        my $due = $start + $n / $rate;
        my $now = time;

        sleep $due - $now if $due > $now;

        my $socket = IO::Socket::UNIX->new(Peer => dir() . '/socket')
            or die "connect: $!\n";
        my $answer = '';

        syswrite $socket, "GET /status HTTP/1.0\r\n\r\n";
        1 while sysread $socket, $answer, 65536, length $answer;

        die "no good answer\n" unless $answer =~ m{^HTTP/1\.1 200 };

        push @times, time - $due;
    }

    return @times;
}

# with the CPU time of the group in nanoseconds, if available

sub cpu_stat {
    my %stat = map { split } split /\n/, slurp("$group/cpu.stat");

    $stat{usage} = 0;

    for my $pid (split ' ', slurp("$group/cgroup.procs")) {
        for (glob "/proc/$pid/task/*/schedstat") {
            my ($ns) = split ' ', eval { slurp($_) } // '0';

            $stat{usage} += $ns;
        }
    }

    return %stat;
}

sub enter { spew("$_/cgroup.procs", $$) for @_ }

sub median {
    my @sorted = sort { $a <=> $b } @_;

    return $sorted[@sorted / 2];
}
