#!/usr/bin/env perl

# The page over HTTP: the page itself, the policy that it comes with, and JSON
# at the same address.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundStatus;
use Digest::SHA qw/ sha256_base64 /;
use Test::More;

###############################################################################

my $dir = dir();

start(<<"EOF", <<'EOF');
    background_task good { interval 1d; simulate_io 1 delay=0-0; }
    background_task bad { retry 1d; connect unix:$dir/nothing; }
EOF
    location = /page { background_status html; }
    location = /good { background_status html task=good failing=503; }
    location = /bad { background_status html failing=503 brief; }
    location = /gzip { gzip on; background_status html; }
    location = /ssi.html { ssi on; }
EOF

poll('a failed task', sub { status()->{status} eq 'degraded' });

my ($code, $headers, $body) = get('/page');

is($code, 200, 'code, though a task fails');
ok($body eq source(), 'as in its source');
is(header($headers, 'Content-Type'), 'text/html; charset=utf-8', 'type');
is(header($headers, 'Content-Length'), length $body, 'length');
is(header($headers, 'Cache-Control'), 'no-store', 'not stored');
is(header($headers, 'Vary'), 'Accept', 'what it depends on');
is(header($headers, 'X-Content-Type-Options'), 'nosniff', 'type is certain');
is(header($headers, 'Referrer-Policy'), 'no-referrer', 'tells no address');

# only the page's own style and script, known by their hashes

my %hash = map {
    my @found = $body =~ m{<$_>(.*?)</$_>}gs;
    is(@found, 1, "one <$_>");
    ($_ => 'sha256-' . sha256_base64($found[0]) . '=');
} qw/ style script /;

is(header($headers, 'Content-Security-Policy'), join('; ',
    "default-src 'none'", "style-src '$hash{style}'",
    "script-src '$hash{script}'", "connect-src 'self'", 'img-src data:',
    "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
    "require-trusted-types-for 'script'"), 'policy');

unlike($body, qr{\s(?:style|on\w+)=}, 'nothing that the policy forbids');
unlike($body =~ s{http://www\.w3\.org/2000/svg}{}r, qr{https?://|url\(|\@import},
    'nothing from elsewhere');

# who gets JSON

for ('application/json', 'text/html;q=0.5, application/json',
    'APPLICATION/JSON;q=0.1, */*')
{
    my ($code, $headers, $body) = asked('/page', $_);

    is(header($headers, 'Content-Type'), 'application/json', "JSON for $_");
    is(parse($body)->{status}, 'degraded', 'JSON');
    is(header($headers, 'Vary'), 'Accept', 'what it depends on');
    is(header($headers, 'Content-Security-Policy'), undef, 'no policy');
}

for ('*/*', 'text/html,application/xhtml+xml,*/*;q=0.8', 'application/*',
    'text/html, application/json;q=0.9', 'application/json;q=0', 'nonsense')
{
    my ($code, $headers) = asked('/page', $_);

    is(header($headers, 'Content-Type'), 'text/html; charset=utf-8',
        "the page for $_");
}

my $history = parse((asked('/page?history=1', 'application/json'))[2]);
is(@{$history->{tasks}[1]{history}}, 1, 'JSON with a history');

# task=, failing= and brief are for both

for ([good => 200, 1], [bad => 503, 2]) {
    my ($name, $expected, $n) = @$_;

    my ($code, undef, $body) = get("/$name");
    is($code, $expected, "$name: the page's code");
    ok($body eq source(), "$name: the page");

    ($code, undef, $body) = asked("/$name", 'application/json');
    is($code, $expected, "$name: JSON's code");
    is(@{parse($body)->{tasks}}, $n, "$name: JSON");
}

unlike((asked('/bad', 'application/json'))[2], qr/"pid"|nothing/, 'brief');

# as part of what else nginx does

($code, $headers, $body) = split_answer(
    http("HEAD /page HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"));
is("$code $body", '200 ', 'HEAD');
is(header($headers, 'Content-Length'), length source(), 'its length');

($code, $headers) = split_answer(http("GET /gzip HTTP/1.1\r\nHost: test\r\n"
    . "Accept-Encoding: gzip\r\nConnection: close\r\n\r\n"));
is(header($headers, 'Content-Encoding'), 'gzip', 'compressed');

mkdir "$dir/html" or die "mkdir: $!\n";
put('html/ssi.html', '[<!--#include virtual="/page" -->]');
($code, $headers, $body) = split_answer(
    http("GET /ssi.html HTTP/1.0\r\nHost: test\r\n\r\n"));
ok($body eq '[' . source() . ']', 'in a page');

stop();

done_testing();

###############################################################################

sub source {
    open my $file, '<',
        "$FindBin::Bin/../src/status/ngx_http_background_status.html"
        or die "open: $!\n";
    local $/;

    return scalar <$file>;
}

sub header {
    my ($headers, $name) = @_;

    return $headers =~ /^\Q$name\E: (.*?)\r?$/m ? $1 : undef;
}

sub asked {
    my ($uri, $accept) = @_;

    return split_answer(http("GET $uri HTTP/1.1\r\nHost: test\r\n"
        . "Accept: $accept\r\nConnection: close\r\n\r\n"));
}

sub split_answer {
    my ($headers, $body) = split /\r\n\r\n/, $_[0], 2;

    return ($headers =~ /^HTTP\/1\.1 (\d{3}) /, $headers, $body);
}
