# "compress": what "nginx -t" says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundConf;
use Test::More;

my $dir = conf_dir();

mkdir "$dir/folder" or die "mkdir: $!";
put('file', 'x');

accepts('empty', map { "compress $_;" }
    "$dir/folder suffix=.css gzip=6", 'folder suffix=.css brotli=11',
    'folder/ zstd=22 suffix=.css,.js,.svg.xml', 'folder gzip=1 suffix=.c',
    'folder suffix=.css gzip=9 brotli=0 zstd=1 min_length=0 limit_rate=1k',
    'folder suffix=.css gzip=9 min_length=1g', 'folder suffix=.gzip gzip=1');

warns('empty', 'compress no suffix=.css gzip=1;' => "\"$dir/no\" of "
    . '"compress" directive can\'t be read, its cycles will fail until it can '
    . '(2: No such file or directory)');

rejects('empty',
    (map { ("compress $_;" => 'invalid number of arguments in "compress" '
            . 'directive') } '', 'folder'),
    'compress "" suffix=.css;' => 'empty path in "compress" directive',
    'compress file suffix=.css;' => "\"$dir/file\" of \"compress\" directive is "
        . 'no directory',
    'compress folder gzip=1;' => 'no "suffix=" in "compress" directive',
    'compress folder suffix=.css;' => 'no "gzip=", "brotli=" or "zstd=" in '
        . '"compress" directive',
    (map { ("compress folder $_->[0]=$_->[1] suffix=.css;"
            => "invalid level \"$_->[0]=$_->[1]\" in \"compress\" directive, it "
            . "must be from $_->[2]") }
        (map { ['gzip', $_, '1 to 9'] } '', 0, 10, -1, 'x', 1.5),
        ['brotli', 12, '0 to 11'], ['zstd', 0, '1 to 22'],
        ['zstd', 23, '1 to 22']),
    (map { ("compress folder gzip=1 suffix=$_->[0];"
            => "invalid suffix \"$_->[1]\" in \"compress\" directive, it must "
            . 'begin with "." and not be ".gz", ".br" or ".zst"') }
        ['', ''], ['css', 'css'], ['.css,', ''], ['.css,,.js', ''],
        ['.css,.gz', '.gz'], ['.br', '.br'], ['.zst', '.zst'], ['.', '.'],
        ['.a/b', '.a/b']),
    'compress folder suffix=.css gzip=1 limit_rate=0;' => 'invalid rate '
        . '"limit_rate=0" in "compress" directive, it must be bytes per second, '
        . '1 or more',
    'compress folder suffix=.css gzip=1 min_length=x;' => 'invalid length '
        . '"min_length=x" in "compress" directive, it must be a size in bytes',
    'compress folder suffix=.css level=1;' => 'unknown parameter "level=1" in '
        . '"compress" directive',
);

done_testing();
