# "test=": responses that are judged by variables, and by the beginning of their
# body, wherever that comes from and in which form.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use BackgroundUpstream;
use Test::More;

my $dir = dir();
my $ok = '{"status":"ok"}';
my $bad = '{"status":"failure"}';

mkdir "$dir/www" or die "mkdir: $!\n";
put('www/ok.txt', $ok);
put('www/bad.txt', $bad);
put('www/included.txt', 'ok"}');
put('www/ssi.txt', '{"status":"<!--# include virtual="/www/included.txt" -->');
put('www/4096.txt', 'x' x 4095 . 'y');
put('www/4097.txt', 'x' x 4095 . 'yz');
put('www/big.txt', 'x' x 1_000_000);
put('www/null.txt', "a\0b");
put('list', join '', map { "$_\n" } qw{ /ok /www/bad.txt /www/ok.txt /bad });

upstream('peer');

my $body = 'test=$ok';
my $zero = 'test "$ok" is "0"';

# what holds

my %good = (
    return     => "/ok $body",
    file       => "/www/ok.txt $body",
    directio   => "/directio/ok.txt $body",
    proxied    => "/back/ok $body",
    unbuffered => "/unbuffered/ok $body",
    pieces     => '/back/4097.txt test=$cut',
    chunked    => '/back/ssi.txt test=$chunked',
    ssi        => "/ssi/ssi.txt $body",
    gzip       => "/gzip/ok.txt header=Accept-Encoding:gzip $body",
    gzipped    => '/back/gzip/ok.txt header=Accept-Encoding:gzip test=$zipped',
    page       => "/page status=404 $body",
    named      => "\@named $body",
    redirected => "/redirected $body",
    mirrored   => "/mirrored $body",
    posted     => "/posted $body",
    post       => "/echo 'body=$ok' $body",
    range      => '/www/ok.txt header=Range:bytes=11-12 test=$only',
    full       => '/www/4096.txt test=$full',
    cut        => '/www/4097.txt test=$cut',
    big        => '/www/big.txt test=$long',
    null       => '/www/null.txt test=$null',
    head       => '/www/ok.txt method=HEAD test=$nothing',
    empty      => '/code/204 test=$nothing status=204',
    nobody     => '/zero test=$nothing',
    copies     => "/www/ok.txt count=40 $body",
    status     => '/ok test=$status',
    zeroes     => '/ok test=00',
    sent       => '/header test=$sent_http_x_ready',
    upstream   => '/back/header test=$upstream_http_x_ready',
    cookie     => '"/ok?a=1" test=$arg_a',
    set        => '/set test=$flag',
    task       => '/ok test=$background_task',
    taken      => "/taken $body",
);

# not in each nginx

my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';
my $built = qx/'$nginx' -V 2>&1/;
my ($gunzip, $sub) = ('', '');

if ($built =~ /--with-http_gunzip_module/) {
    $good{gunzip} = "/gunzip/ok.txt $body";
    $gunzip = 'gunzip on;';
}

if ($built =~ /--with-http_sub_module/) {
    $good{sub} = "/sub $body";
    $sub = 'sub_filter failure ok; sub_filter_types *;';
}

# what does not, and what is said

my %bad = (
    breturn   => ["/bad $body", $zero],
    bfile     => ["/www/bad.txt $body", $zero],
    bproxied  => ["/back/bad $body", $zero],
    bempty    => ["/zero $body", $zero],
    bhead     => ["/ok method=HEAD $body", $zero],
    bsent     => ['/ok test=$sent_http_x_ready',
                  'test "$sent_http_x_ready" is empty'],
    bset      => ['/unset test=$flag', 'test "$flag" is "0"'],
    bbody     => ['/zero test=$background_body',
                  'test "$background_body" is empty'],
    bstatus   => ["/back/none $body", 'unexpected status 404'],
    bcut      => ["/peer/cut/100 $body",
                  'response is incomplete, it ended after'],
    b444      => ["/444 $body", 'no response'],
    bcopies   => ["/bad count=40 $body", $zero],
);

my $tasks = join "\n",
    (map { "background_task $_ { interval 1h; request $good{$_}; }" }
     sort keys %good),
    (map { "background_task $_ { retry 1h; request $bad{$_}[0]; }" }
     sort keys %bad);

