# background_control: what nginx accepts and refuses.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundConf;
use Test::More;

my $task = 'background_task t { simulate_io 1; }';

# "nginx -t" binds: any user may do so here

my $dir = conf_dir();
my $none = "unix:$dir/none";
my ($one, $two) = map { '127.0.0.1:' . (($ENV{TEST_NGINX_PORT} || 20000) + $_) }
                  0, 1;

sub server {
    my ($listen, $more) = @_;

    return "$task server { listen $listen; location / { $more "
           . "background_control run;\n} # here\n}";
}

# the server listens on a unix socket

accepts('location', map { "background_control $_;" }
    'run', 'pause', 'cancel', 'run pause cancel', 'cancel task=t run',
    'task=t pause', 'peers', 'peers task=t', 'run pause cancel peers');

rejects('location',
    'background_control;'
        => 'invalid number of arguments in "background_control" directive',
    'background_control task=t;' => '"background_control" directive allows '
        . 'nothing without "run", "pause", "cancel", or "peers"',
    'background_control peers=1;' => 'unknown parameter "peers=1" in '
        . '"background_control" directive',
    'background_control run task=none;' => 'unknown background task "none" in '
        . '"background_control" directive',
    "background_control run;\nbackground_control run; # here"
        => '"background_control" directive is duplicate');

rejects('http', map { ("$task server { location $_ { background_control "
        . "run; # here\n} }" => '"background_control" directive needs a '
        . 'location that is given by a prefix') }
    '= /a', '@a', '~ /a', '~* ^/a/');

accepts('http', map { "$task server { listen $none; location $_ { "
                      . 'background_control run; } }' } '/', '^~ /a', '/a/');

# access control

for my $more ('deny all;', 'allow 127.0.0.1; deny all;',
              'auth_basic x; auth_basic_user_file x;', 'auth_request /x;')
{
    accepts('http', server($one, $more));
}

accepts('http', "$task server { listen $one; deny all; location / { "
        . 'background_control run; } }');

accepts('http', server($one, 'limit_except GET { deny all; }'),
        server($one, 'deny all; limit_except GET { allow all; }'));

my $warning = '"background_control" without "deny", "auth_basic", '
    . '"auth_request", or "ssl_verify_client": anybody may use it';

warns('http', server($one, '') => $warning,
      server($one, 'auth_basic off;') => $warning,
      server($one, 'limit_except POST { deny all; }') => $warning,
      server($one, 'limit_except GET { auth_basic off; }')
          => $warning);

# certificates of clients, if all that the server listens on asks for them

SKIP: {
    skip 'no openssl', 1
        if system("openssl req -x509 -newkey ed25519 -nodes -subj /CN=a "
                  . "-keyout $dir/key -out $dir/cert > /dev/null 2>&1") != 0;

    my $tls = "ssl_certificate $dir/cert; ssl_certificate_key $dir/key; "
              . "ssl_client_certificate $dir/cert; ssl_verify_client ";
    my $listen = "$one ssl";

    accepts('http', server($listen, '') =~ s/location/$tls on; location/r,
            server("$listen; listen $two ssl; listen $none", '')
            =~ s/location/$tls on; location/r);

    warns('http',
        (map { (server($_, '') =~ s/location/$tls on; location/r => $warning) }
            $one, "$listen; listen $two"),
        server($listen, '') =~ s/location/$tls optional; location/r
            => $warning);
}

done_testing();
