# The effect of CPU jobs on requests: the 99th percentile of the time of a
# static file at half of the maximum rate, with the pool idle and with all
# threads busy; also under a CPU quota, as in a container.  What busy CPUs alone
# cost is shown by processes of the same nice value beside nginx, as many as the
# pool has threads.
#
# The client is to be like one on another machine: it has the last CPU, and nginx
# with its threads has the others.

package Bench::latency;

use strict;
use warnings;

use Bench;
use BackgroundCgroup qw/ container group quota spew /;
use IO::Socket::INET;
use Test::More ();

# results of BackgroundCgroup are not printed

Test::More->builder->output('/dev/null');
Test::More->builder->no_ending(1);

my $seconds = 2;
my $connections = 64;
my $cpus = cpus();

put('file', 'x' x 4096);

my $load = dir() . '/load';
run(qw/ cc -O2 -o /, $load, "$Bench::folder/load.c");

my $port = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
           ->sockport;

my $nginx_cpus = $cpus > 1 ? $cpus - 1 : 1;
my $nginx_list = '0-' . ($nginx_cpus - 1);
my $client_cpu = $cpus - 1;

my @groups = container();
my $group = $groups[0];
my $client;

if ($group) {
    $client = group("${group}_client") or die "mkdir: $!\n";

    # a group of cgroup v1 has no time for SCHED_FIFO, which the client uses

    my $runtime = "$client/cpu.rt_runtime_us";
    spew($runtime, 900_000) if -e $runtime;
}

# without a quota, and with quotas below the number of CPUs that nginx has

my @quotas = (undef);
my @notes = ("nginx has $nginx_cpus of $cpus CPUs");

if ($group) {
    push @quotas, $nginx_cpus > 1.5 ? (1, 1.5) : (0.5, 0.75);
} else {
    push @notes, "quotas are skipped: $groups[1]";
}

# nginx with an idle or an overloaded pool

sub begin {
    my ($quota, $busy, $threads) = @_;

    my $tasks = ($threads // '') . ($busy
        ? join '', map { "background_task t$_ { interval 1ms; "
                         . "simulate_cpu 100ms; }\n" } 1 .. 2 * $cpus
        : 'background_task waits { interval 1h; simulate_cpu 1ms; }');

    quota($group, $quota) if $group;

    start(main => "worker_processes $nginx_cpus;\n",
          cpu => $nginx_list,
          groups => $group ? \@groups : [],
          http => "keepalive_requests 1000000000;\n$tasks",
          server => "listen 127.0.0.1:$port reuseport;\n"
                    . "location = /status { background_status; }\n"
                    . 'location = /file { root ' . dir() . '; }');

    poll($busy ? 'the pool is busy' : 'the pool is idle', sub {
        my $status = status();
        my $cpu = $status->{cpu};

        return $busy ? $cpu->{running} == $cpu->{threads}
                     : $status->{tasks}[0]{cycles}{completed};
    });

    sleep 0.5;
}

# answers a second, percentiles

sub load {
    my ($rate, $seconds) = @_;

    my $program = program({group => $client}, qw/ taskset -c /, $client_cpu,
                          $load, $port, $connections, $rate, $seconds, '/file');
    my @figures = split ' ', line($program);

    finish($program);

    return @figures;
}

sub saturation {
    my ($quota) = @_;

    begin($quota, 0);
    my @rates = map { (load(0, 0.7))[0] } 1 .. 3;
    stop();

    return median(@rates);
}

# "beside": processes of the same nice value as the threads of the pool have

sub percentiles {
    my ($quota, $busy, $rate, %options) = @_;

    begin($quota, $busy, $options{threads});

    my $n = $options{beside} ? status()->{cpu}{threads} : 0;
    my @processes = map {
        program({group => $group}, qw/ taskset -c /, $nginx_list,
                qw/ nice -n 10 sh -c /, 'while :; do :; done');
    } 1 .. $n;

    my @figures = load($rate, $seconds);

    finish($_) for @processes;
    stop();

    return @figures[1 .. 3];
}

my @units = ('p50 us', 'p99 us', 'p99 in 0.1 s, us');
my (@things, @rows);

for my $quota (@quotas) {
    my $rate = int(saturation($quota) / 2);
    my $where = $quota ? "quota $quota" : 'no quota';

    push @notes, "$where: half of saturation is $rate requests a second";

    push @things,
        ["$where, idle", \@units, sub { percentiles($quota, 0, $rate) }],
        ["$where, busy", \@units, sub { percentiles($quota, 1, $rate) }];

    push @rows, ['p99 in 0.1 s, us', "$where, busy", "$where, idle", 'inside'],
                ['p99 us', "$where, busy", "$where, idle"],
                ['p50 us', "$where, busy", "$where, idle"];

    next if $quota;

    # SCHED_IDLE is for kernels before 6.12, which have no slices of a thread

    push @things,
        ["$where, priority=idle", \@units, sub {
            percentiles($quota, 1, $rate, threads =>
                        "background_threads auto priority=idle;\n");
        }],
        ["$where, processes", \@units, sub {
            percentiles($quota, 0, $rate, beside => 1);
        }];

    push @rows, ['p99 in 0.1 s, us', "$where, priority=idle", "$where, idle"],
                ['p99 us', "$where, priority=idle", "$where, idle"],
                ['p99 in 0.1 s, us', "$where, processes", "$where, idle"],
                ['p99 in 0.1 s, us', "$where, busy", "$where, processes",
                 'inside'];
}

{
    rounds => 6,
    notes => \@notes,
    things => \@things,
    rows => \@rows,
};
