# "exec": many commands, beside children of the worker itself, which Lua starts,
# by ngx.pipe where nginx has what that needs: each status is exact, and nothing
# is left.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundExec;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $dir = dir();

# commands of each of 8 tasks; BACKGROUND_EXECS=10000 is the long round

my $n = int(($ENV{BACKGROUND_EXECS} || 400) / 8);

script(code => 'exit $1');
script(own => 'kill -9 $$');

my %ends = (
    0 => "exec /bin/true;",
    1 => "exec /bin/false;",
    7 => "exec $dir/code 7;",
    200 => "exec $dir/code 200;",
    9 => "exec $dir/own;",
);

my $tasks = join '', map { my ($code, $i) = @$_;
        "background_task t${i}_$code { interval 1ms; retry 1ms; $ends{$code} }\n" }
    [0, 1], [0, 2], [0, 3], [1, 1], [7, 1], [200, 1], [9, 1], [9, 2];

my ($lua) = grep { -e "$_/ngx_http_lua_module.so" }
            `'$ENV{TEST_NGINX_BINARY}' -V 2>&1` =~ /--modules-path=(\S+)/;
my ($main, $http, $location) = ('', '', '');

if ($lua && -e '/usr/share/lua/5.1/ngx/pipe.lua') {
    $main = "load_module $lua/ngx_http_lua_module.so;";
    $http = 'lua_package_path "/usr/share/lua/5.1/?.lua;;";';
    $location = <<'EOF';
    location = /pipe {
        content_by_lua_block {
            local has, pipe = pcall(require, "ngx.pipe")

            if not has then
                os.execute("exit " .. ngx.var.arg_code)
                return ngx.say("none")
            end

            local p = assert(pipe.spawn({"/bin/sh", "-c", "exit " .. ngx.var.arg_code}))
            local ok, reason, status = p:wait()
            ngx.say(tostring(ok), " ", reason, " ", status)
        }
    }
EOF
}

start("background_threads 4;\n$http\n$tasks", $location,
      "$main\nworker_processes 1;");

my $worker = a_worker();
my $before;
my (%task, %wrong);
my ($piped, $storm) = (0, 0);

poll('so many of each', sub {
    if ($location) {
        for my $code (0, 5, 77) {
            my $said = (get("/pipe?code=$code"))[2];

            $said =~ /^none/m ? $storm++
                : $said =~ ($code ? qr{^false exit $code$}m : qr{^true exit 0$}m)
                ? $piped++ : $wrong{"ngx.pipe: $said"}++;
        }
    }

    $before //= descriptors($worker);

    %task = by_name(status());

    return !grep { $_->{cycles}{completed} + $_->{cycles}{failed} < $n }
           values %task;
});

for my $name (sort keys %task) {
    my ($code) = $name =~ /_(\d+)/;
    my $cycles = $task{$name}{cycles};
    my $none = $code ? 'completed' : 'failed';

    is($cycles->{$none}, 0, "$name: none of $n has $none");
}

# the error's text is in each line of the log, and there is no other

my %text = (1 => 'exited with code 1', 7 => 'exited with code 7',
            200 => 'exited with code 200', 9 => 'killed by signal 9');

for (log_text() =~ /background task "t\d_(\d+": failed: exec "[^"]*": [^,\n]*)/g) {
    my ($code, $text) = /^(\d+)": failed: exec "[^"]*": (.*)/;
    $wrong{"$code: $text"}++ if $text ne ($text{$code} // '');
}

is(join('|', map { "$wrong{$_} x $_" } sort keys %wrong), '', 'each is exact');

SKIP: {
    skip 'no Lua', 1 unless $location;
    cmp_ok($piped + $storm, '>', 0, "$piped by ngx.pipe, $storm by system()");
}

# at rest

my $conf = BackgroundLife::slurp('nginx.conf');
$conf =~ s/interval 1ms; retry 1ms;/interval off;/g;
put('nginx.conf', $conf);
signal('HUP');

poll('a worker that rests', sub { !alive($worker) && helpers() });

my ($helper) = helpers();

is(join(' ', descendants($helper)), '', 'no command is left');

# it has its title before it has closed what it does not need

ok(poll('no descriptor is left in the helper', sub {
    descriptors($helper) == 5
}), 'no descriptor is left in the helper');
is(scalar(grep { process_stat($_)->[0] eq 'Z' } children()), 0, 'no zombie');

stop();
done_testing();
