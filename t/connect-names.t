# "connect" to a name with several addresses, in an /etc/hosts of the test's
# own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundPeer;
use BackgroundStatus;
use Socket qw/ SOCK_STREAM getaddrinfo unpack_sockaddr_in /;
use Test::More;

if (!$ENV{BACKGROUND_MOUNTS}) {
    my $flags = $> == 0 ? '-m' : '-rm';

    put('hosts', join '', map { "$_ two.test\n" } qw/ 127.0.0.2 127.0.0.3 /);

    plan skip_all => 'unshare(CLONE_NEWNS) or mount() is refused'
        if system("unshare $flags mount --bind ${\dir()}/hosts /etc/hosts"
                  . ' 2> /dev/null') != 0;

    $ENV{BACKGROUND_MOUNTS} = 1;
    my $status = system('unshare', $flags, 'sh', '-c',
                        'mount --bind "$0" /etc/hosts && exec "$@"',
                        dir() . '/hosts', $^X, (map { "-I$_" } @INC), $0);
    exit($status >> 8 || $status);
}

my (undef, @found) = getaddrinfo('two.test', 80, { socktype => SOCK_STREAM });
my @hosts = map { sprintf '%vd', (unpack_sockaddr_in($_->{addr}))[1] } @found;

plan skip_all => 'getaddrinfo() does not read /etc/hosts'
    if "@hosts" !~ /^127.0.0.[23] 127.0.0.[23]$/;

my ($closed, $keep) = closed_port($hosts[0]);
my $last = IO::Socket::IP->new(LocalHost => $hosts[1], LocalPort => $closed,
                               Type => SOCK_STREAM, Listen => 10)
    or die "listen on $hosts[1]:$closed: $!\n";
my $first = listener($hosts[0]) or die "listen on $hosts[0]: $!\n";
my $port = $first->sockport;
my ($none, $keep2) = closed_port($hosts[0]);

start(<<"EOF");
    background_task first { interval 1h; connect two.test:$port; }
    background_task second { interval 1h; connect two.test:$closed count=3; }
    background_task none { retry 1h; connect two.test:$none; }
EOF

my %task;

poll('all are over', sub {
    %task = by_name(status());

    return !grep { !$_->{last} } values %task;
});

is($task{first}{last}{error}, undef, 'the first address');
is(accept_all($first), 1, 'connected');

is($task{second}{last}{error}, undef, 'the second one, as the first refuses');
is($task{second}{operations}{completed}, 3, 'one operation for each copy');
is(accept_all($last), 3, 'connected');

is($task{none}{last}{error}, "connect \"two.test:$none\": connect() to "
   . "$hosts[1]:$none, the last of 2 addresses, failed "
   . '(111: Connection refused)', 'none');
is($task{none}{operations}{failed}, 1, 'one operation');

stop();
done_testing();
