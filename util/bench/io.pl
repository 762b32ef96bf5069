# CPU and memory of 10,000 concurrent waits, such as of connections, compared
# with asyncio.

package Bench::io;

use strict;
use warnings;

use Bench;

my $waits = 10_000;
my ($min, $max) = (250, 1000);

# how often all waits are repeated while CPU and memory are measured

my $times = 3;

# Returns the CPU time of all waits in milliseconds and the maximum of memory in
# MB.  $over->() returns when all waits have ended once more.

sub watch {
    my ($pids, $over) = @_;

    my ($cpu, $memory) = (0, 0);

    $over->(sub { });

    my $start = cpu(@$pids);

    for (1 .. $times) {
        $over->(sub {
            my $now = memory(@$pids);
            $memory = $now if $now > $memory;
        });
    }

    return (1000 * (cpu(@$pids) - $start) / $times, $memory);
}

sub background {
    start(log => 'info',
          http => "background_task waits { interval 1ms;\n"
                  . "simulate_io $waits delay=${min}ms-${max}ms; }\n");

    my $seen = 0;

    my @figures = watch([processes()], sub {
        my ($look) = @_;

        poll('the waits are over', sub {
            $look->();
            return log_lines(qr/"waits": completed/) > $seen;
        });

        $seen++;
    });

    stop();

    return @figures;
}

sub python {
    my $program = program('/usr/bin/python3', "$Bench::folder/io.py", $waits,
                          $min, $max, @_);
    my $pid = $program->{pid};

    my @figures = watch([$pid], sub {
        my ($look) = @_;

        $look->() until readable($program->{out}, 0.02);
        line($program);
    });

    finish($program);

    return @figures;
}

sub readable {
    my ($file, $seconds) = @_;

    vec(my $files = '', fileno $file, 1) = 1;

    return select $files, undef, undef, $seconds;
}

my @units = ('CPU ms', 'MB');

{
    rounds => 7,
    things => [
        ['simulate_io', \@units, \&background],
        ['asyncio', \@units, sub { python() }],
        ['uvloop', \@units, sub { python('uvloop') }],
    ],
    rows => [
        map { my $unit = $_; map { [$unit, 'simulate_io', $_] }
              qw/ asyncio uvloop / } @units
    ],
};
