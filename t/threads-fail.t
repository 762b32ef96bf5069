# A limit of tasks that nginx does not see, as a pod's: a worker lives with the
# threads that could be made, or with none.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

BEGIN {
    $ENV{BACKGROUND_NGINX} = $ENV{TEST_NGINX_BINARY} || 'nginx';
    $ENV{TEST_NGINX_BINARY} = "$FindBin::Bin/lib/in-group.sh";
}

use BackgroundCgroup;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my ($group, $why) = v1_group('pids', 'pids.max');
plan skip_all => $why unless $group;

plan skip_all => 'unshare(CLONE_NEWNS) or umount(2) is not permitted'
    if system("unshare -m sh -c 'umount -l ${\point()}' > /dev/null 2>&1");

$ENV{BACKGROUND_GROUP} = $group;
$ENV{BACKGROUND_HIDDEN} = point();

my $task;

# the master, the worker, and their threads

begin(5);

poll('a job runs on the threads that there are', sub {
    $task = status()->{tasks}[0];
    return $task->{cycles}{completed};
});

# a sanitizer has threads of its own

my $worker = a_worker();
my $n = threads($worker);
my $all = () = map { glob "/proc/$_/task/*" } master(), $worker;

cmp_ok($n, '>', 0, 'threads');
is($all, 5, 'as many as were possible');
is(logged(qr/\[warn\].*only $n of 8 threads could be made/), 1, 'logged');

end();

# no thread at all

begin(2);

poll('a job fails', sub {
    $task = status()->{tasks}[0];
    return $task->{cycles}{failed};
});

like($task->{last}{error}, qr/the worker has no threads/, 'with the reason');
is(threads(a_worker()), 0, 'no threads');
is(logged(qr/\[alert\].*no threads in this worker, jobs fail/), 1, 'logged');

end();

done_testing();

sub begin {
    my ($max) = @_;

    spew("$group/pids.max", $max);

    start('background_threads 4; '
          . 'background_task t { interval 50ms; simulate_cpu 1ms; }');
}

sub end {
    is(logged(qr/instead of/), 0, 'the limit is not seen');
    is(logged(qr/exited (?:with|on)/), 0, 'the worker lives');

    # what it complained of is tested

    put('error.log', '');

    # LeakSanitizer aborts a process that exits if it can't clone() for its look

    spew("$group/pids.max", 'max');
    stop();
}

sub point {
    for (split /\n/, slurp('/proc/self/mountinfo')) {
        my ($left, $right) = split / - /;
        my $point = (split / /, $left)[4];

        return $point if $right =~ /^cgroup .*\bpids\b/
                         && $group =~ m{^\Q$point\E/};
    }

    die "no mount of $group\n";
}
