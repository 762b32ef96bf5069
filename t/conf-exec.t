#!/usr/bin/env perl

# exec: what nginx accepts and refuses.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundConf;
use Test::More;

my $dir = conf_dir();

chmod 0755, $dir or die "chmod: $!\n";

accepts('empty', 'exec /bin/true;', 'exec /bin/echo a "b c" "" -d if=x;',
        'exec /bin/true input=none output=log;',
        'exec /bin/true kill=1ms memory=1m;',
        'exec /bin/true kill=1h memory=100g a output=output b input=input;',
        'exec /bin/true env=A: env=_b2:x:y env=PATH:/bin;',
        'interval off; exec /bin/echo $arg_a -x$arg_b env=A:$arg_c;',
        'exec /bin/true; exec /bin/true;');

warns('empty',
    (map { ("exec $_->[0];" => "\"$dir/$_->[0]\" of \"exec\" directive can't "
            . "be executed, its cycles will fail until it can ($_->[1])") }
        ['none', '2: No such file or directory'],
        ['text', '13: Permission denied'])) if put('text', 'x') || 1;

if ($> == 0) {
    mkdir "$dir/closed" or die "mkdir: $!\n";
    put('closed/program', 'x');
    chmod 0755, "$dir/closed/program" or die "chmod: $!\n";
    chmod 0700, "$dir/closed" or die "chmod: $!\n";

    my (undef, $said) = nginx_t('user nobody '
                                . getgrgid((getpwnam 'nobody')[3]) . ";\n"
                                . "events {\n}\nhttp {\n"
                                . "background_task t { interval off;\n"
                                . "exec closed/program; }\n}\n");

    my $by = "\"$dir/closed/program\" of \"exec\" directive can't be executed "
             . "by user \"nobody\" because of the mode of \"$dir/closed\"";

    like($said, qr/^nginx: \[warn\] \Q$by\E, its cycles will fail until it can/,
         'a folder above');

    # executable is enough

    put('program', 'x');
    chmod 0711, "$dir/program" or die "chmod: $!\n";
    accepts('empty', 'exec program;');
}

my $variable = 'it must be "NAME:VALUE" with a name of letters, digits, and '
               . '"_"';

rejects('empty',
    'exec;' => 'invalid number of arguments in "exec" directive',
    'exec "";' => 'invalid path "" in "exec" directive, it must be not empty',
    'interval off; exec /bin/true$arg_a;'
        => 'path "/bin/true$arg_a" in "exec" directive has variables',

    (map { ("exec /bin/true $_->[0];" => "invalid $_->[1] \"$_->[0]\" in "
            . "\"exec\" directive, it must be $_->[2]") }
        ['input=', 'value', '"none" or "input"'],
        ['input=output', 'value', '"none" or "input"'],
        ['output=x', 'value', '"log" or "output"'],
        ['kill=0', 'time', 'from 1ms to 1h'],
        ['kill=2h', 'time', 'from 1ms to 1h'],
        ['kill=', 'time', 'from 1ms to 1h'],
        ['memory=1', 'size', '1m or more'],
        ['memory=x', 'size', '1m or more'],
        ['env=BACKGROUND_TASK:x', 'variable', 'one that is not set already'],
        ['env=BACKGROUND_FENCE:x', 'variable', 'one that is not set already']),

    (map { ("exec /bin/true $_;" => "invalid variable \"$_\" in \"exec\" "
            . "directive, $variable") }
        'env=', 'env=A', 'env=:x', 'env=1:x', 'env=A-B:x', 'env=A=B:x'),

    'exec /bin/true env=A:1 env=A:2;' => 'invalid variable "env=A:2" in "exec" '
        . 'directive, it must be one that is not set already',

    (map { ("exec /bin/true $_ $_;" => "duplicate parameter \"$_\" in \"exec\" "
            . 'directive') }
        'input=none', 'output=log', 'kill=1s', 'memory=1m'),

    'exec /bin/echo' . ' a' x 1023 . ';'
        => 'too many arguments in "exec" directive',
    "exec /bin/echo \$arg_a;\n} # here" => 'variables of a request in '
        . 'background task "t" need "interval off"',
);

done_testing();
