# "workers one": one worker of all has the lease, and another one soon after
# that worker died or left; what it did counts.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $tasks = <<'EOF';
    background_threads 1;
    background_task quick { interval 10ms; simulate_io 1 delay=1ms-1ms; }
    background_task rests { interval 1h; simulate_io 3 delay=1ms-1ms; }
    background_task waits { retry 1h; timeout 1d; simulate_io 2 delay=1h-1h; }
    background_task burns { retry 50ms; simulate_cpu 1h; }
    background_task all { workers all; interval 10ms; simulate_io 1 delay=1ms-1ms; }
EOF

my @one = qw/ quick rests waits burns /;
my %task;

# each in a worker of its own: a slow worker's task may be with another one

for my $try (1 .. 30) {
    start($tasks, '', 'worker_processes 4;');

    poll('all tasks run', sub {
        %task = tasks();

        return $task{quick}{cycles}{completed} > 5
               && $task{rests}{cycles}{completed} == 1
               && $task{waits}{running} && $task{burns}{running}
               && $task{all}{cycles}{completed} > 40;
    });

    my %holders = map { $task{$_}{lease}{pid} => 1 } @one;
    last if keys %holders == @one;

    stop();

    next if $try < 30;

    die "tasks are not spread over workers\n" unless $ENV{BACKGROUND_ASAN};

    note('with sanitizers workers start too slowly to share out tasks');
    done_testing();
    exit;
}

for my $name (@one) {
    is(logged(qr/background task "$name": started/), 1,
       "$name: started once");
    is(logged(qr/\] $task{$name}{lease}{pid}#\d+: background task "$name": started/),
       1, "$name: by the worker that has the lease");
}

# only that one runs cycles

is(join(' ', cycles('quick')), $task{quick}{lease}{pid},
   'quick: cycles of one worker');
is(join(' ', cycles('all')), join(' ', workers()), 'all: cycles of each');

# death between two cycles, and in the middle of one

for my $name (qw/ rests waits burns /) {
    my %before = tasks();
    my $dead = $before{$name}{lease}{pid};

    signal('KILL', $dead);

    poll("$name: another worker", sub {
        %task = tasks();

        return ($name eq 'rests' || $task{$name}{last_failure})
               && !grep { !$task{$_}{lease} || $task{$_}{lease}{pid} == $dead }
                        @one;
    });

    my %cycles = %{$before{$name}{cycles}};

    if ($name ne 'rests') {
        $cycles{failed}++;
        $cycles{consecutive_failures}++;

        is($task{$name}{last_failure}{error},
           'worker process died during the cycle', "$name: error");
        ok(!$task{$name}{healthy}, "$name: not healthy");
    }

    is_deeply($task{$name}{cycles}, \%cycles, "$name: cycles");

    cmp_ok($task{$_}{cycles}{completed}, '>=',
           $before{$_}{cycles}{completed}, "$_: totals stay")
        for qw/ quick all /;

    poll("$name: workers", sub { @{[workers()]} == 4 });
}

is(logged(qr/\[error\].*background task "waits": failed: worker process died during the cycle, retrying in 3600s$/m),
   1, 'waits: its line');
is(logged(qr/\[error\].*background task "burns": failed: worker process died during the cycle, retrying in 50ms$/m),
   1, 'burns: its line');

# there is one slot, and the job that died has it no more

poll('the job runs again', sub {
    my $s = status();
    my %t = by_name($s);

    return $t{burns}{running} && $t{burns}{progress}
           && $t{burns}{progress}{done} && $s->{cpu}{running} == 1;
});

# a worker that leaves

my %before = tasks();
my $left = $before{burns}{lease}{pid};

signal('QUIT', $left);

poll('another worker after an exit', sub {
    %task = tasks();

    return $task{burns}{running} && $task{burns}{lease}{pid} != $left;
});

is($task{burns}{cycles}{cancelled}, $before{burns}{cycles}{cancelled} + 1,
   'burns: cancelled');
is($task{burns}{cycles}{failed}, $before{burns}{cycles}{failed},
   'burns: not failed');

# all workers, with those that came later, run what each one runs

poll('all: cycles of each', sub {
    my @workers = workers();

    return @workers == 4 && join(' ', cycles('all', @workers)) eq "@workers";
});

# nginx's own words of the dead

put('error.log', join '', grep { !/exited on signal 9/ }
                               split /^/, log_text());

stop();
done_testing();

sub tasks { by_name(status()) }

# the workers that completed cycles, of those given or of all

sub cycles {
    my ($name, @of) = @_;

    my %of = map { $_ => 1 } @of;
    my %pids = map { $_ => 1 }
        log_text() =~ /\] (\d+)#\d+: background task "$name": completed/g;

    return sort { $a <=> $b } grep { !@of || $of{$_} } keys %pids;
}
