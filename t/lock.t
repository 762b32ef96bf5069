# "lock": of the tasks with the same name one has a cycle at a time, whichever
# worker it is in; its death frees it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

sub task { my %task = by_name(status("/status?task=$_[0]")); $task{$_[0]} }

start(<<"EOF", '', 'worker_processes 2;');
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
    background_task a { lock three; interval 1ms; simulate_io 1 delay=5ms-5ms; }
    background_task b { lock three; interval 1ms; simulate_io 1 delay=5ms-5ms; }
    background_task c { lock three; interval 1ms; simulate_io 1 delay=5ms-5ms; }
EOF

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

# dead, it has none

my $pid = task($has)->{lease}{pid};

signal('KILL', $pid);

poll('it goes on', sub {
    my %task = by_name(status_anyhow());

    return grep { $task{$_}{running} && $task{$_}{lease}
                  && $task{$_}{lease}{pid} != $pid } 'long', 'other';
});

# in turns, and never at the same time

for (1 .. 50) {
    my %task = by_name(status_anyhow());
    my $n = grep { $task{$_}{running} } qw/ a b c /;

    $n <= 1 or fail("$n at the same time");
}

pass('never at the same time');

poll("$_ comes to its turn", sub { task($_)->{cycles}{completed} >= 3 })
    for qw/ a b c /;

done_testing();
