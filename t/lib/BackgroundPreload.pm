package BackgroundPreload;

# Libraries that are loaded before those of nginx.  The runtime of a sanitizer
# must be the first one.

use strict;
use warnings;

use Exporter qw/ import /;

our @EXPORT = qw/ preloaded /;

my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';

# the value of LD_PRELOAD for these libraries

sub preloaded { join ' ', sanitizer(), @_ }

sub sanitizer {
    return unless $ENV{BACKGROUND_ASAN};

    my $said = qx/ldd '$nginx' 2>&1/;

    return $said =~ /=> (\S+\/lib[at]san\.so\S*)/g;
}

1;
