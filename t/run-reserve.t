# "background_threads reserve=": jobs of requests leave slots and threads to
# periodic tasks, in all workers together.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundKind;
use BackgroundLife;
use BackgroundPost;
use BackgroundStatus;
use Test::More;
use Time::HiRes qw/ sleep /;

my $dir = dir();
my $hold = root() . '/t/calls/hold.c';

build_library("$dir/hold.so", $hold, '')
    && build_library("$dir/parks.so", $hold, '-DPARKS')
    or plan skip_all => 'no C compiler';

my $kind = load_kind('gate');

sub task {
    my %tasks = by_name(status_anyhow());

    return $tasks{$_[0]};
}

sub completed { task('beside')->{cycles}{completed} }

# polls for so many requests of a task that run, and others that wait

sub jobs {
    my ($task, $running, $waiting, $name) = @_;

    poll($name, sub {
        my $now = task($task);
        return $now->{running} - $now->{waiting} == $running
               && $now->{waiting} == $waiting;
    });
}

# in so many cycles jobs that let others have their slots have done so

sub goes_on {
    my ($name) = @_;

    my $before = completed();

    poll($name, sub { completed() >= $before + 100 });
}

sub answered {
    my (@clients) = @_;

    put('gate', '');
    is(code(rest($_)), 200, 'a request is answered') for @clients;
    unlink "$dir/gate";
}

# slots, with a periodic task that takes all of them, then has no jobs

put('three', '');

start(<<"EOF", 'location /hold { background_run hold; }', "$kind\nworker_processes 2;");
    background_threads 3 reserve=1 max_queue=4 priority=0 quota=100;
    background_task hold   { interval off; call hold.so hold $dir/gate; }
    background_task three  { interval 1h; gate $dir/three keep;
                             gate $dir/three keep; gate $dir/three keep; }
    background_task beside { interval 10ms; workers all;
                             simulate_cpu 1ms; simulate_cpu 1ms; }
EOF

poll('a periodic task takes all slots', sub {
    my $status = status_anyhow();
    my %tasks = by_name($status);

    return $status->{cpu}{running} == 3 && !$tasks{three}{waiting};
});

my @held = begin('/hold', '');

jobs('hold', 0, 1, 'a request waits');

unlink "$dir/three" or die "unlink: $!\n";

jobs('hold', 1, 0, 'it has a slot then');

push @held, map { begin('/hold', '') } 1 .. 3;

jobs('hold', 2, 2, 'two have a slot, two wait');
goes_on('periodic jobs have the third');
jobs('hold', 2, 2, 'requests still wait');

# both workers' queues are full of requests; which one gets a request is not
# known

poll('as many requests wait as may', sub {
    push @held, begin('/hold', '');

    my $task = task('hold');
    return $task->{waiting} == 2 * 4 && $task->{cycles}{declined};
});

goes_on('periodic jobs have a queue of their own');

is(task('beside')->{cycles}{failed}, 0, 'none of them has failed');

put('gate', '');

my %codes;
$codes{code(rest($_))}++ for @held;

is(join(' ', sort keys %codes), '200 503', 'requests are answered, or refused');
is($codes{200}, 2 + 2 * 4, 'as many as ran and waited');

unlink "$dir/gate";

stop();

# a periodic job on a reserved slot gives way to its like only

put('three', '');

start(<<"EOF", 'location /hold { background_run hold; }', "$kind\nworker_processes 2;");
    background_threads 2 reserve=1 priority=0 quota=100;
    background_task hold  { interval off; call hold.so hold $dir/gate; }
    background_task stays { interval 1h; gate $dir/three; }
EOF

poll('a periodic job', sub { status_anyhow()->{cpu}{running} == 1 });

@held = map { begin('/hold', '') } 1 .. 5;

jobs('hold', 1, 4, 'a request has the other slot');

my $gave = 0;

for (1 .. 100) {
    $gave++ if status_anyhow()->{cpu}{running} != 2;
    sleep 0.01;
}

is($gave, 0, 'the periodic job keeps its slot');

unlink "$dir/three" or die "unlink: $!\n";
answered(@held);

stop();

# threads: requests' jobs that have left their slots to others stay on theirs

start(<<"EOF", 'location /parks { background_run parks; }', "$kind\nworker_processes 1;");
    background_threads 3 per_worker=1 reserve=1 priority=0 quota=100;
    background_task parks  { interval off; call parks.so hold $dir/gate; }
    background_task beside { interval 10ms; simulate_cpu 1ms; }
EOF

is(scalar(my @threads = threads(a_worker())), 1 + 4 + 1, 'threads');

@held = map { begin('/parks', '') } 1 .. 12;

jobs('parks', 1 + 4, 12 - (1 + 4), 'requests have all of theirs');
goes_on('a periodic job has one');
jobs('parks', 1 + 4, 12 - (1 + 4), 'the other requests wait');

answered(@held);

stop();

done_testing();
