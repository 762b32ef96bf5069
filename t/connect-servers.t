# "connect" to real servers, in a network of the test's own, where the kernel
# counts each reset.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Socket qw/ AF_INET SOCK_STREAM inet_aton pack_sockaddr_in /;
use Test::More;

# the address of "lo" there is 127.0.0.2, as MariaDB does not count 127.0.0.1

BEGIN {
    unless ($ENV{BACKGROUND_OWN_NETWORK}) {
        plan skip_all => 'only root has a network of its own' if $> != 0;
        plan skip_all => 'unshare -nm is not permitted'
            if system('unshare -nm true 2> /dev/null') != 0;

        $ENV{BACKGROUND_OWN_NETWORK} = 1;
        exec 'unshare', '-nm', $^X, $0 or die "exec: $!\n";
    }
}

use BackgroundLife;
use BackgroundStatus;
use IO::Socket::IP;
use IO::Socket::UNIX;
use POSIX ();

my $dir = dir();

network();

my %program = map { $_ => program($_) }
              qw/ mariadbd mariadb-install-db mariadb sshd ssh-keygen
                  redis-server /;
my %pid;

END {
    my $status = $?;

    for (values %pid) {
        kill 'KILL', $_;
        waitpid $_, 0;
    }

    $? = $status;
}

my %port = (sshd => 2022, redis => 6379, mariadb => 3306);

sshd() if $program{sshd} && $program{'ssh-keygen'};
redis() if $program{'redis-server'};
mariadb() if $program{mariadbd} && $program{'mariadb-install-db'}
             && $program{mariadb};

plan skip_all => 'no server is installed' unless %pid;

# until each of them takes connections

for my $name (sort keys %pid) {
    poll("$name listens", sub {
        IO::Socket::IP->new(PeerHost => '127.0.0.2', PeerPort => $port{$name},
                            Type => SOCK_STREAM);
    });
}

# without a user from there, it tells the reason instead of a greeting

query("CREATE USER probe\@probe") if $pid{mariadb};

my $often = 'interval 20ms; retry 20ms;';

start(join("\n", map {
    "background_task $_ { $often connect 127.0.0.2:$port{$_}; }"
} sort keys %pid), '', 'worker_processes 1;');

my %task;
my $resets = resets();

poll('many cycles', sub {
    %task = by_name(status());

    return !grep { $task{$_}{cycles}{completed} < 50 } keys %pid;
});

is($task{$_}{cycles}{failed}, 0, "$_: no cycle has failed") for sort keys %pid;

# A server that takes more than a second to answer gets a reset all the same;
# otherwise each connection to one that sends something first is reset.

my $n = 0;
$n += $task{$_}{cycles}{completed} for grep { $_ ne 'redis' } keys %pid;

$resets = resets() - $resets;
note("$resets resets of $n connections");

cmp_ok($resets, '<', $n / 2, 'no connection was reset') if $n;

SKIP: {
    skip 'no mariadbd', 2 unless $pid{mariadb};

    poll('mariadb counts each of them as aborted', sub {
        query("SHOW GLOBAL STATUS LIKE 'Aborted_connects'") =~ /(\d+)/
        && $1 >= 50;
    });

    like(first_bytes("127.0.0.2:$port{mariadb}"), qr/is blocked because of many/,
         'mariadb: blocks the host in the end');
    like(first_bytes("$dir/mariadb/socket"), qr/mysql_native_password/,
         'but not its socket');
}

stop();
done_testing();

sub program {
    my ($name) = @_;

    return (grep { -x } map { "$_/$name" } split(/:/, $ENV{PATH}),
            '/usr/sbin', '/usr/bin')[0];
}

# brings "lo" up, and names its address: MariaDB counts errors by host where it
# knows a name

