# background_run: requests whose answers functions make, on one thread, beside
# nginx's own "return 200" with the same bytes, Lua on a thread, the same function
# behind FastCGI, and a service in Python with a process; what jobs of 5 ms leave
# to a thread and to requests for a file; how soon a thread is free when a client
# has gone.

package Bench::run;

use strict;
use warnings;

use Bench;
use File::Basename qw/ dirname /;
use IO::Socket::INET;
use IO::Socket::UNIX;

my $seconds = 1;
my $connections = 64;
my $modules = '/usr/lib/nginx/modules';
my $source = dirname(dirname($Bench::folder)) . '/src';

sub port {
    return IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
           ->sockport;
}

my $port = port();
my $python_port = port();

# the functions, and the programs that have them

sub build {
    my ($name, @arguments) = @_;

    run(qw/ cc -O2 -Wall -Wextra -I /, $source, '-o', dir() . "/$name",
        map { s/^%/$Bench::folder\//r } @arguments);
}

build('run.so', qw/ -shared -fPIC %run.c /);
build('run', qw/ -DPROGRAM %run.c /);
build('fastcgi', '%fastcgi.c');
build('load', '%load.c');

put('post.lua', 'wrk.method = "POST" wrk.body = "hello"');
put('file', 'x' x 4096);
put('bench_run.lua',
    'return { empty = function(body) return "ok\n" end }');

my $turns = turns();

# nginx, in one worker, with one thread

sub begin {
    my ($server, $http, $main, $threads) = map { $_ // '' } @_[0 .. 3];

    $threads ||= 'priority=0 quota=100%';

    my $call = 'call ' . dir() . '/run.so';

    start(main => "worker_rlimit_nofile 4096;\n$main",
          http => <<"EOF", server => <<"EOF_SERVER");
    background_threads 1 max_queue=10000 $threads;
    background_task empty { interval off; $call empty; }
    background_task loop  { interval off; $call loop $turns; }
    background_task asks  { interval off; $call asks; }
    keepalive_requests 1000000000;
    $http
EOF
    listen 127.0.0.1:$port;
    location = /empty    { background_run empty; }
    location = /loop     { background_run loop; }
    location = /asks     { background_run asks; }
    location = /constant { default_type text/plain; return 200 "ok\\n"; }
    location = /file     { root ${\dir()}; }
    $server
EOF_SERVER
}

# requests in a second, and the CPU time of each in microseconds

sub load {
    my ($url, $pids, $connections) = @_;

    warm_up($url, $connections);

    # longer where the machine has so much to do that few would be answered

    for (my $time = $seconds; $time <= 16 * $seconds; $time *= 4) {
        my $before = cpu(@$pids);
        my $wrk = children();
        my $said = run('wrk', '-t1', "-d${time}s", "-c$connections", '-s',
                       dir() . '/post.lua', $url);
        my $cpu = cpu(@$pids) - $before;

        $wrk = children() - $wrk;

        die "wrk: $said\n" if $said =~ /Non-2xx|Socket errors/;

        my ($n, $rate) =
            $said =~ m{^\s*(\d+) requests in .*Requests/sec:\s+([\d.]+)}ms
            or die "wrk: $said\n";

        return ($rate, 1e6 * $cpu / $n, 1e6 * $wrk / $n)
            if $n > $connections;
    }

    die "wrk: no answers from $url\n";
}

# the CPU time of processes that were waited for, such as wrk

sub children { (times)[2] + (times)[3] }

# A request on each connection: what a peer makes for each one that it serves at
# the same time, such as Lua's virtual machines, is there before it is measured.

sub warm_up {
    my ($url, $connections) = @_;

    my ($host, $uri) = $url =~ m{^http://([^/]+)(/.*)};

    local $SIG{ALRM} = sub { die "$url: no answer\n" };
    alarm 60;

    my @sockets = map {
        my $socket = IO::Socket::INET->new(PeerAddr => $host)
            or die "connect: $!\n";

        syswrite $socket, "POST $uri HTTP/1.1\r\nHost: bench\r\n"
                          . "Connection: close\r\nContent-Length: 5\r\n\r\n"
                          . 'hello' or die "write: $!\n";
        $socket;
    } 1 .. $connections;

    for my $socket (@sockets) {
        my $answer = readline $socket;

        die "$url: no good answer\n" if ($answer // '') !~ m{^HTTP/1\.1 200 };
    }

    alarm 0;
}

sub rate {
    my ($uri, $more) = @_;

    my @figures = load("http://127.0.0.1:$port$uri",
                       [processes(), @{$more || []}], $connections);
    stop();

    return @figures;
}

sub empty {
    begin();
    return rate('/empty');
}

sub constant {
    begin();
    return rate('/constant');
}

sub lua {
    begin_lua('ngx.req.read_body() ngx.header.content_type = "text/plain" '
              . 'local ok, text = ngx.run_worker_thread("bench", "bench_run", '
              . '"empty", ngx.req.get_body_data()) '
              . 'if not ok then ngx.log(ngx.ERR, text) ngx.exit(500) end '
              . 'ngx.print(text)');

    return rate('/lua');
}

# a thread as ours, and as many virtual machines as there are connections

sub begin_lua {
    my ($block) = @_;

    begin("location = /lua { content_by_lua_block { $block } }",
          'lua_package_path "' . dir() . '/?.lua;;"; '
          . "lua_worker_thread_vm_pool_size $connections;",
          "load_module $modules/ngx_http_lua_module.so;\n"
          . 'thread_pool bench threads=1;');
}

# why Lua can't be measured, or nothing

sub lua_lacks {
    return 'Lua is skipped: there is no libnginx-mod-http-lua'
        unless -e "$modules/ngx_http_lua_module.so";

    begin_lua('ngx.print(type(ngx.run_worker_thread))');

    my $type = get('/lua');

    stop();

    return $type eq 'function' ? ()
           : 'Lua is skipped: this build has no ngx.run_worker_thread';
}

sub fastcgi {
    my $path = dir() . '/fastcgi.socket';

    unlink $path;

    my $program = program(dir() . '/fastcgi', $path);

    poll('it listens', sub { IO::Socket::UNIX->new(Peer => $path) });

    begin('location = /fastcgi { fastcgi_pass function; '
          . 'fastcgi_keep_conn on; }',
          "upstream function { server unix:$path; keepalive $connections; }");

    my @figures = rate('/fastcgi', [$program->{pid}]);

    finish($program);

    return @figures;
}

sub python {
    my $program = program('/usr/bin/python3', "$Bench::folder/run.py",
                          $python_port);

    poll('it answers', sub {
        IO::Socket::INET->new(PeerAddr => "127.0.0.1:$python_port");
    });

    my $url = "http://127.0.0.1:$python_port/run";

    # the first request creates the process

    run('curl', '-sf', '-d', 'hello', $url);

    my @figures = load($url, [$program->{pid},
        split ' ', slurp("/proc/$program->{pid}/task/$program->{pid}/children")],
        $connections);

    finish($program);

    return @figures;
}

# jobs of 5 ms of CPU: as many as come, and as many as a thread can do

sub loop {
    begin();

    my @figures = load("http://127.0.0.1:$port/loop", [processes()], 8);

    stop();

    return @figures;
}

sub plain {
    my ($n, $seconds) = @_;

    return split ' ', run(dir() . '/run', $n, $seconds);
}

sub turns {
    my $try = 1_000_000;

    return int($try * 5000 / (plain($try, 0.2))[1]);
}

# the 99th percentile of a file's time, in microseconds, at a rate

sub answers {
    my ($rate, $seconds) = @_;

    my $program = program(dir() . '/load', $port, $connections, $rate,
                          $seconds, '/file');
    my @figures = split ' ', line($program);

    finish($program);

    return @figures;
}

my $rate = do {
    begin();
    my @rates = map { (answers(0, 0.5))[0] } 1 .. 3;
    stop();
    int(median(@rates) / 4);
};

sub file {
    my ($busy) = @_;

    begin(undef, undef, undef, 'priority=10');

    my $posts = $busy && program('sh', '-c', 'exec "$@" > /dev/null', 'wrk',
        'wrk', '-t1', '-d1m', '-c8', '-s', dir() . '/post.lua',
        "http://127.0.0.1:$port/loop");

    sleep 0.3;

    my (undef, undef, $p99) = answers($rate, 2);

    finish($posts) if $posts;
    stop();

    return $p99;
}

# from when a client goes until the job that waits behind its one is answered:
# the 99th percentile of a hundred, in milliseconds

sub post {
    my ($uri) = @_;

    my $socket = IO::Socket::UNIX->new(Peer => dir() . '/socket')
        or die "connect: $!\n";

    syswrite $socket, "POST $uri HTTP/1.1\r\nHost: bench\r\n"
                      . "Connection: close\r\nContent-Length: 0\r\n\r\n"
        or die "write: $!\n";

    return $socket;
}

sub aborts {
    my @took;

    begin();

    for (1 .. 100) {
        my $runs = post('/asks');
        my $waits = post('/empty');

        sleep 0.01 + rand 0.01;

        my $start = time;

        close $runs;

        my $answer = readline $waits;

        die "the second job was not answered\n"
            if ($answer // '') !~ m{^HTTP/1\.1 200 };

        push @took, time - $start;
    }

    stop();

    return 1000 * (sort { $a <=> $b } @took)[98];
}

my @units = ('requests/s', 'CPU us', 'wrk CPU us');
my @lacks = lua_lacks();

{
    rounds => 5,
    notes => ["a quarter of saturation is $rate requests for a file a second",
              'wrk runs on the same CPUs: its time is a part of what '
              . 'background_run could have', @lacks],
    things => [
        ['background_run', \@units, \&empty],
        ['return 200', \@units, \&constant],
        @lacks ? () : ['run_worker_thread', \@units, \&lua],
        ['FastCGI', \@units, \&fastcgi],
        ['FastAPI', \@units, \&python],
        ['5 ms', \@units, \&loop],
        ['a thread alone', [@units[0, 1]], sub { plain($turns, $seconds) }],
        ['a file, idle', ['p99 us'], sub { file(0) }],
        ['a file, jobs of 5 ms', ['p99 us'], sub { file(1) }],
        ['abort', ['p99 ms'], \&aborts],
    ],
    rows => [
        ['requests/s', 'background_run', 'return 200', '>= 0.5'],
        @lacks ? ()
               : ['requests/s', 'background_run', 'run_worker_thread', '>= 1'],
        ['requests/s', 'background_run', 'FastCGI', '>= 1.2'],
        ['requests/s', 'background_run', 'FastAPI', '>= 20'],
        ['CPU us', 'return 200', 'background_run'],
        ['CPU us', 'FastCGI', 'background_run'],
        ['CPU us', 'FastAPI', 'background_run'],
        ['wrk CPU us', 'background_run', undef],
        ['wrk CPU us', 'FastAPI', undef],
        ['requests/s', '5 ms', 'a thread alone', '>= 0.95'],
        ['p99 us', 'a file, jobs of 5 ms', 'a file, idle', 'inside'],
        ['p99 ms', 'abort', undef, '<= 50'],
    ],
};
