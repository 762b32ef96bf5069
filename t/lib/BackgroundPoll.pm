package BackgroundPoll;

# Polls for a state, with a deadline.

use strict;
use warnings;

use Exporter qw/ import /;
use Time::HiRes qw/ sleep time /;

our @EXPORT = qw/ poll_until /;

# called at each turn

our @each;

# a pause before each look, in seconds: to a slow test each server is a fast one

my $delay = $ENV{BACKGROUND_POLL_DELAY} || 0;

# Calls the function until it returns something true, and returns that; after so
# many seconds it calls the other one, which tells what there is, and dies.

sub poll_until {
    my ($name, $seconds, $function, $tell) = @_;

    my $end = time + $seconds;

    for ( ;; ) {
        sleep $delay if $delay;
        $_->() for @each;

        my $rv = $function->();
        return $rv if $rv;

        last if time > $end;
        sleep 0.02;
    }

    $tell->();
    die "timed out: $name\n";
}

1;