sub network {
    my $address = pack_sockaddr_in(0, inet_aton('127.0.0.2'));
    my ($SIOCSIFFLAGS, $SIOCSIFADDR, $IFF_UP) = (0x8914, 0x8916, 1);

    socket my $socket, AF_INET, SOCK_STREAM, 0 or die "socket: $!\n";

    ioctl $socket, $SIOCSIFADDR, pack 'Z16a16', 'lo', $address
        or die "ioctl: $!\n";
    ioctl $socket, $SIOCSIFFLAGS, pack 'Z16s@40', 'lo', $IFF_UP
        or die "ioctl: $!\n";

    put('hosts', "127.0.0.1 localhost\n127.0.0.2 probe\n");

    system("mount --bind $dir/hosts /etc/hosts") == 0 or die "mount failed\n";
}

# sent by this network since it is there

sub resets {
    my ($names, $values) = grep { /^Tcp:/ } split /\n/,
                           read_file('/proc/self/net/snmp');
    my %is;

    @is{split ' ', $names} = split ' ', $values;

    return $is{OutRsts};
}

sub first_bytes {
    my ($address) = @_;

    my $peer = $address =~ /^\//
        ? IO::Socket::UNIX->new(Peer => $address, Type => SOCK_STREAM)
        : IO::Socket::IP->new(PeerAddr => $address, Type => SOCK_STREAM);

    die "connect: $!\n" unless $peer;

    sysread $peer, my $bytes, 4096;

    return $bytes // '';
}

sub query {
    my ($query) = @_;

    open my $client, '-|', $program{mariadb}, '--no-defaults', '-uroot', '-N',
        '-B', '-S', "$dir/mariadb/socket", '-e', $query or die "mariadb: $!\n";
    local $/;
    my $answer = <$client>;

    close $client or die "mariadb failed: $query\n";

    return $answer // '';
}

sub run {
    my ($name, @command) = @_;

    defined($pid{$name} = fork) or die "fork: $!\n";
    return if $pid{$name};

    open STDIN, '<', '/dev/null' or POSIX::_exit(1);
    open STDOUT, '>>', "$dir/$name.log" or POSIX::_exit(1);
    open STDERR, '>&', \*STDOUT or POSIX::_exit(1);
    exec @command or POSIX::_exit(1);
}

sub sshd {
    # it wants a folder there

    system('mount -t tmpfs none /run') == 0 or die "mount failed\n";
    mkdir '/run/sshd', 0755 or die "mkdir: $!\n";

    system("$program{'ssh-keygen'} -q -t ed25519 -N '' -f $dir/key") == 0
        or die "ssh-keygen failed\n";

    put('sshd.conf', <<"EOF");
Port $port{sshd}
ListenAddress 127.0.0.2
HostKey $dir/key
PidFile none
UsePAM no
LogLevel VERBOSE
MaxStartups 1000
EOF

    run('sshd', $program{sshd}, '-D', '-e', '-f', "$dir/sshd.conf");
}

sub redis {
    run('redis', $program{'redis-server'}, '--port', $port{redis}, '--bind',
        '127.0.0.2', '--dir', $dir, '--save', '');
}

sub mariadb {
    my @common = ("--datadir=$dir/mariadb/data", "--tmpdir=$dir/mariadb",
                  '--user=nobody');

    local $ENV{TMPDIR} = "$dir/mariadb";

    mkdir $_ or die "mkdir: $!\n" for "$dir/mariadb", "$dir/mariadb/data";
    for_workers("$dir/mariadb", "$dir/mariadb/data");

    system(join ' ', $program{'mariadb-install-db'}, '--no-defaults', @common,
           '--skip-test-db', '--auth-root-authentication-method=normal',
           "> $dir/install.log 2>&1") == 0
        or die "mariadb-install-db failed:\n" . read_file("$dir/install.log");

    run('mariadb', $program{mariadbd}, '--no-defaults', @common,
        '--bind-address=127.0.0.2', "--port=$port{mariadb}",
        "--socket=$dir/mariadb/socket", "--pid-file=$dir/mariadb/pid",
        '--log-warnings=4', '--max-connect-errors=20');
}
