# The modules load into the packaged nginx, which runs as before.

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundStatus ();

BEGIN { $ENV{TEST_NGINX_TIMEOUT} ||= $BackgroundStatus::deadline }

use Test::Nginx::Socket 'no_plan';

run_tests();

__DATA__

=== TEST 1: the modules are loaded and nothing uses them
--- config
location = /here {
    return 200 "here\n";
}
--- request
GET /here
--- response_body
here
--- no_error_log
[error]
[alert]
[emerg]
