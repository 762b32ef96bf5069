# Requests through nginx's other modules, and what these think of them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundStatus;
use BackgroundUpstream;
use Test::More;

my $dir = dir();

put('text', 'abc ' x 20_000);
put('big', '');
truncate "$dir/big", 3_000_000 or die "truncate: $!\n";
put('slow', 'x' x 30_000);
mkdir "$dir/folder" or die "mkdir: $!\n";
put('folder/index.html', 'index');
put('users', "a:{PLAIN}b\n");

upstream('peer');

# URI and parameters, code

my %task = (
    gzip    => ['/text header=Accept-Encoding:gzip', 200],
    slice   => ['/slice', 200],
    mirror  => ['/mirror', 200],
    req     => ['/limit_req count=3', 200],
    reqno   => ['/limit_req_no count=3', 503],
    conn    => ['/limit_conn count=3', 503],
    rate    => ['/rate', 200],
    proxied => ['/proxied', 200],
    threads => ['/threads', 200],
    file    => ['/sendfile', 200],
    nofile  => ['/nosendfile', 200],
    direct  => ['/directio', 200],
    range   => ['/big header=Range:bytes=10-19', 206],
    fresh   => ['/fresh "header=If-Modified-Since: Fri, 31 Dec 2100 00:00:00 GMT"',
                304],
    match   => ['/big header=If-Match:other status=412', 412],
    none    => ['/444', 0],
    linger  => ['/linger body=unread', 200],
    allowed => ['/allowed', 200],
    denied  => ['/denied', 403],
    auth    => ['/auth "header=Authorization:Basic YTpi"', 200],
    noauth  => ['/auth', 401],
    geo     => ['/geo', 200],
    real    => ['/real header=X-Real-IP:192.0.2.1', 200],
    index   => ['/folder/', 200],
    slash   => ['/folder', 301],
    try     => ['/try', 200],
    post    => ['/post_action', 200],
);

# not in each nginx

my $sub = '';

if (`'@{[$ENV{TEST_NGINX_BINARY} || 'nginx']}' -V 2>&1` =~ /http_sub_module/) {
    $task{sub} = ['/sub', 200];
    $task{chunk} = ['/nolength', 200];
    $sub = <<"EOF_SUB";
        location = /sub {
            alias $dir/text;
            sub_filter abc defghi;
            sub_filter_once off;
            sub_filter_types *;
        }
        location = /nolength {
            proxy_pass http://unix:$dir/peer:/ok/100;
            sub_filter x yy;
            sub_filter_once off;
            sub_filter_types *;
        }
EOF_SUB
}

my $tasks = join "\n", map {
        "background_task $_ { interval 1h; retry 1h; request $task{$_}[0]; }";
    } sort keys %task;

my $main = <<'EOF_MAIN';
worker_processes 1;
debug_points abort;
EOF_MAIN

start(<<'EOF_HTTP', <<"EOF_SERVER", $main);
    limit_req_zone $binary_remote_addr zone=req:1m rate=100r/s;
    limit_req_zone $binary_remote_addr zone=reqno:1m rate=1r/m;
    limit_conn_zone $binary_remote_addr zone=conn:1m;
    geo $place { default somewhere; 127.0.0.0/8 loopback; }
    split_clients $remote_addr $half { 50% a; * b; }
    map $background_task $by_task { "" client; ~. task; }
    log_format seen '$background_task|$status|$remote_addr|$place|$by_task|$realip_remote_addr|$uri|$request_method|$bytes_sent';
