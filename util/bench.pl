# See bench.sh, which runs it.

use strict;
use warnings;

use Bench;

# A section is a file, util/bench/SECTION.pl, that returns a hash:
#
#     rounds   the default number of rounds
#     notes    optional: texts for the table, such as reasons for missing rows
#     things   measurements: [NAME, UNITS, FUNCTION]...; the function returns one
#              number for each unit
#     rows     comparisons: [UNIT, NAME, OTHER NAME, WANTED]...: the ratio of
#              both, or the number itself if OTHER NAME is undef.
#              WANTED is optional, as in ">= 0.9"; "inside" is a ratio no higher
#              than any of the other thing with itself.
#
# A round measures all things twice, the second time in reverse order.  So
# drifts of the machine cancel out, and the ratio of the second to the first
# number of a thing shows the deviation without any difference.

# time limit of a section in seconds; a round that would end later is not
# started

my $limit = 280;

my $rounds;

if (@ARGV && $ARGV[0] eq '-r') {
    (undef, $rounds) = splice @ARGV, 0, 2;
}

my @sections = @ARGV ? @ARGV
                     : map { m{(\w+)\.pl$} } sort glob "$Bench::folder/*.pl";
my @table;
my $missed = 0;

$| = 1;

machine();

for (@sections) {
    next if eval { section($_); 1 };

    push @table, "$_: failed: $@";
    $missed = 1;
    stop_all();
}

printf "\n%-8s %-46s %8s  %-16s %-21s %s\n", 'section', 'comparison', 'median',
       'span', 'of', 'wanted';
print @table;

exit $missed;

sub machine {
    my ($model) = slurp('/proc/cpuinfo') =~ /^model name\s*:\s*(.*)/m;
    my ($load) = split ' ', slurp('/proc/loadavg');
    my ($version) = run(qw/ sh -c /, '"$TEST_NGINX_BINARY" -v 2>&1')
                    =~ m{nginx version: (\S+)};
    my $commit = run(qw/ sh -c /, 'git -C "$0" describe --always --dirty '
                                  . '2> /dev/null || echo "no commit"',
                     $Bench::folder) =~ s/\n//r;

    printf "%s: %d CPUs (%s), %.1f GB, Linux %s, load average %s, %s, %s\n",
           $commit, cpus(), $model // 'unknown',
           (slurp('/proc/meminfo') =~ /^MemTotal:\s+(\d+)/)[0] / 1e6,
           slurp('/proc/sys/kernel/osrelease') =~ s/\n//r, $load,
           $version, run('/usr/bin/python3', '--version') =~ s/\n//r;
}

sub section {
    my ($name) = @_;

    my $start = time;
    my $section = do "$Bench::folder/$name.pl";
    die $@ || "$!\n" unless ref $section;

    my ($figures, $n) = measure($name, $section, $start);

    my %shown;

    for my $row (@{$section->{rows}}) {
        my ($unit, $over, $under, $wanted) = @$row;
        my @over = @{$figures->{"$unit: $over"}};

        if (!defined $under) {
            row($name, "$unit: $over", \@over, '', $wanted);
            next;
        }

        my @under = @{$figures->{"$unit: $under"}};

        row($name, "$unit: $over / $under",
            [map { $over[$_] / $under[$_] } 0 .. $#over],
            number(median(@over)) . ' / ' . number(median(@under)),
            ($wanted // '') eq 'inside' ? inside(@under) : $wanted);

        $shown{"$unit: $_"} = 1 for $over, $under;
    }

    row($name, "$_ / itself", [itself(@{$figures->{$_}})], '')
        for sort keys %shown;

    push @table, map { "$name: $_\n" } "$n rounds", @{$section->{notes} || []};
}

sub inside {
    my ($most) = sort { $b <=> $a } map { ($_, 1 / $_) } itself(@_);

    return sprintf '<= %.2f', $most;
}

# the second measurement divided by the first one

sub itself { map { $_[2 * $_ + 1] / $_[2 * $_] } 0 .. $#_ / 2 }

sub measure {
    my ($name, $section, $start) = @_;

    my %figures;
    my $last = $rounds || $section->{rounds};
    my $n;

    for $n (1 .. $last) {
        my $begin = time;

        for (@{$section->{things}}, reverse @{$section->{things}}) {
            my ($thing, $units, $function) = @$_;
            my @numbers = $function->();

            push @{$figures{"$units->[$_]: $thing"}}, $numbers[$_]
                for 0 .. $#$units;
        }

        my $now = time;

        printf STDERR "%s: round %d of %d, %.0f s\n", $name, $n, $last,
               $now - $begin;

        return (\%figures, $n) if $n == $last
                                  || 2 * $now - $begin - $start > $limit;
    }
}

sub row {
    my ($name, $text, $numbers, $of, $wanted) = @_;

    my @sorted = sort { $a <=> $b } @$numbers;
    my $median = median(@sorted);
    my $verdict = '';

    if ($wanted) {
        my ($sign, $limit) = $wanted =~ /^([<>])= ([\d.]+)$/
            or die "what is \"$wanted\"?\n";
        my $good = $sign eq '<' ? $median <= $limit : $median >= $limit;

        $verdict = $wanted . ($good ? '' : ', missed');
        $missed = 1 unless $good;
    }

    my $line = sprintf "%-8s %-46s %8s  %-16s %-21s %s", $name, $text,
        number($median), number($sorted[0]) . '-' . number($sorted[-1]), $of,
        $verdict;

    push @table, $line =~ s/ +$//r . "\n";
}

# formats with at least three digits

sub number {
    my ($number) = @_;

    return '0' if $number == 0;

    my $digits = 2 - int(log(abs $number) / log(10) + 100) + 100;
    my $text = sprintf '%.*f', $digits > 0 ? $digits : 0, $number;

    1 while $text =~ s/^(\d+)(\d{3})(?!\d*\.\d{0,2}$)/$1,$2/;

    return $text;
}
