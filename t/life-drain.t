# A worker that shuts down but still serves a slow client has given its tasks
# up, and leaves with the client, or at worker_shutdown_timeout.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use IO::Socket::UNIX;
use Test::More;

my $dir = dir();

put('big', '');
truncate "$dir/big", 100_000_000 or die "truncate: $!\n";

my $tasks = <<'EOF';
    background_threads 1;
    background_task burns { simulate_cpu 1h; }
    background_task waits { workers all; timeout 1d; simulate_io 1 delay=1h-1h; }
    background_task quick { interval 20ms; simulate_io 1 delay=1ms-1ms; }
EOF

my $location = "location = /big { root $dir; limit_rate 1; "
               . 'limit_rate_after 64k; }';

# for as long as the client wants

start($tasks, $location, 'worker_processes 1; debug_points abort;');

my ($client, $old) = drain();

my $quick = task('quick')->{cycles}{completed};

poll('cycles go on in the new worker', sub {
    return task('quick')->{cycles}{completed} > $quick + 5;
});

ok(alive($old), 'the old worker serves its client');

isnt(task($_)->{lease}{pid}, $old, "$_: the lease is another's")
    for qw/ burns quick /;

is(task('waits')->{running}, 1, 'waits: in the new worker only');
is(task($_)->{cycles}{cancelled}, 1, "$_: cancelled") for qw/ burns waits /;
is(task($_)->{cycles}{failed}, 0, "$_: not failed") for qw/ burns waits quick /;
is(status()->{cpu}{running}, 1, 'one job');

for my $name (qw/ burns waits quick /) {
    poll("$name: it has stopped", sub {
        logged(qr/\] $old#\d+: background task "$name": stopped$/m)
    });

    my @lines = grep { /\] $old#\d+: background task "$name": / }
                     split /^/, log_text();

    # one of "quick" may have been, too

    is((grep { /: cancelled after \d+\.\d{3}s$/ } @lines), 1,
        "$name: a cycle that was under way") if $name ne 'quick';

    is((grep { /: stopped$/ } @lines), 1, "$name: the old worker told it");
    like($lines[-1], qr/: stopped$/, "$name: and nothing more");
}

close $client;

poll('the old worker leaves with its client', sub { !alive($old) });

is(logged(qr/\] $old#\d+: background: thread pool shut down/), 1,
   'its pool is shut down');

stop();

# until the timeout

start($tasks, $location,
      'worker_processes 1; worker_shutdown_timeout 300ms; debug_points abort;');

($client, $old) = drain();

poll('the old worker leaves at the timeout', sub { !alive($old) });

is(logged(qr/\] $old#\d+: background: thread pool shut down/), 1,
   'its pool is shut down, too');
is(task('burns')->{running}, 1, 'the new one has the job');
is(logged(qr/exited with code [^0]|exited on signal/), 0, 'no bad exit');

stop();
done_testing();

# a slow client of a worker, and a reload; returns the client and the worker

sub drain {
    poll('all tasks run', sub {
        return task('burns')->{running} && task('waits')->{running}
               && task('quick')->{cycles}{completed};
    });

    my $worker = a_worker();

    my $socket = IO::Socket::UNIX->new(Peer => "$dir/socket")
        or die "connect: $!\n";

    print $socket "GET /big HTTP/1.1\r\nHost: test\r\n\r\n";
    $socket->flush;
    sysread $socket, my $answer, 1000 or die "no answer: $!\n";

    signal('HUP');

    poll('another worker runs the tasks', sub {
        my $s = status();
        my %task = by_name($s);

        return $s->{pid} != $worker && $task{waits}{running}
               && $task{burns}{running}
               && $task{burns}{lease}{pid} == $s->{pid}
               && $task{quick}{lease}
               && $task{quick}{lease}{pid} == $s->{pid};
    });

    return ($socket, $worker);
}

sub task {
    my %task = by_name(status());

    return $task{$_[0]};
}

sub alive { scalar grep { $_ == $_[0] } workers() }
