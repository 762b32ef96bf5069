# "save=": the body of a response in a file, whole or not at all, and only if it
# has changed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $dir = dir();

mkdir "$dir/$_" or die "mkdir: $!\n" for qw/ www saved closed /;
for_workers("$dir/saved");

my $large = join '', map { sprintf "%07d\n", $_ } 1 .. 50000;

put('www/list', "one\n");
put('www/large', $large);
put('www/gzip.txt', 'x' x 5000);
put('www/small', 'four');
put('www/five', 'fives');
put('www/page.shtml', 'a<!--#include virtual="/small" -->b');

for (qw/ status cut large_one failing mode /) {
    put("saved/$_", 'as it was');
    chmod 0640, "$dir/saved/$_" or die "chmod: $!\n";
}

put('saved/mode', 'old');
for_workers(glob "$dir/saved/*");

symlink "$dir/www/five", "$dir/saved/link" or die "symlink: $!\n";

# left by a process that was killed

put('saved/.ngx_http_background_1_1.tmp', '');

my $once = 'interval 1h; retry 1h;';

my $peer = cut_peer();

start(<<'EOF_HTTP', <<"EOF", 'worker_processes 1;');
    map $background_body $tagged {
        ~^tagged$  1;
        default    0;
    }
    map $background_body $long {
        ~^........ 1;
        default    0;
    }
