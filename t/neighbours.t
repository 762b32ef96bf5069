# A job that crashes ends other tasks' cycles in that worker, too.  These are
# cancelled: what is known of the task stays, and the cycle runs again.  Where
# it is not known whose fault a death is, they failed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundPeer;
use BackgroundStatus;
use Test::More;

my $dir = dir();
my $kind = join "\n", map { load_kind($_) } qw/ crash gate arrive /;
my %gate = map { $_ => unix_listener($_) } qw/ good fails /;

mkdir "$dir/files" or die "mkdir: $!\n";
chmod 0777, "$dir/files" or die "chmod: $!\n";
put('closed', '');

my $tasks = join '', map { <<"EOF" } qw/ good fails /;
    background_task $_ {
        interval 100ms; retry 100ms; timeout 1h; health fails=1; request /gate/;
    }
EOF

start(<<"EOF", <<"EOF2", "$kind\nworker_processes 1; worker_rlimit_core 0;");
    background_threads 8;
    background_task bad { interval 20ms; retry 20ms; crash $dir/files/crash; }
    background_task job { interval 100ms; health fails=1; gate $dir/closed; }
    background_task asked { interval off; answer $dir/opened; }
EOF
    $tasks
    location /gate/ {
        set \$empty         "";
        proxy_pass         http://unix:$dir/\$background_task:/\$empty;
    }
    location /asked { arrive asked; }
    location /metrics { background_status prometheus; }
EOF2

my (%held, %task);

# one has had a good cycle, the other one has failed, and the next are under way

hold();
answer($held{good}, 200);
answer($held{fails}, 500);
hold();

my @clients = map { client() } 1 .. 3;

poll('all run', sub {
    %task = by_name(status());

    return $task{job}{running} && $task{asked}{running} == 3;
});

my %before = %task;

for my $n (1 .. 2) {
    replace('files/crash', 'once');

    poll("crash $n", sub {
        %task = by_name(status_anyhow());
        return $task{bad}{cycles}{failed} == $n && $task{job}{running};
    });

    # they run again, at once

    hold();
    %task = by_name(status());

    for my $name (qw/ good fails job /) {
        is($task{$name}{cycles}{cancelled}, $n, "$name: cancelled");
        is($task{$name}{cycles}{$_}, $before{$name}{cycles}{$_}, "$name: $_")
            for qw/ failed completed consecutive_failures /;
        is_deeply($task{$name}{$_}, $before{$name}{$_}, "$name: $_")
            for qw/ last last_failure last_success healthy operations /;
        is(logged(qr/\[notice\] .*"$name": 1 cycles cancelled, their worker process died of SIGSEGV in another task$/m),
           $n, "$name: logged");
    }

    ok($task{good}{healthy}, 'good: healthy');
    ok(!$task{fails}{healthy}, 'fails: not healthy');
    like($task{fails}{last}{error}, qr/unexpected status 500/, 'fails: error');
}

is($task{asked}{cycles}{cancelled}, 3, 'asked: cancelled');
is($task{asked}{cycles}{failed}, 0, 'asked: not failed');
ok($task{asked}{healthy}, 'asked: healthy');
is($task{bad}{last_failure}{error},
   'worker process died during the cycle: SIGSEGV', 'bad: failed');

# nobody knows why; each one of several cycles is counted

@clients = map { client() } 1 .. 3;

poll('they run', sub {
    %task = by_name(status());
    return $task{asked}{running} == 3;
});

signal('KILL', workers());

poll('recorded', sub {
    %task = by_name(status_anyhow());
    return $task{asked}{cycles}{failed} && $task{job}{cycles}{failed}
           && $task{good}{cycles}{failed};
});

is($task{asked}{cycles}{failed}, 3, 'asked: failed');
is($task{$_}{last}{error}, 'worker process died during the cycle',
   "$_: failed") for qw/ asked job good /;
ok(!$task{$_}{healthy}, "$_: not healthy") for qw/ job good /;

my (undef, undef, $metrics) = get('/metrics');

is(metric('cycle_duration_seconds_count'), 3, 'their durations');
is(metric('cycle_duration_seconds_bucket', 'le="+Inf"'), 3,
   'their durations, the last bucket');
cmp_ok(abs(metric('cycle_duration_seconds_sum')
           - 3 * $task{asked}{last}{wall_seconds}), '<', 0.002,
       'and the sum of these');

put('error.log', join '', grep { !/exited on signal/ } split /^/, log_text());

stop();
done_testing();

# the next cycle of each is under way

sub hold { $held{$_} = asked($gate{$_}) for sort keys %gate }

sub client {
    my $socket = BackgroundStatus::connection() or die "connect: $!\n";

    print $socket "POST /asked HTTP/1.1\r\nHost: test\r\n"
                  . "Content-Length: 1\r\n\r\nx";
    $socket->flush;

    return $socket;
}

sub metric {
    my ($name, $label) = @_;

    $label = $label ? ",$label" : '';

    return $metrics =~ /^nginx_background_$name\{task="asked"\Q$label\E\} (\S+)$/m
           ? $1 : 'none';
}
