# An order to run a task of "workers cluster" is for the nginx that has it:
# another one refuses it, and does not keep it until it has the task itself.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundGate;
use BackgroundRedis;
use Test::More;

plan skip_all => 'no redis-server' unless redis_program();

my $dir = redis_dir();
my $gate = "$dir/gate.sock";

redis('redis');
gate($gate, "$dir/redis.sock");

# without a value all wait for the lease

lease_given(3600000);

sub begins {
    my ($host, $server) = @_;

    host($host, conf($server));
}

sub conf {
    my ($server, $zone) = (@_, '1m');

    return <<"EOF", '', 'location /control/ { background_control run pause; }';
background_zone $zone;
background_redis main { server unix:$server; connect_timeout 1h; timeout 1h; }
background_task t {
    workers cluster lease=1h;
    interval off;
    simulate_io 1 delay=1ms-1ms;
}
EOF
}

# in a zone of another size

sub resize {
    my ($zone) = @_;

    my %old = map { $_ => 1 } host_workers('b');

    host_reload('b', conf($gate, $zone));
    poll("$zone: a worker has its lease", sub {
        my $task = host_status('b', 't');
        return $task->{lease} && !$old{$task->{lease}{pid}}
               && state_of('b') eq 'other';
    });
}

sub state_of { host_status($_[0], 't')->{cluster}{state} }

sub cycles { host_status($_[0], 't')->{cycles} }

sub order { host_order($_[0], '/control/t/run') }

begins('a', "$dir/redis.sock");
poll('a has the task', sub { state_of('a') eq 'leader' });

# b does not know yet whether another nginx has the task

gate_say($gate, 'hold');
begins('b', $gate);
is(state_of('b'), 'unknown', 'the server does not answer');
is(order('b'), 202, 'an order');
gate_say($gate, 'pass');

poll('b knows', sub { state_of('b') eq 'other' });
poll('it is dropped', sub { host_log('b') =~ /"t": an order to run it is drop/ });

is(order('b'), 409, 'an order to one that does not have the task');

# the line of the one that is dropped may come before it is

poll('its log says why', sub {
    host_log('b') =~ /"t" is not run, another nginx has it/ || order('b') != 409
});

like(host_log('b'), qr/"t" is not run, another nginx has it/, 'its log says why');
is(order('a'), 202, 'an order to the one that has it');
poll('it runs', sub { cycles('a')->{completed} == 1 });

# it can be paused all the same

is(host_order('b', '/control/t/pause'), 202, 'a pause');
resize('2m');
ok(host_status('b', 't')->{paused}, 'another zone has it');
is(host_order('b', '/control/t/resume'), 202, 'its end');
resize('1m');
ok(!host_status('b', 't')->{paused}, 'another zone has that, too');

# the other one takes it over

host_stop('a');
poll('b has the task', sub { state_of('b') eq 'leader' });
is(order('b'), 202, 'an order to it');
poll('it runs there', sub { cycles('b')->{completed} });
is(cycles('b')->{started}, 1, 'once, not for orders before that');

host_stop('b');

done_testing();
