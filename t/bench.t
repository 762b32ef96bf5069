# What util/bench.sh is made of works: its module counts jobs, its client counts
# answers, and what it compares with runs.  Says nothing of how fast.

use strict;
use warnings;

use BackgroundKind;
use BackgroundStatus;
use Cwd qw/ abs_path /;
use File::Basename qw/ dirname /;
use IO::Socket::UNIX;
use POSIX ();
use Test::More;

my $folder = abs_path(dirname(__FILE__) . '/../util/bench');
my $module = load_kind('bench', undef, undef, 'util/bench');
my $locations = 'location = /count { bench_count; }';

# status and body of what is answered

sub post_body {
    my ($uri, $body) = @_;

    my $answer = http("POST $uri HTTP/1.0\r\nContent-Length: "
                      . length($body) . "\r\n\r\n$body");

    return ($answer =~ m{^HTTP/1\.\d (\d+) .*?\r\n\r\n(.*)}s);
}

sub jobs { (split ' ', (get('/count'))[2])[0] }

# more and more jobs

sub counts {
    my ($name, $http, $main) = @_;

    start("background_threads 2 max_queue=10000;\n$http", $locations,
          "$module\n" . ($main // ''));

    my $jobs = poll('jobs', sub { jobs() });

    ok(poll('more jobs', sub { jobs() > $jobs + 100 }), $name);

    stop();
}

my $jobs = "bench_job;\n" x 20 . 'bench_job 200000;';

counts('jobs of a task', "background_task some { interval 1ms; $jobs }");
counts('jobs on the pool', 'background_task one { interval 1h; bench_job; } '
                           . 'bench_pool 100;');
counts("tasks of nginx's thread pool", 'bench_post 100;',
       'thread_pool bench threads=1;');
counts('threads', 'bench_threads 2 1000;');

# functions for requests, alone, and behind FastCGI

my $source = abs_path("$folder/../../src");

is(compile(undef, "-I'$source' -DPROGRAM -o '${\dir()}/run'", "$folder/run.c"),
   '', 'the loop is built');
like(qx{${\dir()}/run 1000 0.01}, qr/^[\d.]+ [\d.]+\n$/, 'a loop');

is(compile(undef, "-I'$source' -o '${\dir()}/fastcgi'", "$folder/fastcgi.c"),
   '', 'a FastCGI server is built');

defined(my $server = fork) or die "fork: $!\n";

if ($server == 0) {
    exec dir() . '/fastcgi', dir() . '/fastcgi.socket' or POSIX::_exit(1);
}

poll('it listens', sub {
    IO::Socket::UNIX->new(Peer => dir() . '/fastcgi.socket')
});
chmod 0777, dir() . '/fastcgi.socket' or die "chmod: $!\n";

start('upstream function { server unix:' . dir() . '/fastcgi.socket; '
      . 'keepalive 4; }',
      'location / { fastcgi_pass function; fastcgi_keep_conn on; '
      . 'fastcgi_param QUERY_STRING $args; }');

is((post_body("/$_", 'x' x $_))[1], "ok\n", "FastCGI: a body of $_")
    for 0, 5, 10_000;

stop();
kill 'KILL', $server;
waitpid $server, 0;

# the client

my $load = dir() . '/load';

is(compile(undef, "-o '$load'", "$folder/load.c"), '', 'the client is built');

my $port = $ENV{TEST_NGINX_PORT} || 20000;

put('file', 'x' x 4096);
start('keepalive_requests 1000000000;',
      "listen 127.0.0.1:$port;\n"
      . 'location = /file { root ' . dir() . '; }');

for ([0, 'as fast as it can'], [200, 'open loop']) {
    my ($rate, $name) = @$_;

    my $said = qx/$load $port 8 $rate 0.5 \/file 2>&1/;

    like($said, qr/^\d+ [\d.]+ [\d.]+ [\d.]+\n$/, $name);

    is((split ' ', qx/$load $port 8 $rate 0.5 \/none 2>&1/)[-1], '404"',
        "$name, another answer") if $rate;
}

stop();

# what it compares with

like(qx{/usr/bin/python3 $folder/jobs.py $_ 0.1}, qr/^[\d.]+ [\d.]+\n$/,
    "ThreadPoolExecutor, $_") for qw/ submit asyncio /;

my $pid = open(my $waits, '-|', '/usr/bin/python3', "$folder/io.py", 10, 1, 2)
    or die "python3: $!\n";
like(scalar(<$waits>), qr/^\d+\n$/, 'asyncio');
kill 'TERM', $pid;
close $waits;

done_testing();
