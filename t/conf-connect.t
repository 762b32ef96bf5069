#!/usr/bin/env perl

# connect: what "nginx -t" says.

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
    'connect 127.0.0.1:1; connect 127.0.0.1:1;');

rejects('empty',
    (map { ("connect$_;" =>
            'invalid number of arguments in "connect" directive') }
        '', ' 127.0.0.1:80 timeout=1s count=1 count=2'),

    (map { ("connect $_->[0];" => "$_->[1] in address \"$_->[0]\" of "
            . '"connect" directive, it must be "HOST:PORT" or "unix:PATH"') }
        ['127.0.0.1:0', 'invalid port'], ['127.0.0.1:65536', 'invalid port'],
        ['127.0.0.1:http', 'invalid port'], ['127.0.0.1:-1', 'invalid port'],
        ['127.0.0.1:80-90', 'invalid port'], [':80', 'no host'],
        ['127.0.0.1:80/x', 'invalid host'], ['[::1:80', 'invalid host'],
        ['http://127.0.0.1:80', 'invalid host'],
        ['[::g]:80', 'invalid IPv6 address'],
        ['no-such-host.invalid:80', 'host not found'],
        ['unix:', 'no path in the unix domain socket'],
        ['unix:/' . 'x' x 200, 'too long path in the unix domain socket'],
        ['127.0.0.1', 'no port'], ['localhost', 'no port'],
        ['[::1]', 'no port'], ['timeout=1s', 'host not found']),

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
        qw/ 5 timeout count foo=1 Timeout=1s /),
    'connect 127.0.0.1:80 "";'
        => 'unknown parameter "" in "connect" directive',
);

done_testing();
