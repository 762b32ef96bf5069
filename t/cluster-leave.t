# "workers cluster": an exit or a reload gives the task back, whatever state the
# connection is in.  The lease is an hour: an nginx runs the task within the
# time of the test only if the other one has given it back.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundGate;
use BackgroundRedis;
use Test::More;
use Time::HiRes qw/ sleep time /;

plan skip_all => 'no redis-server' unless redis_program();

my $dir = redis_dir();
my $gate = "$dir/gate.sock";
my $key = 'nginx:{t}:lease';

redis('redis', 'appendonly yes', 'appendfsync always');
gate($gate, "$dir/redis.sock");

# the connection is lost, and a new one does not get ready before it exits

leaves('a connection that is not ready', sub {
    gate_say($gate, 'hold');
    gate_say($gate, 'cut');
    poll('it is not ready', sub { !connected() });
}, 'pass');

# there is none, and it waits before the next attempt

value('f');
host('a', conf("unix:$gate"));
poll('it runs', sub { leader('t', 'a') });
redis_kill('redis');
poll('attempts fail', sub {
    (host_status('a')->{redis}[0]{errors}{closed} // 0) > 6;
});
host_signal('a', 'QUIT');
redis('redis');
host_stop('a');
given_back('no connection');

# the reply to the command that gives it back is lost with its connection

leaves('a lost reply', sub { gate_say($gate, 'lose') }, undef);
is(gate_say($gate, 'state'), 'pass', 'a reply was lost');

# a reply that comes late: the process waits for it

leaves('a late reply', sub { gate_say($gate, 'replies') }, 'pass');

# a script that the server has forgotten

leaves('a forgotten script', sub {
    gate_say($gate, 'replies');
    redis_ask('redis', 'SCRIPT', 'FLUSH');
}, 'pass');

# a reload

value('f');
host('a', conf("unix:$gate"));
poll('it runs', sub { leader('t', 'a') });

my $first = (split ' ', redis_ask('redis', 'GET', $key))[0];

gate_say($gate, 'hold');
gate_say($gate, 'cut');
poll('it is not ready', sub { !connected() });
host_reload('a');
gate_say($gate, 'pass');
poll('it runs again', sub {
    my $fence = (split ' ', redis_ask('redis', 'GET', $key))[0];
    $fence > $first && leader('t', 'a');
});
pass('a reload: it runs again');

# a server that does not answer delays the exit by the time-outs only, of which
# these are much shorter than the lease

host_stop('a');
value('f');
host('a', conf("unix:$gate", 'connect_timeout 100ms; timeout 200ms;'));
poll('it runs', sub { leader('t', 'a') });
gate_say($gate, 'hold');
host_stop('a');
like(redis_ask('redis', 'GET', $key), qr/^\d+ \w+ \d+ h /,
     'no server: it exits, and has given nothing back');
gate_say($gate, 'pass');

# and one that has never had the task does not wait for it, with a lease and
# time-outs that are longer than the test

value('h');
host('a', conf("unix:$gate", 'connect_timeout 1h; timeout 1h;'));
poll('it is a candidate', sub {
    host_status('a', 't')->{cluster}{state} eq 'other';
});
gate_say($gate, 'replies');
host_stop('a');
pass('a candidate does not wait');
gate_say($gate, 'pass');

# TERM: what was sent is executed, though nobody waits for the reply

leaves('a fast exit', sub { gate_say($gate, 'hold') }, 'pass', 'TERM');

done_testing();

###############################################################################

sub conf {
    my ($server, $lines) = @_;

    $lines //= 'connect_timeout 1h; timeout 1h;';

    return <<"EOF_CONF";
background_redis main { server $server; $lines }
background_task t {
    workers  cluster lease=1h;
    interval 50ms;
    simulate_io 1 delay=1ms-1ms;
}
EOF_CONF
}

# the task as another nginx has it, or has given it back: without a value all
# wait for the lease

sub value {
    my ($state) = @_;

    redis_ask('redis', 'SET', $key,
              '1 ' . 'a' x 32 . " 1 $state 3600000 1 0 0 0 0 "
              . redis_epoch('redis') . ' other');
}

sub connected { host_status('a')->{redis}[0]{connected} }

# "what" is done while it has the task; the gate is in state "then" after it was
# told to exit

sub leaves {
    my ($name, $what, $then, $signal) = @_;

    write_file('a/error.log', '') if -e "$dir/a";
    value('f');
    host('a', conf("unix:$gate"));
    poll("$name: it runs", sub { leader('t', 'a') });
    $what->();
    host_signal('a', $signal // 'QUIT');

    if ($then) {
        poll("$name: it has stopped", sub {
            host_log('a') =~ /"t": stopped|exited on signal 9/
        });
        gate_say($gate, $then);
    }

    host_stop('a');

    # nginx kills workers that take more than a second to exit by TERM, as they
    # may on a busy machine

    return leaves(@_) if $signal && host_log('a') =~ /exited on signal 9/;

    given_back($name);
}

sub given_back {
    my ($name) = @_;

    unlike(host_log('a'), qr/\[(?:alert|crit|emerg)\]/,
           "$name: nothing to complain of");

    # a gate may pass it on when the process has gone

    poll("$name: it was given back", sub {
        redis_ask('redis', 'GET', $key) =~ /^\d+ \w+ \d+ f /;
    });
    pass("$name: it was given back");
}
