#!/usr/bin/env perl

# Compiles t/cpu_limit.c and runs its tests of the CPU limit on made-up
# trees.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundPure;

my $program = pure('cpu_limit', 'cpu_usage') or exit 1;

system($program);

exit($? & 127 ? 128 + ($? & 127) : $? >> 8);
