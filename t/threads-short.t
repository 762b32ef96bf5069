# Jobs that are shorter than it takes to read their CPU time: all together it is
# what the threads had, and "quota" is kept.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $jobs = 4000;
my $kind = load_kind('spin');

my $last = run('');
my $used = used(a_worker());

is($last->{operations} - $last->{failed}, $jobs, 'all jobs');
cmp_ok($last->{cpu_seconds}, '<=', 1.2 * $used,
       'they have no more CPU time than the threads had');
cmp_ok($last->{cpu_seconds}, '>=', 0.8 * $used, 'nor less');

my $cpu = status()->{cpu};

is($cpu->{completed}, $jobs, 'all are counted');
cmp_ok(abs($cpu->{seconds} - $last->{cpu_seconds}), '<', 0.002,
       'with the same CPU time');

stop();

# not niced, as on a busy machine that might be all that is left for it

$last = run('quota=20%');

cmp_ok($last->{wall_seconds}, '>=', ($last->{cpu_seconds} - 0.02) / 0.2,
       'they pace themselves');

stop();
done_testing();

sub run {
    my ($quota) = @_;

    my $work = 'spin 7; ' x $jobs;

    start("background_threads 1 max_queue=$jobs priority=0 $quota;"
          . "background_task short { interval 1h; $work }", '', $kind);

    return poll('the jobs are over', sub { status()->{tasks}[0]{last} });
}

# the CPU time of the threads of the worker but the main one, in seconds

sub used {
    my ($worker) = @_;

    my $used = 0;

    for (threads($worker)) {
        my ($ns) = split ' ', read_file("/proc/$worker/task/$_/schedstat");

        $used += $ns / 1e9;
    }

    return $used;
}
