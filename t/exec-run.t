# "exec" and background_run: input, output, and variables of the request.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundExec;
use BackgroundLife;
use BackgroundPost;
use BackgroundStatus;
use Test::More;

my $dir = dir();

script(args => 'for i; do printf "[%s]" "$i"; done; printf "%s" "${A-unset}"');
script(size => 'wc -c; echo "log line" >&2');
script(fails => 'echo "some output"; echo "no words" >&2; exit 1');
script(endless => 'exec yes');
script(waits => "echo \$\$ > $dir/pids/number.new;
                 mv $dir/pids/number.new $dir/pids/number; exec sleep 1000");

script(none => 'exec cat');

mkdir "$dir/pids" or die "mkdir: $!\n";
chmod 0777, "$dir/pids" or die "chmod: $!\n";

my $io = 'input=input output=output';

my %tasks = (
    cat => "exec /bin/cat $io;",
    size => "exec $dir/size $io;",
    none => "exec $dir/none output=output;",
    log => "exec /bin/cat input=input;",
    args => "exec $dir/args x\$arg_x \$arg_y -\$arg_z \"\" env=A:\$arg_a "
            . 'output=output;',
    fails => "exec $dir/fails output=output;",
    endless => "exec $dir/endless output=output;",
    waits => "timeout 1h; exec $dir/waits;",
);

start(join('', "background_threads 4;\n", map { "background_task $_ "
           . "{ interval off; $tasks{$_} }\n" } sort keys %tasks),
      join('', "client_max_body_size 10m; client_body_buffer_size 16k;\n",
           map { "location = /$_ { background_run $_ wait=1h max_output=3m errors; }\n" }
           sort keys %tasks), 'worker_processes 1;');

my $large = join '', map { sprintf "%07d\n", $_ } 1 .. 300000;

is(body(post('/cat', 'a body')), 'a body', 'a body in memory');
is(body(post('/cat', '')), '', 'an empty one');
is(body(post('/cat', $large)), $large, 'one in a file');
is(body(post('/size', $large)) + 0, length $large, 'its size');
is(join('|', said('size')), 'log line', 'stderr goes to the log');
is(body(post('/none', 'a body')), '', 'input=none');
is(body(post('/log', "line 1\nline 2\n")), '', 'output=log: no content');
is(join('|', said('log')), 'line 1|line 2', 'output=log');

is(body(post('/args?x=1&y=2&z=3&a=4', '')), '[x1][2][-3][]4', 'variables');
is(body(post('/args', '')), '[x][][-][]', 'empty ones');
is(code(post('/args?y=-o', '')), 400, 'no option of a client');
is(body(post('/args?x=-o&a=-b', '')), '[x-o][][-][]-b', 'within an argument');

my $answer = post('/fails', '');

is(code($answer), 500, 'a failure');
like(body($answer), qr/exec \\?"\Q$dir\E\/fails\\?": no words/, 'its words');

$answer = post('/endless', '');

is(code($answer), 500, 'more output than may be');
like(body($answer), qr/too much output/, 'its words');
poll('it is told to stop', sub { !commands() });

# the client is gone

my $client = begin('/waits', '');

my $pid = poll('it waits', sub { (read_file("$dir/pids/number") || 0) + 0 });
ok(alive($pid), 'the command runs');

close $client;
ok(poll('it is gone', sub { !alive($pid) }), 'it goes with its client');

poll('no descriptor of a command', sub { !pipes((workers())[0]) });

stop();
done_testing();
