# "background_redis", "workers cluster": what nginx accepts and refuses.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundConf;
use Test::More;

my $dir = conf_dir();
my $name = 'it must be 1-64 of "A-Z", "a-z", "0-9", "_", ".", and "-"';

put('password', "secret\n");
put('empty', "\n");
put('long', 'x' x 4097);
put('longest', 'x' x 4096);
put('lines', "secret\nwords\n");

accepts('http', 'background_redis a { server 127.0.0.1; }',
    'background_redis a { server 127.0.0.1:6380; server [::1]; '
    . 'server unix:/run/redis.sock; }',
    'background_redis a { server 127.0.0.1; sentinel master; user u; '
    . 'password_file password; sentinel_user v; '
    . 'sentinel_password_file longest; database 65535; prefix "a b:"; '
    . 'connect_timeout 1ms; timeout 1h; tls off; tls_verify off; }',
    'background_redis a { server 127.0.0.1; } '
    . 'background_redis b { server 127.0.0.1; }',
    'resolver 127.0.0.1; background_redis a { server no-such-host.invalid; }',
    'background_redis a { server 127.0.0.1; tls on; tls_verify off; }');

rejects('http',
    'background_redis a { }' => 'no "server" in "background_redis" "a"',
    'background_redis "a b" { }' => 'invalid name "a b" in '
        . "\"background_redis\" directive, $name",
    'background_redis "" { }' => 'invalid name "" in "background_redis" '
        . "directive, $name",
    "background_redis a { server 127.0.0.1; }\n"
        . 'background_redis a { } # here' => 'duplicate "background_redis" "a"',
    'background_redis a { servers 127.0.0.1; }' => 'unknown directive '
        . '"servers" in "background_redis"',
    'background_redis a { server; }' => 'invalid number of arguments in '
        . '"server" directive',
    'background_redis a { server a b; }' => 'invalid number of arguments in '
        . '"server" directive',
    'background_redis a { tls yes; }' => 'invalid value "yes" in "tls" '
        . 'directive, it must be "on" or "off"',
    'background_redis a { sentinel ""; }' => 'invalid name "" in "sentinel" '
        . 'directive, it must be not empty',
    'background_redis a { database -1; }' => 'invalid value "-1" in '
        . '"database" directive, it must be a number from 0 to 65535',
    'background_redis a { timeout 0; }' => 'invalid time "0" in "timeout" '
        . 'directive, it must be from 1ms to 1h',
    (map { ("background_redis a { $_->[0] $_->[1]; $_->[0] $_->[1]; }"
                => "\"$_->[0]\" directive is duplicate") }
        [qw/ sentinel a /], [qw/ user a /], [qw/ password_file password /],
        [qw/ sentinel_user a /], [qw/ sentinel_password_file password /],
        [qw/ database 0 /], [qw/ prefix a /], [qw/ connect_timeout 1s /],
        [qw/ timeout 1s /], [qw/ tls on /], [qw/ tls_verify on /],
        [qw/ tls_name a /], [qw/ tls_trusted_certificate a /],
        [qw/ tls_certificate a /], [qw/ tls_certificate_key a /]));

# what is known when all is

my $all = 'background_redis a { server 127.0.0.1; %s }';

rejects('http', map { (sprintf($all, $_->[0])
                       => "$_->[1] in \"background_redis\" \"a\"") }
    ['user u;', '"user" needs "password_file"'],
    ['sentinel_user u;', '"sentinel_user" and "sentinel_password_file" need '
                         . '"sentinel"'],
    ['sentinel m; sentinel_user u;', '"sentinel_user" needs '
                                     . '"sentinel_password_file"'],
    ['tls_name a;', '"tls_..." needs "tls on"'],
    ['tls on;', '"tls on" needs "tls_trusted_certificate", or '
                . '"tls_verify off"'],
    ['tls on; tls_verify off; tls_certificate a;', '"tls_certificate" and '
        . '"tls_certificate_key" need each other']);

rejects('http',
    'background_redis a { server 127.0.0.1:0; }' => 'invalid port in address '
        . '"127.0.0.1:0" of "background_redis" "a"');

# files of passwords

rejects('http', map {
    my ($name, $error) = @$_;

    map { ("background_redis a { $_ $name; }" => $error) }
        'password_file', 'sentinel_password_file'
} ['none', "open() \"$dir/none\" failed (2: No such file or directory)"],
  ['empty', "\"$dir/empty\" is empty"],
  ['long', "\"$dir/long\" is longer than 4096 bytes"],
  ['lines', "\"$dir/lines\" has more than one line"],
  ['.', "\"$dir/.\" is not a regular file"]);

# a name that may have an address later

warns('http', 'background_redis a { server no-such-host.invalid; }'
    => 'host not found in address "no-such-host.invalid" of '
       . '"background_redis" "a", and there is no "resolver",');

# "workers cluster"

my $redis = "background_redis main { server 127.0.0.1; }\n";
my $task = 'background_task t { simulate_io 1; workers cluster %s; }';

accepts('http', map { $redis . sprintf $task, $_ }
    '', 'redis=main', 'lease=1s', 'lease=1h', 'lost=stop', 'lost=run',
    'lost=run redis=main lease=30s');

# the server may be told of after the task

accepts('http', sprintf($task, 'redis=main') . $redis);

rejects('task',
    'workers cluster lease=999ms;' => 'invalid time "lease=999ms" in "workers" '
        . 'directive, it must be from 1s to 1h',
    'workers cluster lease=61m;' => 'invalid time "lease=61m" in "workers" '
        . 'directive, it must be from 1s to 1h',
    'workers cluster lost=maybe;' => 'invalid value "lost=maybe" in "workers" '
        . 'directive, it must be "stop" or "run"',
    'workers cluster often;' => 'unknown parameter "often" in "workers" '
        . 'directive',
    'workers one lease=1s;' => 'invalid number of arguments in "workers" '
        . 'directive',
    'workers some;' => 'invalid value "some" in "workers" directive, it must '
        . 'be "one", "all" or "cluster"',
    'workers cluster; workers cluster;' => '"workers" directive is duplicate',
    'workers cluster;' => 'no "background_redis" for "workers cluster" of '
        . 'background task "t"',
    'workers cluster redis=b;' => 'no "background_redis" "b" for "workers '
        . 'cluster" of background task "t"');

# ends of cycles are known in one nginx only

accepts('http', "${redis}background_task t { simulate_io 1; workers cluster; } "
        . 'background_task b { after t; simulate_io 1; }');
warns('http', "${redis}background_task a { simulate_io 1; } "
      . 'background_task t { after a; simulate_io 1; workers cluster; }'
      => 'background task "t" with "workers cluster" misses what ends in an '
         . 'nginx that does not have it, "after" directive');

# without the module

{
    local @BackgroundConf::without = ('ngx_http_background_redis_module');

    rejects('task', 'workers cluster;' => '"workers cluster" needs a module '
        . 'that knows of other servers, as ngx_http_background_redis_module.so, '
        . 'which is not loaded');
    rejects('http', 'background_redis a { server 127.0.0.1; }'
        => 'unknown directive "background_redis"');
}

# the password is in nothing that nginx says

my $said = do {
    nginx_t("events {}\nhttp { background_redis a { server 127.0.0.1; "
            . "password_file password; } }\n");
    my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';
    `'$nginx' -T -p '$dir/' -c nginx.conf -e '$dir/error.log' 2>&1`;
};

like($said, qr/password_file password/, 'nginx -T');
unlike($said, qr/secret/, 'nginx -T says no password');

done_testing();
