# "workers cluster" and background_control: a task that was quarantined on all
# servers and is resumed on some.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundRedis;
use Test::More;

plan skip_all => 'no redis-server' unless redis_program();

my $dir = redis_dir();
my $library = lease_library() or plan skip_all => 'no compiler';
my $server = redis('redis');

write_file('crash', '');

for my $host ('a', 'b') {
    host($host, <<"EOF_CONF", 'worker_processes 1;', <<'EOF_LOCATIONS');
background_redis main { server $server; }
background_task t {
    workers  cluster lease=5s;
    interval 20ms;
    retry    20ms;
    call     $library lease $dir/out/runs $host 5 crash=$dir/crash;
}
EOF_CONF
location /control/ { background_control run pause; }
EOF_LOCATIONS
}

poll('both are quarantined', sub { 2 == grep { quarantined($_) } 'a', 'b' });

my @died = runs('out/runs');
my $n = @died;

unlink "$dir/crash" or die "unlink: $!\n";

is(order('a', 'run'), 409, 'it does not run by order');
is(order('a', 'resume'), 202, 'resume on one');
poll('it takes the task', sub { leader('t', 'a', 'b') eq 'a' });
poll('it runs', sub { runs('out/runs') > $n + 3 });
ok(quarantined('b'), 'the other one does not');

# b is a candidate again, and an order does not start it there

my $started = cycles('b');

is(order('b', 'resume'), 202, 'resume on the other one');

# it is refused if b knows already that a has the task

like(order('b', 'run'), qr/^(?:202|409)$/, 'run there');
poll('it is a candidate', sub {
    host_status('b', 't')->{cluster}{state} eq 'other';
});
$n = () = runs('out/runs');
poll('one of them runs it', sub { runs('out/runs') > $n + 20 });
is(join("\n", grep { !$_->[2] } runs('out/runs')), '', 'none without a fence');
is(join("\n", overlaps('out/runs', { map { $_->[1] => $_->[3] + 1e-6 } @died })),
   '', 'no two at once');

# and takes it when the first one is gone

host_stop('a');
poll('it has it', sub { leader('t', 'b') });
poll('and runs it', sub { cycles('b') > $started + 3 });
pass('the other one goes on');
host_stop('b');

done_testing();

###############################################################################

sub cycles { host_status($_[0], 't')->{cycles}{started} }

sub order { host_order($_[0], "/control/t/$_[1]") }
