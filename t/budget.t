# At most "background_threads" jobs at once in all the workers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $kind = load_kind('gate');
my $gate = dir() . '/gate';

put('gate', '');

start(<<"EOF", '', "$kind\nworker_processes 4;");
    background_threads 2 max_queue=3;
    background_task burns {
        workers all; interval 1h; timeout 1d;
        gate $gate keep; gate $gate keep; simulate_cpu 20ms;
    }
EOF

poll('two run, all others wait', sub {
    my $s = status();

    return $s->{cpu}{running} == 2 && $s->{cpu}{queued} == 10;
});

unlink $gate or die "unlink: $!\n";

my ($s, $most) = (undef, 0);

poll('all done', sub {
    $s = status();
    $most = $s->{cpu}{running} if $s->{cpu}{running} > $most;

    return $s->{tasks}[0]{cycles}{completed} == 4;
});

cmp_ok($most, '<=', 2, 'no more than the budget');

is($s->{cpu}{completed}, 12, 'jobs');
is($s->{tasks}[0]{operations}{completed}, 12, 'operations');
cmp_ok($s->{cpu}{seconds}, '>=', 0.08, 'thread CPU time');
is($s->{cpu}{queued}, 0, 'none waits');

# a worker has a thread for each slot, and four for jobs that leave theirs

is(scalar(@{[threads($_)]}), 2 + 4, "threads of $_") for workers();

stop();

# the queue's end

put('gate', '');

start(<<"EOF", '', $kind);
    background_threads 1 max_queue=1 priority=0;
    background_task first { interval 1h; retry 1h; gate $gate keep; simulate_cpu 1ms; simulate_cpu 1ms; }
EOF

poll('one waits', sub { status()->{cpu}{queued} == 1 });
unlink $gate or die "unlink: $!\n";

poll('failed', sub { status()->{tasks}[0]{cycles}{failed} });

my $task = status()->{tasks}[0];

is($task->{last}{error}, 'simulate_cpu "1ms": queue overflow: 1 jobs waiting',
   'queue overflow');
is($task->{last}{failed}, 1, 'one operation failed');
is($task->{last}{operations}, 3, 'of three');

stop();

# no pool without a CPU operation

start('background_task waits { simulate_io 1 delay=1h-1h; }');
poll('runs', sub { status()->{tasks}[0]{running} });
is(scalar(@{[threads($_)]}), 0, 'no threads') for workers();
is(logged(qr/thread pool/), 0, 'nothing of a pool in the log');
stop();

done_testing();
