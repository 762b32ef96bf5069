# "verify" takes what sha256sum and its like take: lists that these tools made,
# and lines of any form, each judged by the tool itself as well.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use MIME::Base64;
use Test::More;

my $dir = dir();
my $tree = "$dir/tree";

mkdir $tree or die "mkdir: $!";
mkdir "$tree/a" or die "mkdir: $!";

my @names = ('x', 'two words', ' *odd', '(paren) = x', 'a/b', "new\nline",
             'back\\slash', "carriage\rreturn");

put("tree/$_", "content of $_") for @names;

my (%algorithm, %maybe, %tool);

sub made {
    my ($name, $algorithm, $command) = @_;

    system("cd $tree && { $command; } > $dir/$name.list 2> /dev/null") == 0
        && -s "$dir/$name.list"
        or return 0;

    $algorithm{$name} = $algorithm;

    return 1;
}

# by the tools

my %sums = (md5 => 'md5', sha1 => 'sha1', sha224 => 'sha224',
            sha256 => 'sha256', sha384 => 'sha384', sha512 => 'sha512',
            b2 => 'blake2b512');

for my $sum (sort keys %sums) {
    for my $option ('', '--tag', '--binary') {
        made("$sum$option", $sums{$sum},
             "ls -1d x 'two words' | xargs -d '\\n' ${sum}sum $option; "
             . "${sum}sum $option -- a/b new* back* '(paren) = x' carriage*")
            or die "no list of ${sum}sum $option";
    }
}

made("absolute", 'sha256', "find $tree -type f -exec sha256sum {} +") or die;
made("slashes", 'sha256', "find /$tree//a/ -type f -exec sha256sum {} +")
    or die;
made("dots", 'sha256', 'find . -type f -exec sha256sum {} +') or die;

for my $cksum (qw/ md5 sha256 sha512 blake2b sm3 /) {
    my $algorithm = $cksum eq 'blake2b' ? 'blake2b512' : $cksum;

    made("cksum-$cksum", $algorithm, "cksum -a $cksum x a/b new*");
    made("cksum-$cksum-untagged", $algorithm,
         "cksum -a $cksum --untagged x a/b new*");
    made("cksum-$cksum-base64", $algorithm,
         "cksum -a $cksum --base64 x a/b new*");
    made("cksum-$cksum-base64-untagged", $algorithm,
         "cksum -a $cksum --base64 --untagged x a/b new*");
}

for my $md (qw/ md5 sha256 sha512-256 blake2b512 /) {
    made("openssl-$md", $md, "openssl dgst -$md x a/b");
    made("openssl-$md-r", $md, "openssl dgst -$md -r x a/b");
}

# as FreeBSD's tools write them

made('bsd', 'sha512-256', 'for f in x a/b; do printf "SHA512t256 (%s) = %s\n" '
     . '$f "$(openssl dgst -sha512-256 -r $f | cut -d " " -f 1)"; done') or die;

# shorter ones, where OpenSSL has them

my $short = 'which this version of OpenSSL can\'t compute';

made("b2-$_", 'blake2b512', "b2sum --length $_ x a/b"),
    made("b2-$_-tag", 'blake2b512', "b2sum --tag --length $_ x a/b"),
    @maybe{"b2-$_", "b2-$_-tag"} = (1, 1)
    for 8, 256, 384;

# lines of any form

chomp(my $hash = qx{cd $tree && sha256sum x | cut -d ' ' -f 1});
my $upper = uc $hash;
my $base64 = encode_base64(pack('H*', $hash), '');

