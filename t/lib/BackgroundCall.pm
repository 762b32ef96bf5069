package BackgroundCall;

# Libraries for "call".

use strict;
use warnings;

use Exporter qw/ import /;
use File::Basename qw/ dirname /;

our @EXPORT = qw/ build_library root source /;

my $root = dirname(dirname(dirname(__FILE__)));
$root = qx/cd '$root' && pwd/;
chomp $root;

sub root { $root }

sub source { "$root/t/calls/test.c" }

# build_library(FILE, SOURCE, ARGUMENT...); replaces the file by rename.
# Returns false where there is no compiler.

sub build_library {
    my ($file, $source, @arguments) = @_;

    my $cc = $source =~ /\.cc$/ ? $ENV{CXX} || 'c++' : $ENV{CC} || 'cc';

    return 0 if system("command -v $cc > /dev/null 2>&1") != 0;

    system("$cc -Wall -Wextra -Werror -O1 -g -shared -fPIC -I'$root/src'"
           . " -o '$file.new' '$source' @arguments") == 0
        or die "$file was not built\n";

    chmod 0755, "$file.new" or die "chmod $file.new: $!\n";
    rename "$file.new", $file or die "rename $file.new: $!\n";

    return 1;
}

1;
