# Requests as those of an https client ("scheme=https") and as those of an
# address ("address="): what the server, its modules and back ends see.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use BackgroundUpstream;
use Test::More;

my $dir = dir();

upstream('app');
put('ok.txt', 'ok');
put('list', "/seen/list\n");

# task, parameters, what is seen: $scheme, $https, $remote_addr, $remote_port,
# the length of $binary_remote_addr, X-Forwarded-For, $server_addr, geo

my @seen = (
    ['plain', '', 'http||unix:||0|unix:|unix:|other'],
    ['http', 'scheme=http', 'http||unix:||0|unix:|unix:|other'],
    ['https', 'scheme=https', 'https|on|unix:||0|unix:|unix:|other'],
    ['v4', 'address=127.0.0.1',
     'http||127.0.0.1||4|127.0.0.1|unix:|loopback'],
    ['v6', 'address=2001:DB8:0:0::1',
     'http||2001:db8::1||16|2001:db8::1|unix:|documented'],
    ['mapped', 'address=::ffff:127.0.0.1',
     'http||::ffff:127.0.0.1||16|::ffff:127.0.0.1|unix:|loopback'],
    ['both', 'scheme=https address=192.0.2.7 header=X-Forwarded-For:a',
     'https|on|192.0.2.7||4|a, 192.0.2.7|unix:|other'],
);

# task, operation, its error

my @judged = (
    ['allowed4', '/only4 address=127.0.0.1'],
    ['denied4', '/only4 address=127.0.0.2', 'unexpected status 403'],
    ['denied46', '/only4 address=::1', 'unexpected status 403'],
    ['deniedunix', '/only4', 'unexpected status 403'],
    ['allowed6', '/only6 address=2001:db8::7'],
    ['denied6', '/only6 address=2001:db9::7', 'unexpected status 403'],
    ['allowedunix', '/onlyunix'],
    ['deniedip', '/onlyunix address=127.0.0.1', 'unexpected status 403'],
    ['limit1', '/limited address=192.0.2.1'],
    ['limit2', '/limited address=192.0.2.2'],
    ['limit3', '/limited address=192.0.2.3 count=2', 'unexpected status 503'],

    # realip's second phase, and what is before it

    ['real', '/real address=10.0.0.1 header=X-Real-IP:192.0.2.9'],
    ['untrusted', '/real address=10.0.1.1 header=X-Real-IP:192.0.2.9',
     'unexpected status 403'],
    ['realunix', '/realunix header=X-Real-IP:192.0.2.9'],
    ['realearly', '/realearly address=10.0.0.1 header=X-Real-IP:192.0.2.9'],

    # https in locations of all kinds, and what stays

    ['redirected', '/redirected scheme=https status=200'],
    ['plainredirected', '/redirected status=301'],
    ['absolute', '/absolute scheme=https status=301 test=$location_is_http'],
    ['ssi', '/ssi scheme=https "test=$is_https"'],
    ['plainssi', '/ssi test=$is_https', 'test "$is_https" is empty'],
    ['named', '@named scheme=https status=201'],
    ['pair', '/pair scheme=https status=201'],
    ['header', '/header scheme=https header=X-Proto:$scheme status=201'],
    ['body', '/body scheme=https body=$https status=201'],
);

my $tasks = join "\n",
    (map { "background_task s$_->[0] { interval 1h; "
           . "request /seen/$_->[0] $_->[1]; }" } @seen),
    (map { "background_task $_->[0] { interval 1h; retry 1h; "
           . "request $_->[1]; }" } @judged);

put('ssi.txt', '<!--# include virtual="/scheme" -->');

start(<<"EOF_HTTP", <<"EOF_SERVER");
    default_type text/plain;
    log_format seen escape=none '\$background_task|\$scheme|\$https|\$remote_addr|\$remote_port|\$ip_len|\$proxy_add_x_forwarded_for|\$server_addr|\$geo';
    log_format short '\$scheme,\$https,\$remote_addr';
    map \$binary_remote_addr \$ip_len {
        "~^[\\x00-\\xff]{16}\\z" 16; "~^[\\x00-\\xff]{4}\\z" 4; default 0;
    }
    map \$background_body \$is_https { "~^https on" 1; }
    map \$sent_http_location \$location_is_http { "~^http://" 1; }
    geo \$geo {
        default other;
        127.0.0.0/8 loopback;
        2001:db8::/64 documented;
    }
    limit_req_zone \$binary_remote_addr zone=ip:1m rate=1r/m;