EOF_HTTP
        $tasks
        background_task quiet { interval 1h; request /quiet; }
        access_log seen.log seen if=\$background_task;
        access_log clients.log seen;
        log_subrequest on;
        root $dir;
        gzip_min_length 1;
        gzip_types *;

        $sub
        location = /text { gzip on; }
        location = /slice {
            slice 100k;
            proxy_set_header Range \$slice_range;
            proxy_pass http://unix:$dir/socket:/big;
        }
        location = /mirror { mirror /mirrored; alias $dir/text; }
        location = /mirrored {
            internal;
            proxy_pass http://unix:$dir/peer:/ok/1;
        }
        location = /limit_req { limit_req zone=req burst=10; alias $dir/text; }
        location = /limit_req_no { limit_req zone=reqno; alias $dir/text; }
        location = /limit_conn {
            limit_conn conn 1;
            proxy_pass http://unix:$dir/peer:/wait/100;
        }
        location = /rate { alias $dir/slow; limit_rate 20k; }
        location = /proxied {
            # nginx allows 20k for each second of the clock, also for those
            # before the answer came
            proxy_pass http://unix:$dir/peer:/ok/100000;
            limit_rate 20k;
        }
        location = /threads { alias $dir/big; aio threads; sendfile off; }
        location = /sendfile { alias $dir/big; sendfile on; tcp_nopush on; }
        location = /nosendfile { alias $dir/big; sendfile off; }
        location = /directio { alias $dir/big; sendfile on; directio 512; }
        location = /fresh { alias $dir/big; if_modified_since before; }
        location = /444 {
            reset_timedout_connection on;
            return 444;
        }
        location = /linger {
            lingering_close always;
            lingering_timeout 1h;
            return 200;
        }
        location = /allowed { allow unix:; deny all; alias $dir/text; }
        location = /denied { allow 127.0.0.1; deny all; alias $dir/text; }
        location = /auth {
            auth_basic test;
            auth_basic_user_file $dir/users;
            alias $dir/text;
        }
        location = /geo { return 200 "\$place \$half"; }
        location = /real {
            set_real_ip_from 127.0.0.1;
            real_ip_header X-Real-IP;
            alias $dir/text;
        }
        location = /try { try_files /nothing \$uri/ \@tried; }
        location \@tried { return 200 tried; }
        location = /post_action { alias $dir/text; post_action /posted; }
        location = /posted { internal; proxy_pass http://unix:$dir/peer:/ok/2; }
        location = /stub { stub_status; access_log off; }
        location = /quiet { log_subrequest off; alias $dir/text; }
EOF_SERVER

my %now;

poll('all are over', sub {
    %now = by_name(status());

    return !grep { !$_->{last} } values %now;
});

for (sort keys %task) {
    my ($request, $code) = @{$task{$_}};
    my ($uri) = $request =~ /^(\S+)/;

    is($now{$_}{last}{error},
       $code == 0 ? "request \"$uri\": no response"
       : $code >= 400 && $request !~ /status=/
           ? "request \"$uri\": unexpected status $code" : undef,
       "$_: request $request");
}

is($now{conn}{last}{failed}, 2, 'limit_conn: two of three');
is($now{reqno}{last}{failed}, 2, 'limit_req: two of three');
cmp_ok($now{rate}{last}{wall_seconds}, '>=', 0.4, 'limit_rate');
cmp_ok($now{proxied}{last}{wall_seconds}, '>=', 0.4, 'limit_rate of a proxy');
cmp_ok($now{$_}{last}{bytes}, '>', 3_000_000, "$_: bytes")
    for qw/ slice threads file nofile direct /;
cmp_ok($now{sub}{last}{bytes}, '>', 140_000, 'sub_filter: bytes') if $sub;
cmp_ok($now{gzip}{last}{bytes}, '<', 10_000, 'gzip: bytes');

ok(poll('mirrored', sub {
    grep { m{^request GET /ok/1\|} } seen('peer')
}), 'mirrored');

# counts are what they were

my ($active, $reading, $writing, $waiting);

poll('stub_status', sub {
    ($active, $reading, $writing, $waiting) =
        (get('/stub'))[2] =~ /^Active\ connections:\ (\d+).*
                              Reading:\ (\d+)\ Writing:\ (\d+)\ Waiting:\ (\d+)
                             /xs;
    return $active == 1;
});

is("$active $reading $writing $waiting", '1 0 1 0', 'stub_status');

get('/quiet');
stop();

my %seen;

for (split /\n/, read_text("$dir/seen.log")) {
    my @fields = split /\|/, $_, -1;
    push @{$seen{$fields[0]}}, \@fields;
}

is("@{$seen{real}[0]}[2, 5]", 'unix: unix:', 'real_ip does not apply');
is("@{$seen{geo}[0]}[2 .. 4]", 'unix: somewhere task', 'geo, map');
is($seen{none}[0][1], 444, 'code 444');
is($seen{fresh}[0][1], 304, 'code 304');
ok(!exists $seen{''}, 'access_log if=$background_task');
is((grep { $_->[6] eq '/mirrored' } @{$seen{mirror}}), 1,
   'subrequests have the variable');
is((grep { $_->[0] eq 'gzip' } map { @$_ } values %seen), 1, 'logged once');
ok(!exists $seen{quiet}, 'not logged without "log_subrequest on"');

is((grep { /^\|200\|unix:\|somewhere\|client\|unix:\|\/quiet\|GET\|/ }
    split /\n/, read_text("$dir/clients.log")), 1,
   'a client has no task, and is logged');

done_testing();
