# "config" tells what it needs, where nginx's configure does not have it; all
# sources compile without a warning.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use Cwd qw/ abs_path /;
use Test::More;

my $root = abs_path("$FindBin::Bin/..");

# what configure has set when it comes to a module's "config"

my %good = (
    NGX_PLATFORM => 'Linux:6.1.0:x86_64',
    USE_THREADS => 'YES',
    NDK_INCS => '/ndk/objs',
);

for my $case ([NGX_PLATFORM => 'FreeBSD:14.0-RELEASE:amd64',
               'needs Linux, this is "FreeBSD:14.0-RELEASE:amd64".'],
              [USE_THREADS => 'NO',
               'needs thread support: add --with-threads.'],
              [NDK_INCS => '',
               'needs ngx_devel_kit: add --add-module=PATH or '
               . '--add-dynamic-module=PATH of it before this module.'])
{
    my ($name, $value, $error) = @$case;
    my %vars = (%good, $name => $value);
    my $vars = join ' ', map { "$_='$vars{$_}'" } sort keys %vars;

    my $said = qx/cd '$root' && env -i PATH="\$PATH" $vars sh .\/config 2>&1/;

    is($? >> 8, 1, "$name=\"$value\": fails");
    is($said =~ s/\n//gr, "./config: error: ngx_http_background_module $error",
       'and says why');
}

# nginx's handlers have parameters that not each of them uses

my $flags = '-O2 -Wall -Wextra -Wno-unused-parameter -Werror -c -o /dev/null';

my @sources = split /\n/, qx/find '$root\/src' -name '*.c' | sort/;

for my $cc (grep { system("$_ --version > /dev/null 2>&1") == 0 }
            qw/ gcc clang /)
{
    is(compile($cc, $flags, $_), '', "$cc: " . s{.*/}{}r) for @sources;
}

done_testing();
