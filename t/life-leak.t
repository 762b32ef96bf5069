# Many reloads in a row leave exactly the configured workers, no zombie, and
# no more descriptors, threads or memory than before.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use List::Util qw/ max sum /;
use Test::More;
use Time::HiRes qw/ sleep /;

my $reloads = 20;

# in KB; sanitizers keep freed memory

my $allowed = $ENV{BACKGROUND_ASAN} ? 200_000 : 1_500;

start(<<"EOF", '', 'worker_processes 3; debug_points abort;');
    proxy_cache_path cache keys_zone=cache:1m;
    background_threads 2;
    background_task waits { workers all; interval 20ms; simulate_io 3 delay=1ms-9ms; }
    background_task burns { interval 20ms; simulate_cpu 2ms; }
    background_task sums { interval 20ms; digest ${\dir()}/nginx.conf; }
    background_task long { workers all; timeout 1d; simulate_io 1 delay=1h-1h; }
    background_task job { simulate_cpu 1h; }
EOF

# the first ones grow what grows once

reload() for 1 .. 3;

my $before = sizes();

reload() for 1 .. $reloads;

# nginx closes channels to workers that are gone, and waits for these, when it
# comes to it

my $after;

poll('no more descriptors and processes', sub {
    $after = sizes();

    return $after->{master_fds} <= $before->{master_fds}
           && $after->{worker_fds} <= $before->{worker_fds}
           && $after->{processes} == 4;
});

is($after->{$_}, $before->{$_}, $_) for qw/ worker_threads zone_free /;

is($after->{zombies}, 0, 'workers, cache manager, no zombie');

cmp_ok($after->{$_} - $before->{$_}, '<', $allowed, $_)
    for qw/ master_kb worker_kb /;

my $s = status();
my %task = by_name($s);

is($s->{generation}, 4 + $reloads, 'generation');
is($task{long}{cycles}{cancelled}, 3 * (3 + $reloads), 'long: cancelled');
is($task{job}{cycles}{cancelled}, 3 + $reloads, 'job: cancelled');
is($task{$_}{cycles}{failed}, 0, "$_: not failed") for sort keys %task;

# on a busy machine a job may take more than a second to stop

is(join('', grep { /\[(?:warn|error)\]/
                   && !/does not stop, the worker waits for it/ }
                 split /^/, log_text()), '', 'no warning, no error');
is(logged(qr/exited with code [^0]|exited on signal/), 0, 'no bad exit');

stop();
done_testing();

# a reload, until new workers alone are there, and run all tasks

sub reload {
    steady();

    my %old = map { $_ => 1 } workers();

    signal('HUP');

    poll('new workers', sub {
        my @now = workers();

        return @now == 3 && !grep { $old{$_} } @now;
    });

    steady();
}

sub steady {
    my %first;

    poll('tasks run', sub {
        my %t = by_name(status());

        $first{$_} //= $t{$_}{cycles}{completed} for qw/ waits burns sums /;

        return $t{long}{running} == 3 && $t{job}{running}
               && !grep { $t{$_}{cycles}{completed} <= $first{$_} } keys %first;
    });
}

sub sizes {
    my $master = master();
    my @workers = workers();
    my %size;

    # a cache loader is there for a minute after each reload

    my @children = grep { read_file("/proc/$_/cmdline") !~ /cache loader/ }
                        children($master);

    $size{processes} = @children;
    $size{zombies} = grep { process_stat($_)->[0] eq 'Z' } @children;

    # the least, as there are some more for requests and for files

    my %fds;

    for (1 .. 20) {
        for my $pid ($master, @workers) {
            my $n = fds($pid);
            $fds{$pid} = $n if !defined $fds{$pid} || $n < $fds{$pid};
        }

        sleep 0.005;
    }

    $size{master_fds} = $fds{$master};
    $size{worker_fds} = sum(@fds{@workers});

    $size{worker_threads} = join ' ', map { scalar(my @t = threads($_)) }
                                          @workers;
    $size{master_kb} = rss($master);
    $size{worker_kb} = max(map { rss($_) } @workers);
    $size{zone_free} = status()->{zone}{free};

    note(join ', ', map { "$_: $size{$_}" } sort keys %size);

    return \%size;
}

sub rss { read_file("/proc/$_[0]/status") =~ /^VmRSS:\s*(\d+)/m ? $1 : 0 }

sub fds { scalar(my @fds = glob "/proc/$_[0]/fd/*") }
