# background_control: orders of an operator, and who may not give them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundControl;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

sub task {
    my %task = by_name(status("/status?history=1&task=$_[0]"));
    return $task{$_[0]};
}

start(<<"EOF", <<"EOF2", 'worker_processes 2;');
    background_task idle { interval off; simulate_io 1 delay=1ms-1ms; }
    background_task often { interval 20ms; simulate_io 1 delay=1ms-1ms; }
    background_task busy { interval 1ms; simulate_io 1 delay=0-0; }
    background_task each {
        workers all;
        interval off;
        simulate_io 1 delay=1ms-1ms;
    }
    background_task long {
        interval 1h;
        timeout 3h;
        simulate_io 1 delay=2h-2h;
    }
    background_task follows { after idle; simulate_io 1 delay=1ms-1ms; }
    background_task other { interval off; simulate_io 1 delay=1ms-1ms; }
    background_task ends { after long on=any; simulate_io 1 delay=1ms-1ms; }
EOF
    location /control/ { background_control run pause cancel; }
    location /run { background_control run task=idle task=often; }
    location = /metrics { background_status prometheus; }
    location /if/ { background_control run peers task=idle;
                    if (\$arg_x) { set \$y 1; } }
    location /limited/ { background_control run task=idle;
                         limit_except GET { allow unix:; deny all; } }
    location /refused/ { background_control run;
                         limit_except GET { deny all; } }
    location /none/ { deny all; background_control run; }
    background_task asked { interval off; exec /bin/true \$arg_a; }
    location /wants { background_run idle; }
EOF2

my $runs;

# who may not

is(code('/control/idle/run', method => 'GET'), 405, 'GET');
is(code('/control/idle/run', method => 'PUT'), 405, 'PUT');
is(code('/control/idle/run', 'X-Background' => undef), 403, 'no field');
is(code('/control/idle/run', 'X-Background' => '2'), 403, 'another value');
is(code('/control/idle/run', 'Sec-Fetch-Site' => $_), 403, "from $_")
    for 'cross-site', 'same-site', '';
is(code('/control/idle/run', 'Sec-Fetch-Site' => "same-origin\r\n"
        . 'Sec-Fetch-Site: same-origin'), 403, 'the field twice');
is(code('/control/idle/run', 'X-Background' => "1\r\nX-Background: 1"), 403,
   'the other one, too');
is(code('/none/idle/run'), 403, 'access control');

is(code($_), 404, $_) for '/control/', '/control/idle', '/control/idle/',
    '/control//run', '/control/none/run', '/control/idle/stop',
    '/control/idle/run/', '/control/idle/runs', '/control/idle/ru',
    '/runidle/run', '/run/other/run', '/run/idle/pause', '/run/idle/cancel', '/run/idle/resume';

is(task('idle')->{cycles}{started}, 0, 'nothing has started');
is(logged(qr/ by unix:/), 0, 'nor was logged');

# run

my ($code, $body) = request('/control/idle/run',
                            'Sec-Fetch-Site' => 'same-origin',
                            Authorization => 'Basic YW5uCmE6cHc=');

is($code, 202, 'run');
is(parse($body)->{name}, 'idle', 'the answer is the task');
poll('it ran', sub { task('idle')->{cycles}{completed} == 1 });
is(task('idle')->{causes}[-1]{cause}, 'control', 'the cause');
poll('what comes after it', sub { task('follows')->{cycles}{completed} == 1 });
is(logged(qr/\[notice\].*background task "idle": run by unix:, user ann%0Aa/),
   1, 'who has run it is logged');

is(code('/run/idle/run', 'Sec-Fetch-Site' => 'none'), 202, 'of those allowed');
poll('it ran again', sub { task('idle')->{cycles}{completed} == 2 });

# "if" and "limit_except" have a configuration of their own

$runs = 2;

for my $uri ('/if/idle/run?x=1', '/if/idle/run', '/limited/idle/run') {
    is(code($uri), 202, $uri);
    $runs++;
    poll('it ran', sub { task('idle')->{cycles}{completed} == $runs });
}

is(code($_), 404, $_) for '/if/often/run?x=1', '/if/idle/pause?x=1',
    '/if/peers/none/127.0.0.1:1/up?x=1', '/limited/often/run';
