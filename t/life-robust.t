# A worker's death is seen, too, when the kernel can't tell it: the worker has
# overwritten what the kernel looks at, or its process is not gone yet.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use Errno;
use POSIX qw/ SIGCHLD pause /;
use Test::More;
use Time::HiRes qw/ time /;

my $kinds = load_kind('forget') . "\n"
            . load_kind('late', 'ngx_http_background_module');
my $late = dir() . '/late';

start(<<"EOF", '', "$kinds\nworker_processes 2; worker_rlimit_core 0;");
    late $late;
    background_threads 1;
    background_task forgets { interval 20ms; forget; }
    background_task burns { interval 1h; simulate_cpu 1ms; }
EOF

# the mutex stays locked

for my $n (1 .. 3) {
    my $dead = holder_that_forgot();

    signal('KILL', $dead);

    poll("death $n: another worker", sub { other_holder('forgets', $dead) });

    poll('it is told', sub { told($dead) });
    is(told($dead), 1, "death $n: told once");
}

# another process has its number by now: a reload tells that it is no worker

SKIP: {
    # its own number is taken: only a process that may choose is told that

    skip "clone3() may not choose a process number", 3
        if !clone_as($$) && !$!{EEXIST};

    both_workers();

    my $dead = holder_that_forgot();
    my ($other) = grep { $_ != $dead } workers();

    # nobody looks, and the worker that comes instead does not start

    put('late', '');
    signal('STOP', $other);
    poll('it stops', sub { process_stat($other)->[0] eq 'T' });
    signal('KILL', $dead);

    poll('its number is free', sub { !kill 0, $dead });

    my $impostor = poll('an impostor', sub { clone_as($dead) });

    unlink $late or die "unlink: $!\n";
    signal('CONT', $other);

    both_workers();

    is(holder('forgets'), $dead, 'the number of a dead worker');

    signal('HUP');

    poll('another worker', sub { other_holder('forgets', $dead) });

    poll('it is told', sub { told($dead) });
    is(told($dead), 1, 'told');
    ok(kill(0, $impostor), 'of another process');

    kill 'KILL', $impostor;
    waitpid $impostor, 0;
}

forget_kills();
stop();

# A thread that is in a system call may finish it, but not keep the leases.
# A tracer can hold it at its exit.

start(<<'EOF', '', 'worker_processes 2; worker_rlimit_core 0;');
    background_threads 1;
    background_task burns { retry 10ms; simulate_cpu 1h; }
EOF

SKIP: {
    both_workers();

    my $dead = poll('a job runs', sub {
        my $pid = holder('burns');

        return $pid && (grep { $_ == $pid } workers()) && threads($pid) && $pid;
    });

    my ($thread) = threads($dead);
    my @locks = locks($dead);

    is(@locks, 2, 'a lock of each worker');

    skip 'ptrace() is not permitted', 3 if !hold($thread) && $!{EPERM};

    my $killed = time;

    signal('KILL', $dead);

    # until its main thread is gone it may take connections

    poll('a zombie', sub { process_stat($dead)->[0] eq 'Z' });
    poll('another worker', sub { other_holder('burns', $dead) });

    cmp_ok(time - $killed, '>=', 5, 'the process was not gone');
    ok(kill(0, $dead), 'and is not yet');

    my $other = holder('burns');

    is_deeply([locks($other)], \@locks, 'it has its lock still');

    let_go($thread);
    poll('gone', sub { logged(qr/process $dead exited on signal 9/) });

    # the worker in its place has another one

    poll('that lock is free', sub {
        my %now = map { $_ => 1 } locks($other);

        return 1 == grep { $now{$_} } @locks;
    });
}

forget_kills();
stop();
done_testing();

# what is expected in the log

sub forget_kills {
    put('error.log', join '', grep { !/exited on signal 9/ }
                                   split /^/, log_text());
}

# none that shuts down, and both have started tasks

sub both_workers {
    poll('both workers', sub {
        my @workers = workers();

        return @workers == 2
               && !grep { !logged(qr/\] $_#\d+: .*thread pool started/) }
                        @workers;
    });
}

sub holder {
    my %task = by_name(status_anyhow());

    return $task{$_[0]}{lease} ? $task{$_[0]}{lease}{pid} : 0;
}

sub other_holder {
    my ($name, $dead) = @_;

    my $pid = holder($name);

    return $pid && $pid != $dead;
}

sub told {
    my ($pid) = @_;

    return logged(qr/worker process $pid died, its leases and jobs are free/);
}

# the worker that runs its cycles

sub holder_that_forgot {
    my ($holder, $n) = (0, 0);

    return poll('a cycle', sub {
        my %task = by_name(status_anyhow());
        my $pid = $task{forgets}{lease} ? $task{forgets}{lease}{pid} : 0;
        my $cycles = $task{forgets}{cycles}{completed};

        return $pid if $pid && $pid == $holder && $cycles > $n;

        ($holder, $n) = ($pid, $cycles) if $pid != $holder;
        return 0;
    });
}

# Makes a process of that number, without a change to the numbers that others
# get: clone3() (435 on all architectures) with "set_tid".

sub clone_as {
    my ($number) = @_;

    my $set_tid = pack 'l', $number;
    my $args = pack 'Q4 Q3 Q Q Q',
                    0, 0, 0, 0,                     # flags, pidfd, TIDs
                    SIGCHLD, 0, 0,                  # exit_signal, stack
                    0,                              # tls
                    unpack('J', pack 'P', $set_tid), 1;

    my $child = syscall 435, $args, length $args;

    if ($child == 0) {
        alarm 3 * $BackgroundStatus::deadline;      # not for ever if we die
        pause() while 1;
    }

    return $child > 0 && $child;
}

# the locked bytes of the file that all workers have open

sub locks {
    my ($pid) = @_;

    my ($file) = grep { (readlink // '') =~ /memfd:ngx_http_background/ }
                 glob "/proc/$pid/fd/*"
        or return;

    my $inode = (stat $file)[1];

    return sort map { /OFDLCK.*:$inode (\d+) / }
                split /\n/, BackgroundLife::read_file('/proc/locks');
}

# PTRACE_SEIZE with PTRACE_O_TRACEEXIT; PTRACE_DETACH

sub hold { ptrace(0x4206, $_[0], 0x40) }

sub let_go {
    my ($thread) = @_;

    waitpid $thread, 0x40000000;             # __WALL
    ptrace(17, $thread, 0) or die "ptrace: $!\n";
}

sub ptrace {
    my ($request, $pid, $data) = @_;

    require 'syscall.ph';

    return syscall(&SYS_ptrace, $request, $pid + 0, 0, $data) != -1;
}
