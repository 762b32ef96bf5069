# What nginx accepts and refuses of "request" and "requests".

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundConf;
use Test::More;

put($_, '') for qw/ a b /;

accepts('server', map { "location \@named { }\nbackground_task t { $_ }" }
    'request /;', 'request /a/b?c=d&e;', 'request "/%61 $uri";',
    'request @named;', 'request $uri;', 'request //a/../b#c;',
    'request / method=GET;', 'request / method=M-SEARCH;',
    'request / header=a:b;', 'request / header=A_B-9:;',
    'request / "header=A:  b c" header=A:c header=Host:x header=Cookie:a;',
    'request / body=;', 'request / "body={$uri}" method=PUT;',
    'request / status=200;', 'request / status=200-599;',
    'request / status=200-299,304,404-404;',
    'request / test=a;', 'request / test=$background_body;',
    'request / "test=a $uri b";', 'request / scheme=https;',
    'request / scheme=http;', 'request / address=127.0.0.1;',
    'request / address=::1;', 'request / address=2001:DB8::0:7;',
    'request / address=::ffff:1.2.3.4;', "request /\xe6\xb0\xb4;",
    'request @named scheme=https address=10.0.0.1 test=$status;',
    'request / count=1;', 'request / count=1000000;',
    'request / save=saved;', 'request / save=saved max_size=1 test=$uri count=1;',
    'request / save=saved header=If-Match:a; request / header=If-None-Match:a;',
    'request / method=A header=a:b header=b:c header=c:d header=d:e body=f '
        . 'status=200 count=2;',
    'request /; request /; requests a; requests b;',
    'requests a concurrency=100000;', 'requests a rate=1r/m;',
    'requests a rate=1000000r/s;',
    'requests a concurrency=2 rate=10r/s method=HEAD header=a:b body=c '
        . 'status=404 test=$status scheme=https address=::1;');

warns('server', map { ("background_task t { requests $_->[0]; }"
    => "\"$_->[1]\" of \"requests\" directive can't be read, its cycles will "
       . 'fail until it can (2: No such file or directory)') }
    ['no-such-file', conf_dir() . '/no-such-file'],
    ['/no/such/file concurrency=1', '/no/such/file']);

my $where = 'directive is allowed in a background task of a "server" only: '
            . 'put the task into the server whose locations are requested';

rejects('empty',
    'request /;' => "\"request\" $where",
    'requests a;' => "\"requests\" $where");