is(code('/refused/idle/run'), 403, '"limit_except" refuses');

is(code('/control/each/run'), 202, 'all workers');
poll('each ran', sub { task('each')->{cycles}{completed} == 2 });

poll('long runs', sub { task('long')->{running} });
is(code('/control/long/run'), 409, 'it runs already');

# cancel

is(code('/control/long/cancel'), 202, 'cancel');
poll('cancelled', sub { task('long')->{cycles}{cancelled} == 1 });
is(task('long')->{running}, 0, 'it does not begin again');
is(task('long')->{cycles}{failed}, 0, 'nor has failed');
ok(task('long')->{next}, 'it is due later');
is(code('/control/long/run'), 202, 'but by order');
poll('it runs again', sub { task('long')->{running} });

# pause

is(code('/control/often/pause'), 202, 'pause');

my $n = poll('it is paused', sub {
    my $task = task('often');
    my $n = $task->{cycles}{started};
    return 0 unless $task->{paused} && $task->{state} eq 'paused';

    # ten intervals, by another task's clock

    my $then = task('idle')->{cycles}{completed};
    for (1 .. 2) {
        code('/control/idle/run') == 202 or return 0;
        poll('ran', sub { task('idle')->{cycles}{completed} >= $then + $_ });
    }

    return task('often')->{cycles}{started} == $n ? $n : 0;
});

is(task('often')->{next}, undef, 'paused: nothing is due');
my $metrics = (get('/metrics'))[2];
like($metrics, qr/^nginx_background_task_paused\{task="often"\} 1$/m, 'metrics');
like($metrics, qr/^nginx_background_task_paused\{task="idle"\} 0$/m,
     'metrics: another task');
ok(task('often')->{healthy}, 'nor late');

is(code('/control/often/run'), 202, 'paused: it runs by order');
poll('it ran', sub { task('often')->{cycles}{started} == $n + 1 });

is(code('/control/often/pause'), 202, 'pause again');

my %old = map { $_ => 1 } workers();
signal('HUP');
poll('another worker has it', sub {
    my $lease = task('often')->{lease};
    return $lease && !$old{$lease->{pid}};
});
is(task('often')->{state}, 'paused', 'a pause outlives a reload');
is(task('often')->{cycles}{started}, $n + 1, 'and nothing starts');

is(code('/control/follows/pause'), 202, 'a task that comes after one');
poll('idle', sub { task('idle')->{state} eq 'waiting' });
$n = task('follows')->{cycles}{started};

$runs = task('idle')->{cycles}{completed};

is(code('/control/idle/run'), 202, 'the one before it');
poll('ran', sub { task('idle')->{cycles}{completed} > $runs });
is(task('follows')->{cycles}{started}, $n, 'paused: nothing comes after one');
is(code('/control/follows/resume'), 202, 'resume');
poll('waits', sub { task('follows')->{state} eq 'waiting' });

is(code('/control/often/resume'), 202, 'resume');
poll('it goes on', sub { task('often')->{cycles}{started} > $n + 3 });
ok(!task('often')->{paused}, 'not paused');

# cycles one after the other: none starts between the order and the next poll
# of the worker, but the one that the order met

for (1 .. 3) {
    is(code('/control/busy/pause'), 202, 'pause');

    my ($started, $beats) = map { task($_)->{cycles}{started} } qw/ busy often /;

    poll('workers have polled', sub {
        task('often')->{cycles}{started} > $beats + 15
    });
    cmp_ok(task('busy')->{cycles}{started}, '<=', $started + 1, 'nothing starts');
    is(code('/control/busy/resume'), 202, 'resume');
    poll('it goes on', sub { task('busy')->{cycles}{started} > $started + 3 });
}

# requests that want a cycle

like(code('/wants'), qr/^20[04]$/, 'a request has a cycle');
is(code('/control/idle/pause'), 202, 'pause');
$n = task('idle')->{cycles}{started};
is(code('/wants'), 503, 'a paused task: it gets an error');
is(task('idle')->{cycles}{started}, $n, 'and starts nothing');

is(task('ends')->{cycles}{started}, 0,
   'a cycle that was cancelled is no end for "after on=any"');
is(logged(qr/exited on signal/), 0, 'no worker has died');

stop();

done_testing();
