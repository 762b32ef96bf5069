#!/usr/bin/env perl

# One rendering serves all requests of a pass of the event loop that ask for the
# same; one of many tasks is done in slices, with others' requests in between.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use IO::Socket::UNIX;
use Test::More;

###############################################################################

my $tasks = 600;
my $dir = dir();
my $log = "$dir/access.log path";

start(join("\n", 'background_zone 8m;', 'keepalive_timeout 1h;',
           'log_format path "$request";',
           'background_task runs { interval 1d; simulate_cpu 1h; }',
           map { "background_task task_$_ { interval 1d jitter=365d;"
                 . ' simulate_io 1; }' } 1 .. $tasks - 1), <<"EOF", 'worker_processes 1;');
    location = /few {
        background_status task=runs task=task_7 task=task_599;
    }
    location = /page { background_status html; access_log $log; }
    location = /metrics { background_status prometheus; access_log $log; }
    location = /all { background_status; access_log $log; }
    location = /tiny { return 204; access_log $log; }
    location = /open { return 204; }
    location = /inside { auth_request /status; empty_gif; }
EOF

my $worker = a_worker();

poll('a job runs', sub { status('/few')->{tasks}[0]{progress} });

# all in one pass: connections that nginx has accepted before

my @same = map { opened() } 1 .. 40;
my %others = map { $_ => opened() }
    '/few?history=1', '/status?history=1', '/metrics', '/page';
my $html = opened();
my $open = opened();
my $head = opened();

frozen(sub {
    ask($_, '/status') for @same;
    ask($others{$_}, $_) for sort keys %others;
    ask($html, '/page', "Accept: application/json\r\n");
    ask($open, '/metrics', "Accept: application/openmetrics-text;"
                           . "version=1.0.0\r\n");
    ask($head, '/status', '', 'HEAD');
});

my @answers = map { answer($_) } @same;
my %bodies = map { $_->[1] => 1 } @answers;

is(keys %bodies, 1, 'the same rendering for all');
is(@{parse($answers[0][1])->{tasks}}, $tasks, 'of all tasks');

is(answer($head, 1)->[0] =~ /^Content-Length: (\d+)\r$/m && $1,
    length $answers[0][1], 'HEAD, with its length');

my %other = map { $_ => answer($others{$_})->[1] } keys %others;

is(@{parse($other{'/few?history=1'})->{tasks}}, 3, 'another location');
ok(parse($other{'/status?history=1'})->{tasks}[0]{history}, 'another argument');
like($other{'/page'}, qr/^<!DOCTYPE html>/, 'another format');
is(@{parse(answer($html)->[1])->{tasks}}, $tasks, 'another "Accept"');
like($other{'/metrics'}, qr/^# HELP nginx_background_info /, 'metrics');
is(scalar(() = $other{'/metrics'} =~ /^nginx_background_task_running\{/mg),
    $tasks, 'of all tasks');
like(answer($open)->[1], qr/\n# EOF\n\z/, 'and the other format of these');

# what was rendered in another pass is not shown again

my $first = status('/few')->{tasks}[0]{progress}{done};
poll('progress', sub {
    status('/few')->{tasks}[0]{progress}{done} > $first;
});

# slices: a request for all tasks comes first and is answered last

for my $uri ('/all', '/metrics', '/page') {
    my ($all, $little) = (opened(), opened());

    my $before = read_file("$dir/access.log");

    frozen(sub {
        ask($all, $uri, $uri eq '/page' ? "Accept: application/json\r\n" : '',
            'HEAD');
        ask($little, '/tiny');
    });

    is(answer($all, 1)->[0] =~ m{^HTTP/1\.1 (\d+)} && $1, 200, "$uri: HEAD");
    is(answer($little, 1)->[0] =~ m{^HTTP/1\.1 (\d+)} && $1, 204,
        "$uri: another request");

    my @lines = split /\n/, poll('both are logged', sub {
        my $lines = substr read_file("$dir/access.log"), length $before;
        return 2 == (() = $lines =~ /\n/g) && $lines;
    });

    is("@lines", "GET /tiny HTTP/1.1 HEAD $uri HTTP/1.1",
        "$uri: the other one between two slices");
}

# clients that go away while they wait, and those that do not

my @left = map { opened() } 1 .. 10;
my @stay = map { opened() } 1 .. 10;

frozen(sub {
    for my $n (0 .. 9) {
        ask($left[$n], '/status');
        ask($stay[$n], '/status');
        close $left[$n];
    }
});

%bodies = map { answer($_)->[1] => 1 } @stay;
is(keys %bodies, 1, 'clients that stay');
is((workers())[0], $worker, 'the worker is still there');

# a subrequest

SKIP: {
    skip 'nginx is without auth_request', 1
        if `$ENV{TEST_NGINX_BINARY} -V 2>&1`
           !~ /--with-http_auth_request_module/;

    like(http("GET /inside HTTP/1.0\r\n\r\n"),
        qr{^HTTP/1\.1 200 .*^Content-Type: image/gif\r$}ms, 'a subrequest');
}

# requests in a row on one connection

my $row = opened();

ask($row, '/few') for 1 .. 3;
is(@{parse(answer($row)->[1])->{tasks}}, 3, "pipelined, $_") for 1 .. 3;

stop();

done_testing();

###############################################################################

sub opened {
    my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM,
                                       Peer => "$dir/socket")
        or die "connect: $!\n";

    ask($socket, '/open');
    answer($socket, 1);

    return $socket;
}

sub ask {
    my ($socket, $uri, $headers, $method) = @_;

    syswrite $socket, ($method || 'GET') . " $uri HTTP/1.1\r\nHost: test\r\n"
                      . ($headers // '') . "\r\n" or die "write: $!\n";
}

# header and body of the next answer

my %rest;

sub answer {
    my ($socket, $empty) = @_;
    my $text = delete $rest{$socket} // '';

    for ( ;; ) {
        if ($text =~ /\A(.*?\r\n)\r\n/s) {
            my ($header, $start) = ($1, $+[0]);
            my $length = $empty ? 0
                : ($header =~ /^Content-Length: (\d+)\r$/m)[0] // 0;

            if (length $text >= $start + $length) {
                $rest{$socket} = substr $text, $start + $length;
                return [$header, substr $text, $start, $length];
            }
        }

        sysread $socket, $text, 65536, length $text or die "no answer\n";
    }
}
