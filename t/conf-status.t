#!/usr/bin/env perl

# background_status: what nginx accepts and refuses.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundConf;
use Test::More;

###############################################################################

my $listen = 'listen unix:' . conf_dir() . '/1;';

accepts('location', map { "background_status$_;" }
    '', ' json', ' task=t', ' task=t task=t', ' failing=400', ' failing=599',
    ' prometheus', ' prometheus task=t failing=503 brief',
    ' brief', ' json task=t failing=503 brief', ' brief failing=500 task=t',
    ' html', ' html task=t failing=503 brief', ' html control=/a',
    ' html control=/ brief');

accepts('location', 'location /a { background_status; } background_status;');

# tasks that come later, in another server, and none at all

accepts('http',
    "server { $listen location / { background_status task=a; } }\n"
        . 'background_task a { simulate_io 1; }',
    "server { $listen location / { background_status task=a task=b; } "
        . 'background_task a { simulate_io 1; } }'
        . 'server { background_task b { simulate_io 1; } }',
    "server { $listen location / { background_status; } }",
);

rejects('location',
    (map { ("background_status $_;"
            => "unknown parameter \"$_\" in \"background_status\" directive") }
        qw/ xml JSON t brief=1 task failing Task=t /),
    'background_status "";'
        => 'unknown parameter "" in "background_status" directive',
    (map { ("background_status$_ control=/a;"
            => '"control=" needs "html" in "background_status" directive') }
        '', ' json', ' prometheus'),
    (map { ("background_status html control=$_;"
            => "invalid URI \"control=$_\" in \"background_status\" "
            . 'directive, it must be the path of a location') }
        '', 'a', '//a', 'http://a/', '/a?b', '/a#b', '/\\a'),
    'background_status brief json;'
        => 'unknown parameter "json" in "background_status" directive',
    'background_status json json;'
        => 'unknown parameter "json" in "background_status" directive',

    (map { ("background_status failing=$_;"
            => "invalid code \"failing=$_\" in \"background_status\" "
            . 'directive, it must be from 400 to 599') }
        '', qw/ 0 -1 200 399 600 503x x 99999999999999999999 /),
    'background_status failing=503 failing=500;'
        => 'duplicate parameter "failing=500" in "background_status" '
        . 'directive',

    "background_status;\nbackground_status; # here"
        => '"background_status" directive is duplicate',
    'if ($host) { background_status; }'
        => '"background_status" directive is not allowed here',
);

for my $context (qw/ all http server task /) {
    rejects($context,
        'background_status;'
            => '"background_status" directive is not allowed here',
    );
}

# names are looked up when all tasks are known, the line is told all the same

rejects('location', map { my ($name) = /.*task=([^"]*)/;
        ("background_status $_;" => "unknown background task \"$name\" in "
            . '"background_status" directive') }
    qw/ task=x task= task=T task=tt /, 'task=t task=x', '"task=a b"');

put('status.inc', "# the status\nbackground_status task=x;\n");

rejects_at('location', 'include status.inc;' => 'unknown background task "x" '
    . 'in "background_status" directive', 'status.inc:2');

done_testing();
