# Reloads under load that add and remove tasks, and change intervals, threads
# and workers at random; a few are refused.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use BackgroundStorm;
use List::Util qw/ max shuffle /;
use Test::More;
use Time::HiRes qw/ sleep time /;

my $rounds = rounds(15);
my $seed = $ENV{BACKGROUND_STORM_SEED} || time % 1_000_000;

srand $seed;
put('page', 'x' x 20_000);

start(change(), "location = /page { root ${\dir()}; }",
      'worker_processes 4; worker_shutdown_timeout 20s;');

load(3);
watch();

my ($generation, $refused, $names, $start) = (1, 0, 0, time);

for my $round (1 .. $rounds) {
    my ($text, $n) = (change(), 1 + int rand 4);
    my $bad = rand() < 0.1;

    $text =~ s/interval [^;]*;/interval 0;/ if $bad;

    put('nginx.conf', read_file(dir() . '/nginx.conf')
        =~ s/# tasks\n.*# end\n/$text/sr
        =~ s/worker_processes \d+;/worker_processes $n;/r);

    signal('HUP');

    if ($bad) {
        $refused++;

        poll('refused', sub {
            return logged(qr/invalid time "0"/) == $refused;
        });

        is(status()->{generation}, $generation, 'the configuration stays');

    } else {
        $generation++;

        poll("generation $generation", sub {
            return watch_step()->{generation} == $generation;
        });
    }

    my $until = time + rand 0.1;
    watch_step() while time < $until;
}

my $took = time - $start;

# one more, with everything known

put('nginx.conf', read_file(dir() . '/nginx.conf') =~ s/# tasks\n.*# end\n/<<'EOF'/ser
    background_threads 3;
    background_zone 4m;
    background_task one { interval 10ms; simulate_io 2 delay=1ms-9ms; }
    background_task all { workers all; interval 10ms; simulate_io 2 delay=1ms-9ms; }
    background_task cpu { workers all; interval 1h; retry 10ms; simulate_cpu 1h; simulate_cpu 1h; }
EOF
    =~ s/worker_processes \d+;/worker_processes 4;/r);

my @old = workers();

signal('HUP');
all_there(4, @old);

my %last;

poll('all tasks run', sub {
    my $status = watch_step();
    %last = by_name($status);

    return $last{one}{cycles}{completed} > 5
           && $last{all}{cycles}{completed} > 20
           && $last{cpu}{running} == 4 && $status->{cpu}{running} == 3;
});

my $saw = load_end();
my $watched = watch_end();

is($saw->{failed}, 0, 'no failed request') or diag(explain($saw->{why}));
is(status()->{generation}, $generation + 1, 'generation');
poll('the configured workers', sub { workers() == 4 });
is(join(' ', map { $_->{name} } @{status()->{tasks}}), 'one all cpu',
   'the configured tasks');
is(in_log(qr/invalid time "0"/), '', 'no complaint, no bad exit');

figures('seed' => $seed, 'reloads' => $rounds, 'of them refused' => $refused,
        'seconds' => $took,
        'requests' => $saw->{requests}, 'failed' => $saw->{failed},
        'slowest request' => $saw->{longest},
        'workers' => scalar(@{[workers()]}));

put('error.log', join '', grep { !/invalid time "0"/ } split /^/, log_text());

stop();
done_testing();

# tasks by chance: some of a few names that come again, and new ones

sub change {
    my @names = ((shuffle map { "task$_" } 1 .. 8)[0 .. rand 6],
                 map { 'new' . ++$names } 1 .. 1 + rand 3);
    my $text = "# tasks\n    background_zone 4m;\n    background_threads "
               . (1 + int rand 5) . ";\n";

    for my $name (@names) {
        my @operations = (
            'simulate_io ' . (1 + int rand 4) . ' delay=1ms-' . chance(300),
            'simulate_cpu ' . chance(20),
            'digest ' . dir() . '/page',
            'simulate_cpu 1h',
        );

        $text .= "    background_task $name { workers "
                 . (rand() < 0.5 ? 'one' : 'all')
                 . '; interval ' . chance(200) . '; retry ' . chance(100)
                 . '; ' . join(' ', map { "$operations[rand @operations];" }
                                        0 .. rand 3) . " }\n";
    }

    return "$text# end\n";
}

sub chance { 1 + int(rand $_[0]) . 'ms' }