my @lines = (
    "$hash x\n", "$hash  x\n", "$hash *x\n", "$hash\tx\n", "$hash \tx\n",
    "$hash\t x\n", " $hash  x\n", "\t $hash  x\n", "$upper  x\n", "$hash  x",
    "$hash  x\r\n", "$hash   x\n", "$hash ** x\n", "$hash x \n", "$hash x\n\n",
    "$hash  x\n$hash x\n", "$hash x\n$hash  x\n", "$hash  *odd\n",
    "$hash x\n$hash x\n", "#\n$hash  x\n", " #\n$hash  x\n", "$hash\n",
    "$hash \n", "$hash  \n", "${hash}x\n", "$hash", "${hash}0  x\n",
    "0$hash  x\n", "\\$hash  x\n", "\\$hash x\n", " \\$hash  x\n",
    "\\ $hash  x\n", "$hash  ./x\n", "$hash  a/../x\n", "$hash  $tree/x\n",
    "SHA256 (x) = $hash\n", "SHA256(x)= $hash\n", "SHA256 (x)=$hash\n",
    "SHA256 (x)  =\t $hash\n", "SHA256  (x) = $hash\n", " SHA256 (x) = $hash\n",
    "SHA256 (x) = $upper\n", "SHA256 (x) = $hash \n", "SHA256 (x) == $hash\n",
    "SHA256 (x) $hash\n", "SHA256 (x = $hash\n", "SHA256 x) = $hash\n",
    "SHA256 () = $hash\n", "SHA256 x = $hash\n", "SHA256\n", "SHA256 (x)\n",
    "SHA256 (x) =\n", "SHA256 (x) = ${hash}0\n", "SHA1 (x) = $hash\n",
    "\\SHA256 (x) = $hash\n", "SHA256 (x)) = $hash\n", "SHA256-256 (x) = $hash\n",
    "SHA256 (x) = $hash\r\n", "SHA256 (x) = $hash) = $hash\n", "\n\n", "\n$hash x\n",
    "SHA256 ($tree/x) = $hash\n", substr($hash, 1) . "  x\n", "x  $hash\n",
    "$base64  x\n", "SHA256 (x) = $base64\n",
    "SHA256\t(x) = $hash\n", "SHA256\t (x) = $hash\n",
    "SHA256 \t(x) = $hash\n", "SHA256   (x) = $hash\n",
    "SHA256-(x) = $hash\n", "MD5  (x) = $hash\n",
    "SHA256 (x) = " . substr($base64, 0, -1) . "\n",
    "SHA256 (x) = " . substr($base64, 0, -1) . "A\n",
    "SHA256 (x) = =" . substr($base64, 1) . "\n",
);

# what differs on purpose: ".." is refused; base64, and other blanks after a
# name of an algorithm, are for "cksum" alone, and not for each version of it

my %ours = ("$hash  a/../x\n" => 0, "$base64  x\n" => 1,
            "SHA256 (x) = $base64\n" => 1, "SHA256  (x) = $hash\n" => 1,
            "SHA256\t(x) = $hash\n" => 1, "SHA256\t (x) = $hash\n" => 1);

for my $i (0 .. $#lines) {
    put("line$i.list", $lines[$i]);
    $algorithm{"line$i"} = 'sha256';

    system("cd $tree && sha256sum -c --strict $dir/line$i.list > /dev/null 2>&1");
    $tool{"line$i"} = $ours{$lines[$i]} // ($? == 0 ? 1 : 0);
}

my $tasks = join '', map { "background_task $_ { interval 1h; retry 1h; verify "
    . "$dir/$_.list root=$tree algorithm=$algorithm{$_}; }\n" }
    sort keys %algorithm;

start("background_threads 2; $tasks", '', 'worker_processes 1;');

my %task;

poll('all are done', sub {
    %task = by_name(status());
    return !grep { !$task{$_}{last} } keys %algorithm;
});

for my $name (sort grep { !/^line/ } keys %algorithm) {
    my $error = $task{$name}{last}{error};

    if ($maybe{$name} && ($error // '') =~ /\Q$short\E$/) {
        like($error, qr/line 1 of "\Q$dir\/$name.list\E" has a checksum of \d+ bits, /,
             "$name: OpenSSL does not have it");
        next;
    }

    is($error, undef, $name);
}

for my $i (0 .. $#lines) {
    is($task{"line$i"}{last}{error} ? 0 : 1, $tool{"line$i"},
       'as the tool: ' . ($lines[$i] =~ s/\Q$hash\E/HASH/gr =~ s/\Q$tree\E/TREE/gr
                          =~ s/\n/\\n/gr =~ s/\t/\\t/gr =~ s/\r/\\r/gr))
        or diag($task{"line$i"}{last}{error} // 'no error');
}

# what has another content

put("tree/$_", 'changed') for 'x', 'a/b', "new\nline";

stop();
start("background_threads 2; $tasks", '', 'worker_processes 1;');

poll('all are done', sub {
    %task = by_name(status());
    return !grep { !$task{$_}{last} } keys %algorithm;
});

for my $name (sort grep { !/^line/ } keys %algorithm) {
    like($task{$name}{last}{error} // '', qr/has another checksum$|\Q$short\E$/,
         "$name, changed");
}

stop();
done_testing();
