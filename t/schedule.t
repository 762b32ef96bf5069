# "schedule": what is due by the wall clock starts then, once, through both
# changes of daylight saving time and when the clock is changed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundClock;
use BackgroundControl;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

plan(skip_all => clock_missing()) if clock_missing();

my $operation = 'simulate_io 1 delay=1ms-1ms;';

sub task {
    my %task = by_name(status("/status?history=1&task=$_[0]"));
    return $task{$_[0]};
}

# one worker looks at the clock at least once a minute; a new one at once

sub look {
    my %old = map { $_ => 1 } workers();

    signal('HUP');
    poll('other workers', sub {
        return !grep { !$_->{lease} || $old{$_->{lease}{pid}} || !$_->{next} }
               @{status()->{tasks}};
    });
}

sub completed {
    my ($name, $n) = @_;

    return poll("$name: $n cycles", sub {
        my $task = task($name);

        return $task->{cycles}{completed} >= $n && $task->{running} == 0
               && $task->{next} && $task;
    });
}

###############################################################################

# the hour from 2 to 3 is left out in Berlin

clock_start('2026-03-29 00:50:00', <<"EOF");
    background_task skipped {
        schedule "30 2 * * *" timezone=Europe/Berlin;
        $operation
    }
    background_task several {
        schedule "0,20,40 2 * * *" timezone=Europe/Berlin;
        schedule "0 3 * * *" timezone=Europe/Berlin;
        $operation
    }
    background_task utc { schedule "30 2 * * *" timezone=UTC; $operation }
    background_task hourly { schedule "15 * * * *" timezone=UTC; $operation }
EOF

poll('all wait', sub { !grep { !$_->{next} } @{status()->{tasks}} });
clock_set('2026-03-29 00:59:57');
look();

is(task('skipped')->{timezone}, 'Europe/Berlin', 'the time zone is told');
is(join(' ', @{task('several')->{schedules}}), '0,20,40 2 * * * 0 3 * * *',
   'the schedules are told');

my $task = completed('skipped', 1);

like($task->{last}{started}, qr/^2026-03-29T01:00:/,
     'what falls into the hour that is left out starts after it');
like($task->{next}, qr/^2026-03-30T00:30:00/, 'and the next day at its time');
is($task->{causes}[-1]{cause}, 'schedule', 'the cause');

$task = completed('several', 1);
is($task->{cycles}{completed}, 1, 'several times in it: one cycle');
like($task->{next}, qr/^2026-03-30T00:00:00/, 'several: the next');

like(task('utc')->{next}, qr/^2026-03-29T02:30:00/, 'another time zone');

# it comes twice in autumn

clock_set('2026-10-24 23:00:00');
look();
like(task('skipped')->{next}, qr/^2026-10-25T00:30:00/,
     'autumn: the first pass');

my $missed = task('skipped')->{cycles}{missed};
is($missed, 100, 'what was missed is counted, up to a hundred');
is(task('skipped')->{cycles}{completed}, 1, 'and did not start');

clock_set('2026-10-25 00:29:57');
look();
$task = completed('skipped', 2);
like($task->{last}{started}, qr/^2026-10-25T00:30:/,
     'it starts in the first pass');
like($task->{next}, qr/^2026-10-26T01:30:00/, 'and not in the second one');

clock_set('2026-10-25 01:30:05');
look();
like(task('skipped')->{next}, qr/^2026-10-26T01:30:00/,
     'the second pass: due the next day');
is(task('skipped')->{cycles}{completed}, 2, 'no cycle');

# the clock is put back by two hours: nothing starts again

like(task('hourly')->{next}, qr/^2026-10-25T02:15:00/, 'each hour');
clock_set('2026-10-24 23:45:00');
look();
like(task('hourly')->{next}, qr/^2026-10-25T00:15:00/,
     'each hour: it does not wait for the clock');
like(task('skipped')->{next}, qr/^2026-10-26T01:30:00/, 'others do');
clock_set('2026-10-25 00:30:10');
look();
is(task('skipped')->{cycles}{completed}, 2,
   'after a clock was put back nothing starts again');
like(task('skipped')->{next}, qr/^2026-10-26T01:30:00/, 'nor is due');
is(task('skipped')->{cycles}{missed}, $missed, 'nor missed');

# by more than three hours: it was wrong before

clock_set('2026-10-24 20:00:00');
look();
like(task('skipped')->{next}, qr/^2026-10-25T00:30:00/,
     'after a clock was put back by more it is due again');
is(task('skipped')->{cycles}{completed}, 2, 'but not before');

stop();

###############################################################################

# late by a minute, and by more

