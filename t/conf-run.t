#!/usr/bin/env perl

# background_run: what nginx accepts and refuses.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundConf;
use Test::More;

my $library = conf_dir() . '/test.so';

build_library($library, root() . '/t/calls/arguments.c', '')
    or plan skip_all => 'no C compiler';

my $task = "interval off; call $library arguments";

sub http {
    my ($inside, $directives) = @_;

    return "background_task t { $inside; } server { location / { $directives } }";
}

accepts('http', map { http($task, $_) }
    'background_run t;', 'background_run t wait=10s;',
    'background_run t wait=1ms queue=1 busy=429 max_output=1 errors '
    . 'ignore_abort;',
    'background_run t queue=1000000 busy=599 max_output=1024m;',
    'if ($arg_a) { background_run t; }');

accepts('http', map { http("interval off; call $library arguments $_",
                           'background_run t;') }
    '$arg_a', 'a -$arg_a "$arg_a$arg_b"', '$http_x_y');

accepts('http', http("interval 1s; call $library arguments",
                     'background_run t;'),
        http('interval off; simulate_io 1', 'background_run t;'),
        'server { location / { background_run t; } }'
        . "background_task t { $task; }");

rejects('http',
    (map { (http($task, $_->[0]) => $_->[1]) }
        ['background_run;' =>
         'invalid number of arguments in "background_run" directive'],
        ['background_run t t;' =>
         'unknown parameter "t" in "background_run" directive'],
        ['background_run t; background_run t;' =>
         '"background_run" directive is duplicate'],
        ['background_run t wait=1s wait=2s;' =>
         'duplicate parameter "wait=2s" in "background_run" directive'],
        (map { ["background_run t wait=$_;" =>
                "invalid wait \"wait=$_\" in \"background_run\" directive, it "
                . 'must be a time of 1 millisecond or more'] }
            '', qw/ 0 -1 x 100d /),
        (map { ["background_run t queue=$_;" =>
                "invalid queue \"queue=$_\" in \"background_run\" directive, it "
                . 'must be a number from 1 to 1000000'] }
            '', qw/ 0 -1 x 1000001 /),
        (map { ["background_run t busy=$_;" =>
                "invalid busy \"busy=$_\" in \"background_run\" directive, it "
                . 'must be a number from 400 to 599'] }
            '', qw/ 200 399 600 x /),
        (map { ["background_run t max_output=$_;" =>
                "invalid max_output \"max_output=$_\" in \"background_run\" "
                . 'directive, it must be a size of 1 byte or more'] }
            '', qw/ 0 -1 x 4g /),
        ['background_run other;' =>
         'no background task "other" for "background_run" directive'],
        ['background_run "";' =>
         'no background task "" for "background_run" directive'],
    ),

    http("$task; call $library arguments", 'background_run t;') =>
        'background task "t" for "background_run" directive has 2 operations, '
        . 'it must have one',

    http("interval 1s; call $library arguments \$arg_a", 'background_run t;') =>
        'variables of a request in background task "t" need "interval off"',

    http("call $library arguments \$arg_a", 'background_run t;') =>
        'variables of a request in background task "t" need "interval off"',

    "background_task t { $task; } background_run t;" =>
        '"background_run" directive is not allowed here',

    "background_task t { $task; background_run t; }" =>
        '"background_run" directive is not allowed here',
);

my ($code, $said) = BackgroundConf::nginx_t(BackgroundConf::in('http',
    http("$task \$nosuch", 'background_run t;')));

is($code, 1, 'an unknown variable');
like($said, qr/^nginx: \[emerg\] unknown "nosuch" variable$/m, 'it is named');

done_testing();
