#!/usr/bin/env perl

# The status has exactly the design's fields, each of its type, and they agree
# with each other.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundStatus;
use List::Util qw/ sum /;
use Test::More;
use Time::HiRes qw/ sleep time /;
use Time::Local qw/ timegm /;

###############################################################################

my %types = (
    status => 'string', message => 'string', version => 'string',
    nginx => 'string', now => 'time', uptime_seconds => 'seconds',
    generation => 'count', pid => 'count', worker => 'count',
    'zone.size' => 'count', 'zone.free' => 'count',
    'cpu.limit' => 'count', 'cpu.source' => 'string', 'cpu.threads' => 'count',
    'cpu.quota' => 'seconds', 'cpu.running' => 'count',
    'cpu.queued' => 'count', 'cpu.completed' => 'count',
    'cpu.seconds' => 'seconds', tasks => 'array',
);

# a task that waits, after a good cycle

my %good = (
    name => 'string', workers => 'string', state => 'string',
    healthy => 'boolean', running => 'count',
    running_seconds => 'null', queued => 'count', queued_seconds => 'null',
    waiting => 'count', abandoned => 'count', overdue => 'boolean',
    paused => 'boolean',
    interval_seconds => 'seconds', timezone => 'null', arrives => 'boolean',
    retry_seconds => 'seconds',
    timeout_seconds => 'seconds',
    'lease.pid' => 'count', 'lease.worker' => 'count',
    'cycles.completed' => 'count', 'cycles.failed' => 'count',
    'cycles.cancelled' => 'count', 'cycles.consecutive_failures' => 'count',
    'cycles.started' => 'count', 'cycles.declined' => 'count',
    'cycles.skipped' => 'count', 'cycles.missed' => 'count',
    'cycles.coalesced' => 'count',
    'operations.completed' => 'count', 'operations.failed' => 'count',
    'operations.bytes' => 'count',
    io_seconds => 'seconds', cpu_seconds => 'seconds',
    wall_seconds => 'seconds',
    'last.started' => 'time', 'last.finished' => 'time',
    'last.operations' => 'count', 'last.failed' => 'count',
    'last.bytes' => 'count', 'last.io_seconds' => 'seconds',
    'last.cpu_seconds' => 'seconds', 'last.wall_seconds' => 'seconds',
    'last.error' => 'null',
    last_success => 'time', last_failure => 'null', error => 'null',
    next => 'time',
    progress => 'null',
);

my %all = map { $_ => $good{$_} } grep { !/^lease/ } keys %good;

my %digest = (%good, timeout_seconds => 'null');

my %bad = (
    (map { $_ => $good{$_} } grep { $_ ne 'last_failure' } keys %good),
    last_success => 'null', 'last.error' => 'string', error => 'string',
    'last_failure.finished' => 'time', 'last_failure.error' => 'string',
);

my %new = (
    (map { $_ => $good{$_} } grep { !/^last\./ } keys %good),
    last => 'null', last_success => 'null',
);

my %running = (%new, running_seconds => 'seconds', next => 'null');

my %progress = (
    (map { $_ => $running{$_} } grep { $_ ne 'progress' } keys %running),
    'progress.done' => 'count', 'progress.total' => 'count',
    timeout_seconds => 'null',
);

# a task for each: in these states they stay while this looks

my $tree = dir() . '/tree';

mkdir $tree or die "mkdir: $!\n";
put('tree/file', 'x' x 200_000);
put('large', '');
truncate dir() . '/large', 64_000_000 or die "truncate: $!\n";

my $started = time;

start(<<"EOF");
    background_threads 3 quota=80;
    background_zone 512k;

    background_task good {
        interval 90m;
        retry    7s;
        simulate_io 3 delay=10ms-20ms;
    }

    background_task all {
        workers  all;
        interval 45s;
        simulate_io 2 delay=0-1ms;
    }

    background_task bad {
        retry   1h;
        timeout 30ms;
        simulate_io 2 delay=1h-1h;
    }

    background_task new {
        interval 1500ms jitter=365d;
        simulate_io 1;
    }

    background_task running {
        timeout 1d;
        simulate_io 1 delay=1h-1h;
        simulate_io 1 delay=0-0;
    }

    background_task digest {
        interval 1d;
        digest $tree;
    }

    background_task progress {
        digest large limit_rate=10k;
    }
EOF

my ($body, $status, %tasks, $asked);

# the other two threads that "progress" has soon find nothing to do

poll('the tasks are where they stay', sub {
    $asked = time;
    $body = (get('/status'))[2];
    $status = parse($body);
    %tasks = by_name($status);

    $tasks{good}{last} && $tasks{all}{last} && $tasks{bad}{last}
        && $tasks{digest}{last} && $tasks{running}{running}
        && $tasks{progress}{progress} && $status->{cpu}{running} == 1
        && $status->{cpu}{queued} == 0;
});

