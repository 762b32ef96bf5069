# A reload cancels a cycle that a schedule, another task or an order has started,
# and it starts again in the new worker.  So does a cycle whose worker crashed in
# another task.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundControl;
use BackgroundLife;
use BackgroundStatus;
use BackgroundUpstream;
use Test::More;

my $dir = dir();

# a request ends when the test says so

second_nginx(<<"EOF_SECOND");
    server {
        listen unix:$dir/second.sock;
        location / {
            if (-f $dir/go) { return 200; }
            proxy_pass http://unix:$dir/hold:;
        }
        location /hold/first {
            if (-f $dir/first) { return 200; }
            proxy_pass http://unix:$dir/hold:;
        }
    }
EOF_SECOND

upstream('hold');

sub task {
    my %task = by_name(status("/status?history=1&task=$_[0]"));
    return $task{$_[0]};
}

sub order {
    my ($name, $what) = @_;

    return code("/control/$name/$what");
}

put('crash.c', <<'EOF_C');
#include <ngx_http_background_call.h>
#include <stdlib.h>

NGX_HTTP_BACKGROUND_CALL(crash) { (void) call; abort(); }
EOF_C

build_library("$dir/crash.so", "$dir/crash.c")
    or plan skip_all => 'no C compiler';

# in two hours, so that only orders start it, or each minute

my $later = ((gmtime)[2] + 2) % 24;

put('first', '');

start('', <<"EOF_SERVER", 'worker_processes 1;');
    location /control/ { background_control run pause cancel; }
    location /hold { proxy_pass http://unix:$dir/second.sock; }

    background_task minutely {
        schedule "* * * * *";
        timeout 1h;
        request /hold;
    }
    background_task ordered {
        schedule "0 $later * * *" timezone=UTC;
        timeout 1h;
        request /hold;
    }
    background_task off {
        interval off;
        timeout 1h;
        request /hold;
    }
    background_task often {
        interval 1h;
        timeout 1h;
        request /hold/first;
    }
    background_task first { interval off; simulate_io 1 delay=0-0; }
    background_task follows {
        after first;
        timeout 1h;
        request /hold "header=Cause:\$background_cause";
    }
    background_task crash { interval off; call $dir/crash.so crash; }
    background_task cancelled {
        interval off;
        timeout 1h;
        request /hold;
    }
EOF_SERVER

my %cause = (minutely => 'schedule', ordered => 'control', off => 'control',
             often => 'control', follows => 'after');

# the first cycle of an interval is over

my %before = (often => 1);

poll('often: a cycle', sub { task('often')->{cycles}{completed} });
unlink "$dir/first" or die "unlink: $!\n";

is(order($_, 'run'), 202, "$_: run") for
    qw/ ordered off often first cancelled /;

poll("$_ runs", sub { task($_)->{running} }) for sort(keys %cause), 'cancelled';

order('cancelled', 'cancel');
poll('it is cancelled', sub { task('cancelled')->{cycles}{cancelled} });

my $reloads = 2;

for my $n (1 .. $reloads) {
    my %old = map { $_ => 1 } workers();

    signal('HUP');

    for my $name (sort keys %cause) {
        my $task = poll("$name: again", sub {
            my $task = task($name);
            $task->{lease} && !$old{$task->{lease}{pid}} && $task->{running}
                && $task;
        });

        is($task->{cycles}{cancelled}, $n, "reload $n: $name is cancelled");
        is($task->{cycles}{started}, $n + 1 + ($before{$name} // 0),
           'and starts again');
        is($task->{causes}[-1]{cause}, $cause{$name}, 'its cause');
    }
}

# a crash of another task

{
    local $BackgroundStatus::quiet = 1;

    # the worker may be gone before it answers

    eval { order('crash', 'run') };

    for my $name (sort keys %cause) {
        my $task = poll("$name: after a crash", sub {
            my $task = eval { task($name) };
            $task && $task->{cycles}{cancelled} == $reloads + 1
                && $task->{running} && $task;
        });

        is($task->{cycles}{failed}, 0, "a crash: $name has not failed");
        is($task->{cycles}{started}, $reloads + 2 + ($before{$name} // 0),
           'and starts again');
        is($task->{causes}[-1]{cause}, $cause{$name}, 'its cause');
    }
}

put('error.log', join '', grep { !/exited on signal 6|"crash": failed/ }
                          split /^/, log_text());

put($_, '') for qw/ go first /;

# the held requests never end: their last cycles are cancelled by a reload, too

signal('HUP');

for my $name (sort keys %cause) {
    my $n = ($before{$name} // 0) + 1;
    my $task = poll("$name: completed", sub {
        my $task = task($name);
        $task->{cycles}{completed} >= $n && $task->{running} == 0 && $task;
    });

    cmp_ok($task->{cycles}{completed}, '==', $n, "$name: once")
        if $name ne 'minutely';
}

is(task('follows')->{cycles}{coalesced}, 0, 'no end is counted twice');

# nothing is left to be done again

my %started = map { $_ => task($_)->{cycles}{started} } keys %cause;
my $generation = status()->{generation};

signal('HUP');
poll('another reload', sub {
    my $status = status();
    $status->{generation} > $generation
        && !grep { !$_->{lease} } @{$status->{tasks}};
});
order('first', 'run');
poll('follows', sub { task('follows')->{cycles}{completed} == 2 });

is(task($_)->{cycles}{started}, $started{$_}, "$_: not after it has ended")
    for qw/ ordered off often /;
is(task('cancelled')->{cycles}{started}, 1, 'nor if it was ordered to stop');

stop();
stop_second();

done_testing();
