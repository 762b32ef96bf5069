#!/usr/bin/env perl

# brief leaves out versions, uptime, process ids, paths and error texts, and
# nothing else.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundStatus;
use Test::More;

###############################################################################

my $dir = dir();

mkdir "$dir/secret-folder" or die "mkdir: $!\n";
put('secret-folder/secret-file', 'content');
chmod 0, "$dir/secret-folder/secret-file" or die "chmod: $!\n";

start(<<"EOF", <<'EOF2', 'worker_processes 2;');
    background_task good { interval 1d; simulate_io 1 delay=0-0; }
    background_task bad { retry 1d; digest $dir/secret-folder; }
    background_task worse {
        workers all;
        retry   1d;
        timeout 1ms;
        simulate_io 1 delay=1h-1h;
    }
    background_task running { timeout 1d; simulate_io 1 delay=1h-1h; }
EOF
    location = /brief { background_status brief; }
    location = /json-brief { background_status json task=bad brief; }
EOF2

my %tasks;

poll('tasks have good and bad cycles behind them', sub {
    %tasks = by_name(status());

    $tasks{good}{last} && $tasks{bad}{last} && $tasks{running}{running}
        && $tasks{worse}{cycles}{failed} == 2;
});

my $full = parse(my $full_body = (get('/status?history=1'))[2]);
my $brief = parse(my $body = (get('/brief?history=1'))[2]);
my $one = parse(my $one_body = (get('/json-brief'))[2]);

# what it is about is there without it

like($full_body, qr/$_/, "not brief: $_")
    for '"pid"', '"uptime_seconds"', '"version"', '"nginx"', '"error"',
        'secret-file', 'timed out', 'denied';

unlike($body, qr/$_/i, "brief: no $_")
    for 'pid', 'uptime', 'version', 'nginx', 'error', 'secret', '/', 'timed',
        'denied', 'digest';
unlike($one_body, qr/$_/i, "brief, a task: no $_")
    for 'pid', 'uptime', 'version', 'nginx', 'error', 'secret', '/', 'denied',
        'digest';

is($brief->{status}, 'degraded', 'status');
is($brief->{message}, '2 of 4 background tasks are not healthy', 'message');
is($one->{message}, '1 of 1 background tasks is not healthy', 'message of one');

# the rest is the same, but for the time and the worker that answers

delete @$_{qw/ now worker /} for $full, $brief;
delete @$full{qw/ version nginx uptime_seconds pid /};
delete @$_{qw/ running_seconds queued_seconds /}
    for map { @{$_->{tasks}} } $full, $brief;

for my $task (@{$full->{tasks}}) {
    delete $task->{error};
    delete $task->{lease}{pid} if $task->{lease};
    delete $task->{last}{error} if $task->{last};
    delete $task->{last_failure}{error} if $task->{last_failure};
    delete $task->{directives};
    delete $_->{error} for @{$task->{history}};
}

# due times are reckoned anew for each answer

for (map { @{$_->{tasks}} } $full, $brief) {
    $_->{next} = defined $_->{next} ? 'a time' : 'none';
}

is_deeply($brief, $full, 'the rest');

stop();

done_testing();
