#!/usr/bin/env perl

# A cycle that waits for a thread is queued, not running, and since when, in
# each format; one with an operation that goes on meanwhile is running.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundStatus;
use Test::More;

###############################################################################

my $kind = load_kind('gate');
my $dir = dir();

put('gate', '');

# in one worker the first of the tasks has the only thread

start(<<"EOF", <<'EOF2', $kind);
    background_threads 1;
    background_task holds { interval 1h; gate $dir/gate keep; }
    background_task waits { interval 1h; gate $dir/gate; gate $dir/gate; }
    background_task after { interval 1h; simulate_io 1 delay=0-0;
                            gate $dir/gate; }
    background_task meanwhile {
        interval 1h;
        timeout  1h;
        gate $dir/gate;
        simulate_io 1 delay=1h-1h;
    }
    background_task late { retry 1h; timeout 50ms; gate $dir/gate; }
EOF
    location = /metrics { background_status prometheus; }
    location = /state {
        set_background $state waits state;
        return 200 "$state";
    }
EOF2

my %task;

poll('one has timed out', sub {
    %task = by_name(status());
    return $task{late}{last} && $task{after}{queued}
           && !$task{holds}{waiting};
});

is(state('holds'), 'running, 1 running, 0 queued, 0 waiting', 'has the thread');
is(state('waits'), 'queued, 1 running, 1 queued, 2 waiting', 'waits for it');
is(state('after'), 'queued, 1 running, 1 queued, 1 waiting',
    'an operation was over before');
is(state('meanwhile'), 'running, 1 running, 0 queued, 1 waiting',
    'an operation goes on');
is(state('late'), 'retrying, 0 running, 0 queued, 0 waiting',
    'waits no more');

is($task{$_}{queued_seconds}, undef, "$_: not queued")
    for qw/ holds meanwhile late /;
is($task{$_}{queued_seconds}, $task{$_}{running_seconds}, "$_: since its start")
    for qw/ waits after /;
is($task{$_}{next}, undef, "$_: nothing else is due") for qw/ waits after /;
is(body('/state'), 'queued', 'the variable');

my $metrics = body('/metrics');

for (['running', 'holds' => 1, 'waits' => 1, 'late' => 0],
    ['queued', 'holds' => 0, 'waits' => 1, 'after' => 1, 'meanwhile' => 0],
    ['queued_seconds', 'holds' => '0.000', 'late' => '0.000'])
{
    my ($name, %values) = @$_;

    like($metrics, qr/^nginx_background_task_$name\{task="$_"\} $values{$_}$/m,
        "$name of $_") for sort keys %values;
}

poll('it waits longer, in each format', sub {
    my ($seconds) = body('/metrics')
        =~ /^nginx_background_task_queued_seconds\{task="waits"\} ([\d.]+)$/m;
    my %now = by_name(status());

    return $seconds > $task{waits}{queued_seconds}
           && $now{waits}{queued_seconds} >= $seconds;
});

unlink "$dir/gate" or die "unlink: $!\n";

poll('all have had the thread', sub {
    %task = by_name(status());
    return $task{waits}{last} && $task{after}{last}
           && !$task{meanwhile}{waiting};
});

is(state('waits'), 'waiting, 0 running, 0 queued, 0 waiting', 'it is over');
is(state('meanwhile'), 'running, 1 running, 0 queued, 0 waiting',
    'I/O goes on');

stop();

# cycles of two workers

put('gate', '');

start(<<"EOF", '', "$kind\nworker_processes 2;");
    background_threads 1;
    background_task all { workers all; interval 1h; gate $dir/gate keep; }
EOF

poll('one of two has it', sub {
    %task = by_name(status());
    return $task{all}{running} == 2 && $task{all}{waiting} == 1;
});

is(state('all'), 'running, 2 running, 1 queued, 1 waiting', 'one is queued');
cmp_ok($task{all}{queued_seconds}, '<=', $task{all}{running_seconds},
    'not before it began');

stop();

done_testing();

###############################################################################

sub body {
    my ($uri) = @_;

    return (get($uri))[2];
}

sub state {
    my $task = $task{$_[0]};

    return join(', ', $task->{state},
                map { "$task->{$_} $_" } qw/ running queued waiting /);
}
