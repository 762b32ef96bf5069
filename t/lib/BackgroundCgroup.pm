package BackgroundCgroup;

# Groups of cgroup v1 that a test makes; they are gone when it ends.

use strict;
use warnings;

use Exporter qw/ import /;
use Test::More;

our @EXPORT = qw/ v1_group container group quota slurp spew /;

my @groups;
my $main = $$;

# a new group below our own, or why there can't be one

sub v1_group {
    my ($controller, $file) = @_;
    my ($own, $top);

    for (split(/\n/, slurp('/proc/self/cgroup'))) {
        my (undef, $controllers, $path) = split(/:/, $_, 3);
        $own = $path if grep { $_ eq $controller } split(/,/, $controllers);
    }

    for (split(/\n/, slurp('/proc/self/mountinfo'))) {
        my ($left, $right) = split(/ - /, $_, 2);
        my (undef, undef, undef, $root, $point) = split(/ /, $left);
        my ($type, undef, $options) = split(/ /, $right // '');

        next unless ($type // '') eq 'cgroup' && defined $own;
        next unless grep { $_ eq $controller } split(/,/, $options // '');

        $root = '' if $root eq '/';
        next unless $own =~ m!^\Q$root\E(/.*|)$! && -d "$point$1";

        $top = "$point$1";
    }

    return (undef, "no cgroup v1 with the controller $controller is mounted") unless defined $top;

    $top =~ s!/+$!!;
    my $group = "$top/background_test_$$";

    group($group) or return (undef, "mkdir() of $group is refused: $!");

    return (undef, "no $file in $group") unless -e "$group/$file";
    return (undef, "open() of $group/cgroup.procs for writing is refused") unless -w "$group/cgroup.procs";

    return $group;
}

# groups as a container has them, with a CPU quota and its use, the one with the
# quota first; or undef, and why there can't be any

sub container {
    my ($cpu, $why) = v1_group('cpu', 'cpu.cfs_quota_us');
    return (undef, $why) unless $cpu;

    return $cpu if -e "$cpu/cpuacct.usage";

    my ($account, $why_not) = v1_group('cpuacct', 'cpuacct.usage');
    return (undef, $why_not) unless $account;

    my %own = map { (split /:/, $_, 3)[1, 2] }
              split /\n/, slurp('/proc/self/cgroup');

    return (undef, 'our groups of cpu and of cpuacct have different names')
        unless ($own{cpu} // '') eq ($own{cpuacct} // '');

    return ($cpu, $account);
}

sub group {
    my ($group) = @_;

    mkdir($group) or return;
    push(@groups, $group);

    return $group;
}

sub quota {
    my ($group, $quota) = @_;

    spew("$group/cpu.cfs_period_us", 100000);
    spew("$group/cpu.cfs_quota_us", defined $quota ? $quota * 100000 : -1);
}

sub slurp {
    my ($name) = @_;

    open(my $fh, '<', $name) or die "open $name: $!\n";
    local $/;
    return scalar(<$fh>) // '';
}

sub spew {
    my ($name, $text) = @_;

    open(my $fh, '>', $name) or die "open $name: $!\n";
    print $fh $text;
    close($fh) or die "write $text to $name: $!\n";
}

END {
    if ($$ == $main) {
        my $status = $?;

        # a group stays busy until its last process is gone altogether

        for my $group (reverse @groups) {
            for (1 .. 50) {
                last if rmdir($group) || !-d $group;
                select(undef, undef, undef, 0.1);
            }

            diag("can't remove $group: $!") if -d $group;
        }

        $? = $status;
    }
}

1;
