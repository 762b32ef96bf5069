# "exec": a command is in the budget while it runs, and "kill=" is the time that
# it has to end.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundControl;
use BackgroundExec;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $dir = dir();
my $control = 'location /control/ { background_control run; }';

mkdir "$dir/pids" or die "mkdir: $!\n";
for_workers("$dir/pids");

sub task {
    my %task = by_name(status("/status?task=$_[0]"));

    return $task{$_[0]};
}

sub order {
    my ($name) = @_;

    is(code("/control/$name/run"), 202, "$name: an order");
}

# the processes of a task's commands, so far

sub pids { map { /\.(\d+)$/ } glob "$dir/pids/$_[0].*" }

script(waits => "while [ ! -e $dir/end ]; do sleep 0.05; done");

start(<<"EOF", $control, 'worker_processes 2;');
    background_threads 1;
    background_task first { interval off; exec $dir/waits; }
    background_task second { workers all; interval off; exec /bin/true; }
    background_task clock { interval 20ms; simulate_io 1 delay=1ms-1ms; }
EOF

poll('helpers', sub { helpers() == 2 });
order('first');
poll('a command', sub { commands() == 1 });
order('second');
poll('it is under way', sub { task('second')->{running} == 2 });

my $then = task('clock')->{cycles}{completed};
poll('time', sub { task('clock')->{cycles}{completed} >= $then + 20 });

is(task('second')->{cycles}{completed}, 0,
   'a command waits for the one that has the budget, in either worker');

put('end', '');
ok(poll('both', sub { task('second')->{cycles}{completed} == 2 }),
   'it starts when that has ended');
stop();

script(deaf => "trap '' TERM; : > $dir/pids/\$BACKGROUND_TASK.\$\$;"
               . ' while :; do sleep 0.05; done');

start(<<"EOF", $control, 'worker_processes 1;');
    background_threads 4;
    background_task late { interval off; retry 10ms; timeout 500ms; exec $dir/deaf kill=1h; }
    background_task soon { interval off; retry 10ms; timeout 500ms; exec $dir/deaf kill=100ms; }
EOF

# its time may be over before the command begins, then the next cycle has one

order('late');
poll('it does not end', sub { task('late')->{abandoned} && pids('late') });

my $late = (pids('late'))[-1];

order('soon');
ok(poll('two are gone', sub {
    my @pids = pids('soon');
    return @pids >= 2 && @pids - alive(@pids) >= 2;
}), 'SIGKILL after "kill="');
ok(alive($late), 'and not before');

stop();
ok(poll('it is gone', sub { !alive($late) }), 'but at a stop');

done_testing();
