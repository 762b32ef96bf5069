# URIs of a list, and of "request", with bytes that no URI may have: they are
# requested as a browser would do it, so that clients meet what is in a cache.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use BackgroundUpstream;
use Test::More;

my $dir = dir();

# what is in the list, what is requested, what that is to nginx

my @uris = (
    ["/p/\xe6\xb0\xb4/", '/p/%E6%B0%B4/', "/p/\xe6\xb0\xb4/"],
    ['/q/%E6%B0%B4/', '/q/%E6%B0%B4/', "/q/\xe6\xb0\xb4/"],
    ['/r/%e6%b0%b4/', '/r/%e6%b0%b4/', "/r/\xe6\xb0\xb4/"],
    ["/s/\xe6%b0\xb4/", '/s/%E6%b0%B4/', "/s/\xe6\xb0\xb4/"],
    ["/latin/caf\xe9", '/latin/caf%E9', "/latin/caf\xe9"],
    ["/emoji/\xf0\x9f\x98\x80?q=\xc3\xa4&%C3%A4",
     '/emoji/%F0%9F%98%80?q=%C3%A4&%C3%A4', "/emoji/\xf0\x9f\x98\x80"],
    ['/a b/c  d', '/a%20b/c%20%20d', '/a b/c  d'],
    ["/tab\tx\x01\x7f", '/tab%09x%01%7F', "/tab\tx\x01\x7f"],
    ['/in "<>\^`{}/x', '/in%20%22%3C%3E%5C%5E%60%7B%7D/x', '/in "<>\^`{}/x'],
    ['/out?"<>\^`{}|[] ', '/out?%22%3C%3E\^`{}|[]', '/out'],
    ['/stays/!$&\'()*+,;=:@|[]~-._', '/stays/!$&\'()*+,;=:@|[]~-._',
     '/stays/!$&\'()*+,;=:@|[]~-._'],
    ['/%41?b=%20c&d=%zz', '/%41?b=%20c&d=%zz', '/A'],
    ["/dots/../\xc3\xbc", '/dots/../%C3%BC', "/\xc3\xbc"],
    ["/long/" . "\xc3\xbc" x 4090, '/long/' . '%C3%BC' x 4090,
     "/long/" . "\xc3\xbc" x 4090],
    ["/page#\xc3\xbc", '/page#%C3%BC', '/page'],
);

put('list', join '', map { "$_->[0]\n" } @uris);
put('bad', join '', map { "$_\n" } "/nul\0x", '/100%', '/%zz', "\xc3\xbc",
    "/\xc3\xbc/%00");

upstream('app');

start(<<"EOF_HTTP", <<"EOF_SERVER");
    proxy_cache_path cache keys_zone=app:1m;
    log_format seen escape=none
        '\$background_task :: \$request :: \$uri :: \$request_length :: ';
    map \$uri \$space { default "a b"; }
    map \$uri \$line { default "a\nb"; }
EOF_HTTP
        background_task list { interval 1h; requests list concurrency=1; }
        background_task bad { retry 1h; requests bad concurrency=1; }
        background_task raw { interval 1h; request "/raw/\xc3\xbc?\xc3\xbc<"; }
        background_task vars { interval 1h; request "/vars/\xc3\xbc\$arg_none"; }
        background_task space { retry 1h; request "/\$space"; }
        background_task line { retry 1h; request "/\$line"; }
        background_task named { interval 1h; request \@\xc3\xbc; }
        background_task cached { interval 1h; requests list; }

        access_log seen.log seen;
        log_subrequest on;
        location / {
            proxy_pass http://unix:$dir/app:/ok/5?;
            proxy_cache app;
            proxy_cache_key \$request_uri;
            proxy_cache_valid 200 1h;
            add_header X-Cache \$upstream_cache_status;
        }
        location \@\xc3\xbc { return 200; }
EOF_SERVER

my %task;

poll('all are over', sub {
    %task = by_name(status());

    return !grep { !$_->{last} } values %task;
});

is($task{$_}{last}{error}, undef, "$_: no error")
    for qw/ list raw vars named cached /;

is($task{list}{operations}{completed}, @uris, 'all of the list');
is($task{space}{last}{error}, 'request "/$space": invalid URI',
   'a blank, by a variable of "request"');
is($task{line}{last}{error}, 'request "/$line": invalid URI', 'a line break');
is($task{bad}{operations}{failed}, 5, 'what is no URI in any form');
like($task{bad}{last}{error}, qr{"/100%": invalid URI, "/%zz": invalid URI},
     'and which');

my %requested;

for (split / :: \n/, read_text("$dir/seen.log")) {
    my ($name, $line, $uri, $length) = split / :: /;

    $line =~ s/ HTTP\/1\.1\z//;

    push @{$requested{$name}}, [$line, $uri, $length];
}

for my $i (0 .. $#uris) {
    my ($from, $to, $uri) = @{$uris[$i]};
    my $seen = $requested{list}[$i];
    my $title = (length $from > 60 ? substr $from, 0, 60 : $from)
                =~ s/[^!-~]/?/gr;

    is($seen->[0], "GET $to", "$title: as a browser does");
    is($seen->[1], $uri, "$title: and what it is");
    is($seen->[2], length "GET $to HTTP/1.1\r\nHost: localhost\r\n\r\n",
       "$title: its length");
}

is($requested{raw}[0][0], 'GET /raw/%C3%BC?%C3%BC%3C', '"request"');
is($requested{vars}[0][0], 'GET /vars/%C3%BC', '"request" with variables');

is(join(' ', map { "<$_->[1]>" } @{$requested{bad}}), '<> <> <> </> <>',
   'what is no URI has no path');

# what clients send is in the cache

for my $uri (map { $_->[1] } grep { $_->[1] !~ /#|\x7f/ } @uris) {
    next if length $uri > 8000;

    my ($code, $headers) = get($uri);
    my ($cache) = $headers =~ /^X-Cache: (\S+)/m;

    is("$code $cache", '200 HIT', "a client's $uri");
}

stop();
done_testing();
