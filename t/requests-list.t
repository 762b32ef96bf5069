# Requests of a list: what is in it, in which form, how many at once, how many
# a second, and what is said of failures.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use BackgroundUpstream;
use List::Util qw/ max min /;
use Test::More;

my $dir = dir();

put('forms', join '', "# a comment\n", "\n", "/one\n",
    "  /two  \n", "\t#/three\n", "/four?a=b%20c\r\n", "/five#x\n",
    "\@named\n", "/last");
# several times the buffer
put('many', join '', map { "/n/$_/" . 'x' x 20 . "\n" } 1 .. 10_000);
put('rate', "/rate\n" x 20);
put('slow.list', "/wait/30\n" x 30);
put('bad', join '', "/one\n", "no-slash\n", map { "/bad/$_\n" } 1 .. 20);
put('long', '/' . 'x' x 200_000 . "\n/one\n" . '/' . 'y' x 8191 . "\n/"
    . 'z' x 8192 . "\n");
put('empty', '');
put('unread', "/one\n");
chmod 0, "$dir/unread" or die "chmod: $!\n";
mkdir "$dir/folder" or die "mkdir: $!\n";

upstream('slow');

start(<<'EOF_HTTP', <<"EOF_SERVER");
    limit_conn_zone $uri zone=slow:1m;
    log_format seen '$background_task $msec $request_uri $request_method $http_x_h';
EOF_HTTP
        background_task forms { interval 1h; requests forms header=X-H:\$uri; }
        background_task many { interval 1h; requests many concurrency=100; }
        background_task rate { interval 1h; requests rate rate=100r/s; }
        background_task slow { interval 1h; requests slow.list concurrency=3; }
        background_task bad { retry 1h; requests bad status=204 concurrency=1; }
        background_task long { retry 1h; requests long status=200,204,414; }
        background_task empty { interval 1h; requests empty; }
        background_task missing { retry 1h; requests missing; }
        background_task folder { retry 1h; requests folder; }
        background_task unread { retry 1h; requests unread; }
        access_log seen.log seen;
        log_subrequest on;
                location / { return 204; }
        location /wait/ { limit_conn slow 3; proxy_pass http://unix:$dir/slow; }
        location /bad/ { return 404; }
        location \@named { return 204; }
EOF_SERVER

my %task;

poll('all are over', sub {
    %task = by_name(status());

    return !grep { !$_->{last} } values %task;
});

is($task{$_}{last}{error}, undef, "$_: no error")
    for qw/ forms many rate slow empty /;

is($task{forms}{operations}{completed}, 6, 'URIs in all forms');
is($task{many}{operations}{completed}, 10_000, 'many');
is($task{slow}{operations}{completed}, 30, 'slow');
is($task{empty}{operations}{completed}, 0, 'nothing in an empty list');

is($task{bad}{last}{error}, 'requests "bad": "no-slash": invalid URI, '
   . join(', ', map { "\"/bad/$_\": unexpected status 404" } 1 .. 4),
   'the first failing ones are named');
is($task{bad}{operations}{failed}, 21, 'all are counted');
is($task{bad}{operations}{completed}, 1, 'and the good one');

is($task{long}{last}{error}, 'requests "long": '
   . join(', ', map { "line $_ is longer than 8192 bytes" } 1, 4),
   'lines too long');
is($task{long}{operations}{completed}, 2, 'the others');

is($task{missing}{last}{error}, "requests \"missing\": open() \"$dir/missing\" "
   . 'failed (2: No such file or directory)', 'no such list');
is($task{folder}{last}{error},
   "requests \"folder\": not a regular file: \"$dir/folder\"", 'a folder');

SKIP: {
    skip 'setuid() is refused, workers are not another user', 1 if $> != 0;

    is($task{unread}{last}{error}, "requests \"unread\": open() "
       . "\"$dir/unread\" failed (13: Permission denied)", 'not readable');
}

my @lines = map { [split / /] } split /\n/, read_text("$dir/seen.log");

is(join(' ', map { $_->[2] } grep { $_->[0] eq 'forms' } @lines),
   '/one /two /four?a=b%20c /five#x / /last', 'in order');
is(join(' ', map { $_->[4] } grep { $_->[0] eq 'forms' } @lines),
   '/one /two /four /five / /last', 'variables, for each of them');

my @rate = map { $_->[1] } grep { $_->[0] eq 'rate' } @lines;

cmp_ok(max(@rate) - min(@rate), '>=', 0.15, 'rate');

# at most three at once: the fourth would have got 503

is((grep { $_ =~ m{/wait/} } seen('slow')), 30, 'slow ones');
cmp_ok($task{slow}{last}{wall_seconds}, '>=', 30 * 0.03 / 3, 'three at once');

# the list is read anew

put('next', "/one\n");
reconfigure('interval 1h; requests forms header=X-H:$uri;',
            'interval 20ms; requests next;');

poll('runs', sub {
    %task = by_name(status());
    return $task{forms}{cycles}{completed} > 3;
});

put('next', "/bad/new\n");

poll('the new list', sub {
    %task = by_name(status());
    return ($task{forms}{last}{error} || '')
           eq 'requests "next": "/bad/new": unexpected status 404';
});

pass('read anew each cycle');

stop();
done_testing();
