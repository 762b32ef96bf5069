#!/usr/bin/env perl

# While cycles come and go all the time in eight workers, each answer makes
# sense in itself and beside those before it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundStatus;
use Test::More;
use Time::HiRes qw/ time /;

###############################################################################

mkdir dir() . '/tree' or die "mkdir: $!\n";
put("tree/$_", 'x' x 1000) for 1 .. 3;

start(<<'EOF', '', 'worker_processes 8;');
    background_threads 2;

    background_task all {
        workers  all;
        interval 1ms;
        simulate_io 3 delay=0-3ms;
    }

    background_task one {
        interval 1ms;
        simulate_io 3 delay=0-3ms;
    }

    background_task digest {
        workers  all;
        interval 1ms;
        digest   tree;
    }

    background_task fails {
        workers  all;
        retry    1ms;
        timeout  2ms;
        simulate_io 3 delay=1h-1h;
    }
EOF

my %before;
my %wrong;
my $answers = 0;
my $end = time + 2;

poll('answers and cycles', sub {
    look() for 1 .. 10;

    return time > $end && !grep { $_->[0] + $_->[1] <= 50 } values %before;
});

is(join(', ', map { "$_ (x $wrong{$_})" } sort keys %wrong), '',
    "$answers answers make sense");

stop();

done_testing();

###############################################################################

sub look {
    my $status = status('/status?history=1');

    $answers++;

    wrong('CPU', $status->{cpu})
        if $status->{cpu}{running} > 2
           || $status->{cpu}{seconds} > 8 * $status->{uptime_seconds};

    for my $task (@{$status->{tasks}}) {
        my ($name, $cycles, $done) = @$task{qw/ name cycles operations /};

        wrong("$name: running", $task)
            if $task->{running} > ($task->{workers} eq 'all' ? 8 : 1)
               || ($task->{state} =~ /^(?:running|queued)$/
                   xor $task->{running})
               || ($task->{state} eq 'queued'
                   xor ($task->{running}
                        && $task->{queued} == $task->{running}))
               || (defined $task->{queued_seconds} xor $task->{queued})
               || (defined $task->{running_seconds} xor $task->{running});

        wrong("$name: running seconds", $task)
            if $task->{running}
               && $task->{running_seconds} > $status->{uptime_seconds};

        # each cycle has three operations

        wrong("$name: operations", $task)
            if $done->{completed} != 3 * $cycles->{completed}
               || $done->{failed} != 3 * $cycles->{failed};

        wrong("$name: bytes", $task)
            if $name eq 'digest' && $done->{bytes} != 1000 * $done->{completed};

        wrong("$name: outcome", $task)
            if $cycles->{$name eq 'fails' ? 'completed' : 'failed'}
               || ($cycles->{failed} xor defined $task->{last_failure});

        wrong("$name: history", $task->{history})
            if @{$task->{history}} > 60
               || grep { $_->{failed} != ($name eq 'fails' ? 3 : 0)
                         || $_->{wall_seconds} > $status->{uptime_seconds} }
                       @{$task->{history}};

        my @now = map { $cycles->{$_} } qw/ completed failed /;
        my $before = $before{$name} || [0, 0];

        wrong("$name: totals", [$before, \@now])
            if $now[0] < $before->[0] || $now[1] < $before->[1];

        $before{$name} = \@now;
    }
}

sub wrong {
    my ($what, $value) = @_;

    diag(explain($what, $value)) unless $wrong{$what}++;
}