my $answered = time;

like($body, qr/^\s*\{\s*"status":\s*"\w+",\s*"message":\s*"/,
    'the first two fields');

fields('status', $status, \%types);
fields('good', $tasks{good}, \%good);
fields('all', $tasks{all}, \%all);
fields('bad', $tasks{bad}, \%bad);
fields('new', $tasks{new}, \%new);
fields('running', $tasks{running}, \%running);
fields('digest', $tasks{digest}, \%digest);
fields('progress', $tasks{progress}, \%progress);

# the server

like($status->{version}, qr/^\d+\.\d+\.\d+$/, 'version');
like(`'$ENV{TEST_NGINX_BINARY}' -v 2>&1`, qr{/\Q$status->{nginx}\E\b}, 'nginx');
cmp_ok(seconds($status->{now}), '>', $asked - 1, 'now, after the request');
cmp_ok(seconds($status->{now}), '<', $answered + 1, 'now, before the answer');
cmp_ok($status->{uptime_seconds}, '<', $answered - $started + 1, 'uptime');
is($status->{generation}, 1, 'generation');
is($status->{worker}, 0, 'worker');
is($status->{pid}, $tasks{good}{lease}{pid}, 'pid');
is($status->{zone}{size}, 512 * 1024, 'zone: size');
cmp_ok($status->{zone}{free}, '<', 512 * 1024, 'zone: free, less than size');
cmp_ok($status->{zone}{free}, '>', 256 * 1024, 'zone: free, most of it');
cmp_ok($status->{cpu}{limit}, '>=', 1, 'CPU: limit');
like($status->{cpu}{source}, qr/^(?:affinity|cgroup v[12]|cpuset)$/,
    'CPU: source');
is($status->{cpu}{threads}, 3, 'CPU: threads');
is($status->{cpu}{quota}, 0.8, 'CPU: quota');

# three threads may take part in each of two digests, one of which goes on

like($status->{cpu}{completed}, qr/^[1-5]$/, 'CPU: completed');

# each is cut to milliseconds

cmp_ok(abs($status->{cpu}{seconds}
           - sum(map { $_->{cpu_seconds} } values %tasks)),
    '<', 0.0005 + 0.001 * keys %tasks, 'CPU: seconds are the tasks\'');

is($status->{status}, 'degraded', 'status');
is($status->{message}, '1 of 7 background tasks is not healthy', 'message');

# the tasks

is(join(' ', map { $_->{name} } @{$status->{tasks}}),
    'good all bad new running digest progress', 'names, in their order');

is(join(' ', map { "$_=$tasks{$_}{workers}" } sort keys %tasks),
    'all=all bad=one digest=one good=one new=one progress=one running=one',
    'workers');
is(join(' ', map { "$_=$tasks{$_}{state}" } sort keys %tasks),
    'all=waiting bad=retrying digest=waiting good=waiting new=waiting '
    . 'progress=running running=running', 'states');
is(join(' ', map { "$_=$tasks{$_}{running}" } sort keys %tasks),
    'all=0 bad=0 digest=0 good=0 new=0 progress=1 running=1', 'running');
is(join(' ', grep { !$tasks{$_}{healthy} } keys %tasks), 'bad', 'healthy');
is(join(' ', grep { $tasks{$_}{overdue} } keys %tasks), '', 'overdue');

is($tasks{good}{lease}{worker}, 0, 'lease: worker');
is($tasks{good}{interval_seconds}, 5400, 'interval');
is($tasks{good}{retry_seconds}, 7, 'retry');
is($tasks{new}{interval_seconds}, 1.5, 'interval, a fraction');
is($tasks{running}{interval_seconds}, 30, 'interval, default');
is($tasks{running}{retry_seconds}, 5, 'retry, default');
is($tasks{bad}{timeout_seconds}, 0.03, 'time-out');
is($tasks{good}{timeout_seconds}, 60, 'time-out, default');

is_deeply($tasks{good}{cycles}, { completed => 1, failed => 0, cancelled => 0,
                                  consecutive_failures => 0, started => 1,
                                  declined => 0, skipped => 0, missed => 0,
                                  coalesced => 0 },
          'good: cycles');
is($tasks{good}{operations}{completed}, 3, 'good: operations');
cmp_ok($tasks{good}{operations}{bytes}, '<=', 3000, 'good: bytes');
cmp_ok($tasks{good}{io_seconds}, '>=', 0.03, 'good: I/O seconds');
cmp_ok($tasks{good}{cpu_seconds}, '==', 0, 'good: CPU seconds');

is($tasks{digest}{operations}{completed}, 1, 'digest: operations');
is($tasks{digest}{operations}{bytes}, 200_000, 'digest: bytes');
cmp_ok($tasks{digest}{io_seconds}, '==', 0, 'digest: I/O seconds');

is($tasks{progress}{progress}{total}, 64_000_000, 'progress: total');
cmp_ok($tasks{progress}{progress}{done}, '<', 64_000_000, 'progress: done');

cmp_ok($tasks{$_}{running_seconds}, '<=', $status->{uptime_seconds},
    "$_: running seconds") for qw/ running progress /;

is_deeply($tasks{bad}{cycles}, { completed => 0, failed => 1, cancelled => 0,
                                 consecutive_failures => 1, started => 1,
                                 declined => 0, skipped => 0, missed => 0,
                                  coalesced => 0 },
          'bad: cycles');
is_deeply($tasks{bad}{operations}, { completed => 0, failed => 2, bytes => 0 },
    'bad: operations');
is($tasks{bad}{last}{error}, 'simulate_io "2": timed out', 'bad: error');
is_deeply($tasks{bad}{last_failure},
    { map { $_ => $tasks{bad}{last}{$_} } qw/ error finished / },
    'bad: last failure');

# after one cycle the totals are those of the last, and the times fit

for my $name (qw/ good all digest bad /) {
    my $task = $tasks{$name};
    my $last = $task->{last};
    my $done = $task->{operations};

    is($done->{completed} + $done->{failed}, $last->{operations},
        "$name: last operations");
    is($done->{failed}, $last->{failed}, "$name: last failed");
    is($done->{bytes}, $last->{bytes}, "$name: last bytes");
    is($task->{$_}, $last->{$_}, "$name: last $_")
        for qw/ io_seconds cpu_seconds wall_seconds /;

    near($last->{finished}, seconds($last->{started}) + $last->{wall_seconds},
        "$name: finished");
    near($task->{next}, seconds($last->{finished})
         + ($name eq 'bad' ? 3600 : $task->{interval_seconds}), "$name: next");

    is($task->{last_success}, $last->{finished}, "$name: last success")
        unless $name eq 'bad';
}

# milliseconds with leading zeroes

like(poll('the first tenth of a second', sub {
    sleep 1 - (time - int time);
    my ($time) = (get('/status'))[2] =~ /"now":"([^"]*)"/;
    seconds($time) * 1000 % 1000 < 100 && $time;
}), qr/:\d\d\.0\d\dZ$/, 'milliseconds');

