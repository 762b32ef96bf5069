#!/usr/bin/env perl

# simulate_io, simulate_cpu, digest, verify: what nginx accepts and refuses.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundConf;
use Test::More;

###############################################################################

my $dir = conf_dir();

rejects('empty', map { ("$_;" => sprintf
        'invalid number of arguments in "%s" directive', /(\S+)/) }
    'simulate_io', 'simulate_io 1 delay=1s-2s 1', 'simulate_cpu',
    'simulate_cpu 1s 1', 'digest',
    'digest /etc/hosts algorithm=md5 limit_rate=1k manifest=x x');

# simulate_io

accepts('empty', 'simulate_io 1;', 'simulate_io 1000000;',
        'simulate_io 1 delay=0-0;', 'simulate_io 1 delay=1ms-1ms;',
        'simulate_io 1 delay=1m-1h;', 'simulate_io 1 delay=0-2147483647ms;',
        'simulate_io 1; simulate_io 1;');

rejects('empty',
    (map { ("simulate_io $_;" => "invalid count \"$_\" in \"simulate_io\" "
            . 'directive, it must be a number from 1 to 1000000') }
        qw/ 0 -1 1x x 1.5 1000001 99999999999999999999 delay=1s-2s /),
    'simulate_io "";' => 'invalid count "" in "simulate_io" directive, '
        . 'it must be a number from 1 to 1000000',

    map { ("simulate_io 1 $_;"
            => "invalid parameter \"$_\" in \"simulate_io\" directive, "
            . 'it must be "delay=MIN-MAX", two times') }
        qw/ 2 delay delay= delay=1s delay=- delay=1s- delay=-1s delay=2s-1s
            delay=-1s-1s delay=1s-2s-3s delay=1s--2s delay=x-y delay=1x-2s
            delay=1s-2147483648ms delay=1s-99999999999999999999s foo=1s-2s /
);

# simulate_cpu

accepts('empty', 'simulate_cpu 1ms;', 'simulate_cpu 24h;', 'simulate_cpu 1;',
        'simulate_cpu 86400000ms;', 'simulate_cpu 1s; simulate_cpu 1s;');

rejects('empty',
    (map { ("simulate_cpu $_;" => "invalid time \"$_\" in \"simulate_cpu\" "
            . 'directive, it must be from 1ms to 24h') }
        qw/ 0 0ms -1s x 1x 1.5s 25h 86400001ms 99999999999999999999 /),
    'simulate_cpu "";' => 'invalid time "" in "simulate_cpu" directive, '
        . 'it must be from 1ms to 24h',
);

# digest

put('file', 'content');
mkdir "$dir/folder" or die "mkdir: $!\n";
symlink 'nowhere', "$dir/dangling" or die "symlink: $!\n";

accepts('empty', "digest $dir/file;", "digest $dir/folder;", "digest $dir/;",
        'digest file;', "digest file algorithm=sha256;",
        "digest file algorithm=SHA512 limit_rate=1;",
        "digest file limit_rate=1k algorithm=md5;",
        "digest folder manifest=x;", "digest folder manifest=$dir/x;",
        "digest file algorithm=sha3-256;", "digest file limit_rate=1000m;",
        "digest file; digest file; digest folder;");

# what is missing may be there when a cycle starts

my $later = 'directive can\'t be read, its cycles will fail until it can';

warns('empty',
    "digest folder manifest=$dir/no/x;" => "\"$dir/no/\" of \"digest\" $later "
        . '(2: No such file or directory)',
    (map { ("digest $_->[0];" => "\"$_->[1]\" of \"digest\" $later ($_->[2])") }
        ['algorithm=md5', "$dir/algorithm=md5", '2: No such file or directory'],
        ['/no/such', '/no/such', '2: No such file or directory'],
        ['/no/such manifest=x', '/no/such', '2: No such file or directory'],
        ['missing', "$dir/missing", '2: No such file or directory'],
        ["$dir/dangling", "$dir/dangling", '2: No such file or directory'],
        ['file/file', "$dir/file/file", '20: Not a directory'],
        ['$file', "$dir/\$file", '2: No such file or directory'],
        ['/' . 'x' x 256, '/' . 'x' x 256, '36: File name too long']),
    "verify no root=folder;" => "\"$dir/no\" of \"verify\" $later "
        . '(2: No such file or directory)',
    "verify file root=no;" => "\"$dir/no\" of \"verify\" $later "
        . '(2: No such file or directory)',
);

rejects('empty',
    'digest "";' => 'empty path in "digest" directive',
    (map { ("digest file algorithm=$_;" => "unknown algorithm \"$_\" in "
            . '"digest" directive, it must be a digest of OpenSSL') }
        '', qw/ crc32 sha257 aes256 null /, 'x' x 200),

    (map { ("digest file limit_rate=$_;" => "invalid rate \"limit_rate=$_\" "
            . 'in "digest" directive, it must be bytes per second, 1 or more') }
        '', qw/ 0 0k -1 x 1x 1.5m 1g 99999999999999999999 /),

    (map { ("digest file $_;"
            => "unknown parameter \"$_\" in \"digest\" directive") }
        qw/ algorithm limit_rate foo=1 file Algorithm=md5 manifest /),
    (map { ("digest folder manifest=$_;" => "invalid manifest \"$_\" in "
            . '"digest" directive, it must be a file\'s name') } '', 'x/'),
    'digest file manifest=x;' => '"manifest=" in "digest" directive needs a '
        . "directory, \"$dir/file\" is none",
    'digest file "";' => 'unknown parameter "" in "digest" directive',
);

# verify

put('x', '');

accepts('empty', 'verify x;', "verify $dir/x root=$dir/folder algorithm=md5;",
        'verify x algorithm=blake2b512 limit_rate=1k root=folder extra=fail;',
        'verify x extra=ignore;');

rejects('empty',
    'verify;' => 'invalid number of arguments in "verify" directive',
    (map { ("verify x extra=$_;" => "invalid value \"extra=$_\" in \"verify\" "
            . 'directive, it must be "fail" or "ignore"') } '', qw/ x failed /),
    (map { ("verify $_;" => 'invalid manifest "' . s/"//gr . '" in "verify" '
            . 'directive, it must be a file\'s name') } '""', 'x/'),
    'verify x root=;' => 'empty root in "verify" directive',
    'verify x algorithm=sha257;' => 'unknown algorithm "sha257" in "verify" '
        . 'directive, it must be a digest of OpenSSL',
    'verify x extra=fail extra=fail;' => 'duplicate parameter '
        . '"extra=fail" in "verify" directive',
    'verify x limit_rate=0;' => 'invalid rate "limit_rate=0" in "verify" '
        . 'directive, it must be bytes per second, 1 or more',
    'verify x manifest=y;' => 'unknown parameter "manifest=y" in "verify" '
        . 'directive',
);

done_testing();
