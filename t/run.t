# "background_run": a request's body goes into a cycle, its output is the
# response; what is answered when there is none.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundLife;
use BackgroundPost;
use BackgroundStatus;
use Test::More;

my $dir = dir();
my $calls = root() . '/t/calls';

build_library("$dir/$_.so", "$calls/$_.c", '')
    or plan skip_all => 'no C compiler'
    for qw/ output arguments hold test /;

my $http = <<"EOF";
    background_threads 1;
    background_task reverse { interval off; call output.so reverse; }
    background_task obey    { interval off; call output.so obey; }
    background_task both    { interval 1h; call output.so obey; }
    background_task named   { interval off;
                              call arguments.so arguments -a "\$arg_a"
                                   "--\$arg_b" \$request_method; }
    background_task slow    { interval off; timeout 100ms;
                              call hold.so hold $dir/never; }
    background_task judged  { interval off; health fails=2 passes=2;
                              call output.so obey; }

    log_format run '\$uri \$status [\$background_run_status] '
                   '[\$background_run_wait] [\$background_run_time] '
                   '[\$background_run_cpu]';

    map \$background_run_status \$seen {
        success 1;
        default 0;
    }
EOF

my $locations = "    access_log $dir/run.log run;\n" . <<'EOF';
    client_body_buffer_size 1k;
    client_max_body_size    10m;

    location /reverse { background_run reverse; }
    location /obey    { background_run obey max_output=1m; }
    location /texts   { background_run obey errors; }
    location /named   { background_run named; }
    location /slow    { background_run slow; }
    location /both    { background_run both; }
    location /judged  { background_run judged; }
    location /gzip    { background_run obey; gzip on; gzip_min_length 1;
                        gzip_types text/x-many; gzip_proxied any; }
    location /charset { background_run obey; charset koi8-r;
                        charset_types text/x-text; }
    location /small   { background_run reverse; client_max_body_size 10; }
    location /page    { background_run obey; error_page 404 418 500 /other; }
    location /slash/  { background_run obey; }
    location /added   { background_run obey; add_header X-Seen $seen always; }
    location = /other { return 200 other; }
    location = /if    { if ($arg_run) { background_run reverse; } }
    location = /in    { background_run obey max_output=10;
                        if ($arg_x) { set $y 1; }
                        if ($arg_run) { background_run reverse; } }
    location = /limited { background_run reverse;
                          limit_except GET { allow unix:; deny all; } }
EOF

start($http, $locations, 'worker_processes 1;');

sub header { "h$_[0]\x1f$_[1]" }
sub orders { join '', map { "$_\x1e" } @_ }

sub obey {
    my $uri = shift;

    return post($uri, orders(@_));
}

# input and output

my $answer = post('/reverse', 'hello');

is(code($answer), 200, 'the status by default');
is(field($answer, 'Content-Type'), 'application/octet-stream', 'the type');
is(field($answer, 'Content-Length'), 5, 'the length');
is(body($answer), 'olleh', 'input and output');

is(body(ask('PUT', '/reverse', "a\0b")), "b\0a", 'PUT, any bytes');
is(field(post('/reverse', ''), 'Content-Length'), 0, 'an empty body');

my $long = join '', map { chr(97 + $_ % 26) } 1 .. 300_000;

is(body(post('/reverse', $long)), scalar reverse($long), 'a body in a file');

my $chunked = join '', map { sprintf "%x\r\n%s\r\n", length, $_ }
                           'abc', 'd' x 3000, 'ef';

is(body(http("POST /reverse HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
             . "Transfer-Encoding: chunked\r\n\r\n${chunked}0\r\n\r\n")),
   'fe' . 'd' x 3000 . 'cba', 'a chunked body');

is(body(http("POST /reverse HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc")), 'cba',
   'HTTP/1.0');

like(http("POST /reverse HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nab"
          . "POST /reverse HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
          . "Content-Length: 2\r\n\r\ncd"),
     qr/\r\n\r\nbaHTTP\/1.1 200 .*\r\n\r\ndc\z/s, 'pipelined requests');

# status, type and fields

$answer = obey('/obey', 's201', 'ttext/x-pot; charset=utf-8; a=b',
               header('X-One', '1'), header('x-one', '2'), 'p3', 'p4');

is(code($answer), 201, 'status');
is(field($answer, 'Content-Type'), 'text/x-pot; charset=utf-8; a=b', 'type');
like($answer, qr/\r\nX-One: 1\r\nx-one: 2\r/, 'fields');
is(body($answer), 'xxxxxxx', 'output');

for (204, 304) {
    $answer = obey('/obey', "s$_", 'p3');

    is(code($answer), $_, "status $_");
    is(body($answer), '', "$_: no body");
}

$answer = obey('/slash/a', 's302', header('Location', '/b'));

