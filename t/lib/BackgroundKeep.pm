package BackgroundKeep;

# In a test that BackgroundHarness runs: folders stay until it has seen how the
# test ended, complaints go into a file there, processes that the test has forked
# end with it, however it ends: prove would wait for them, and a peer that closes
# its connection early does not end the test.

use strict;
use warnings;

use File::Temp;
use POSIX qw/ WNOHANG /;

$File::Temp::KEEP_ALL = 1;

# which util/test.sh has set for perl alone

delete $ENV{GLIBC_TUNABLES};

# a handler, unlike "IGNORE", is not inherited by programs

$SIG{PIPE} = sub { };

my $test;
my @forked;

BEGIN {
    $test = $$;

    *CORE::GLOBAL::fork = sub () {
        my $pid = CORE::fork;

        push @forked, $pid if $pid && $$ == $test;

        return $pid;
    };
}

END {
    if ($$ == $test) {
        my $status = $?;

        for my $pid (grep { waitpid($_, WNOHANG) == 0 } @forked) {
            kill 'KILL', $pid;
            waitpid $pid, 0;
        }

        $? = $status;
    }
}

# prove, which reads the end of what was there, would wait for this test alone
# when it is closed

our $stderr;

if (my $file = $ENV{BACKGROUND_STDERR}) {
    open $stderr, '>&', \*STDERR or die "open: $!\n";
    open STDERR, '>>', $file or die "open $file: $!\n";
}

1;
