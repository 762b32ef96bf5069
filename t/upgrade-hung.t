# An upgrade of nginx's binary while an old worker stands still: what its own
# instance has taken from it goes on in the new one, without its end.  Only a job
# on a thread is waited for.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundPeer;
use BackgroundStatus;
use IO::Select;
use Test::More;

###############################################################################

my $dir = dir();
my $gate = unix_listener('asks');
my $client = unix_listener('client');
my $kind = load_kind('gate');

# a new binary's sanitizers, if there are any, are to know what is asked of them

my $env = join ' ', map { "env ${_}_OPTIONS;" } qw/ ASAN LSAN UBSAN TSAN /;

put('closed', '');

# tasks are spread over the two workers: those of the second one are "asks",
# "often" and "job"

my @conf = ('background_threads 2;', <<"EOF", "$kind\ndaemon on; worker_processes 2; $env");
    background_task other { interval 1h; simulate_io 1 delay=0-0; }
    background_task asks { interval 100ms; retry 100ms; timeout 1d; request /gate/; }
    background_task other2 { interval 1h; simulate_io 1 delay=0-0; }
    background_task often { interval 50ms; retry 50ms; simulate_io 1 delay=0-0; }
    background_task other3 { interval 1h; simulate_io 1 delay=0-0; }
    background_task job { interval 50ms; timeout 1d; gate $dir/closed; }

    location /gate/ {
        set \$empty         "";
        proxy_pass         http://unix:$dir/asks:/\$empty;
        proxy_read_timeout 1d;
    }

    location = /held {
        set \$empty         "";
        proxy_pass         http://unix:$dir/client:/\$empty;
        proxy_set_header   X-Pid \$pid;
        proxy_read_timeout 1d;
    }
EOF

my ($held, %task);

# a worker that comes late finds some of its tasks taken: once more

poll('all in the second worker', sub {
    start(@conf);
    $held = asked($gate);

    poll('all have a worker', sub {
        tasks();
        return $task{job}{progress} && $task{often}{cycles}{completed}
               && $task{asks}{lease};
    });

    my %pids = map { $_->{lease}{pid} => 1 } @task{qw/ asks often job /};
    return 1 if keys %pids == 1;

    stop();
    close $held;
    return 0;
});

# the first one may not have its title yet

poll('both workers', sub { 2 == workers() });

my $old = master();
my $hangs = $task{job}{lease}{pid};
my ($other) = grep { $_ != $hangs } workers();
my ($waits, $request) = request_of($hangs);

signal('STOP', $hangs);

poll('the other one has what has no job', sub {
    tasks();
    return !grep { !$task{$_}{lease} || $task{$_}{lease}{pid} != $other }
                 qw/ asks often /;
});

# the cycle of the one that hangs is not known to be over

my $again = asked($gate);

poll('the job is told', sub {
    logged(qr/"job": worker process $hangs hangs with a job of the task/)
});

# the new one waits, then it has them

my (undef, $new) = new_binary(2);

poll('it waits for them', sub {
    !grep { !logged(qr/"$_": waits for a worker of another zone/) }
          qw/ asks often job /
});
is(pending(), 0, 'asks: once');

signal('WINCH', $old);

my $third = asked($gate);

poll('the new one has what has no job', sub {
    tasks();
    return $task{often}{lease} && parent($task{often}{lease}{pid}) == $new
           && $task{asks}{running};
});
ok(kill(0, $hangs), 'the one that hangs is there');
is($task{job}{running}, 0, 'job: is waited for');

my $completed = $task{often}{cycles}{completed};

poll('often goes on', sub {
    tasks();
    return $task{often}{cycles}{completed} > $completed + 5;
});

# it goes on: its job is told to end, and then it is no more in the way

signal('CONT', $hangs);

poll('the job runs in the new one', sub { tasks(); $task{job}{running} });
ok(kill(0, $hangs), 'the old worker is there, for its client');
is(parent($task{often}{lease}{pid}), $new, 'often: stays');
is(pending(), 0, 'asks: once');

answer($request, 204);
like(scalar <$waits>, qr/204/, 'its client has an answer');
poll('it exits', sub { gone($hangs) });

signal('QUIT', $old);
poll('the old master is gone', sub { gone($old) });

tasks();
ok($task{job}{running} && $task{asks}{running}, 'they still run');

put('error.log', join '', grep { !/hangs with a job/ } split /^/, log_text());

signal('TERM', $new);
poll('all are gone', sub { gone($new) });

stop();
done_testing();

###############################################################################

sub tasks { %task = by_name(status_of_any()) }

# connections that are not accepted

sub pending { IO::Select->new($gate)->can_read(0) ? 1 : 0 }

sub parent { process_stat($_[0])->[1] }

# a request that this worker has, and which is not answered yet: the client's
# connection, and the other one

sub request_of {
    my ($pid) = @_;

    return @{poll('a request of that worker', sub {
        my $socket = BackgroundStatus::connection() or return 0;

        print $socket "GET /held HTTP/1.0\r\n\r\n";
        $socket->flush;

        my $peer = asked($client, \my $header);

        return [$socket, $peer] if $header =~ /^X-Pid: $pid\r$/m;

        answer($peer, 204);
        return 0;
    })};
}
