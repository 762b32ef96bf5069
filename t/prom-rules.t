#!/usr/bin/env perl

# examples/alerts.yml: each alert is raised when it should be, and only then.

use strict;
use warnings;

use FindBin;
use Test::More;

###############################################################################

plan skip_all => 'no promtool (Debian\'s package prometheus)'
    if system('promtool --version > /dev/null 2>&1');

my $root = "$FindBin::Bin/..";

like(`promtool check rules '$root/examples/alerts.yml' 2>&1` . "[$?]",
    qr/SUCCESS: \d+ rules found\n\n?\[0\]\z/, 'promtool check rules');

like(`promtool test rules '$root/t/prom-rules.yml' 2>&1` . "[$?]",
    qr/SUCCESS\n+\[0\]\z/, 'promtool test rules');

done_testing();