stop();

# no task, and none that needs a pool

start('');

$status = status();

fields('no tasks', $status, \%types);

is($status->{status}, 'ok', 'no tasks: status');
is($status->{message}, 'Server is running with background tasks',
    'no tasks: message');
is($status->{cpu}{threads}, 0, 'no tasks: threads');
is($status->{zone}{size}, 1024 * 1024, 'no tasks: zone of the default size');
is_deeply($status->{tasks}, [], 'no tasks: none');

stop();

done_testing();

###############################################################################

# an object has these fields and no others

sub fields {
    my ($name, $object, $types) = @_;

    my %values = flat($object);

    my %found = map { $_ => type($values{$_}) } keys %values;

    for (keys %found) {
        if ($found{$_} eq 'string' && $types->{$_} ne 'string') {
            $found{$_} = 'time' if $values{$_}
                =~ /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

        } elsif ($found{$_} eq 'number') {
            $found{$_} = 'seconds' if $values{$_} =~ /^\d+(?:\.\d+)?$/;
            $found{$_} = 'count' if $values{$_} =~ /^\d+$/
                && ($types->{$_} || '') eq 'count';
        }
    }

    is_deeply(\%found, $types, "$name: fields and types");
}

# {a => {b => 1}} becomes (a.b => 1)

sub flat {
    my ($object) = @_;

    return map {
        my $value = $object->{$_};
        my %inner = ref $value eq 'HASH' ? flat($value) : ();
        my $key = $_;

        ref $value eq 'HASH' ? map { ("$key.$_" => $inner{$_}) } keys %inner
                             : ($key => $value);
    } keys %$object;
}

# seconds since the epoch

sub seconds {
    my ($time) = @_;

    my ($year, $month, $day, $hour, $minute, $second) =
        $time =~ /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):([\d.]+)Z$/;

    return timegm(0, $minute, $hour, $day, $month - 1, $year) + $second;
}

# wall clock and durations are of different clocks, each read in steps

sub near {
    my ($time, $expected, $name) = @_;

    my $off = seconds($time) - $expected;

    ok(abs $off < 0.1, $name) or diag("$time is off by $off");
}
