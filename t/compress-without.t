# "compress" built without a library: its level is an error that says so.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use File::Temp qw/ tempdir /;
use Test::More;

my ($built) = grep { /ngx_http_background_compress_module\.so$/ }
              split ' ', $ENV{TEST_NGINX_LOAD_MODULES} || '';

plan skip_all => 'no compress module' unless $built;

my $objs = (built())[1];
my $src = "$FindBin::Bin/../src/files";
my $out = tempdir('without.XXXXXX', TMPDIR => 1, CLEANUP => 1);

# the same objects, but for the one that configure has given the libraries

open my $names, '>', "$out/auto.h" or die "open: $!";
print $names map { "#undef NGX_HTTP_BACKGROUND_$_\n" } qw/ LIBDEFLATE BROTLI ZSTD /;
close $names or die "close: $!";

my $codec = slurp("$src/ngx_http_background_codec.c");
$codec =~ s/(#include "ngx_http_background_codec.h"\n)/$1#include "$out\/auto.h"\n/
    or die 'no place';

open my $file, '>', "$out/codec.c" or die "open: $!";
print $file $codec;
close $file or die "close: $!";

my $so = "$out/ngx_http_background_compress_module.so";

my $said = compile(undef, "-I'$src' -fPIC -shared -o '$so'", "$out/codec.c",
                   (map { "$objs/addon/files/ngx_http_background_compress_$_.o" }
                    qw/ check list table module /),
                   "$objs/ngx_http_background_compress_module_modules.o",
                   '-lz');

die "not built:\n$said" if $said ne '';

$ENV{TEST_NGINX_LOAD_MODULES} =~ s/\Q$built\E/$so/;

require BackgroundConf;
BackgroundConf->import;

mkdir conf_dir() . '/folder' or die "mkdir: $!";

accepts('empty', 'compress folder suffix=.css gzip=6;');

rejects('empty', map { ("compress folder suffix=.css gzip=6 $_->[0];"
    => "\"$_->[0]\" in \"compress\" directive needs $_->[1], the module was "
    . 'built without it') }
    ['brotli=5', 'libbrotlienc'], ['zstd=3', 'libzstd']);

unlike(scalar `ldd '$so'`, qr/deflate|brotli|zstd/, 'not needed');
like(scalar `ldd '$built'`, qr/\Q$_\E/, "else it is: $_")
    for qw/ libdeflate libbrotlienc libzstd /;

done_testing();

sub slurp {
    my ($name) = @_;

    open my $file, '<', $name or die "open $name: $!\n";
    local $/;

    return scalar <$file>;
}
