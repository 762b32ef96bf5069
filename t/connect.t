# "connect" to listeners that answer, refuse, or say nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundPeer;
use BackgroundStatus;
use Test::More;

my $v4 = listener('127.0.0.1') or die "listen: $!\n";
my $v6 = listener('::1');
my $unix = unix_listener('peer');
my $full_unix = unix_listener('full', 1);
my ($full, @full) = full_listener();
my ($closed, $keep) = closed_port('127.0.0.1');
my $dir = dir();

my %good = (
    v4   => '127.0.0.1:' . $v4->sockport,
    name => 'localhost:' . $v4->sockport,
    unix => "unix:$dir/peer",
    $v6 ? (v6 => '[::1]:' . $v6->sockport) : (),
);

my $once = 'interval 1h; retry 1h;';
my $http = join "\n",
    (map { "background_task $_ { $once connect $good{$_}; }" } sort keys %good),
    "background_task count { $once connect unix:$dir/peer count=100; }",
    "background_task refused { $once connect 127.0.0.1:$closed; }",
    "background_task refused3 { $once connect 127.0.0.1:$closed count=3; }",
    "background_task missing { $once connect unix:$dir/missing; }",
    "background_task full { $once connect unix:$dir/full count=9; }",
    "background_task silent { $once connect 127.0.0.1:$full timeout=50ms; }",
    "background_task silent5 { $once timeout 100ms;"
        . " connect 127.0.0.1:$full count=70; }";

start($http, '', 'worker_processes 2;');

my %task;

poll('all are over', sub {
    %task = by_name(status());

    return !grep { !$_->{last} } values %task;
});

for (sort keys %good) {
    my $t = $task{$_};

    is($t->{last}{error}, undef, "$_: connected");
    is($t->{operations}{completed}, 1, "$_: one operation");
}

is($task{v4}{cycles}{completed}, 1, 'a good cycle');

SKIP: {
    skip 'bind() to ::1 of AF_INET6 is refused', 1 unless $v6;
    is(accept_all($v6), 1, 'the IPv6 listener had one');
}

is(accept_all($v4), 2, 'the IPv4 listener had two');
is(accept_all($unix), 101, 'the unix socket had all copies');
is($task{count}{operations}{completed}, 100, 'copies are counted');

# each reason has words of its own

sub error_of { $task{$_[0]}{last}{error} }

is(error_of('refused'), "connect \"127.0.0.1:$closed\": "
   . 'connect() failed (111: Connection refused)', 'refused');
is(error_of('missing'), "connect \"unix:$dir/missing\": "
   . 'connect() failed (2: No such file or directory)', 'no socket');
is(error_of('silent'), "connect \"127.0.0.1:$full\": connect() timed out", 'timed out');
is(error_of('full'), "connect \"unix:$dir/full\": "
   . 'connect() failed (11: Resource temporarily unavailable)',
   'a full queue of a unix socket');
is(error_of('silent5'), "connect \"127.0.0.1:$full\": timed out",
   'timed out with the cycle');

is($task{refused3}{operations}{failed}, 3, 'failed copies are counted');
is($task{silent5}{operations}{failed}, 70, 'those under way, too');
cmp_ok($task{silent}{last}{io_seconds}, '>=', 0.05, 'time of waiting');

# it is written after the failure is in the status

poll('all is logged', sub { logged(qr/connect\(\)/) >= 5 });
is(logged(qr/connect\(\)/), 5, 'a line for each failed cycle, no more');
is(logged(qr/\[(?:crit|alert)\]/), 0, 'nothing worse');

stop();
done_testing();
