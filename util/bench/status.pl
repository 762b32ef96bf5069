# /status under load, beside nginx's own "return 200" with the same bytes (in
# variables, as no parameter may be that long), stub_status, Lua, njs and a
# service in Python, each with one process; and what the rendering takes of a
# CPU.

package Bench::status;

use strict;
use warnings;

use Bench;
use IO::Socket::INET;

my $seconds = 2;
my $connections = 64;
my $modules = '/usr/lib/nginx/modules';

my $port = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
           ->sockport;
my $python_port = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
                  ->sockport;

sub tasks {
    my ($n) = @_;

    return join '', map { "background_task task_$_ { interval 1d; "
                          . "simulate_io 2 delay=0-0; }\n" } 1 .. $n;
}

# nginx with these tasks and other locations, with one worker, so that the
# client has its own CPU

sub begin {
    my ($n, $server, $http, $main) = map { $_ // '' } @_[0 .. 3];

    start(main => "worker_rlimit_nofile 4096;\n$main",
          http => "background_zone 16m;\nkeepalive_requests 1000000000;\n"
                  . tasks($n) . $http,
          server => "listen 127.0.0.1:$port;\n"
                    . "location = /status { background_status; }\n"
                    . "location = /metrics { background_status prometheus; }\n"
                    . $server);

    poll('cycles', sub { get('/status') !~ /"last":null/ });
}

# requests in a second, and the CPU time of each in microseconds

sub load {
    my ($url, $pids, @options) = @_;

    my $before = cpu(@$pids);
    my $said = run('wrk', '-t1', "-d${seconds}s", @options, $url);
    my $cpu = cpu(@$pids) - $before;

    die "wrk: $said\n" if $said =~ /Non-2xx|Socket errors/;

    my ($n, $rate) = $said =~ m{^\s*(\d+) requests in .*Requests/sec:\s+([\d.]+)}ms
        or die "wrk: $said\n";

    return ($rate, 1e6 * $cpu / $n);
}

sub rate {
    my ($uri) = @_;

    my @figures = load("http://127.0.0.1:$port$uri", [processes()],
                       "-c$connections");
    stop();

    return @figures;
}

sub status_rate {
    my ($n, $uri) = @_;

    begin($n);

    return rate($uri);
}

# the same bytes as constants

my %bytes;

sub bytes {
    my ($n, $uri) = @_;

    return $bytes{"$n $uri"} //= do {
        begin($n);
        my $body = get($uri);
        stop();
        $body;
    };
}

sub constant {
    my ($n, $uri) = @_;
    my @parts = unpack '(A3900)*', bytes($n, $uri) =~ s/[\\']/\\$&/gr;

    # a backslash must not be separated from the next character

    for my $i (0 .. $#parts - 1) {
        next unless $parts[$i] =~ /(?<!\\)(?:\\\\)*\\\z/;
        $parts[$i + 1] = '\\' . $parts[$i + 1];
        chop $parts[$i];
    }

    my $set = join '', map { "set \$part_$_ '$parts[$_]';\n" } 0 .. $#parts;
    my $all = join '', map { "\$part_$_" } 0 .. $#parts;

    begin(0, "location = /constant { $set default_type application/json;\n"
             . "add_header Cache-Control no-store; return 200 \"$all\"; }");

    return rate('/constant');
}

sub stub {
    begin(0, 'location = /stub { stub_status; }');

    return rate('/stub');
}

sub lua {
    put('body', bytes(10, '/status'));

    begin(0, 'location = /lua { content_by_lua_block { ngx.print(body) } }',
          'init_by_lua_block { local f = io.open("' . dir() . '/body"); '
          . "body = f:read('*a'); f:close() }\n",
          "load_module $modules/ngx_http_lua_module.so;");

    return rate('/lua');
}

sub njs {
    put('status.js', 'var fs = require("fs");'
        . 'var body = fs.readFileSync("' . dir() . '/body");'
        . 'function answer(r) { r.return(200, body); } '
        . 'export default { answer };');
    put('body', bytes(10, '/status'));

    begin(0, 'location = /njs { js_content status.answer; }',
          'js_path "' . dir() . '";' . "\njs_import status from status.js;\n",
          "load_module $modules/ngx_http_js_module.so;");

    return rate('/njs');
}

sub python {
    put('body', bytes(10, '/status'));

    my $program = program('/usr/bin/python3', "$Bench::folder/status.py",
                          $python_port, dir() . '/body');

    poll('it answers', sub {
        IO::Socket::INET->new(PeerAddr => "127.0.0.1:$python_port");
    });

    my @figures = load("http://127.0.0.1:$python_port/status",
                       [$program->{pid}], "-c$connections");
    finish($program);

    return @figures;
}

# CPU time of an additional task in microseconds; a subrequest of auth_request
# sends no body

sub rendering {
    my ($uri) = @_;

    my ($few, $many) = map {
        begin($_, "location = /head { auth_request $uri; empty_gif; }");
        my (undef, $cpu) = load("http://127.0.0.1:$port/head", [processes()],
                                '-c1');
        stop();
        $cpu;
    } 1, 1001;

    return ($many - $few) / 1000;
}

my @units = ('requests/s', 'CPU us');

{
    rounds => 5,
    things => [
        map({ my ($n, $uri) = @$_;
              ["$uri, $n tasks", \@units, sub { status_rate($n, $uri) }],
              ["return 200 of $uri, $n tasks", \@units,
               sub { constant($n, $uri) }] }
            [10, '/status'], [100, '/status'], [10, '/metrics']),
        ['stub_status', \@units, \&stub],
        ['Lua', \@units, \&lua],
        ['njs', \@units, \&njs],
        ['FastAPI', \@units, \&python],
        map { my $uri = $_;
              ["a task of $uri", ['CPU us'], sub { rendering($uri) }] }
            '/status', '/metrics',
    ],
    rows => [
        ['requests/s', '/status, 10 tasks', 'return 200 of /status, 10 tasks',
         '>= 0.9'],
        ['requests/s', '/status, 100 tasks',
         'return 200 of /status, 100 tasks', '>= 0.7'],
        ['CPU us', 'return 200 of /status, 10 tasks', '/status, 10 tasks'],
        ['CPU us', 'return 200 of /status, 100 tasks', '/status, 100 tasks'],
        ['requests/s', '/metrics, 10 tasks',
         'return 200 of /metrics, 10 tasks'],
        map({ ['requests/s', '/status, 10 tasks', $_] }
            qw/ stub_status Lua njs FastAPI /),
        map({ ['CPU us', "a task of $_", undef, '<= 1'] }
            '/status', '/metrics'),
    ],
};
