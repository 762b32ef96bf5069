# A limit of tasks that nginx sees: its workers make fewer threads, so that all
# of them are there, after a reload, too.

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

plan skip_all => 'ThreadSanitizer has a thread in each process'
    if $ENV{TSAN_OPTIONS};

my $task = 'background_task t { interval 1h; simulate_cpu 1ms; }';

my ($parent, $why) = v1_group('pids', 'pids.max');
plan skip_all => $why unless $parent;

my $group = group("$parent/child") or die "mkdir $parent/child: $!\n";

$ENV{BACKGROUND_GROUP} = $group;
$ENV{BACKGROUND_HIDDEN} = '';

# twice 8 workers with their threads, 6 helpers, and the master
limited(100, 8, 7, 4, qr/reload would need 198 tasks/);
limited(40, 8, 7, 1, qr/reload would need 198 tasks/);
limited(198, 8, 7, 10, qr/reload would need 198 tasks/);
limited(199, 8, 7, 11);

# the limit is that of all ancestors
limited(100, 4, 7, 10, qr/reload would need 102 tasks/, $parent);

done_testing();

sub limited {
    my ($max, $workers, $threads, $expected, $warn, $limited) = @_;

    $limited //= $group;

    my $name = "$max tasks, $workers workers";

    spew("$_/pids.max", $_ eq $limited ? $max : 'max') for $parent, $group;

    start("background_threads $threads; $task", '',
          "worker_processes $workers;");

    my @old = whole($name, $workers, $expected);

    signal('HUP');

    poll("$name: other workers", sub {
        my %pid = map { $_ => 1 } workers();
        return keys %pid == $workers && !grep { $pid{$_} } @old;
    });

    whole("$name: after a reload", $workers, $expected);

    my $all = $threads + 4;
    my $n = logged(qr/background: $expected instead of $all threads for each of $workers workers: .*"\Q$limited\E\/pids\.max" is $max,/);

    is($n, $warn ? 2 : 0, "$name: told at the start and at the reload");
    is(logged($warn), 2, "$name: what is needed") if $warn;
    is(logged(qr/could be made|failed/), 0, "$name: nothing failed");

    stop();
}

sub whole {
    my ($name, $workers, $expected) = @_;

    my @workers;

    poll("$name: all workers with $expected threads", sub {
        @workers = workers();

        return @workers == $workers
               && @workers == grep { threads($_) == $expected } @workers;
    });

    return @workers;
}
