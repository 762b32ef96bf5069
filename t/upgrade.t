# An upgrade of nginx's binary: a task with "workers one" is in one of the two
# instances, and the new one goes on with it when the old one has given it up,
# or is dead.

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
use Time::Local qw/ timegm /;

###############################################################################

# each cycle of "asks" lasts until the test lets it end, well or not

my $dir = dir();
my $gate = unix_listener('asks');
my $kind = load_kind('gate');

# a new binary's sanitizers, if there are any, are to know what is asked of them

my $env = join ' ', map { "env ${_}_OPTIONS;" } qw/ ASAN LSAN UBSAN TSAN /;

put('closed', '');

start("background_threads 2;\n# more", <<"EOF", "$kind\ndaemon on; worker_processes 1; $env");
    background_task asks {
        interval 100ms;
        retry    100ms;
        timeout  1d;
        health   fails=2 start=unhealthy;
        request  /gate/;
    }
    background_task short { interval 100ms; retry 100ms; simulate_io 1 delay=1ms-1ms; }
    background_task far { interval 1h; simulate_io 1 delay=1ms-1ms; }
    background_task job { timeout 1d; gate $dir/closed; }
    background_task each { workers all; timeout 1d; simulate_io 1 delay=1h-1h; }

    location /gate/ {
        set \$empty         "";
        proxy_pass         http://unix:$dir/\$background_task:/\$empty;
    }
EOF

my %task;
my $held = asked($gate);

ok(!by('asks')->{healthy}, 'not healthy before the first cycle');

# good, then one failure: as many as "fails" less one

ends(200);
ends(500);

my $far = poll('a cycle', sub {
    my $task = by('far');
    return $task->{cycles}{completed} == 1 && $task->{next} ? $task : 0;
});

# both are there: the new one has what is for all workers, and waits

my ($old, $new) = upgrade();

my $asks = by('asks', $new);

is($asks->{running}, 0, 'asks: none is under way in the new one');
is($asks->{cycles}{completed}, 1, 'asks: good cycles');
is($asks->{cycles}{failed}, 1, 'asks: failed ones');
is($asks->{cycles}{consecutive_failures}, 1, 'asks: in a row');
ok($asks->{healthy}, 'asks: healthy');
ok(!$asks->{overdue}, 'asks: not overdue');
like($asks->{last}{error}, qr/unexpected status 500/, 'asks: error');
is(by('each', $new)->{running}, 1, 'each: runs');
is(by('job', $new)->{running}, 0, 'job: does not');

my $short = by('short', $new)->{cycles}{completed};

poll('the new one tells what the old one does', sub {
    return by('short', $new)->{cycles}{completed} > $short + 20;
});

ok(!by('short', $new)->{overdue}, 'short: not overdue');
is(logged(qr/"$_": waits for a worker of another zone, which still runs the task$/m), 1,
   "$_: logged")
    for qw/ asks short far job /;
is(logged(qr/"$_": started$/m), 1, "$_: started once")
    for qw/ asks short far job /;

# a cycle that ends in the old one

ends(200);

poll('known in the new one', sub {
    return by('asks', $new)->{cycles}{completed} == 2;
});
is(pending(), 0, 'nobody else asks');

# a reload of the new one changes nothing

my @before = active_workers($new);

signal('HUP', $new);
poll('another worker', sub {
    my @now = active_workers($new);
    return @now == 1 && $now[0] != $before[0];
});
poll('it has the lease', sub { by('asks', $new)->{lease} });
is(by('asks', $new)->{cycles}{completed}, 2, 'after a reload');
is(pending(), 0, 'nobody else asks');

# the new one's when the old one's workers leave

signal('WINCH', $old);
poll('the old workers are gone', sub { !active_workers($old) });

$held = asked($gate);

poll('the new one runs all', sub {
    return by('job')->{running} && by('asks')->{running};
});
is(pending(), 0, 'one asks');

my $now = by('far');

is($now->{cycles}{completed}, 1, 'far: no cycle for the upgrade');
cmp_ok(abs(seconds($now->{next}) - seconds($far->{next})), '<=', 1,
       'far: due when it was due');

ends(500);
ends(500);
ok(!by('asks')->{healthy}, 'asks: two failures in a row');
cmp_ok(by('asks')->{cycles}{completed}, '==', 2, 'asks: good cycles');
cmp_ok(by('short')->{cycles}{completed}, '>', $short, 'short: goes on');

# taken back

signal('HUP', $old);
poll('the old one has a worker again', sub { active_workers($old) == 1 });
signal('QUIT', $new);
poll('the new one is gone', sub { gone($new) });

$held = asked($gate);

$asks = poll('its worker answers', sub { by('asks', $old) });
ok(!$asks->{healthy}, 'taken back: not healthy');
is($asks->{cycles}{completed}, 2, 'taken back: good cycles');
ends(200);
poll('taken back: all run', sub {
    return by('asks')->{healthy} && by('job')->{running};
});

# once more, and all of the old one are killed in the middle of a cycle

($old, $new) = upgrade();

is(by('asks', $new)->{running}, 0, 'the new one waits');
is(by('asks', $new)->{cycles}{completed}, 3, 'it knows');

kill 'KILL', $old, active_workers($old);

$held = asked($gate);
poll('it is in the new one', sub { by('asks')->{running} });
is(by('asks')->{cycles}{completed}, 3, 'and goes on');
poll('as is the job', sub { by('job')->{running} });
ends(200);
is(pending(), 0, 'one asks');

put('error.log', join '', grep { !/exited on signal 9/ } split /^/, log_text());

signal('TERM', $new);
poll('the end', sub { gone($new) });

stop();
done_testing();

###############################################################################

# a task, as a worker of that master or any one tells

sub by {
    my ($name, $master) = @_;

    return poll("$name, as told by " . ($master // 'any'), sub {
        my $status = status_anyhow();

        return 0 if $master && process_stat($status->{pid})->[1] != $master;

        %task = by_name($status);

        return $task{$name};
    });
}

# the cycle under way ends, and the next one is under way

sub ends {
    my ($code) = @_;

    answer($held, $code);
    $held = asked($gate);
}

# connections that are not accepted

sub pending {
    return IO::Select->new($gate)->can_read(0) ? 1 : 0;
}

# starts a new binary; returns both masters when both have a worker, and the
# new one has its task for all workers

sub upgrade {
    my ($old, $new) = new_binary(1);

    poll('it has its own task', sub { by('each', $new)->{running} });

    # each of the tasks was tried: they are in the same pass

    poll('it has looked', sub { by('asks', $new)->{lease} });

    return ($old, $new);
}

sub seconds {
    my ($y, $m, $d, @t) = $_[0] =~ /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)/;

    return timegm(reverse(@t), $d, $m - 1, $y);
}
