# "workers cluster": after an outage that is longer than the lease, the nginx
# that had the task goes on with the state that it had then.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundRedis;
use Test::More;

plan skip_all => 'no redis-server' unless redis_program();

my $dir = redis_dir();
my $server = redis('redis');
my $key = 'nginx:{t}:lease';

# With one worker a status that shows the task as its own comes after
# the start of a cycle that is due.

# another nginx has given it back, with five failures, and it was due

write_file('good', '');
lease_given(1000, 1, 5);
begin('1s');
poll('it has succeeded', sub { cycles()->{completed} });

my $before = poll('the server knows', sub { saved(0) });
my $started = cycles()->{started};

outage();

is(cycles()->{started}, $started, 'a success: it is not due again');
is(cycles()->{consecutive_failures}, 0, 'and has no failures');

my $after = poll('the server knows the state', sub { saved(0) });

cmp_ok(abs($after->[6] - $before->[6]), '<', 60_000, 'the due time is the same');
host_finish('a');

# and the other way round: it was good, and has failed since

unlink "$dir/good" or die "unlink: $!\n";
lease_given(1000, 1, 0);
begin('1s');
poll('it has failed', sub { cycles()->{failed} });
$before = poll('the server knows', sub { saved(1) });
$started = cycles()->{started};

outage();

is(cycles()->{started}, $started, 'a failure: it is not due again');
is(cycles()->{consecutive_failures}, 1, 'and is counted still');
$after = poll('the server knows the state', sub { saved(1) });
cmp_ok(abs($after->[6] - $before->[6]), '<', 60_000, 'the due time is the same');
host_finish('a');

# It exits before it has the task again, and gives it back with that state.  A
# slow machine may let too much time pass to give anything back.

write_file('good', '');

my $value = poll('it is given back', sub {
    lease_given(1000, 1, 5);
    begin('6s');
    poll('it has succeeded', sub { cycles()->{completed} });
    poll('the server knows', sub { saved(0) });
    stands_still();
    host_signal('a', 'QUIT');
    redis_signal('redis', 'CONT');
    host_finish('a');

    my $value = redis_ask('redis', 'GET', $key);
    return $value =~ / f / && $value;
});

my @given = split ' ', $value;

cmp_ok($given[6], '>', time * 1000, 'given back later: the due time');
is($given[7], 0, 'and failures');

done_testing();

###############################################################################

sub begin {
    my ($lease) = @_;

    host('a', <<"EOF_CONF", 'worker_processes 1;');
background_redis main { server $server; }
background_task t {
    workers  cluster lease=$lease;
    interval 1h;
    retry    1h;
    exec     /usr/bin/test -e $dir/good;
}
EOF_CONF
}

sub cycles { host_status('a', 't')->{cycles} }

# the fields of the value, if it is held, and has so many failures and a due
# time in the future

sub saved {
    my ($failures) = @_;

    my @value = split ' ', redis_ask('redis', 'GET', $key) // '';

    return @value > 7 && $value[3] eq 'h' && $value[7] == $failures
           && $value[6] > time * 1000
           ? \@value : undef;
}

sub lost { () = host_log('a') =~ /"t": stopped, the lease could not be/g }

sub stands_still {
    my $n = lost();

    redis_signal('redis', 'STOP');
    poll('it has lost the task', sub { lost() > $n });
}

sub outage {
    stands_still();
    redis_signal('redis', 'CONT');
    poll('it has the task again', sub { leader('t', 'a') });
}