is(code($answer), 302, 'a redirect');
like(field($answer, 'Location'), qr{^http://[^/]+/b\z}, 'is made absolute');

is(body(obey('/page', 's404', 'p2')), 'xx', 'a response is not intercepted');
is(body(obey('/page', 's100')), qq({"error": "failed"}\n), 'nor is an error');

# conditions of a client, which are not looked at: the job has run

for my $condition ('If-Match: "x"', 'If-None-Match: *', 'If-None-Match: "a"',
                   'If-Unmodified-Since: Mon, 28 Sep 1970 06:00:00 GMT')
{
    $answer = ask('PUT', '/reverse', 'ab', $condition);

    is(code($answer) . ' ' . body($answer), '200 ba', $condition);

    $answer = ask('PUT', '/obey',
                  orders(header('ETag', '"a"'),
                         header('Last-Modified',
                                'Mon, 28 Sep 2020 06:00:00 GMT'), 'p2'),
                  $condition);

    is(code($answer) . ' ' . body($answer), '200 xx',
       "$condition, an output with a tag and a date");
}

# nginx's filters

$answer = post('/gzip', orders('ttext/x-many; version=1', 'p100000'),
               'Accept-Encoding: gzip');

is(field($answer, 'Content-Encoding'), 'gzip', 'gzip');
cmp_ok(length $answer, '<', 10_000, 'compresses');

$answer = post('/gzip', orders('ttext/x-many', header('Content-Encoding', 'br'),
                               header('ETag', '"a"'), 'p100'),
               'Accept-Encoding: gzip');

is(() = $answer =~ /\r\nContent-Encoding: br\r/g, 1, 'what is encoded');
is(length body($answer), 100, 'is not compressed');
is(field($answer, 'ETag'), '"a"', 'and keeps its tag');

is(field(post('/gzip', orders('ttext/x-many', header('ETag', '"a"'), 'p100'),
              'Accept-Encoding: gzip'), 'ETag'), 'W/"a"', 'a weak one');

is(field(obey('/charset', 'ttext/x-text', 'p1'), 'Content-Type'),
   'text/x-text; charset=koi8-r', 'charset');
is(field(obey('/charset', 'ttext/x-text; a=b; charset=utf-8', 'p1'),
         'Content-Type'), 'text/x-text; a=b; charset=utf-8', 'of its own');

# arguments

is(body(post('/named?a=1%20&b=-x', '')), "-a\n1%20\n---x\nPOST\n",
   'arguments with variables');
is(body(post('/named', '')), "-a\n\n--\nPOST\n", 'empty ones');

$answer = post('/named?a=-rf', '');

is(code($answer), 400, 'an option of a client');
is(body($answer), qq({"error": "invalid argument"}\n), 'is refused');

# errors

$answer = http("GET /reverse HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");

is(code($answer), 405, 'GET');
is(field($answer, 'Allow'), 'POST, PUT', 'what is allowed');
is(code(ask($_, '/reverse', 'a')), 405, $_) for qw/ DELETE PATCH OPTIONS /;

is(code(post('/small', 'a' x 11)), 413, 'too large');

$answer = obey('/obey', 's100');

is(code($answer), 500, 'a failure');
is(field($answer, 'Content-Type'), 'application/json', 'in JSON');
is(body($answer), qq({"error": "failed"}\n), 'without the text');

is(body(obey('/texts', header("\"\\", 'x'))),
   qq({"error": "call \\"output.so\\": obey(): invalid header \\"\\"\\\\\\""}\n),
   'with the text');

is(code(obey('/obey', 'p1048577')), 500, 'too much output');
is(length body(obey('/obey', 'p1048576')), 1_048_576, 'as much as may be');

$answer = post('/slow', '');

is(code($answer), 504, 'a time-out');
is(body($answer), qq({"error": "timed out"}\n), 'its text');

is(body(obey('/both', 'p2')), 'xx', 'a task with an interval, too');

is(field(obey('/added', 'p1'), 'X-Seen'), 1, 'a variable in time');

is(body(post('/if?run=1', 'ab')), 'ba', 'in "if"');
is(code(post('/if', 'ab')), 404, 'and beside it');
is(body(post('/in?x=1', orders('p10'))), 'x' x 10, 'beside another "if"');
is(code(post('/in?x=1', orders('p11'))), 500, 'with the parameters');
is(body(post('/in?x=1&run=1', 'ab')), 'ba', 'and in an "if" with its own');
is(body(post('/limited', 'ab')), 'ba', '"limit_except"');

# health

my %task;

poll('recorded', sub {
    %task = by_name(status_anyhow());
    return $task{slow}{cycles}{failed};
});

ok($task{$_}{healthy}, "$_: healthy") for 'obey', 'slow';
is($task{obey}{cycles}{failed}, 5, 'its failures');
is($task{reverse}{cycles}{started}, 15, 'cycles');

sub judged {
    my ($outcome, $n) = @_;

    poll("$n $outcome", sub {
        %task = by_name(status_anyhow());
        return $task{judged}{cycles}{$outcome} == $n;
    });

    return $task{judged}{healthy};
}

is(code(obey('/judged', 's100')), 500, 'a failure of a judged task');
ok(judged(failed => 1), 'one does not make it unhealthy');
is(code(obey('/judged', 's100')), 500, 'another one');
ok(!judged(failed => 2), 'two do');

is(code(obey('/judged', 'p1')), 200, 'it runs all the same');
ok(!judged(completed => 1), 'one success does not make it healthy');
is(code(obey('/judged', 'p1')), 200, 'another one');
ok(judged(completed => 2), 'two do');

# the log

poll('logged', sub { BackgroundLife::slurp('run.log') =~ m{^/judged 200 }m });

my $log = BackgroundLife::slurp('run.log');
my $time = qr/\[\d+\.\d{3}\]/;
my $times = qr/$time $time $time/;

like($log, qr{^/reverse 200 \[success\] $times$}m, 'success');
like($log, qr{^/obey 500 \[failure\] $times$}m, 'failure');
like($log, qr{^/slow 504 \[timeout\] $times$}m,
     'time-out');
like($log, qr{^/named 400 \[invalid\] \[-\] \[-\] \[-\]$}m, 'an argument');
like($log, qr{^/reverse 405 \[-\] \[-\] \[-\] \[-\]$}m, 'no cycle');

is(logged(qr/exited on signal/), 0, 'no worker has died');

stop();

done_testing();
