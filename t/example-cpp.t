# The example of "call" in C++: input, output, failure, cancelling.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundPost;
use BackgroundStatus;
use Test::More;

my $dir = dir();

build_library("$dir/sort.so", root() . '/examples/cpp/sort_lines.cc',
              '-std=c++17')
    or plan skip_all => 'no C++ compiler';

my @conf = (<<"EOF", <<'EOF_LOCATIONS', 'worker_processes 1;');
    background_threads 1 priority=0 quota=100%;
    background_task sort   { interval off;
                             call $dir/sort.so sort_lines; }
    background_task unique { interval off;
                             call $dir/sort.so sort_lines \$arg_how; }
EOF
    client_body_buffer_size 1k;
    client_max_body_size    100m;

    location /sort   { background_run sort max_output=100m; }
    location /little { background_run sort max_output=100k; }
    location /unique { background_run unique errors; }
EOF_LOCATIONS

start(@conf);

my $answer = post('/sort', "b\na\n\nc\na");

is(code($answer), 200, 'sorted');
is(body($answer), "\na\na\nb\nc\n", 'lines');
is(field($answer, 'Content-Type'), 'text/plain', 'type');
is(field($answer, 'X-Lines'), 5, 'field');

is(body(post('/unique?how=unique', "b\na\nb")), "a\nb\n", 'unique');
is(body(post('/sort', '')), '', 'no input');

srand 1;

my @lines = map { join '', map { chr(97 + rand 26) } 1 .. 1 + rand 20 }
            1 .. 50_000;

is(body(post('/sort', join "\n", @lines)), join('', map { "$_\n" } sort @lines),
   'many, from a file');
is(code(post('/little', join "\n", @lines)), 500, 'too much output');
is(body(post('/unique?how=x%25s', 'a')), '{"error": "call \"' . $dir
   . '/sort.so\": sort_lines(): unknown argument \"x%25s\""}' . "\n", 'a failure');

stop();

# a client goes: a thread with little of a CPU has not sorted its lines until
# then

$conf[0] =~ s/100%/1%/;
start(@conf);

SKIP: {
    skip 'exceptions do not work with AddressSanitizer', 1
        if $ENV{BACKGROUND_ASAN};

    is(leave('sort', '/sort', join "\n", map { int rand 1e9 } 1 .. 500_000), 1,
       'cancelled');
}

stop();
done_testing();
