#!/usr/bin/env perl

# With eight workers any of them gives the same answer, for all of them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundStatus;
use IO::Socket::UNIX;
use Test::More;

###############################################################################

start(<<'EOF', '', 'worker_processes 8;');
    background_task done { workers all; interval 1h; simulate_io 3 delay=0-9ms; }
    background_task bad {
        workers all;
        retry   1h;
        timeout 5ms;
        simulate_io 2 delay=1h-1h;
    }
    background_task running {
        workers all;
        timeout 1d;
        simulate_io 1 delay=1h-1h;
    }
    background_task one { timeout 1d; simulate_io 1 delay=1h-1h; }
    background_task one_done { interval 1h; simulate_io 5 delay=0-9ms; }
EOF

my ($status, %tasks);

poll('all workers have come so far', sub {
    %tasks = by_name($status = status());

    $tasks{done}{cycles}{completed} >= 8 && $tasks{bad}{cycles}{failed} >= 8
        && $tasks{running}{running} >= 8 && $tasks{one}{running}
        && $tasks{one_done}{last};
});

# ask until each worker has answered: its own pid, and the same of all else

my (%pids, %states, @leases);

sub look {
    $status = parse($_[0]);
    $pids{$status->{worker}}{$status->{pid}} = 1;

    %tasks = by_name($status);

    my @facts = map { "$_ $tasks{$_}{state} $tasks{$_}{running} "
        . join ' ', $tasks{$_}{cycles}{completed}, $tasks{$_}{cycles}{failed},
                    map { $_ || 0 } @{$tasks{$_}{operations}}
                                         {qw/ completed failed bytes /}
    } sort keys %tasks;

    $states{join "\n", @facts}{$status->{worker}} = 1;
}

# by connections at the same time, as one worker takes sixteen in a row

poll('each worker has answered', sub {
    my @clients = map { IO::Socket::UNIX->new(Peer => dir() . '/socket')
                        || die "connect: $!\n" } 1 .. 40;

    for (@clients) {
        syswrite $_, "GET /status HTTP/1.0\r\n\r\n" or die "write: $!\n";
    }

    for my $client (@clients) {
        my $answer = join '', <$client>;

        look($answer =~ s/.*?\r\n\r\n//sr);
    }

    keys %pids == 8;
});

is(join(' ', sort keys %pids), '0 1 2 3 4 5 6 7', 'numbers of workers');
is(keys %{{ map { %$_ } values %pids }}, 8, 'each its own process');
is(keys %states, 1, 'all say the same') or diag(explain(\%states));

my $all = $tasks{done};

is($all->{workers}, 'all', 'all');
is($all->{state}, 'waiting', 'done: state');
is($all->{running}, 0, 'done: running');
is($all->{cycles}{completed}, 8, 'done: cycles');
is($all->{operations}{completed}, 24, 'done: operations');
is($all->{last}{operations}, 3, 'done: the last is one worker\'s');
cmp_ok($all->{operations}{bytes}, '>=', $all->{last}{bytes}, 'done: bytes');
ok(!exists $all->{lease}, 'done: no lease');
is($all->{last_success}, $all->{last}{finished}, 'done: last success');

is($tasks{bad}{state}, 'retrying', 'bad: state');
ok(!$tasks{bad}{healthy}, 'bad: not healthy');
is_deeply($tasks{bad}{cycles}, { completed => 0, failed => 8, cancelled => 0,
                                 consecutive_failures => 1, started => 8,
                                 declined => 0, skipped => 0,
                                 missed => 0, coalesced => 0 },
          'bad: cycles');
is($tasks{bad}{operations}{failed}, 16, 'bad: operations');
is($tasks{bad}{last}{failed}, 2, 'bad: the last is one worker\'s');

is($tasks{running}{state}, 'running', 'running: state');
is($tasks{running}{running}, 8, 'running: all workers');
is($tasks{running}{next}, undef, 'running: next');
cmp_ok($tasks{running}{running_seconds}, '<=', $status->{uptime_seconds},
    'running: seconds');

is($tasks{one}{running}, 1, 'one: runs once');
is($tasks{one_done}{cycles}{completed}, 1, 'one, done: a cycle');
is($tasks{one_done}{operations}{completed}, 5, 'one, done: operations');

for (qw/ one one_done /) {
    my $lease = $tasks{$_}{lease};

    ok($pids{$lease->{worker}}{$lease->{pid}}, "$_: lease of a worker");
}

is($status->{message}, '1 of 5 background tasks is not healthy', 'message');

stop();

done_testing();