EOF_HTTP
        $tasks
        background_task list { interval 1h;
            requests list scheme=https address=127.0.0.1; }

        set_real_ip_from 192.0.2.255;
        log_subrequest on;
        location /seen/ {
            access_log seen.log seen;
            proxy_pass http://unix:$dir/app:/ok/5?;
            proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;
            proxy_set_header X-Real-IP \$remote_addr;
            proxy_set_header X-Forwarded-Proto \$scheme;
        }
        location = /only4 { alias $dir/ok.txt; allow 127.0.0.1; deny all; }
        location = /only6 { alias $dir/ok.txt; allow 2001:db8::/32; deny all; }
        location = /onlyunix { alias $dir/ok.txt; allow unix:; deny all; }
        location = /limited { alias $dir/ok.txt; limit_req zone=ip; }
        location = /real {
            alias $dir/ok.txt;
            set_real_ip_from 10.0.0.0/24; real_ip_header X-Real-IP;
            allow 192.0.2.9; deny all;
        }
        location = /realunix {
            alias $dir/ok.txt;
            set_real_ip_from unix:; real_ip_header X-Real-IP;
            allow 192.0.2.9; deny all;
        }
        location = /realearly {
            alias $dir/ok.txt;
            set_real_ip_from 10.0.0.0/24; real_ip_header X-Real-IP;
            if (\$remote_addr != 10.0.0.1) { return 500; }
            allow 192.0.2.9; deny all;
        }
        location = /redirected {
            if (\$scheme = http) { return 301 https://\$host\$request_uri; }
            return 200;
        }
        location = /absolute { return 301 /elsewhere; }
        location = /ssi { alias $dir/ssi.txt; ssi on; ssi_types *; }
        location = /scheme { return 200 '\$scheme \$https'; }
        location \@named { if (\$https) { return 201; } return 500; }
        location = /pair {
            set \$pair \$scheme\$https;
            if (\$pair = httpson) { return 201; }
            return 500;
        }
        location = /header { if (\$http_x_proto = https) { return 201; } return 500; }
        location = /body { if (\$content_length = 2) { return 201; } return 500; }
        location /client { access_log short.log short; return 204; }
EOF_SERVER

my %task;

poll('all are over', sub {
    %task = by_name(status());

    return !grep { !$_->{last} } values %task;
});

for (@seen) {
    is($task{"s$_->[0]"}{last}{error}, undef, "$_->[0]: no error");
}

for (@judged) {
    my ($name, $operation, $error) = @$_;
    my ($title) = $operation =~ /^(\S+)/;

    is($task{$name}{last}{error},
       $error ? "request \"$title\": $error" : undef, "$name: $operation");
}

is($task{limit3}{operations}{failed}, 1, 'an address has a limit of its own');

# nothing of it is for clients

is((get('/client'))[0], 204, 'a client');

stop();

my %line = map { split /\|/, $_, 2 } split /\n/, read_text("$dir/seen.log");

is($line{"s$_->[0]"}, $_->[2], "$_->[0]: variables") for @seen;
is($line{list}, 'https|on|127.0.0.1||4|127.0.0.1|unix:|loopback', 'a list');
is(read_text("$dir/short.log"), "http,,unix:\n", 'variables of a client');

my %sent;

for (grep { m{^request GET /ok/5\?\w+\|} } seen('app')) {
    my ($name) = m{\?(\w+)\|};

    my %header = map { /^(\S+): (.*)/ ? ($1, $2) : () } split /\|/;

    $sent{$name} = join ' ', @header{qw/ X-Forwarded-For X-Real-IP
                                         X-Forwarded-Proto /};
}

is($sent{v4}, '127.0.0.1 127.0.0.1 http', 'what a back end gets');
is($sent{both}, 'a, 192.0.2.7 192.0.2.7 https', 'with all of it');
is($sent{plain}, 'unix: unix: http', 'without');

done_testing();
