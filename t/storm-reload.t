# Many reloads under load: no request fails, no task is left alone, and at the
# end there are the configured workers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use BackgroundStorm;
use List::Util qw/ max /;
use Test::More;
use Time::HiRes qw/ sleep time /;

my $rounds = rounds(15);

put('page', 'x' x 20_000);

start(<<"EOF", "location = /page { root ${\dir()}; }", 'worker_processes 4;');
    background_threads 2;
    background_task io_one { interval 20ms; simulate_io 2 delay=1ms-30ms; }
    background_task io_all { workers all; interval 20ms; simulate_io 2 delay=1ms-30ms; }
    background_task cpu_one { interval 20ms; simulate_cpu 5ms; }
    background_task cpu_all { workers all; interval 40ms; simulate_cpu 2ms; simulate_cpu 2ms; }
    background_task digest { interval 20ms; digest ${\dir()}/page; }
    background_task long_io { workers all; timeout 1d; simulate_io 1 delay=1h-1h; }
    background_task long_cpu { simulate_cpu 1h; }
EOF

all_there(4);
load(3);
watch();

my ($slowest, $start) = (0, time);
my @old;

for my $generation (2 .. $rounds + 1) {
    @old = workers();

    my $reloaded = time;

    signal('HUP');

    poll("generation $generation", sub {
        return watch_step()->{generation} == $generation;
    });

    $slowest = max($slowest, time - $reloaded);

    # some find the workers in the middle of their start, or of their end

    my $until = time + rand 0.15;
    watch_step() while time < $until;
}

my $took = time - $start;

all_there(4, @old);

poll('each task has ended a cycle', sub {
    return !grep { $_->{name} !~ /^long/ && !$_->{cycles}{completed} }
            @{watch_step()->{tasks}};
});

my $saw = load_end();
my $watched = watch_end();
my $status = status();
my %task = by_name($status);

is($saw->{failed}, 0, 'no failed request') or diag(explain($saw->{why}));
cmp_ok($saw->{requests}, '>', 0, 'requests');
is($status->{generation}, $rounds + 1, 'generation');
poll('the configured workers', sub { workers() == 4 });
is_deeply($watched->{back}, {}, 'totals never go back');

for (sort keys %{$watched->{gap}}) {
    cmp_ok($watched->{gap}{$_}, '<', $BackgroundStatus::deadline,
           "$_: has a runner");
}

for (sort keys %task) {
    is($task{$_}{cycles}{failed}, 0, "$_: no failed cycle");
}

cmp_ok($watched->{running}, '<=', 2, 'the budget was kept');
is(in_log(), '', 'no complaint, no bad exit');

figures('reloads' => $rounds, 'seconds' => $took,
        'slowest reload' => $slowest,
        'requests' => $saw->{requests}, 'failed' => $saw->{failed},
        'slowest request' => $saw->{longest},
        'longest without a runner' => max(values %{$watched->{gap}}),
        'workers' => scalar(@{[workers()]}));

stop();
done_testing();
