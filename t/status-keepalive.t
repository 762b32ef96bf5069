#!/usr/bin/env perl

# Answers one after the other in a connection, of every method and version.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundStatus;
use Test::More;

###############################################################################

start('background_task t { simulate_io 1; }');

my $long = 'x' x 5000;

my $answers = http(
    "GET /status HTTP/1.1\r\nHost: test\r\n\r\n"
    . "HEAD /status HTTP/1.1\r\nHost: test\r\n\r\n"
    . "GET /status HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    . "POST /status HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody"
    . "HEAD /status HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    . "GET /status HTTP/1.1\r\nHost: test\r\nContent-Length: 5000\r\n\r\n$long"
    . "GET /status?history=1 HTTP/1.1\r\nHost: test\r\n\r\n"
    . "GET /status HTTP/1.0\r\n\r\n"
    . "GET /status HTTP/1.1\r\nHost: too late\r\n\r\n");

for (['GET', 200], ['HEAD', 200], ['GET, HTTP/1.0', 200], ['POST', 405],
     ['HEAD, HTTP/1.0', 200], ['GET with a body', 200], ['history', 200],
     ['GET, HTTP/1.0 to the end', 200])
{
    my ($name, $expected) = @$_;

    $answers =~ s/\AHTTP\/1\.1 (\d+) .*?\r\n(.*?\r\n)\r\n//s;
    my ($code, $headers) = ($1, $2);

    is($code, $expected, "$name: code");
    my ($connection) = $headers =~ /^Connection: (\S+)\r$/m;
    my ($length) = $headers =~ /^Content-Length: (\d+)\r$/m;

    is($connection, $name =~ /end/ ? 'close' : 'keep-alive',
        "$name: connection");

    # a HEAD's answer has GET's length and no body

    cmp_ok($length, '>', 100, "$name: length");

    my $body = $name =~ /HEAD/ ? '' : substr $answers, 0, $length, '';

    is(eval { parse($body)->{tasks}[0]{name} }, 't', "$name: whole")
        if $expected == 200 && $name !~ /HEAD/;
}

is($answers, '', 'nothing after the end');

# a connection for each: HTTP/1.0 without a word, and 0.9

my ($headers, $body) = split /\r\n\r\n/,
    http("GET /status HTTP/1.0\r\n\r\n"), 2;

like($headers, qr/^HTTP\/1\.1 200 .*^Connection: close\r$/ms, 'HTTP/1.0');
like($headers, qr/^Content-Length: @{[ length $body ]}\r?$/m,
    'HTTP/1.0: length');
is(parse($body)->{tasks}[0]{name}, 't', 'HTTP/1.0: whole');

is(parse(http("GET /status\r\n"))->{tasks}[0]{name}, 't', 'HTTP/0.9');

stop();

done_testing();
