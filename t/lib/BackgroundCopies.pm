package BackgroundCopies;

# Copies of files for a test that runs nginx as another user, who may not be able
# to enter the folder of this clone.

use strict;
use warnings;

use Exporter qw/ import /;
use File::Basename qw/ basename /;
use File::Copy qw/ copy /;

our @EXPORT = qw/ copied copy_modules /;

# returns the path of a copy in the folder

sub copied {
    my ($folder, $file) = @_;

    my $copy = "$folder/" . basename($file);

    copy($file, $copy) or die "copy $file: $!\n";
    chmod 0755, $copy or die "chmod $copy: $!\n";

    return $copy;
}

# for what is loaded, or started, from then on

sub copy_modules {
    my ($folder) = @_;

    $ENV{TEST_NGINX_LOAD_MODULES} = join ' ', map { copied($folder, $_) }
        split ' ', $ENV{TEST_NGINX_LOAD_MODULES} || '';
}

1;
