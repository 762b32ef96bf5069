package BackgroundPoll;

# Polls for a state, with a deadline.

use strict;
use warnings;

use Exporter qw/ import /;
use List::Util qw/ max min /;
use Time::HiRes qw/ sleep time /;

our @EXPORT = qw/ poll_until /;

# called at each turn

our @each;

# a pause before each look, in seconds: to a slow test each server is a fast one

my $delay = $ENV{BACKGROUND_POLL_DELAY} || 0;

# in seconds, between two looks: a tenth of the time so far, so that those who
# wait for long leave the CPU to others

our ($least, $most) = (0.02, 0.2);

# Calls the function until it returns something true, and returns that; after so
# many seconds it calls the other one, which tells what there is, and dies.

sub poll_until {
    my ($name, $seconds, $function, $tell) = @_;

    my $begin = time;
    my $end = $begin + $seconds;

    for ( ;; ) {
        sleep $delay if $delay;
        $_->() for @each;

        my $rv = $function->();
        return $rv if $rv;

        last if time > $end;
        sleep max($least, min($most, (time - $begin) / 10));
    }

    $tell->();
    die "timed out: $name\n";
}

1;
