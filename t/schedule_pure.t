#!/usr/bin/env perl

# Compiles t/schedule.c and runs its tests of schedules.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundPure;

my $program = pure('schedule') or exit 1;

system($program);

exit($? & 127 ? 128 + ($? & 127) : $? >> 8);
