# Blocking steps of I/O kinds, which hang: the run ends without them, other
# operations and an exiting worker go on, and what hangs is named.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundPost qw/ begin /;
use BackgroundStatus;
use Fcntl qw/ O_WRONLY O_NONBLOCK /;
use POSIX qw/ mkfifo /;
use Test::More;

my $kind = load_kind('step');
my $dir = dir();
my $n = 5;
my $list = "$dir/list";

put('file', 'x');
put('list', "/one\n");

for (map { "$dir/fifo$_" } 1 .. $n) {
    mkfifo($_, 0600) or die "mkfifo: $!\n";
    for_workers($_);
}

my $hangs = join ' ', map { "background_task hangs$_ { timeout 50ms; retry 1ms; step fifo$_; }" } 1 .. $n;

start(<<"EOF", 'location / { return 204; }', "$kind\nworker_processes 1;");
    background_task file { interval 1h; step file; }
    background_task next { interval 1h; step file next; }
    background_task twice { retry 1h; step file twice; }
    background_task missing { retry 1h; step missing; }
    server {
        listen unix:$dir/other;
        location / { return 204; }
        background_task requests { interval 1ms; requests $list; }
    }
    background_task again { interval 1ms; step file; }
    $hangs
EOF

my %task;
my @hangs = map { "hangs$_" } 1 .. $n;

poll('all are over', sub {
    %task = by_name(status());

    return !grep { !$_->{last} } values %task;
});

is($task{file}{operations}{completed}, 1, 'a step');
is($task{next}{operations}{completed}, 2, 'a step after another one');
is($task{twice}{last}{error},
   'step "file": another blocking step is under way', 'two at once');
is($task{missing}{last}{error}, qq{step "missing": reading "$dir/missing" }
   . 'failed (2: No such file or directory)', 'a failure with a path');

# the time-out ends the run, the step goes on

my $earlier = qr/step "fifo\d": a blocking step of an earlier cycle has not returned for \d+ seconds/;

like(next_cycle($_, 'failed', $earlier)->{last}{error}, $earlier,
     "$_: an earlier cycle's step") for @hangs;

next_cycle($_, 'completed') for qw/ requests again /;
pass('other operations go on');

my ($worker) = workers();

ok(poll('threads that are not used are gone', sub {
    return threads($worker) <= $n + 2;
}), 'one thread for each that hangs');

# somebody writes: the step returns without a run, and the next one works

{
    open my $fifo, '>', "$dir/fifo1" or die "open: $!\n";
    print $fifo 'x';
    close $fifo or die "close: $!\n";
}

poll('a step without a run', sub {
    return logged(qr/step of "\Q$dir\E\/fifo1" without a run: 1/) == 1;
});
pass('a step without a run');

# the next one hangs, too

next_cycle('hangs1', 'failed', $earlier);

# a worker that exits waits for the others without a busy CPU, and names them

reconfigure($hangs, '');

my $waits = 'has not returned for \d+ seconds, the worker waits for it';

poll('steps are named', sub {
    return logged(qr/\[warn\] $worker#.*background task "hangs\d": a blocking step of step "fifo\d" $waits/) == $n;
});
pass('steps that a worker waits for are named');

poll('the worker sleeps', sub { process_stat($worker)->[0] eq 'S' });
pass('the worker sleeps');

# until they return; a thread may come late to its step

poll('the worker exits', sub {
    release();
    return process_stat($worker)->[0] =~ /[-ZX]/;
});
pass('the worker exits when they have returned');

stop();

# or "worker_shutdown_timeout" has passed, or nginx is to exit at once

my $without = qr/\[warn\].*background task "hangs": a blocking step of step "fifo1" has not returned for \d+ seconds, the worker exits without it/;

for (['worker_shutdown_timeout 200ms;', 'QUIT'],
     ['master_process off; worker_shutdown_timeout 200ms;', 'QUIT'],
     ['master_process off;', 'TERM'],
     ['master_process off;', 'QUIT', 'TERM'])
{
    my ($main, @signals) = @$_;

    start('background_task hangs { timeout 50ms; retry 1ms; step fifo1; }', '',
          "$kind\nworker_processes 1;$main debug_points abort;");

    next_cycle('hangs', 'failed', $earlier);

    my $pid = master();

    signal($_) for @signals;

    poll('nginx exits', sub { process_stat($pid)->[0] =~ /[-ZX]/ });

    is(logged($without), 1, "$main @signals: the worker exits without it");

    stop();
}

# cycles that arrive: those of one task do not take all threads

my $arrive = load_kind('arrive');

start(<<"EOF", 'location /run { arrive many; }', "$kind\n$arrive\nworker_processes 1;");
    background_task many { interval off; timeout 1h; step fifo1; }
    background_task again { interval 1ms; step file; }
EOF

my @open = map { begin('/run', '') } 1 .. 70;

poll('all have arrived', sub {
    %task = by_name(status());
    return $task{many}{cycles}{started} == @open;
});

next_cycle('again', 'completed');
pass('many that hang keep no other operation from its threads');

stop();
done_testing();

# lets all go on that wait for somebody to write

sub release {
    local $SIG{PIPE} = 'IGNORE';

    for my $fifo (glob "$dir/fifo*") {
        sysopen my $file, $fifo, O_WRONLY|O_NONBLOCK or next;
        syswrite $file, 'x';
    }
}
