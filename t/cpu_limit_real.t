#!/usr/bin/env perl

# The CPU limit that t/cpu_limit.c finds on this very machine: under taskset,
# in cgroup v1 groups with a quota or a cpuset, in a cgroup namespace.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCgroup;
use BackgroundPure;
use File::Temp qw/ tempdir /;
use IO::Handle;
use POSIX ();
use Test::More;

###############################################################################

$SIG{INT} = $SIG{TERM} = $SIG{HUP} = sub { exit 1 };

my $dir = tempdir('cpu_limit_real.XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $program = pure('cpu_limit', 'cpu_usage') or exit 1;

# what limits this test bounds what it can see

my $mask = status('Cpus_allowed');
my $cpus = unpack('%32b*', pack('H*', (length($mask) % 2 ? '0' : '') . $mask));
my ($first) = status('Cpus_allowed_list') =~ /^(\d+)/;

my $own = limit();
my ($own_cpus, $own_quota) = $own =~ /^limit=\d+ cpus=(\S+) quota=(\S+) /;

note("here: $cpus CPUs, $own");

if (!defined $own_quota) {
    fail('a limit');
    diag($own);
    done_testing();
    exit 1;
}

cmp_ok($own_cpus, '<=', $cpus, 'not more than affinity');

SKIP: {
    skip 'no taskset', 1 unless has('taskset');
    skip "a cgroup limits this to $own_cpus CPUs already", 1 if $own_cpus < 1;

    is(limit(undef, 'taskset', '-c', $first),
        "limit=1 cpus=1 quota=$own_quota source=affinity", 'taskset');
}

SKIP: {
    skip "a cgroup limits this to $own_cpus of $cpus CPUs already", 8 if $own_cpus < $cpus;

    my ($parent, $why) = v1_group('cpu', 'cpu.cfs_quota_us');
    skip $why, 8 unless $parent;

    my $child = group("$parent/child") or die "mkdir $parent/child: $!\n";

    is(limit($child), $own, 'v1: groups without a quota');

    quota($child, 0.5);
    is(limit($child), 'limit=1 cpus=0.5 quota=0.5 source=cgroup v1',
        'v1: a quota');

    quota($child);
    quota($parent, 0.5);
    is(limit($child), 'limit=1 cpus=0.5 quota=0.5 source=cgroup v1',
        'v1: a quota of the parent');

    quota($parent, 0.75);
    quota($child, 0.25);
    is(limit($child), 'limit=1 cpus=0.25 quota=0.25 source=cgroup v1',
        'v1: a quota less than the parent\'s');

    quota($child);
    quota($parent, $cpus);
    is(limit($child), "limit=$cpus cpus=$cpus quota=$cpus source=affinity",
        'v1: a quota of all the CPUs never binds');

    SKIP: {
        skip 'sched_getaffinity() has one CPU only', 1 if $cpus < 2;

        my ($quota, $limit) = ($cpus - 0.5, $cpus - 1);

        quota($parent, $quota);
        is(limit($child),
            "limit=$limit cpus=$quota quota=$quota source=cgroup v1",
            'v1: half a CPU less does');
    }

    SKIP: {
        skip 'no taskset', 1 unless has('taskset');
        skip 'sched_getaffinity() has one CPU only', 1 if $cpus < 2;

        quota($parent, 1.5);
        is(limit($child, 'taskset', '-c', $first),
            'limit=1 cpus=1 quota=1.5 source=affinity',
            'v1: affinity is less than the quota');
    }

    # there the child is "/", and only the new mount holds it

    SKIP: {
        my $point = "$dir/mnt";
        my @unshare = ('unshare', '-Cm', 'sh', '-c',
            "mount -t cgroup -o cpu none '$point' && exec \"\$\@\"", 'sh');

        mkdir($point) or die "mkdir $point: $!\n";

        quota($parent, 0.75);
        quota($child, 0.5);

        skip 'unshare(CLONE_NEWCGROUP) or mount() of a cgroup is refused', 1
            unless has('unshare')
                && run($child, @unshare, 'echo', 'mounted') =~ /^mounted$/;

        is(limit($child, @unshare),
            'limit=1 cpus=0.5 quota=0.5 source=cgroup v1',
            'v1: in a cgroup namespace');
    }
}

SKIP: {
    skip "a cgroup limits this to $own_cpus CPUs already", 2 if $own_cpus <= 1;

    my ($group, $why) = v1_group('cpuset', 'cpuset.cpus');
    skip $why, 2 unless $group;

    spew("$group/cpuset.mems", slurp("$group/../cpuset.mems"));
    spew("$group/cpuset.cpus", $first);

    # the kernel narrows affinity as well: only a claimed one tells them apart

    is(limit($group), "limit=1 cpus=1 quota=$own_quota source=affinity",
        'v1: a cpuset narrows affinity');
    is(run($group, $program, '--print', $cpus),
        "limit=1 cpus=1 quota=$own_quota source=cpuset", 'v1: a cpuset');
}

done_testing();

###############################################################################

sub limit {
    my ($group, @prefix) = @_;
    return run($group, @prefix, $program, '--print');
}

# what a command prints that runs in a cgroup

sub run {
    my ($group, @command) = @_;

    my $pid = open(my $fh, '-|') // die "fork: $!\n";

    if (!$pid) {
        eval {
            spew("$group/cgroup.procs", $$) if defined $group;
            open(STDERR, '>&', \*STDOUT);
            no warnings;
            exec { $command[0] } @command;
        };
        print $@ || "exec $command[0]: $!\n";
        STDOUT->flush();
        POSIX::_exit(127);
    }

    my $text = join('', <$fh>);
    close($fh);

    chomp $text;
    return $text;
}

sub status {
    my ($name) = @_;

    my ($value) = slurp('/proc/self/status') =~ /^\Q$name\E:\s*(\S+)/m
        or die "no $name in /proc/self/status\n";
    $value =~ s/,//g unless $name =~ /_list$/;

    return $value;
}

sub has {
    my ($program) = @_;
    return grep { -x "$_/$program" } split(/:/, $ENV{PATH});
}

###############################################################################
