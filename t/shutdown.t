# With all threads taken and a full queue nginx exits and reloads at once; jobs
# that waited are dropped, not run.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use BackgroundStorm;
use Test::More;
use Time::HiRes qw/ time /;

my $kind = load_kind('crash') . load_kind('gate');
my ($file, $gate) = map { dir() . "/$_" } qw/ crash gate /;

# a job that is not dropped takes its worker down; the others don't take turns
# with them

put('crash', 'always');
put('gate', '');

my $tasks = <<"EOF";
    background_threads 2 max_queue=4;
    background_task fills { workers all; retry 1h;
        gate $gate keep; gate $gate keep;
        crash $file; crash $file; crash $file; crash $file;
    }
    background_task waits { workers all; timeout 1d; simulate_io 5 delay=1h-1h; }
EOF

my $main = "$kind\nworker_processes 3; worker_rlimit_core 0; "
           . 'debug_points abort;';
my %took;

for my $case (['quit', 'QUIT'], ['stop', 'TERM']) {
    my ($name, $signal) = @$case;

    saturated();

    my $pid = master();
    my $started = time;

    signal($signal);
    poll("$name: exits", sub { gone($pid) });

    $took{$name} = time - $started;

    # nginx kills those that take more than a second

    my $killed = $name eq 'stop' ? logged(qr/exited on signal 9/) : 0;

    cmp_ok(logged(qr/background task "$_": cancelled/), '>=', 3 - $killed,
           "$name: $_ cancelled") for qw/ fills waits /;
    cmp_ok(logged(qr/background: thread pool shut down/), '>=', 3 - $killed,
           "$name: pools shut down");
    is(in_log($killed ? 'exited on signal 9' : undef), '',
       "$name: no job was run, no complaint");

    stop();
}

# reload: the old workers go, and the new ones come to the same state

saturated();

my @old = workers();
my $started = time;

signal('HUP');

poll('the old workers are gone', sub { !grep { !gone($_) } @old });

$took{reload} = time - $started;

# new workers that came to start before the old ones had left their threads have
# filled their queues, and had jobs of these since

my $status = full(10);
my %task = by_name($status);

for (qw/ fills waits /) {
    is(logged(qr/background task "$_": cancelled/), 3, "reload: $_ cancelled");
    is($task{$_}{cycles}{cancelled}, 3, "reload: $_: cancelled cycles");
    is($task{$_}{cycles}{failed}, 0, "reload: $_: none failed");
}

is($task{fills}{operations}{completed}, 0, 'reload: no job was done');
is($status->{cpu}{completed}, 0, 'reload: and none counted');
is(in_log(), '', 'reload: no job was run, no complaint');

stop();

figures(map { ("seconds to $_" => $took{$_}) } sort keys %took);

done_testing();

sub saturated {
    start($tasks, '', $main);
    full(12);
}

# two workers that have one of the threads each, or one that has both: what
# waits fills each worker's queue; but where old workers had the threads when a
# queue overflowed, it has room for each job that a thread took later

sub full {
    my ($queued) = @_;

    return poll('all threads taken, all queues full', sub {
        my $s = status();
        my %t = by_name($s);

        return $t{fills}{running} == 3 && $t{waits}{running} == 3
               && $s->{cpu}{running} == 2 && $s->{cpu}{queued} >= $queued && $s;
    });
}
