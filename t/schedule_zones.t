#!/usr/bin/env perl

# A short round of util/schedule.py: schedules compared with Python's time zones
# and with systemd's calendar.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundPure;
use Test::More;

system('/usr/bin/python3 -c "import zoneinfo; zoneinfo.ZoneInfo(\"UTC\")" '
       . '2>/dev/null') == 0
    or plan(skip_all => 'needs Python with time zones');

my $program = pure('schedule') or exit 1;
my $said = qx/'$FindBin::Bin\/..\/util\/schedule.py' '$program' 4 15 2>&1/;

is($?, 0, 'no difference') or diag($said);
like($said, qr/^zoneinfo: 4 zones, \d+ times of 48 hours, [1-9]\d* compared, 0 differ$/m,
     'compared');

done_testing();
