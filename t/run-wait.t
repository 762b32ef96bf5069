# "background_run": requests that wait for a thread, clients that go away,
# reload, crash, and HTTP/2.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundLife;
use BackgroundPost;
use BackgroundStatus;
use Test::More;

my $dir = dir();
my $calls = root() . '/t/calls';

build_library("$dir/$_.so", "$calls/$_.c", '')
    or plan skip_all => 'no C compiler'
    for qw/ output hold sum test /;

my $tasks = join '', map {
    "background_task $_ { interval off; call hold.so hold $dir/$_.gate; }\n"
} qw/ first second third stays /;

start(<<"EOF", <<"EOF_LOCATIONS", 'worker_processes 1;');
    background_threads 1 max_queue=3;
    $tasks
    background_task reverse { interval off; call output.so reverse; }
    background_task timed   { interval off; timeout 10s;
                              call sum.so sum $dir/nginx.conf; }
    background_task crash   { interval off; call test.so crash; }
EOF
    access_log off;
    client_body_buffer_size 1k;
    client_max_body_size    10m;

    location /first   { background_run first; }
    location /second  { background_run second queue=1 busy=429; }
    location /third   { background_run third; }
    location /short   { background_run third wait=1ms; }
    location /stays   { background_run stays ignore_abort; }
    location /reverse { background_run reverse wait=90s; }
    location /crash   { background_run crash; }
    location /timed   { background_run timed; }
EOF_LOCATIONS

sub task {
    my %tasks = by_name(status_anyhow());

    return $tasks{$_[0]};
}

sub running {
    my ($name) = @_;

    poll("$name runs", sub {
        my $task = task($name);
        return $task->{running} && !$task->{waiting};
    });
}

sub waits {
    my ($name, $n) = @_;

    poll("$n of $name wait", sub { task($name)->{waiting} == $n });
}

# what waits, and for how long

my $first = begin('/first', '');
running('first');

my $second = begin('/second', '');
waits('second', 1);

my $answer = post('/second', '');

is(code($answer), 429, 'as many of a location as may wait');
is(field($answer, 'Retry-After'), 1, 'when to ask again');
is(body($answer), qq({"error": "no thread is free"}\n), 'the text');

$answer = post('/short', '');

is(code($answer), 503, 'no thread in time');
is(field($answer, 'Retry-After'), 1, 'when to ask again');

waits('third', 0);
is(task('third')->{cycles}{cancelled}, 1, 'it does not wait any more');

my @third = map { begin('/third', '') } 1 .. 2;
waits('third', 2);

is(code(post('/third', '')), 503, 'as many as may wait in the worker');
is(task('third')->{cycles}{declined}, 1, 'is declined');

put('first.gate', '');
is(code(rest($first)), 200, 'the first is answered');

running('second');
put('second.gate', '');
is(code(rest($second)), 200, 'then the second');

put('third.gate', '');
is(code(rest($_)), 200, 'then the others') for @third;

is(code(post('/third', '')), 200, 'all can run again');

unlink map { "$dir/$_.gate" } qw/ first second third /;

# the time of "timeout" begins when there is a thread

$first = begin('/first', '');
running('first');

my $timed = begin('/timed', '');
waits('timed', 1);
sleep 11;
is(task('timed')->{waiting}, 1, 'it waits for longer than its timeout');

put('first.gate', '');
is(code(rest($_)), 200, 'and is answered') for $first, $timed;

unlink "$dir/first.gate";

# clients that go away

$first = begin('/first', 'x' x 5000);
running('first');

$second = begin('/second', '');
waits('second', 1);

close $second;
waits('second', 0);

close $first;
poll('its thread is free', sub { !task('first')->{running} });

is(task($_)->{cycles}{cancelled}, 1, "$_: cancelled") for 'first', 'second';
is(body(post('/reverse', 'ab')), 'ba', 'another one has it');

my $stays = begin('/stays', '');
running('stays');
close $stays;

put('stays.gate', '');
poll('one that does not mind goes on', sub {
    return task('stays')->{cycles}{completed} == 1;
});

# a keepalive connection after a request that was aborted is another one

my $pipe = BackgroundStatus::connection();

print $pipe "POST /first HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n"
            . request('POST', '/reverse', 'next');
$pipe->flush;

running('first');
put('first.gate', '');

my $both = rest($pipe);

like($both, qr/^HTTP.* 200 .*\r\n\r\ntxen\z/s,
     'bytes of the next request are no abort');
is(() = $both =~ /^HTTP\/1.1 200/mg, 2, 'both are answered');

unlink "$dir/first.gate";

# HTTP/1.1 100-continue

my $continue = BackgroundStatus::connection();

print $continue "POST /reverse HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
                . "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n";
$continue->flush;

like(scalar(<$continue>), qr{^HTTP/1.1 100 }, '100-continue');

print $continue 'abc';
$continue->flush;

like(rest($continue), qr/\r\n\r\ncba\z/, 'then the answer');

# a reload: clients get their answers from the old worker

my $old = a_worker();

$first = begin('/first', '');
running('first');
$second = begin('/second', '');
waits('second', 1);

signal('HUP');

poll('another worker', sub { grep { $_ != $old } workers() });
ok(kill(0, $old), 'the old worker is there');

put("$_.gate", '') for 'first', 'second';

is(code(rest($first)), 200, 'who had a thread is answered');
is(code(rest($second)), 200, 'and who waited for one');

poll('the old worker has gone', sub { !kill 0, $old });

# a crash is that of its worker's requests; the third in a row is the last

for (1 .. 3) {
    my $worker = a_worker();

    is(code(post_anyhow('/crash', '')), 'none', 'no answer');
    poll('another worker', sub {
        my $new = a_worker();
        return $new && $new != $worker;
    });

    my $failed = $_;
    poll('recorded', sub { task('crash')->{cycles}{failed} == $failed });
}

is(task('crash')->{state}, 'quarantined', 'quarantined');

$answer = post('/crash', '');

is(code($answer), 503, 'then it is not available');
is(body($answer), qq({"error": "not available"}\n), 'the text');
is(field($answer, 'Retry-After'), undef, 'until somebody looks at it');
is(body(post('/reverse', 'ab')), 'ba', 'others are');

put('error.log', join '', grep { !/exited on signal|: quarantined/ }
                               split /^/, log_text());
stop();

done_testing();
