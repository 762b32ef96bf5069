# "workers one": one worker of all has the lease, and another one soon after
# that worker died or left; what it did counts.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

my %tasks = (
    quick => 'interval 10ms; simulate_io 1 delay=1ms-1ms;',
    rests => 'interval 1h; simulate_io 3 delay=1ms-1ms;',
    waits => 'retry 1h; timeout 1d; simulate_io 2 delay=1h-1h;',
    burns => 'retry 50ms; simulate_cpu 1h;',
    all => 'workers all; interval 10ms; simulate_io 1 delay=1ms-1ms;',
);

my @one = qw/ quick rests waits burns /;
my %task;

run(@one, 'all');

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

stop();

# death between two cycles, and in the middle of one; which of them are with the
# same worker is a matter of luck, so each task is there without the others

for my $name (qw/ rests waits burns /) {
    run('quick', $name, 'all');

    my %before = tasks();
    my $dead = $before{$name}{lease}{pid};

    signal('KILL', $dead);

    poll("$name: another worker", sub {
        %task = tasks();

        return ($name eq 'rests' || $task{$name}{last_failure})
               && !grep { !$task{$_}{lease} || $task{$_}{lease}{pid} == $dead }
                        'quick', $name;
    });

    my %cycles = %{$before{$name}{cycles}};

    if ($name ne 'rests') {
        $cycles{failed}++;
        $cycles{consecutive_failures}++;

        is($task{$name}{last_failure}{error},
           'worker process died during the cycle', "$name: error");
        ok(!$task{$name}{healthy}, "$name: not healthy");
    }

    # the next one may have begun

    delete $_->{started} for \%cycles, $task{$name}{cycles};

    is_deeply($task{$name}{cycles}, \%cycles, "$name: cycles");

    cmp_ok($task{$_}{cycles}{completed}, '>=',
           $before{$_}{cycles}{completed}, "$_: totals stay")
        for qw/ quick all /;

    poll("$name: workers", sub { @{[workers()]} == 4 });

    # it is written after the failure is in the status

    my $line = qr/\[error\].*background task "$name": failed: worker process died during the cycle, retrying in (?:3600s|50ms)$/m;

    poll("$name: logged", sub { logged($line) }) if $name ne 'rests';
    is(logged($line), $name eq 'rests' ? 0 : 1, "$name: its line");

    next if $name eq 'burns';

    forget();
    stop();
}

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

forget();
stop();
done_testing();

# starts nginx with these tasks, and waits until they run

sub run {
    my (@names) = @_;

    start("background_threads 1;\n"
          . join('', map { "background_task $_ { $tasks{$_} }\n" } @names),
          '', 'worker_processes 4;');

    poll('all tasks run', sub {
        %task = tasks();

        return $task{quick}{cycles}{completed} > 5
               && (!$task{rests} || $task{rests}{cycles}{completed} == 1)
               && (!$task{waits} || $task{waits}{running})
               && (!$task{burns} || $task{burns}{running})
               && 4 == (() = cycles('all'));
    });
}

# nginx's own words of the dead

sub forget {
    put('error.log', join '', grep { !/exited on signal 9/ }
                                   split /^/, log_text());
}

sub tasks { by_name(status_anyhow()) }

# the workers that completed cycles, of those given or of all

sub cycles {
    my ($name, @of) = @_;

    my %of = map { $_ => 1 } @of;
    my %pids = map { $_ => 1 }
        log_text() =~ /\] (\d+)#\d+: background task "$name": completed/g;

    return sort { $a <=> $b } grep { !@of || $of{$_} } keys %pids;
}
