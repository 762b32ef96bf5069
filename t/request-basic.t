# Requests through the server's own locations: files, "return", rewrites,
# redirects inside, named and internal locations, methods, headers, bodies.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundStatus;
use Test::More;

my $dir = dir();

put('file.txt', 'x' x 5000);

my %ok = (
    static   => 'request /file.txt;',
    empty    => 'request /204;',
    internal => 'request /internal;',
    named    => 'request @named;',
    args     => 'request "/args?a=b%20c&d=e";',
    escapes  => 'request /%61rgs/../arg%73?a=b%20c&d=e;',
    vars     => 'request "/args?a=b%20c$query";',
    rewrite  => 'request /rewrite;',
    redirect => 'request /moved;',
    page     => 'request /page status=404;',
    head     => 'request /file.txt method=HEAD;',
    status   => 'request /status-418 status=200,400-417,418;',
    host     => 'request /host header=host:other.test;',
    header   => 'request /header "header=X-One: $hostname!" header=X-Two:2'
                . ' header=X-Empty:;',
    body     => 'request /body "body={\"task\":\"$background_task\"}";',
    put      => 'request /body method=PUT body=$background_task;',
    count    => 'request /204 count=1000;',
);

my %bad = (
    b502     => ['request /502;', 'request "/502": unexpected status 502'],
    b404     => ['request /none;', 'request "/none": unexpected status 404'],
    bstatus  => ['request /204 status=200;',
                 'request "/204": unexpected status 204'],
    b444     => ['request /444;', 'request "/444": no response'],
    bcount   => ['request /502 count=7;',
                 'request "/502": unexpected status 502'],
    buri     => ['request "$slash a";', 'request "$slash a": invalid URI'],
    bheader  => ['request /204 header=X-A:$crlf;', 'request "/204": line break '
                 . 'or null in the value of header "X-A"'],
    bhost    => ['request /204 header=Host:a/b;',
                 'request "/204": invalid header "Host"'],
    bnamed   => ['request "@$slash";',
                 'request "@$slash": unexpected status 500'],
);

my $tasks = join "\n",
    (map { "background_task $_ { interval 1h; $ok{$_} }" } sort keys %ok),
    (map { "background_task $_ { retry 1h; $bad{$_}[0] }" } sort keys %bad);

start(<<'EOF_HTTP', <<"EOF_SERVER");
    log_format seen escape=none '$background_task|$request|$status|$host|$uri|$args|$remote_addr|$scheme|$http_x_one|$http_x_empty|$content_length|$request_length|$bytes_sent|$server_port|$request_time';
    map $uri $query { default "&d=e"; }
    map $uri $slash { default "/x"; }
    map $uri $crlf { default "a\r\nb: c"; }
EOF_HTTP
        $tasks
        server_name _ www.test;
        access_log seen.log seen;
        log_subrequest on;
        root $dir;
        location = /204 { return 204; }
        location = /502 { return 502; }
        location = /444 { return 444; }
        location = /status-418 { return 418; }
        location = /internal { internal; return 200 internal; }
        location \@named { return 200 named; }
        location = /args {
            if (\$args != "a=b%20c&d=e") { return 500; }
            return 200 args;
        }
        location = /rewrite { rewrite ^ /internal?x=y last; }
        location = /moved { return 302 /elsewhere; }
        location = /page { error_page 404 /internal; return 404; }
        location = /host { if (\$host != other.test) { return 500; } return 200; }
        location = /header { if (\$http_x_two != 2) { return 500; } return 200; }
        location = /body { return 200 "\$request_method \$content_length"; }
EOF_SERVER

my %task;

poll('all are over', sub {
    %task = by_name(status());

    return !grep { !$_->{last} } values %task;
});

is($task{$_}{last}{error}, undef, "$_: $ok{$_}") for sort keys %ok;
is($task{$_}{last}{error}, $bad{$_}[1], "$_: error") for sort keys %bad;

is($task{count}{operations}{completed}, 1000, 'count');
is($task{bcount}{operations}{failed}, 7, 'count of failures');
is($task{bcount}{operations}{completed}, 0, 'none good');
cmp_ok($task{static}{last}{bytes}, '>', 5000, 'bytes');
cmp_ok($task{head}{last}{bytes}, '<', 1000, 'bytes of HEAD');

stop();

my %line;

for (split /\n/, read_text("$dir/seen.log")) {
    my @fields = split /\|/, $_, -1;
    push @{$line{$fields[0]}}, \@fields;
}

is(@{$line{count}}, 1000, 'logged');
is(fields('static', 1 .. 7, 13),
   'GET /file.txt HTTP/1.1|200|www.test|/file.txt||unix:|http|', 'static');
is(fields('static', 12), $task{static}{last}{bytes}, '$bytes_sent');
like(fields('static', 14), qr/^\d+\.\d+$/, '$request_time');
is(fields('static', 11),
   length "GET /file.txt HTTP/1.1\r\nHost: www.test\r\n\r\n",
   '$request_length');
is(fields('named', 1), 'GET / HTTP/1.1', 'named location: request');
is(fields('escapes', 1, 4, 5),
   'GET /%61rgs/../arg%73?a=b%20c&d=e HTTP/1.1|/args|a=b%20c&d=e', 'escapes');
is(fields('rewrite', 1, 4, 5), 'GET /rewrite HTTP/1.1|/internal|x=y',
   'rewrite');
like(fields('header', 8, 9), qr/^.+!\|$/, 'variable in a header, empty header');
is(fields('body', 1, 10), 'POST /body HTTP/1.1|15', 'body');
is(fields('put', 1, 10), 'PUT /body HTTP/1.1|3', 'body and method');
is(fields('host', 3), 'other.test', 'Host');
is(fields('page', 2, 4), '404|/internal', 'error_page');

done_testing();

sub fields {
    my ($task, @n) = @_;

    return join '|', @{$line{$task}[0]}[@n];
}

sub read_text {
    open my $file, '<', $_[0] or die "open $_[0]: $!\n";
    local $/;

    return scalar <$file>;
}
