#!/usr/bin/env perl

# call: what nginx accepts and refuses.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundConf;
use Test::More;

my $dir = conf_dir();

chmod 0755, $dir or die "chmod: $!\n";

build_library("$dir/test.so", source())
    or plan skip_all => 'no C compiler';

put('text.so', "no library\n");
put('missing.c', "int missing(void);\nint uses(void);\n"
    . "int uses(void) { return missing(); }\n");
build_library("$dir/missing.so", "$dir/missing.c", '-Wl,-z,now');
symlink 'none.so', "$dir/dangling.so" or die "symlink: $!\n";
mkdir "$dir/folder.so" or die "mkdir: $!\n";
system('mkfifo', "$dir/fifo.so") == 0 or die "mkfifo failed\n";

accepts('empty', "call $dir/test.so echo;", 'call test.so echo;',
        'call test.so echo a b c d e f g h i j k l m n o p;',
        'call test.so echo "" "two words" é;',
        'call test.so echo; call test.so echo; call ./test.so returns 1;');

rejects('empty',
    (map { ("$_;" => 'invalid number of arguments in "call" directive') }
        'call', 'call test.so'),

    'call "" echo;' => 'empty library in "call" directive, it must be '
        . '"LIBRARY SYMBOL [ARGUMENT]..."',
    'call test.so "";' => 'empty symbol in "call" directive, it must be '
        . '"LIBRARY SYMBOL [ARGUMENT]..."',

    (map { ("call $_->[0] echo;" => "realpath() \"$dir/$_->[0]\" of "
            . "\"call\" directive failed ($_->[1])") }
        ['none.so', '2: No such file or directory'],
        ['none/none.so', '2: No such file or directory'],
        ['text.so/none.so', '20: Not a directory'],
        ['dangling.so', '2: No such file or directory']),

    # in the words of dlerror()

    (map { ("call $_->[0] echo;" => "dlopen() \"$dir/$_->[0]\" of \"call\" "
            . "directive failed ($_->[1])") }
        ['text.so', 'file too short'],
        ['missing.so', 'undefined symbol: missing']),

    (map { ("call $_ echo;" => "library \"$dir/$_\" in \"call\" directive is "
            . 'not a regular file') } 'folder.so', 'fifo.so'),

    'call test.so none;' => "dlsym() \"none\" of library \"$dir/test.so\" in "
        . '"call" directive failed (undefined symbol: none)',

    'call test.so bare;' => "\"bare\" of library \"$dir/test.so\" in \"call\" "
        . 'directive is not defined by "NGX_HTTP_BACKGROUND_CALL(bare)"',
    'call test.so number;' => "\"number\" of library \"$dir/test.so\" in "
        . '"call" directive is not defined by '
        . '"NGX_HTTP_BACKGROUND_CALL(number)"',

    (map { ("call test.so $_->[0];" => "\"$_->[0]\" of library "
            . "\"$dir/test.so\" in \"call\" directive was built for version "
            . "$_->[1] of \"ngx_http_background_call.h\", it must be from 1 "
            . 'to 2') }
        ['old', 0], ['later', 3]),
);

# what others may change is not loaded by root

if ($> == 0) {
    my $nobody = getpwnam 'nobody';
    my $said = 'library "%s" in "call" directive can be changed by others '
               . 'than root, as "%s" %s';
    my $writable = 'is writable by group or others';
    my $owned = "is not root's";

    sub at {
        my ($library, $culprit, $reason) = @_;

        rejects('empty', "call $library echo;",
                sprintf $said, "$dir/$library", "$dir/$culprit", $reason);
    }

    for my $mode (0775, 0757, 0777) {
        chmod $mode, "$dir/test.so" or die "chmod: $!\n";
        at('test.so', 'test.so', $writable);
    }

    chmod 0755, "$dir/test.so" or die "chmod: $!\n";
    chown $nobody, -1, "$dir/test.so" or die "chown: $!\n";
    at('test.so', 'test.so', $owned);
    chown 0, -1, "$dir/test.so" or die "chown: $!\n";

    mkdir "$dir/open" or die "mkdir: $!\n";
    mkdir "$dir/open/folder" or die "mkdir: $!\n";
    chmod 0755, "$dir/open", "$dir/open/folder" or die "chmod: $!\n";
    build_library("$dir/open/folder/test.so", source());
    symlink "open/folder/test.so", "$dir/link.so" or die "symlink: $!\n";

    accepts('empty', 'call open/folder/test.so echo;', 'call link.so echo;');

    chmod 0777, "$dir/open" or die "chmod: $!\n";
    at('open/folder/test.so', 'open', $writable);
    at('open/none/test.so', 'open', $writable);
    at('link.so', 'open', $writable);

    # as /tmp is

    chmod 01777, "$dir/open" or die "chmod: $!\n";
    accepts('empty', 'call open/folder/test.so echo;');

    chown $nobody, -1, "$dir/open" or die "chown: $!\n";
    at('open/folder/test.so', 'open', $owned);
}

done_testing();
