# An order to run a task that waits for its lock with a cycle of another cause
# gets a cycle of its own, and then there may be another order.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundClock;
use BackgroundControl;
use BackgroundLife qw/ reconfigure /;
use BackgroundStatus;
use Test::More;

my $operation = 'simulate_io 1 delay=1ms-1ms;';
my $holder = <<'EOF';
    background_task holder {
        lock one;
        interval off;
        timeout 2h;
        simulate_io 1 delay=1h-1h;
    }
EOF
my $locations = 'location /control/ { background_control run cancel; }';

sub task {
    my %task = by_name(status("/status?history=1&task=$_[0]"));
    return $task{$_[0]};
}

sub completed {
    my ($name, $n) = @_;

    poll("$name: $n cycles", sub { task($name)->{cycles}{completed} == $n });
}

sub hold {
    is(code('/control/holder/run'), 202, 'a task');
    poll('has the lock', sub { task('holder')->{running} });
}

sub free { is(code('/control/holder/cancel'), 202, 'the lock is free') }

sub causes {
    return join ' ', map { $_->{cause} } @{task($_[0])->{causes}};
}

# "mark" is after the other tasks in the configuration.  The worker reads the
# orders of all tasks in that order, so between two cycles of it all were read.

my $marks = 0;

sub orders_read {
    for (1 .. 2) {
        code('/control/mark/run') == 202 or die "mark: no order\n";
        completed('mark', ++$marks);
    }
}

# the cycle that waits follows another task

start(<<"EOF", $locations, 'worker_processes 1;');
    background_zone 1m;
    $holder
    background_task source { interval off; $operation }
    background_task waits { after source; lock one; $operation }
    background_task mark { interval off; $operation }
EOF

hold();
is(code('/control/source/run'), 202, 'a cycle that another task follows');
completed('source', 1);
orders_read();

is(code('/control/waits/run'), 202, 'after: an order');
orders_read();
is(task('waits')->{cycles}{started}, 0, 'after: both cycles wait');
is(code('/control/waits/run'), 409, 'after: another order does not');

free();
completed('waits', 2);
is(causes('waits'), 'after control', 'after: both get their cycle');
is(code('/control/waits/run'), 202, 'after: another order');
completed('waits', 3);

# an order that waits stays in a zone of another size

hold();
is(code('/control/waits/run'), 202, 'zone: an order');
orders_read();
is(task('waits')->{cycles}{started}, 3, 'zone: it waits');
reconfigure('background_zone 1m;', 'background_zone 2m;');
completed('waits', 4);

stop();

# the cycle becomes due while the one that was ordered waits

SKIP: {
    skip clock_missing(), 1 if clock_missing();

    clock_start('2026-03-29 00:50:45', <<"EOF", $locations,
    $holder
    background_task waits {
        schedule "* * * * *" timezone=UTC;
        lock one;
        $operation
    }
EOF
        'worker_processes 1;');

    hold();

    my $before = task('waits');

    is(code('/control/waits/run'), 202, 'schedule: an order');
    poll('a cycle is due', sub {
        task('waits')->{next} ne $before->{next}
    });
    is(task('waits')->{cycles}{started}, $before->{cycles}{started},
       'schedule: both cycles wait');

    free();
    poll('schedule: the order gets its cycle', sub {
        causes('waits') =~ /schedule control/
    });
    poll('schedule: another order', sub { code('/control/waits/run') == 202 });
    stop();
}

done_testing();
