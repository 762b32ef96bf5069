package BackgroundKeep;

# In a test that BackgroundHarness runs: folders stay until it has seen how the
# test ended, and complaints go into a file there.

use strict;
use warnings;

use File::Temp;

$File::Temp::KEEP_ALL = 1;

# prove, which reads the end of what was there, would wait for this test alone
# when it is closed

our $stderr;

if (my $file = $ENV{BACKGROUND_STDERR}) {
    open $stderr, '>&', \*STDERR or die "open: $!\n";
    open STDERR, '>>', $file or die "open $file: $!\n";
}

1;
