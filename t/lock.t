# "lock": of the tasks with the same name one has a cycle at a time, whichever
# worker it is in; its death frees it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundControl;
use BackgroundExec;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

sub task { my %task = by_name(status("/status?task=$_[0]")); $task{$_[0]} }

my $dir = dir();

mkdir "$dir/pids" or die "mkdir: $!\n";
for_workers("$dir/pids");
script(deaf => "trap '' TERM; : > $dir/pids/deaf;"
               . " while [ ! -e $dir/end ]; do sleep 0.05; done");

start(<<"EOF", <<'EOF2', 'worker_processes 2;');
    background_threads 2;
    background_task long {
        lock one;
        interval 1h;
        timeout 2h;
        simulate_io 1 delay=1h-1h;
    }
    background_task other {
        lock one;
        interval 20ms;
        timeout 2h;
        simulate_io 1 delay=1h-1h;
    }
    background_task free { lock two; interval 20ms; simulate_io 1 delay=1ms-1ms; }
    background_task a { lock three; interval 1ms; simulate_io 1 delay=100ms-100ms; }
    background_task b { lock three; interval 1ms; simulate_io 1 delay=100ms-100ms; }
    background_task c { lock three; interval 1ms; simulate_io 1 delay=100ms-100ms; }
    background_task deaf {
        lock four;
        interval off;
        retry 10ms;
        timeout 200ms;
        exec $dir/deaf kill=1h;
    }
    background_task later { lock four; interval off; simulate_io 1 delay=1ms-1ms; }
    background_task wanted { lock four; interval off; simulate_io 1 delay=1ms-1ms; }
EOF
    location /control/ { background_control run; }
    location /wanted { background_run wanted; }
EOF2

my ($has, $waits) = @{poll('one of them runs', sub {
    my %task = by_name(status());

    return $task{long}{running} ? ['long', 'other']
           : $task{other}{running} ? ['other', 'long'] : 0;
})};

my $before = task('free')->{cycles}{completed};
poll('those with another lock run', sub {
    task('free')->{cycles}{completed} >= $before + 20
});

is(task($waits)->{cycles}{started}, 0, 'the other one waits');
ok(task($waits)->{healthy}, 'and is not late');

# a job that does not stop at its time-out has it still

is(code('/control/deaf/run'), 202, 'a job');

# its time may be over before the command begins, then the next cycle has one

poll('abandoned', sub {
    return 0 unless -e "$dir/pids/deaf";
    my $task = task('deaf');
    return $task->{cycles}{failed} && $task->{abandoned};
});
is(code('/control/later/run'), 202, 'another task of that lock');
is(code('/wanted'), 503, 'a request that wants a third one is refused');

$before = task('free')->{cycles}{completed};
poll('others run', sub { task('free')->{cycles}{completed} >= $before + 20 });
is(task('later')->{cycles}{started}, 0, 'it waits for the job');

put('end', '');
poll('it runs then', sub { task('later')->{cycles}{completed} });
poll('the lock is free', sub { code('/wanted') =~ /^20/ });
pass('and so do requests');

# dead, it has none

my $pid = task($has)->{lease}{pid};

signal('KILL', $pid);

poll('it goes on', sub {
    my %task = by_name(status_anyhow());

    return grep { $task{$_}{running} && $task{$_}{lease}
                  && $task{$_}{lease}{pid} != $pid } 'long', 'other';
});

# In turns, and never at the same time.  One may end and another one start while
# a status is made: those run at the same time that still have the same cycle in
# the next one.

my (%first, %seen, %both);

poll('each comes to its turn', sub {
    my %task = by_name(status_anyhow());
    my %now = map { $_ => $task{$_}{cycles}{started} }
              grep { $task{$_}{running} } qw/ a b c /;
    my @still = grep { ($seen{$_} // 0) == $now{$_} } sort keys %now;

    $both{"@still"} = 1 if @still > 1;
    $first{$_} //= $task{$_}{cycles}{completed} for qw/ a b c /;
    %seen = %now;

    return !grep { $task{$_}{cycles}{completed} < $first{$_} + 3 } qw/ a b c /;
});

is(join(', ', sort keys %both), '', 'never at the same time');

done_testing();
