# Planned where valkey-server is installed: t/cluster.t with it.

use strict;
use warnings;

use FindBin;
use Test::More;

my ($valkey) = grep { -x } map { "$_/valkey-server" } split /:/, $ENV{PATH};

plan skip_all => 'no valkey-server' unless $valkey;

$ENV{BACKGROUND_REDIS} = 'valkey-server';

do "$FindBin::Bin/cluster.t" or die $@ || "cluster.t: $!\n";
