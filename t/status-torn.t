# Many who read at once, while each record changes as fast as it can and workers
# die in the middle: no answer mixes two states of a record.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use BackgroundStorm;
use List::Util qw/ sum /;
use POSIX ();
use Test::More;

mkdir dir() . '/tree' or die "mkdir: $!\n";
put("tree/$_", 'x' x 1000) for 1 .. 3;

# operations of each cycle

my %of = (one => 2, all => 3, digest => 3);

start(<<"EOF", '', 'worker_processes 8; worker_rlimit_core 0;');
    background_threads 2;
    background_task one { interval 1ms; retry 1ms; simulate_io 2 delay=0-1ms; }
    background_task all { workers all; interval 1ms; retry 1ms; simulate_io 3 delay=0-1ms; }
    background_task digest { workers all; interval 1ms; retry 1ms; digest ${\dir()}/tree; }
EOF

all_there(8);

my @readers = map { reader() } 1 .. 4;
my $kills = 0;

# nobody dies in the first half: then nothing has failed

cycles(100) for 1 .. rounds(1);

for (1 .. 4 * rounds(1)) {
    $kills += signal('KILL', poll('a worker', sub { (workers())[rand 8] }));
    cycles(1);
}

kill 'TERM', map { $_->[0] } @readers;

my ($answers, @wrong) = (0);

for (@readers) {
    my ($pid, $read) = @$_;
    my ($n, @said) = <$read>;

    waitpid $pid, 0;
    die "a reader died\n" unless defined $n;

    $answers += $n;
    push @wrong, @said;
}

is(join('', @wrong[0 .. ($#wrong > 9 ? 9 : $#wrong)]), '',
   "$answers answers make sense");

my %task = by_name(status_anyhow());

figures('answers' => $answers, 'mixed' => scalar(@wrong), 'kills' => $kills,
        'cycles meanwhile' => sum(map { $task{$_}{cycles}{completed} }
                                      keys %of));

all_there(8);

put('error.log', join '', grep { !/exited on signal 9$|quarantined/ }
                               split /^/, log_text());

stop();
done_testing();

# so many more good cycles of each task that deaths leave alone

sub cycles {
    my ($n) = @_;
    my %from;

    poll("$n cycles", sub {
        my %now = by_name(status_anyhow());

        $from{$_} //= $now{$_}{cycles}{completed} for keys %now;

        return !grep { $now{$_}{state} ne 'quarantined'
                       && $now{$_}{cycles}{completed} < $from{$_} + $n }
                     keys %now;
    });
}

sub reader {
    pipe my $read, my $write or die "pipe: $!\n";
    defined(my $pid = fork) or die "fork: $!\n";

    return [$pid, $read] if $pid;

    my $over = 0;
    my $n = 0;
    my $parent = getppid;
    my (%wrong, %before);

    # not in the middle of an answer, nor of what Perl itself does

    my $action = POSIX::SigAction->new(sub { $over = 1 }, undef,
                                       &POSIX::SA_RESTART);
    $action->safe(1);
    POSIX::sigaction(&POSIX::SIGTERM, $action);
    close $read;

    until ($over && $n >= 25 || getppid != $parent) {
        my $status = status_anyhow('/status?history=1');

        $n++;

        for my $task (@{$status->{tasks}}) {
            $wrong{$_} = 1 for wrong($task, $before{$task->{name}});
            $before{$task->{name}} = $task;
        }
    }

    print $write join "\n", $n, sort keys %wrong;
    close $write;
    POSIX::_exit(0);
}

# what does not fit together

sub wrong {
    my ($task, $before) = @_;
    my ($name, $cycles, $operations, $last)
        = @$task{qw/ name cycles operations last /};
    my @wrong;

    my $good = $cycles->{completed};

    push @wrong, "$operations->{completed} operations in $good cycles"
        if $operations->{completed} != $of{$name} * $good;
    push @wrong, "$operations->{bytes} bytes in $good cycles"
        if $name eq 'digest' && $operations->{bytes} != 3000 * $good;
    push @wrong, "$operations->{failed} failed in $cycles->{failed} cycles"
        if $operations->{failed} != $cycles->{failed};

    if ($last) {
        my $all = $last->{failed} ? 1 : $of{$name};

        push @wrong, "$last->{operations} operations in a cycle"
            if $last->{operations} != $all;
        push @wrong, "$last->{bytes} bytes in a cycle"
            if $name eq 'digest'
               && $last->{bytes} != ($last->{failed} ? 0 : 3000);
        push @wrong, 'an error and no failure'
            if !$last->{failed} && defined $last->{error};
    }

    push @wrong, 'failures and no text'
        if $cycles->{failed} && !($task->{last_failure} || {})->{error};

    if ($before) {
        push @wrong, 'totals went back'
            if $before->{cycles}{completed} > $good
               || $before->{cycles}{failed} > $cycles->{failed};
    }

    for (@{$task->{history}}) {
        push @wrong, "history: wall time $_->{wall_seconds}"
            if $_->{wall_seconds} > 60;
        push @wrong, "history: $_->{failed} failed" if $_->{failed} > 1;
        push @wrong, "history: $_->{finished}"
            unless $_->{finished} =~ /^20\d\d-\d\d-\d\dT/;
    }

    push @wrong, 'history: ' . @{$task->{history}} . ' cycles'
        if @{$task->{history}} > 60;

    return map { "$name: $_" } @wrong;
}