clock_start('2026-06-01 11:59:00', <<"EOF", <<'EOF2', 'worker_processes 2;');
    background_task skip { schedule "0 12 * * *" timezone=UTC; $operation }
    background_task once {
        schedule "*/5 12 * * *" timezone=UTC missed=run;
        $operation
    }
    background_task sometimes {
        schedule "0 13 * * *" timezone=UTC jitter=10m;
        $operation
    }
    background_task local { schedule "\@daily"; $operation }
    background_task fails {
        schedule "5 12 * * *" timezone=UTC;
        connect 127.0.0.1:1;
    }
    background_task again {
        schedule "5 12 * * *" timezone=UTC;
        retry 100ms;
        connect 127.0.0.1:1;
    }
EOF
    location = /metrics { background_status prometheus; }
EOF2

poll('next', sub { task('sometimes')->{next} && task('skip')->{next} });

like(task('skip')->{next}, qr/^2026-06-01T12:00:00/, 'next');
is(task('local')->{timezone}, 'local', 'the local time');

my $jitter = clock_utc(task('sometimes')->{next});
cmp_ok($jitter, '>=', clock_utc('2026-06-01 13:00:00'), 'jitter');
cmp_ok($jitter, '<=', clock_utc('2026-06-01 13:10:00'), 'jitter: at most');

look();
is(clock_utc(task('sometimes')->{next}), $jitter,
   'jitter: the same in another worker');

clock_set('2026-06-01 12:00:30');
look();
$task = completed('skip', 1);
is($task->{cycles}{missed}, 0, 'half a minute late: it starts');

is(completed('once', 1)->{cycles}{missed}, 0, 'another, too');

clock_set('2026-06-01 12:31:30');
look();
$task = completed('once', 2);
is($task->{cycles}{completed}, 2, 'missed=run: one cycle for all');
is($task->{cycles}{missed}, 6, 'they are counted');
like((get('/metrics'))[2],
     qr/^nginx_background_cycles_missed_total\{task="once"\} 6$/m, 'metrics');
is($task->{causes}[-1]{cause}, 'missed', 'the cause');
like($task->{next}, qr/^2026-06-01T12:35:00/, 'the next is due then');

clock_set('2026-06-02 13:59:00');
look();
poll('missed=skip: it is counted, and logged', sub {
    task('skip')->{cycles}{missed} == 1
        && log_text() =~ /"skip": 1 times of its schedule missed\n/
});
is(task('skip')->{cycles}{completed}, 1, 'missed=skip: no cycle');

is(task('fails')->{cycles}{failed}, 0, 'not started so far');

clock_set('2026-06-03 12:05:20');
look();
poll('tries', sub { task('again')->{cycles}{failed} >= 4 });
$task = poll('fails', sub {
    my $task = task('fails');
    return $task->{cycles}{failed} && $task->{running} == 0 && $task;
});

is($task->{cycles}{failed}, 1, 'a failure is not tried again without "retry"');
is($task->{state}, 'waiting', 'it waits for its time');
is($task->{retry_seconds}, undef, 'without "retry"');
like($task->{next}, qr/^2026-06-04T12:05:00/, 'which is the next day');
is(task('again')->{causes}[-1]{cause}, 'retry', 'the cause of a retry');

stop();

###############################################################################

# "missed=run" beside a schedule without it that has the same time, or more than
# a hundred times before, in both orders

my %pair = (
    tie => ['schedule "0 9 * * *" timezone=UTC;',
            'schedule "0 9 1 * *" timezone=UTC missed=run;'],
    many => ['schedule "*/5 9-17 * * *" timezone=UTC;',
             'schedule "0 2 * * 0" timezone=UTC missed=run;'],
    none => ['schedule "0 9 * * *" timezone=UTC;',
             'schedule "0 9 1 7 *" timezone=UTC missed=run;'],
);
my %times = (tie => 7, many => 100, none => 7);

clock_start('2026-05-31 10:00:00', join "\n", map {
    my @rules = @{$pair{$_}};

    "background_task $_ { @rules $operation }
     background_task ${_}_back { @{[reverse @rules]} $operation }"
} sort keys %pair);

poll('all wait', sub { !grep { !$_->{next} } @{status()->{tasks}} });
clock_set('2026-06-08 08:00:00');
look();

