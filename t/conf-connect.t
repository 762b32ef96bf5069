#!/usr/bin/env perl

# connect: what nginx accepts and refuses.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundConf;
use Test::More;

accepts('empty',
    'connect 127.0.0.1:80;', 'connect [::1]:80;', 'connect localhost:80;',
    'connect unix:/tmp/socket;', 'connect unix:socket;',
    'connect 127.0.0.1:65535 timeout=1ms;', 'connect 127.0.0.1:1 timeout=24h;',
    'connect 127.0.0.1:1 count=1;', 'connect 127.0.0.1:1 count=100000;',
    'connect 127.0.0.1:1 count=2 timeout=2s;',
    'connect 127.0.0.1:1; connect 127.0.0.1:1;',
    'connect 127.0.0.1:1 resolve timeout=1s count=2;',
    'connect [::1]:80 resolve;', 'connect unix:/tmp/socket resolve;');

# a resolver of the same level, or the one above

accepts('http', map { "$_ server { listen 127.0.0.1:1; }" }
    'background_task t { connect no-such-host.invalid:80 resolve; } '
    . 'resolver 127.0.0.1;');
accepts('server', map { "background_task t { connect $_ resolve; } "
                        . 'resolver 127.0.0.1;' }
    'no-such-host.invalid:80', 'a_b-c.1.invalid.:65535', 'localhost:1');
accepts('all', 'http { server { listen 127.0.0.1:1; background_task t { '
    . 'connect no-such-host.invalid:80 resolve; } } resolver 127.0.0.1; }');

rejects($_->[0], "$_->[1]\nbackground_task t {\n"
    . "connect no-such-host.invalid:80 resolve; # here\n}"
    => 'no "resolver" for parameter "resolve" of "connect" directive with '
    . 'address "no-such-host.invalid:80"')
    for ['http', ''], ['http', "server { resolver 127.0.0.1; }"],
        ['server', ''], ['server', 'location / { resolver 127.0.0.1; }'];

# what is no name yet

warns('empty', map { ("connect $_;" => "host not found in address \"$_\" of "
                      . '"connect" directive, its cycles will fail until it is found')
                   } 'no-such-host.invalid:80', 'no-such-host.invalid.:1');

rejects('empty',
    (map { ("connect$_;" =>
            'invalid number of arguments in "connect" directive') }
        '', ' 127.0.0.1:80 timeout=1s count=1 resolve resolve'),

    (map { ("connect $_->[0];" => "$_->[1] in address \"$_->[0]\" of "
            . '"connect" directive, it must be "HOST:PORT" or "unix:PATH"') }
        ['127.0.0.1:0', 'invalid port'], ['127.0.0.1:65536', 'invalid port'],
        ['127.0.0.1:http', 'invalid port'], ['127.0.0.1:-1', 'invalid port'],
        ['127.0.0.1:80-90', 'invalid port'], [':80', 'no host'],
        ['127.0.0.1:80/x', 'invalid host'], ['[::1:80', 'invalid host'],
        ['http://127.0.0.1:80', 'invalid host'],
        ['[::g]:80', 'invalid IPv6 address'],
        ['$host:80', 'host not found'], ['256.0.0.1:80', 'host not found'],
        ['unix:', 'no path in the unix domain socket'],
        ['unix:/' . 'x' x 200, 'too long path in the unix domain socket'],
        ['127.0.0.1', 'no port'], ['localhost', 'no port'],
        ['[::1]', 'no port'], ['timeout=1s', 'no port']),

    (map { ("connect $_ resolve;" => "invalid host in address \"$_\" of "
            . '"connect" directive, it must be "HOST:PORT" or "unix:PATH"') }
        '$host:80', '256.0.0.1:80', '*:80', '1.2.3:80'),

    (map { ("connect 127.0.0.1:80 timeout=$_;"
            => "invalid time \"timeout=$_\" in \"connect\" directive, "
            . 'it must be from 1ms to 24h') }
        '', qw/ 0 -1 x 1x 25h 86400001ms 99999999999999999999 /),

    (map { ("connect 127.0.0.1:80 count=$_;"
            => "invalid count \"count=$_\" in \"connect\" directive, "
            . 'it must be a number from 1 to 100000') }
        '', qw/ 0 -1 x 1x 1.5 100001 99999999999999999999 /),

    (map { ("connect 127.0.0.1:80 $_;"
            => "unknown parameter \"$_\" in \"connect\" directive") }
        qw/ 5 timeout count foo=1 Timeout=1s resolve=1 resolv /),
    'connect 127.0.0.1:80 resolve resolve;'
        => 'duplicate parameter "resolve" in "connect" directive',
    'connect 127.0.0.1:80 "";'
        => 'unknown parameter "" in "connect" directive',
);

done_testing();