start(<<"EOF_HTTP", <<"EOF_SERVER");
    default_type text/plain;
    log_format seen '\$background_task [\$background_body]';
    proxy_cache_path cache keys_zone=app:1m;

    map \$background_body \$ok { volatile; ~"status":"ok" 1; default 0; }
    map \$background_body \$only { ok 1; }
    map \$background_body \$nothing { "" 1; }
    map \$background_body \$null { "~^a\\x00b\\z" 1; }
    map \$background_body \$full { "~^x{4095}y\\z" 1; }
    map \$background_body \$cut { "~^x{4095}y\\z" 1; }
    map \$background_body \$long { "~^x{4096}\\z" 1; }
    map \$background_body \$zipped { "~^\\x1f\\x8b" 1; }
    map "\$upstream_http_transfer_encoding \$background_body" \$chunked {
        ~^chunked.*"status":"ok" 1;
    }
    map "\$upstream_cache_status \$background_body" \$hit {
        ~^HIT.*"status":"ok" 1;
    }

    upstream back {
        server unix:$dir/back;
        keepalive 4;
    }
    server {
        listen unix:$dir/back;
        location / { root $dir/www; }
        location = /ssi.txt { root $dir/www; ssi on; ssi_types *; }
        location = /www/included.txt { root $dir; }
        location = /ok { return 200 '$ok'; }
        location = /bad { return 200 '$bad'; }
        location = /header { add_header X-Ready yes; return 200; }
        location /gzip/ {
            alias $dir/www/;
            gzip on; gzip_min_length 1; gzip_types text/plain;
        }
    }
EOF_HTTP
        $tasks
        background_task list { retry 1h; requests list concurrency=1 $body; }
        background_task cached { retry 20ms; interval 20ms;
            request /cached/ok test=\$hit; }

        access_log seen.log seen;
        log_subrequest on;
        sendfile on;

        root $dir;
        proxy_http_version 1.1;
        proxy_set_header Connection "";

        location = /ok { return 200 '$ok'; }
        location = /bad { return 200 '$bad'; }
        location = /zero { return 200 ""; }
        location = /code/204 { return 204; }
        location = /444 { return 444; }
        location = /header { add_header X-Ready yes; return 200; }
        location = /set { set \$flag 1; return 200; }
        location = /unset { set \$flag 0; return 200; }
        location = /taken { if (\$ok) { return 500; } return 200 '$ok'; }
        location = /client { return 200 '<\$background_body>'; }
        location = /page { error_page 404 /ok; return 404; }
        location = /redirected { rewrite ^ /www/ok.txt last; }
        location = /mirrored { mirror /bad; proxy_pass http://back/ok; }
        location = /posted { post_action /bad; proxy_pass http://back/ok; }
        location = /echo {
            if (\$request_method != POST) { return 500; }
            return 200 '$ok';
        }
        location = /sub {
            $sub
            alias $dir/www/bad.txt;
        }
        location \@named { return 200 '$ok'; }
        location /back/ {
            proxy_pass http://back/;
            proxy_buffer_size 1k;
            proxy_buffers 4 1k;
            proxy_busy_buffers_size 2k;
            proxy_set_header Accept-Encoding \$http_accept_encoding;
        }
        location /unbuffered/ {
            proxy_pass http://back/;
            proxy_buffering off;
        }
        location /cached/ {
            proxy_pass http://back/;
            proxy_cache app;
            proxy_cache_valid 10m;
        }
        location /gunzip/ {
            proxy_pass http://back/gzip/;
            proxy_set_header Accept-Encoding gzip;
            $gunzip
        }
        location /peer/ { proxy_pass http://unix:$dir/peer:/; }
        location /ssi/ { alias $dir/www/; ssi on; ssi_types *; }
        location /gzip/ {
            alias $dir/www/;
            gzip on; gzip_min_length 1; gzip_types text/plain;
        }
        location /directio/ { alias $dir/www/; directio 1; }
EOF_SERVER

my %task;

poll('all are over', sub {
    %task = by_name(status());

    return $task{cached}{cycles}{completed} > 1
           && !grep { !$_->{last} } values %task;
});

is($task{$_}{last}{error}, undef, "$_: request $good{$_}") for sort keys %good;

for (sort keys %bad) {
    my ($operation, $error) = @{$bad{$_}};
    my ($title) = $operation =~ /^(\S+)/;

    like($task{$_}{last}{error} // 'none', qr/^request "\Q$title": $error/,
         "$_: request $operation")
        if $error =~ /after$/;
    is($task{$_}{last}{error}, "request \"$title\": $error",
       "$_: request $operation")
        if $error !~ /after$/;
}

is($task{copies}{operations}{completed}, 40, 'each copy is judged');
is($task{bcopies}{operations}{failed}, 40, 'and fails');
is($task{list}{last}{error}, "requests \"list\": \"/www/bad.txt\": $zero, "
   . "\"/bad\": $zero", 'of a list the URIs are named');
is($task{list}{operations}{completed}, 2, 'the others are good');

# without "test=" there is no body, for clients neither

is((get('/client'))[2], '<>', 'a client');

reconfigure('background_task cached',
            'background_task without { interval 1h; request /ok; } '
            . 'background_task cached');

poll('the task without', sub {
    %task = by_name(status());
    return $task{without} && $task{without}{last};
});

stop();

my @lines = split /\n/, read_text("$dir/seen.log");

is((grep { $_ eq 'without []' } @lines), 1, 'a request without "test="');
is((grep { $_ eq 'return [{\x22status\x22:\x22ok\x22}]' } @lines), 1,
   'one with it');

done_testing();
