package BackgroundProc;

# Processes, as /proc has them, and files that may not be there.

use strict;
use warnings;

use Exporter qw/ import /;

our @EXPORT = qw/ child_pids read_file /;

# The PIDs of a process's children, also of zombies, in numerical order; in scalar
# context their number.  A child that is reaped while the kernel lists them may
# hide another one: they are read until two readings agree.

sub child_pids {
    my ($pid) = @_;

    my ($pids, $before);

    do {
        $before = $pids;
        $pids = join '', map { read_file($_) } glob "/proc/$pid/task/*/children";
    } until defined $before && $before eq $pids;

    return my @pids = sort { $a <=> $b } split ' ', $pids;
}

# what is in a file, or nothing if there is none

sub read_file {
    my ($name) = @_;

    open my $file, '<', $name or return '';
    local $/;

    return scalar(<$file>) // '';
}

1;
