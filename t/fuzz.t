# A short round of the fuzzing targets, t/fuzz/*.c, without libFuzzer: their
# seeds, and what these become by small changes, under AddressSanitizer and
# UndefinedBehaviorSanitizer.  util/fuzz.sh is the long one.

use strict;
use warnings;

use File::Basename qw/ basename dirname /;
use FindBin;
use Test::More;

my $root = dirname($FindBin::Bin);
my $fuzz = "$root/t/fuzz";
my $dir = "$root/build/fuzz/so";
my $nginx = '/usr/sbin/nginx';

# the packaged nginx, which another one may be tested beside

my $out = qx/'$root\/util\/build.sh' 2>&1/;
die "util/build.sh failed:\n$out" if $?;

my @targets = map { basename($_) } glob "$fuzz/seeds/*";

my @libraries = map { "'$dir/$_.so'" } @targets;

$out = qx{mkdir -p '$dir' && flock '$root/build/lock' \\
          make -s -C /usr/share/nginx/src -f '$fuzz/Makefile' \\
          objs='$root/build/objs' out='$dir' @libraries 2>&1};

is($?, 0, 'the targets compile') or diag($out);

# as the other files that a build makes

system("chown -R --reference='$root' '$root/build/fuzz'") == 0
    or die "chown failed\n" if $> == 0;

chomp(my $asan = qx/gcc -print-file-name=libasan.so/);

delete @ENV{qw/ ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS /};

for my $target (@targets) {
    my @seeds = glob "$fuzz/seeds/$target/*";

    $out = qx{LD_PRELOAD='$asan $dir/$target.so' '$nginx' @seeds 2>&1};

    ok($? == 0 && $out =~ /^[0-9]{3,}\n\z/, "$target: no report") or diag($out);
}

done_testing();
