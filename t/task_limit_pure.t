#!/usr/bin/env perl

# Compiles t/task_limit.c and runs its tests of the limit of tasks on made-up
# trees.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundPure;

my $program = pure('task_limit') or exit 1;

system($program);

exit($? & 127 ? 128 + ($? & 127) : $? >> 8);
