# During an upgrade of nginx's binary an order to run a task is for the binary that
# has it: the other one refuses it, and does not keep it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundControl;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $env = join ' ', map { "env ${_}_OPTIONS;" } qw/ ASAN LSAN UBSAN TSAN /;

start(<<'EOF', <<'EOF2', "daemon on; worker_processes 1; $env");
    background_task t { interval off; simulate_io 1 delay=1ms-1ms; }
    background_task mark { interval off; simulate_io 1 delay=1ms-1ms; }
EOF
    location /control/ { background_control run; }
EOF2

my ($old, $new) = new_binary(1);
my ($worker) = active_workers($old);

poll('the new one waits for the task', sub {
    logged(qr/"t": waits for a worker of another zone/);
});

# only the new one answers

signal('STOP', $worker);
poll('it stands still', sub { process_stat($worker)->[0] eq 'T' });

is(code('/control/t/run'), 409, 'an order');
is(logged(qr/"t" is not run, a worker of another zone has it/), 1, 'logged');

signal('CONT', $worker);
signal('WINCH', $old);
poll('the old workers are gone', sub { !active_workers($old) });
poll('the new one has the task', sub { logged(qr/"$_": started$/m) == 2 })
    for qw/ t mark /;

is(code('/control/mark/run'), 202, 'another order');
poll('it runs', sub { my %task = by_name(status()); $task{mark}{cycles}{completed} });

my %task = by_name(status());

is($task{t}{cycles}{started}, 0, 'the refused one does not run');
is(code('/control/t/run'), 202, 'another order');
poll('it runs', sub { my %task = by_name(status()); $task{t}{cycles}{completed} });

signal('QUIT', $new);
poll('the new one is gone', sub { gone($new) });

stop();
done_testing();
