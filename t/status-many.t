#!/usr/bin/env perl

# 500 tasks: an answer of many buffers is whole.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundStatus;
use Test::More;

###############################################################################

my @names = map { ('n' x ($_ % 60)) . ".$_" } 1 .. 500;
my $long = 'd' x 120;

mkdir dir() . "/$long" or die "mkdir: $!\n";
put("$long/file", '');
chmod 0, dir() . "/$long/file" or die "chmod: $!\n";

# a third of them has an error text of some length

start(join("\n", 'background_zone 4m;', map {
    my ($n) = /(\d+)$/;

    "background_task $_ { interval 1h; retry 1h; "
        . ($n % 3 ? 'simulate_io 1 delay=0-0;' : "digest $long;") . ' }'
} @names), "location = /last { background_status task=$names[-1]; }"
    . 'location = /metrics { background_status prometheus; }',
    'worker_processes 2;');

my ($headers, $body, $status);

poll('each task has a cycle behind it', sub {
    $status = status();

    500 == grep { $_->{last} } @{$status->{tasks}};
});

(undef, $headers, $body) = get('/status?history=1');
$status = parse($body);

is(join(' ', map { $_->{name} } @{$status->{tasks}}), join(' ', @names),
    'all tasks, in their order');
is($status->{message}, '166 of 500 background tasks are not healthy',
    'message');
like($headers, qr/^Content-Length: @{[ length $body ]}\r?$/m, 'length');
cmp_ok(length $body, '>', 500 * 700, 'long');
is(scalar(grep { @{$_->{history}} == 1 } @{$status->{tasks}}), 500,
    'a cycle of each');
is(scalar(grep { ($_->{last}{error} || '') =~ /denied\)$/ }
               @{$status->{tasks}}), 166, 'error texts');

is(join(' ', map { $_->{name} } @{status('/last')->{tasks}}), $names[-1],
    'only the last');

(undef, $headers, $body) = get('/metrics');

like($headers, qr/^Content-Length: @{[ length $body ]}\r?$/m,
    'length of the metrics');
is(join(' ', $body =~ /^nginx_background_cycles_total\{task="([^"]+)",/mg),
    "@names @names @names", 'metrics of all tasks');
is(scalar(() = $body =~ /^nginx_/mg),
    7 + 500 * (3 + 2 + 3 + 8 + 2 + 16) - 166, 'all metrics');

# HEAD, and a client that goes away in the middle of it

like(http("HEAD /status HTTP/1.0\r\n\r\n"), qr/\r\n\r\n\z/, 'HEAD');

for (1 .. 20) {
    my $socket = IO::Socket::UNIX->new(Peer => dir() . '/socket') or die;
    print $socket "GET /status HTTP/1.1\r\nHost: test\r\n\r\n" x 20;
    $socket->flush;
    sysread $socket, my $some, 1000;
    close $socket;
}

is(@{status()->{tasks}}, 500, 'after clients that went away');

stop();

done_testing();
