package BackgroundProc;

# Processes, as /proc has them.

use strict;
use warnings;

use Exporter qw/ import /;

our @EXPORT = qw/ child_pids /;

# The PIDs of a process's children, zombies, too, in numerical order.  A child
# that goes away while they are read may hide another one, but not two times.

sub child_pids {
    my ($pid) = @_;

    my ($pids, $before);

    do {
        $before = $pids;
        $pids = join '', map { text($_) } glob "/proc/$pid/task/*/children";
    } until defined $before && $before eq $pids;

    # an array, whose length it is where a number is wanted

    return my @pids = sort { $a <=> $b } split ' ', $pids;
}

sub text {
    my ($name) = @_;

    open my $file, '<', $name or return '';
    local $/;

    return scalar(<$file>) // '';
}

1;