for my $name (map { ($_, "${_}_back") } qw/ tie many /) {
    $task = completed($name, 1);
    is($task->{cycles}{started}, 1, "$name: one cycle");
    is($task->{causes}[-1]{cause}, 'missed', "$name: its cause");
    is($task->{cycles}{missed}, $times{$name =~ s/_back//r}, "$name: missed");
}

look();

for my $name (map { ($_, "${_}_back") } sort keys %pair) {
    is(task($name)->{cycles}{started}, $name =~ /none/ ? 0 : 1,
       "$name: nothing starts after that");
    is(task($name)->{cycles}{missed}, $times{$name =~ s/_back//r},
       "$name: nor is missed");
}

stop();

###############################################################################

# a schedule that is taken out and comes back: nothing was missed meanwhile, and
# what its last reload cancelled does not start again

my $rules = <<'EOF';
    background_task daily {
        schedule "0 12 * * *" timezone=UTC missed=run;
        simulate_io 1 delay=1ms-1ms;
    }
    background_task resumed {
        schedule "0 12 * * *" timezone=UTC missed=run;
        simulate_io 1 delay=1ms-1ms;
    }
    background_task under_way {
        schedule "0 11 * * *" timezone=UTC;
        simulate_io 1 delay=1h-1h;
        timeout 2h;
    }
EOF
my $off = $rules =~ s/schedule .*;/interval off;/gr;

sub configure {
    my ($tasks) = @_;
    my %old = map { $_ => 1 } workers();
    my $generation = status()->{generation};

    replace('tasks', $tasks);
    signal('HUP');

    poll('new workers have the tasks', sub {
        my $status = status();

        return $status->{generation} > $generation
               && !grep { !$_->{lease} || $old{$_->{lease}{pid}}
                          || ($tasks =~ /schedule/ && !$_->{next}) }
                  @{$status->{tasks}};
    });
}

put('tasks', $rules);
clock_start('2026-06-01 10:50:00', 'include ' . dir() . '/tasks;',
            'location /control/ { background_control pause; }',
            'worker_processes 1;');

poll('it is due next', sub { task('under_way')->{next} });
clock_set('2026-06-01 11:00:00');
configure($rules);
poll('it is under way', sub { task('under_way')->{running} });

for my $day (4, 7) {
    configure($off);
    is(task('under_way')->{running}, 0, "day $day: cancelled");

    # times are not looked at after a pause, either

    is(code('/control/resumed/pause'), 202, 'a pause');
    poll('paused', sub { task('resumed')->{paused} });
    is(code('/control/resumed/resume'), 202, 'and its end');
    poll('resumed', sub { !task('resumed')->{paused} });

    clock_set("2026-06-0$day 11:30:00");
    configure($day == 4 ? $rules : "background_zone 2m;\n$rules");

    for my $name (qw/ daily resumed under_way /) {
        my $next = $name eq 'under_way'
                   ? sprintf('2026-06-%02dT11:00:00', $day + 1)
                   : "2026-06-0${day}T12:00:00";

        $task = poll("day $day: $name: the next is told", sub {
            my $task = task($name);
            return ($task->{next} // '') =~ /^$next/ && $task;
        });

        is($task->{cycles}{missed}, 0, "day $day: $name: nothing is missed");
        is($task->{cycles}{started}, $name eq 'under_way' ? 1 : 0,
           'nothing starts');
    }
}

stop();

###############################################################################

# a worker that is stopped for hours; after a cycle it looks at the clock

clock_start('2026-06-01 10:00:00', <<"EOF", <<'EOF2', 'worker_processes 1;');
    background_task skip { schedule "*/5 12-13 * * *" timezone=UTC; $operation }
    background_task once {
        schedule "*/5 12-13 * * *" timezone=UTC missed=run;
        $operation
    }
    background_task each { schedule "* 12-13 * * *" timezone=UTC; $operation }
EOF
    location /control/ { background_control run; }
EOF2

poll('next', sub { !grep { !$_->{next} } @{status()->{tasks}} });

my $stopped = a_worker();

signal('STOP', $stopped);
poll('it is stopped', sub { process_stat($stopped)->[0] eq 'T' });
clock_set('2026-06-01 13:31:02');
signal('CONT', $stopped);

for my $name (qw/ skip once each /) {
    poll("$name: ordered", sub { code("/control/$name/run") == 202 });
}

my %causes = (skip => 'control', once => 'control missed',
              each => 'control schedule');

for my $name (qw/ skip once each /) {
    $task = completed($name, my $n = split ' ', $causes{$name});
    is(join(' ', sort map { $_->{cause} } @{$task->{causes}}), $causes{$name},
       "$name, after SIGSTOP: no more than one cycle is late");
}

is(task('skip')->{cycles}{missed}, 19, 'those of "missed=skip" are counted');
is(task('once')->{cycles}{missed}, 19, 'those of "missed=run"');
is(task('each')->{cycles}{missed}, 91, 'but for one in time');
like(task('skip')->{next}, qr/^2026-06-01T13:35:00/, 'the next at its time');

stop();

###############################################################################

# what is due while a cycle runs is skipped

clock_start('2026-06-01 11:50:00', <<"EOF");
    background_task long {
        @{['schedule "0 12 * * *" timezone=UTC jitter=10s;' x 6]}
        schedule "1 12 * * *" timezone=UTC;
        simulate_io 1 delay=1h-1h;
        timeout 1h;
    }
EOF

poll('it waits', sub { task('long')->{next} });
clock_set('2026-06-01 11:59:58');
look();
poll('it runs', sub { task('long')->{running} });
poll('skipped', sub { task('long')->{cycles}{skipped} });
is(task('long')->{running}, 1, 'what is due while a cycle runs is skipped');
ok(task('long')->{next}, 'the next one is told while it runs');

stop();

done_testing();
