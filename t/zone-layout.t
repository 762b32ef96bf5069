# A zone that was made by a module with other structures is not used: its layout
# changes with their sizes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use Cwd qw/ abs_path /;
use File::Temp qw/ tempdir /;
use Test::More;

my $root = abs_path("$FindBin::Bin/..");
my $dir = tempdir('layout.XXXXXX', TMPDIR => 1, CLEANUP => 1);

my $layout = layout();

like($layout, qr/^-?\d+$/, 'a layout');

for (['zone.h', 'uint64_t    cycles_completed;', 'uint64_t    x;',
      'statistics'],
     ['zone_layout.h', 'uint64_t                        begun;', 'uint64_t x;',
      'a cell'],
     ['zone_layout.h', 'ngx_http_background_record_t   *next;', 'uint64_t x;',
      'a record'],
     ['zone_layout.h', 'uint64_t                        epoch;', 'uint64_t x;',
      'a registration'],
     ['zone_layout.h', 'ngx_slab_pool_t                *shpool;', 'uint64_t x;',
      'the zone itself'],
     ['duty.h', 'uint64_t    checked;      /* a word */', 'uint64_t x;',
      'what a cell is to do'])
{
    my ($file, $before, $more, $name) = @$_;

    isnt(layout($file, $before, $more), $layout, "$name with another member");
}

done_testing();

# the number, for the sources with a member more

sub layout {
    my ($changed, $before, $more) = @_;

    for my $file ('duty.h', 'zone.h', 'zone_layout.h', 'zone.c') {
        my $text = read_file("$root/src/core/ngx_http_background_$file");

        if ($changed && $file eq $changed) {
            $text =~ s/\Q$before\E/$more $before/ or die "no \"$before\"\n";
        }

        $text .= "const uint64_t layout_of_it = NGX_HTTP_BACKGROUND_LAYOUT;\n"
            if $file eq 'zone.c';

        write_file("$dir/ngx_http_background_$file", $text);
    }

    my $said = compile(undef, "-S -g0 -O0 -U_FORTIFY_SOURCE -o '$dir/zone.s'",
                       "$dir/ngx_http_background_zone.c");
    die $said if $said ne '';

    my ($n) = read_file("$dir/zone.s") =~ /^layout_of_it:\s+\.(?:quad|xword)\s+(-?\d+)/m;

    return $n;
}
