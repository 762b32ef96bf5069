# What "compress" makes is what gzip_static and brotli_static send.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $dir = dir();
my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';

plan skip_all => 'nginx has no gzip_static'
    unless `'$nginx' -V 2>&1` =~ /http_gzip_static_module/;

my $text = join '', map { "line $_ of a text\n" } 1 .. 2000;

mkdir "$dir/tree";
put('tree/a.css', $text);
chown +(getpwnam 'nobody')[2, 3], "$dir/tree", "$dir/tree/a.css" if $> == 0;

# where nginx is Debian's, its packages' modules are there

my ($modules) = `'$nginx' -V 2>&1` =~ /--modules-path=(\S+)/;
my $brotli = ($modules || '') . '/ngx_http_brotli_static_module.so';

$brotli = '' unless -e $brotli;

start(<<"EOF_HTTP", <<"EOF_LOCATIONS", $brotli && "load_module $brotli;");
    background_task c {
        interval 50ms;
        compress $dir/tree suffix=.css gzip=9 brotli=9;
    }
EOF_HTTP
        location = /a.css {
            root $dir/tree;
            gzip_static on;
            ${\($brotli && 'brotli_static on;')}
        }
EOF_LOCATIONS

next_cycle('c', 'completed');

is(fetch('gzip', 'gzip -dc'), $text, 'gzip_static');
is(fetch('', 'cat'), $text, 'without');

is(fetch('br', 'brotli -dc'), $text, 'brotli_static') if $brotli;

stop();
done_testing();

sub fetch {
    my ($encoding, $command) = @_;

    my $accept = $encoding && "Accept-Encoding: $encoding\r\n";
    my ($headers, $body) = split /\r\n\r\n/, http("GET /a.css HTTP/1.1\r\n"
        . "Host: test\r\n${accept}Connection: close\r\n\r\n"), 2;

    my ($got) = $headers =~ /^Content-Encoding: (\S+)/mi;

    return "encoding " . ($got // 'none') if ($got // '') ne $encoding;

    put('body', $body);

    return scalar `$command < $dir/body`;
}
