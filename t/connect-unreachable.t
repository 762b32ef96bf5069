# "connect" where there is no route, in a network of the test's own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundStatus;
use Test::More;

# a new network has not even a loopback interface that is up

if (!$ENV{BACKGROUND_NETWORK}) {
    my $flags = $> == 0 ? '-n' : '-rn';

    plan skip_all => 'unshare(CLONE_NEWNET) is refused'
        if system("unshare $flags true 2> /dev/null") != 0;

    $ENV{BACKGROUND_NETWORK} = 1;
    exec 'unshare', $flags, $^X, (map { "-I$_" } @INC), $0
        or die "unshare: $!\n";
}

start(<<'EOF', '', 'worker_processes 1;');
    background_task v4 { connect 192.0.2.1:80; }
    background_task v6 { connect [2001:db8::1]:80; }
EOF

my %task;

poll('both are over', sub {
    %task = by_name(status());

    return !grep { !$_->{last} } values %task;
});

is($task{v4}{last}{error}, 'connect "192.0.2.1:80": '
   . 'connect() failed (101: Network is unreachable)', 'IPv4');
like($task{v6}{last}{error}, qr/^\Qconnect "[2001:db8::1]:80": connect() \E
     failed\ \((?:101:\ Network\ is\ unreachable
                |99:\ Cannot\ assign\ requested\ address
                |97:\ Address\ family\ not\ supported\ by\ protocol)\)$/x,
     'IPv6');

stop();
done_testing();
