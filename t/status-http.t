# The status over HTTP: methods, headers, as part of what else nginx does.

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundStatus 'parse';

BEGIN { $ENV{TEST_NGINX_TIMEOUT} ||= $BackgroundStatus::deadline }

use Test::Nginx::Socket 'no_plan';

add_block_preprocessor(sub {
    my ($block) = @_;

    $block->set_value(http_config => <<'EOF' . ($block->http_config || ''));
    background_task first { interval 1d; simulate_io 1 delay=0-0; }
    background_task second { workers all; simulate_io 2; }
EOF

    $block->set_value(config => <<'EOF' . ($block->config || ''));
    location = /status { background_status; }
    location = /json { background_status json; }
EOF

    $block->set_value(no_error_log => "[alert]\n[crit]\n[error]")
        unless defined $block->no_error_log || defined $block->error_log;
});

# "--- json": the body is a status with both tasks, and whole

add_response_body_check(sub {
    my ($block, $body) = @_;

    if (defined $block->json) {
        my $status = eval { parse($body) };

        is($@, '', $block->name . ' - JSON');
        is(join(' ', map { $_->{name} } @{$status->{tasks}}), 'first second',
            $block->name . ' - tasks');
    }
});

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: GET
--- request
GET /status
--- response_headers
Content-Type: application/json
Cache-Control: no-store
--- raw_response_headers_like
Content-Length: [1-9]\d{2,}\r
--- json



=== TEST 2: with the format
--- request
GET /json
--- json



=== TEST 3: arguments that mean nothing
--- request
GET /status?history=0&history&task=first&brief&x=%00
--- json
--- response_body_unlike: "history"



=== TEST 4: HEAD has the headers and no body
--- request
HEAD /status
--- response_headers
Content-Type: application/json
Cache-Control: no-store
--- raw_response_headers_like
Content-Length: [1-9]\d{2,}\r
--- response_body



=== TEST 5: other methods
--- request eval
[map { "$_ /status" } qw/ POST PUT DELETE OPTIONS PATCH PROPFIND /]
--- error_code eval
[(405) x 6]



=== TEST 6: POST with a body
--- request
POST /status
task=first
--- error_code: 405
--- response_body_unlike: "tasks"



=== TEST 7: a body that GET does not need is passed over
--- pipelined_requests eval
["GET /status\nbody", "GET /status"]
--- json



=== TEST 8: HTTP/1.0
--- raw_request eval
"GET /status HTTP/1.0\r\n\r\n"
--- raw_response_headers_like
Content-Length: [1-9]\d{2,}\r
--- response_headers
Connection: close
--- json



=== TEST 9: ranges and conditions
--- request
GET /status
--- more_headers
Range: bytes=0-3
If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT
If-None-Match: *
--- error_code: 200
--- json



=== TEST 10: in a page
--- config
    location = /page.html { ssi on; }
--- user_files
>>> page.html
[<!--#include virtual="/status" -->, <!--#include virtual="/json" -->]
--- request
GET /page.html
--- response_headers
Content-Type: text/html
--- response_body_like eval
qr/\A\[\{"status":"ok".*\}\n, \{"status":"ok".*\}\n\]\n\z/s



=== TEST 11: as an error page
--- config
    location = /none { error_page 404 /status; return 404; }
--- request
GET /none
--- error_code: 404
--- json



=== TEST 12: access is nginx's own affair
--- config
    location = /denied { deny all; background_status; }
--- request
GET /denied
--- error_code: 403
--- no_error_log
[alert]



=== TEST 13: compressed
--- config
    location = /gzip { gzip on; gzip_types application/json; background_status; }
--- request
GET /gzip
--- more_headers
Accept-Encoding: gzip
--- response_headers
Content-Encoding: gzip
Cache-Control: no-store
--- response_body_unlike: "status"



=== TEST 14: "if" in its location
--- config
    location = /if { background_status; if ($arg_x) { set $y 1; } }
    location = /page { background_status html control=/orders;
                       if ($arg_x) { set $y 1; } }
    location = /metrics { background_status prometheus failing=503;
                          if ($arg_x) { set $y 1; }
                          if ($arg_y) { set $x 1; } }
    location /orders { background_control run; allow 127.0.0.1; deny all; }
--- request eval
["GET /if?x=1", "GET /if", "GET /page?x=1", "GET /metrics?x=1&y=1"]
--- response_headers eval
["Content-Type: application/json", "Content-Type: application/json",
 "Content-Type: text/html; charset=utf-8",
 qq{Content-Type: text/plain; version=0.0.4; charset=utf-8}]
--- response_body_like eval
[qr/\A\{"status":"ok".*"second"/s, qr/\A\{"status":"ok".*"second"/s,
 qr/data-control="\/orders"/, qr/^# TYPE nginx_background_/m]
--- no_error_log
[alert]



=== TEST 15: "limit_except" in its location
--- config
    location = /limited { background_status;
                          limit_except POST { allow all; } }
--- request
GET /limited
--- response_headers
Content-Type: application/json
--- json
