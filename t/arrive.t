# Cycles that something else than time starts: requests, by a trigger of the
# public header; their input, output, number, and end.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundPost;
use BackgroundStatus;
use Test::More;

my $kind = load_kind('arrive');
my $dir = dir();

sub task {
    my ($name, $uri) = @_;

    my %tasks = by_name(status_anyhow($uri));

    return $tasks{$name};
}

my $http = <<"EOF";
    background_threads 2 max_queue=2;
    background_task now  { interval off; answer; }
    background_task gate { interval off; answer gate; }
    background_task both { interval 1h; health fails=2; answer beside; }
    background_task told { interval off; workers all; noted; answer; }
EOF

my $locations = <<'EOF';
    location /now  { arrive now; }
    location /gate { arrive gate 3; }
    location /all  { arrive gate; }
    location /both { arrive both; }
    client_body_buffer_size 1k;
    client_max_body_size 10m;
EOF

start($http, $locations, "$kind\nworker_processes 1;");

# input and output

my $answer = post('/now', 'hello');

is(code($answer), 201, 'the status is the function\'s');
like($answer, qr/\r\nContent-Type: text\/x-answer\r/, 'its type');
like($answer, qr/\r\nX-Length: as the input's\r/, 'its header');
like($answer, qr/\r\n\r\nolleh\z/, 'input and output');

like(post('/now', ''), qr/\r\n\r\n\z/, 'no input, no output');

my $long = join '', map { chr(97 + $_ % 26) } 1 .. 300_000;

is((split /\r\n\r\n/, post('/now', $long), 2)[1], scalar reverse($long),
   'input in a file, output of many pieces');

is(code(post('/now', 'fail')), 500, 'a failure');
is(code(post('/now', 'field')), 500, 'fields with a zero byte');

poll('recorded', sub { task('now')->{cycles}{failed} == 2 });

is(task('now')->{last}{error}, 'answer: fields: -5 -5 -5 -5', 'are refused');

is(code(post('/now', 'much')), 500, 'too much output');

poll('all recorded', sub { task('now')->{cycles}{failed} == 3 });

my $now = task('now', '/status?history=1');

is($now->{cycles}{completed}, 3, 'completed');
is($now->{cycles}{started}, 6, 'started');
is($now->{interval_seconds}, undef, 'no interval');
is($now->{next}, undef, 'nothing is due');
is($now->{last}{error}, 'answer: output: -5', 'more than is wanted');
is(join(' ', map { $_->{cause} } @{$now->{causes}}), join(' ', ('/now') x 6),
   'causes');
cmp_ok(scalar @{$now->{history}}, '<=', 6, 'history by the second');

# causes of triggers in the task

my $told = poll('the trigger has started one', sub {
    my $task = task('told', '/status?history=1');
    return $task->{cycles}{completed} == 1 ? $task : 0;
});

is($told->{causes}[0]{cause}, 'a worker\'s start, and more than forty by',
   'a long cause is cut');

# the number of cycles under way, and of jobs that wait: the first cycle of
# "both" holds one of the two slots

poll('the first of "interval"', sub { task('both')->{running} });

my @held;

for my $n (1 .. 3) {
    push @held, begin('/gate', "held $n");
    poll("$n under way", sub {
        my $task = task('gate');
        return $task->{running} == $n && $task->{waiting} == $n - 1;
    });
}

is(code(post('/gate', 'more')), 429, 'no more of them');
is(code(post('/all', 'x')), 429, 'the queue is full');

# a client that goes

close pop @held;
poll('its job does not wait any more', sub { task('gate')->{waiting} == 1 });

close shift @held;
poll('the next one runs', sub {
    my $task = task('gate');
    return $task->{running} == 1 && $task->{waiting} == 0;
});

put('gate', '');
like(rest($held[0]), qr/\r\n\r\n2 dleh\z/, 'it is answered');

my $gate = task('gate');

is($gate->{cycles}{completed}, 1, 'one is good');
is($gate->{cycles}{cancelled}, 2, 'two were cancelled');
is($gate->{cycles}{declined}, 2, 'two were declined');
is($gate->{cycles}{failed}, 0, 'none has failed');
unlink "$dir/gate";

# with an interval, whose first cycle waits for its gate since the start

my $beside = begin('/both', 'beside');

poll('both at once', sub { task('both')->{running} == 2 });
put('beside', '');

like(rest($beside), qr/ediseb\z/, 'answered');

my $both = poll('both are over', sub {
    my $task = task('both', '/status?history=1');
    return $task->{cycles}{completed} == 2 ? $task : 0;
});

is(join(' ', sort map { $_->{cause} } @{$both->{causes}}), '/both interval',
   'why each was started');
ok($both->{next}, 'the next one is due');

# a reload: who waits gets his answer from the old worker, what time has
# started is cancelled, what arrives is for the new one

my $old = a_worker();
my $waits = begin('/gate', 'long');

poll('it runs', sub { task('gate')->{running} });

signal('HUP');
poll('another worker', sub { grep { $_ != $old } workers() });
poll('a cycle in the new one', sub {
    code(post('/now', 'new')) == 201 && task('told')->{cycles}{completed} == 2;
});

is(task('gate')->{running}, 1, 'still under way');
ok(kill(0, $old), 'the old worker is there');
poll('its trigger was told to stop', sub { logged(qr/the trigger stops/) == 1 });

put('gate', '');
like(rest($waits), qr/\r\n\r\ngnol\z/, 'answered');
poll('the old worker has gone', sub { !kill 0, $old });

unlink "$dir/gate";

# a worker dies with cycles that have arrived

my $died = task('now')->{cycles}{failed};

for (1 .. 3) {
    my $worker = a_worker();

    is(code(post_anyhow('/now', 'crash')), 'none', 'no answer');
    poll('another worker', sub { my $new = a_worker();
                                 $new && $new != $worker });
    my $failed = $died + $_;
    poll('recorded', sub { task('now')->{cycles}{failed} == $failed });
}

$now = task('now');

is($now->{last}{error}, 'worker process died during the cycle: SIGABRT',
   'error');
is($now->{state}, 'quarantined', 'quarantined');
ok(!$now->{healthy}, 'not healthy');
is($now->{running}, 0, 'nothing is under way');
is(task('gate')->{state}, 'waiting', 'others are not');
is(code(post('/now', 'x')), 503, 'declined');
is(task('now')->{cycles}{declined}, 1, 'and counted');

signal('HUP');
poll('good again', sub { code(post_anyhow('/now', 'again')) eq '201' });

# what is expected in the log

put('error.log', join '', grep { !/exited on signal 6|: quarantined/ }
                               split /^/, log_text());
stop();

done_testing();