server('request /', 'requests a',
    (map { $_ => 'invalid number of arguments in "%s" directive' } ''),

    (map { (" method=$_" => "invalid method \"method=$_\" in \"%s\" "
            . 'directive, it must be an HTTP method in capital letters, '
            . 'except "CONNECT" and "TRACE"') }
        '', qw/ get GEt G.T CONNECT TRACE /),

    (map { (" \"header=$_\"" => "invalid header \"header=$_\" in \"%s\" "
            . 'directive, it must be "header=NAME:VALUE"') }
        '', qw/ a :b /, 'a b:c', 'a=b'),

    (map { (" header=$_:1" => "header \"header=$_:1\" in \"%s\" directive "
            . 'can\'t be given, it is set by "body="') }
        qw/ Content-Length content-length Transfer-Encoding /),

    ' header=Host:a header=host:b'
        => 'duplicate header "header=host:b" in "%s" directive',

    (map { (" status=$_" => "invalid status \"status=$_\" in \"%s\" directive, "
            . 'it must be codes or ranges from 200 to 599, as in '
            . '"status=200-299,404"') }
        '', '200,', ',200', '200,,201',
        qw/ 0 20 199 600 1000 200- -200 200-199 200-600 a 2xx 200-299-300 /),

    ' test=' => 'invalid test "test=" in "%s" directive, it must be a string '
                . 'with variables, as in "test=$upstream_http_x_ready"',
    ' test=$' => 'invalid variable name',

    (map { (" scheme=$_" => "invalid scheme \"scheme=$_\" in \"%s\" directive, "
            . 'it must be "http" or "https"') }
        '', qw{ HTTPS httpsx http:// ws unix $scheme }),

    (map { (" \"address=$_\"" => "invalid address \"address=$_\" in \"%s\" "
            . 'directive, it must be an IPv4 or IPv6 address, without a port') }
        '', qw{ unix: unix:/run/a localhost a.test 1 127.1 127.0.0.256
                127.0.0.1:80 127.0.0.0/8 [::1] [::1]:80 ::g fe80::1%lo all
                $remote_addr }, '127.0.0.1 '),

    (map { (" $_ $_" => "duplicate parameter \"$_\" in \"%s\" directive") }
        qw/ method=GET body=a status=200 test=a scheme=https address=::1 /),

    (map { (" $_" => "unknown parameter \"$_\" in \"%s\" directive") }
        qw/ foo foo=1 Method=GET status headers=a:b /));

server('request /',
    (map { (" count=$_" => "invalid count \"count=$_\" in \"%s\" directive, "
            . 'it must be a number from 1 to 1000000') }
        '', qw/ 0 -1 a 1.5 1000001 99999999999999999999 /),
    ' count=1 count=2' => 'duplicate parameter "count=2" in "%s" directive',
    (map { (" save=$_" => "invalid file \"save=$_\" in \"%s\" directive, it "
            . "must be a file's name") } '', '/', 'a/'),
    (map { (" save=a max_size=$_" => "invalid size \"max_size=$_\" in \"%s\" "
            . 'directive, it must be 1 or more') } '', 0, 'x'),
    ' max_size=1m' => '"max_size=" in "%s" directive needs "save="',
    (map { (" save=a $_" => '"save=" in "%s" directive is for the body of '
            . 'one request, with status 200') }
        'count=2', 'status=200', 'method=HEAD'),
    (map { (" header=$_:a header=b:c save=a" => "header \"$_\" in \"%s\" "
            . 'directive can\'t be given, it is set by "save="') }
        qw/ If-None-Match if-none-match If-Modified-Since /),
    (map { (" save=a $_ $_" => "duplicate parameter \"$_\" in \"%s\" "
            . 'directive') } 'max_size=1'),
    ' rate=1r/s' => 'unknown parameter "rate=1r/s" in "%s" directive');

server('requests a',
    (map { (" concurrency=$_" => "invalid value \"concurrency=$_\" in \"%s\" "
            . 'directive, it must be a number from 1 to 100000') }
        '', qw/ 0 -1 a 1.5 100001 99999999999999999999 /),
    (map { (" rate=$_" => "invalid rate \"rate=$_\" in \"%s\" directive, it "
            . 'must be from 1r/m to 1000000r/s, as in "rate=10r/s"') }
        '', qw{ 0 1 0r/s -1r/s r/s 1r 1r/h 1.5r/s 1000001r/s 10R/s }),
    (map { (" $_ $_" => "duplicate parameter \"$_\" in \"%s\" directive") }
        qw{ concurrency=1 rate=1r/s }),
    ' count=2' => 'unknown parameter "count=2" in "%s" directive');

server('request',
    (map { (" $_" => 'invalid URI "' . ($_ =~ s/^"|"$//gr) . '" in "%s" '
            . 'directive, it must begin with "/", or be "@" and the name of a '
            . 'location') }
        qw{ "" a http://a/ @ /../a /%zz /%00 }, '"/a b"'));

server('requests', ' ""' => 'empty path in "%s" directive');

my ($code, $said) = nginx_t(BackgroundConf::in('server',
    "location \@a { }\nbackground_task t {\nrequest \@b;\n}"));

like($said, qr/\[emerg\] no location "\@b" in the server of "request" /,
     'no such location');
like($said, qr/ directive in \S+nginx.conf:\d+$/m, 'and where');

($code, $said) = nginx_t(BackgroundConf::in('server',
    'background_task t { request / test=$no_such; }'));

like($said, qr/\[emerg\] unknown "no_such" variable/, 'no such variable');

done_testing();

# server(DIRECTIVE..., TEXT => MESSAGE...)

sub server {
    my @directives;

    push @directives, shift while $_[0] =~ /^requests?\b/;

    while (my ($text, $message) = splice @_, 0, 2) {
        for my $directive (@directives) {
            my ($name) = $directive =~ /^(\w+)/;
            my $start = $text eq '' ? $name : $directive . $text;

            rejects('server', "background_task t {\n$start; # here\n}"
                => $message =~ s/"%s"/"$name"/r);
        }
    }
}