EOF_HTTP
        root $dir/www;
        gzip on;
        gzip_min_length 1;
        gzip_types *;
        gzip_proxied any;

        background_task list { interval 20ms; retry 20ms; request /list save=$dir/saved/list; }
        background_task proxied { interval 20ms; request /proxy/list save=$dir/saved/proxied; }
        background_task tagged { interval 20ms; request /proxy/tagged save=$dir/saved/tagged; }
        background_task dated { interval 20ms; request /proxy/dated save=$dir/saved/dated; }
        background_task tested { interval 20ms; retry 20ms; request /proxy/tagged test=\$tagged save=$dir/saved/tested; }
        background_task moves { interval 20ms; request /proxy/dated?v=1 save=$dir/saved/moves; }
        background_task host { interval 20ms; request /proxy/dated header=Host:one save=$dir/saved/host; }
        background_task large { $once request /large save=$dir/saved/large; }
        background_task gzip { $once request /gzip.txt header=Accept-Encoding:gzip save=$dir/saved/gzip; }
        background_task empty { $once request /empty save=$dir/saved/empty; }
        background_task ssi { $once request /page.shtml save=$dir/saved/ssi; }
        background_task named { $once request \@small save=$dir/saved/named; }
        background_task exact { $once request /small save=$dir/saved/exact max_size=4; }
        background_task mode { $once request /small save=$dir/saved/mode; }
        background_task link { $once request /small save=$dir/saved/link; }
        background_task large_one { $once request /five save=$dir/saved/large_one max_size=4; }
        background_task status { $once request /created save=$dir/saved/status; }
        background_task not_modified { $once request /not_modified save=$dir/saved/not_modified; }
        background_task failing { $once request /small test=\$none save=$dir/saved/failing; }
        background_task cut { $once request /cut save=$dir/saved/cut; }
        background_task none { $once request /small save=$dir/none/file; }
        background_task closed { $once request /small save=$dir/closed/file; }

        set \$none "";

        location /proxy/ { proxy_set_header Host \$host; proxy_pass http://unix:$dir/socket:/; }
        location = /tagged {
            add_header ETag '"v1"';
            if (\$http_if_none_match = '"v1"') { return 304; }
            return 200 "tagged\n";
        }
        location = /dated {
            add_header Last-Modified "Mon, 28 Sep 1970 06:00:00 GMT";
            if (\$http_if_modified_since) { return 304; }
            return 200 "\$host \$arg_v\n";
        }
        location = /page.shtml { ssi on; ssi_types *; }
        location = /empty { return 200; }
        location = /created { return 201 "created"; }
        location = /not_modified { return 304; }
        location = /moved { return 302 /; }
        location \@small { try_files /small =404; }
        location = /cut { proxy_pass http://unix:$dir/cut; }
EOF

my %task;

poll('all are over', sub {
    %task = by_name(status());
    return !grep { !$_->{last} } values %task;
});

sub saved { read_file("$dir/saved/$_[0]") }
sub error_of { $task{$_[0]}{last}{error} // 'none' }

is(error_of($_->[0]), 'none', "$_->[0]: no error"),
is(saved($_->[0]), $_->[1], "$_->[0]: the body")
    for ['large', $large], ['gzip', 'x' x 5000], ['empty', ''],
        ['ssi', 'afourb'], ['named', 'four'], ['exact', 'four'],
        ['mode', 'four'], ['link', 'four'];

is($task{exact}{last}{message}, 'saved 4 bytes', 'the message');
is((stat "$dir/saved/exact")[2] & 07777, 0644, 'the mode of a new file');
is((stat "$dir/saved/mode")[2] & 07777, 0640, 'that of one that was there');
is(read_file("$dir/www/five"), 'fives', 'a link is replaced, not its file');

for (['large_one', 'request "/five": response is larger than 4 bytes'],
     ['status', 'request "/created": unexpected status 201'],
     ['failing', 'request "/small": test "$none" is empty'])
{
    is(error_of($_->[0]), $_->[1], "$_->[0]: the error");
    is(saved($_->[0]), 'as it was', "$_->[0]: the file stays");
}

like(error_of('cut'), qr/^request "\/cut": response is incomplete/, 'cut off');
is(saved('cut'), 'as it was', 'the file stays');

is(error_of('not_modified'), 'request "/not_modified": unexpected status 304',
   '304 to a request that asked for no such thing');
ok(!-e "$dir/saved/not_modified", 'no file');

is(error_of('none'), 'request "/small": open() of the directory of "save='
   . "$dir/none/file\" failed (2: No such file or directory)", 'no directory');

if ($> == 0) {
    is(error_of('closed'), 'request "/small": open() of a temporary file of "save='
       . "$dir/closed/file\" failed (13: Permission denied)", 'no rights');
}

like(log_text(), qr/\[warn\].* "\Q$dir\E\/none\/" of "request" directive can't be read/,
     'a warning at the start');

# without attributes of files there is one for a moment in each cycle

ok(poll('no temporary file', sub {
    return !grep { !/\/\.\.?$/ } glob "$dir/saved/.*";
}), 'no temporary file is left');

# what has not changed

if (`stat -f -c %T '$dir'` =~ /^tmpfs/ && `uname -r` =~ /^(\d+)\.(\d+)/
    && ($1 < 6 || $1 == 6 && $2 < 6))
{
    note('no attributes of files, all requests are unconditional');
    kill 'KILL', $peer;
    stop();
    done_testing();
    exit;
}

# by both validators, and by either of them

for my $name (qw/ list proxied tagged tested dated moves host /) {
    poll("$name: not modified", sub {
        %task = by_name(status());
        return ($task{$name}{last}{message} // '') eq 'not modified';
    });

    my $inode = (stat "$dir/saved/$name")[1];

    next_cycle($name, 'completed');
    is((stat "$dir/saved/$name")[1], $inode, "$name: the file stays");
}

is(saved($_), "one\n", "$_: as it was") for qw/ list proxied /;
is(saved($_), "tagged\n", "$_: as it was") for qw/ tagged tested /;
is($task{tested}{cycles}{failed}, 0, 'no test of a body that was not sent');
like(saved('moves'), qr/ 1$/, 'moves: as it was');

# what has, here and there

put('www/list', "two words\n");
poll("$_: changed", sub { saved($_) eq "two words\n" }) for qw/ list proxied /;
pass('a new version');

put('saved/list', "somebody else\n");
poll('changed by others', sub { saved('list') eq "two words\n" });
pass('what others have written is replaced');

unlink "$dir/saved/list" or die "unlink: $!\n";
poll('removed', sub { saved('list') eq "two words\n" });
pass('what was removed is there again');

# another URI, or another server, is another file: 304 to the validators of the
# former one says nothing

reconfigure('/proxy/dated?v=1 save' => '/proxy/dated?v=2 save');
poll('another URI', sub { saved('moves') =~ / 2$/ });
pass('another URI: its response');

reconfigure('header=Host:one' => 'header=Host:two');
poll('another server', sub { saved('host') =~ /^two / });
pass('another server: its response');

# another test is not one that the saved response has passed

reconfigure('test=$tagged' => 'test=$long');
next_cycle('tested', 'failed');
%task = by_name(status());
is(error_of('tested'), 'request "/proxy/tagged": test "$long" is "0"',
   'another test: of the whole response');
is(saved('tested'), "tagged\n", 'the file stays');

# nor is the same one with another map

reconfigure('test=$long' => 'test=$tagged');
poll('the former test', sub {
    %task = by_name(status());
    return ($task{tested}{last}{message} // '') eq 'not modified';
});

reconfigure('~^tagged$ ' => '~^others$ ');
next_cycle('tested', 'failed');
%task = by_name(status());
is(error_of('tested'), 'request "/proxy/tagged": test "$tagged" is "0"',
   'another map: a test of the whole response');
is(saved('tested'), "tagged\n", 'the file stays');

# over a reload: the attribute of the file is known

poll('not modified', sub {
    %task = by_name(status());
    return ($task{list}{last}{message} // '') eq 'not modified';
});

my $inode = (stat "$dir/saved/list")[1];

reconfigure('interval 20ms; retry 20ms; request /list', 'interval 30ms; retry 20ms; request /list');
next_cycle('list', 'completed') for 1 .. 2;
is((stat "$dir/saved/list")[1], $inode, 'also after a reload');

kill 'KILL', $peer;
stop();
done_testing();

# says that there is more, and closes

sub cut_peer {
    my $listener = IO::Socket::UNIX->new(Type => IO::Socket::SOCK_STREAM(),
        Local => "$dir/cut", Listen => 5) or die "listen: $!\n";

    chmod 0777, "$dir/cut" or die "chmod: $!\n";

    defined(my $pid = fork) or die "fork: $!\n";
    return $pid if $pid;

    while (my $client = $listener->accept) {
        sysread $client, my $request, 65536;
        syswrite $client, "HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\npart";
    }

    POSIX::_exit(0);
}
