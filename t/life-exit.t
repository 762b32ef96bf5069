# Exits with jobs under way: they are quick, and each step is logged.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use Test::More;
use Time::HiRes qw/ time /;

# jobs that don't take turns

my $kind = load_kind('gate');
my $gate = dir() . '/gate';

put('gate', '');

my $tasks = <<"EOF";
    background_threads 1;
    background_task waits { workers all; simulate_io 5 delay=1h-1h; }
    background_task burns { workers all; gate $gate keep; gate $gate keep; }
EOF

for my $case (['quit', 'worker_processes 2;', 2, 'QUIT'],
              ['stop', 'worker_processes 2;', 2, 'TERM'],
              ['quit, then stop', 'worker_processes 2;', 2, 'QUIT', 'TERM'],
              ['quit of a single process', 'master_process off;', 1, 'QUIT'],
              ['stop of a single process', 'master_process off;', 1, 'TERM'])
{
    my ($name, $main, $n, @signals) = @$case;

    start($tasks, '', "$kind\n$main debug_points abort;");

    poll("$name: a job runs, others wait", sub {
        my $s = status();
        my %task = by_name($s);

        return $task{waits}{running} == $n && $task{burns}{running} == $n
               && $s->{cpu}{running} == 1 && $s->{cpu}{queued} == 2 * $n - 1;
    });

    my $pid = master();
    my $started = time;

    signal($_) for @signals;

    poll("$name: exits", sub { !kill(0, $pid) || zombie($pid) });

    note(sprintf '%s: %.3fs', $name, time - $started);

    # nginx kills workers that take more than a second to exit, as they may on
    # a busy machine

    my $killed = logged(qr/exited on signal 9/);

    logs($n, $killed, qr/background task "$_": cancelled/,
         "$name: $_ cancelled") for qw/ waits burns /;
    logs($n, $killed, qr/background: thread pool shut down/,
         "$name: pools shut down");

    stop();
}

done_testing();

# each worker logs it once, one that was killed may not

sub logs {
    my ($n, $killed, $re, $name) = @_;

    my $logged = logged($re);

    ok($logged <= $n && $logged >= $n - $killed, $name)
        or diag("$logged of $n, $killed were killed");
}

sub zombie {
    open my $file, '<', "/proc/$_[0]/stat" or return 1;

    return <$file> =~ /\) Z /;
}
