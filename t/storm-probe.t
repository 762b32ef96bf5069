# probe: reloads, deaths of workers, and changes of names in DNS under load, with a
# server that is down and counts what it is asked: no client ever meets it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundDns;
use BackgroundKind;
use BackgroundLife;
use BackgroundServer;
use BackgroundStatus;
use BackgroundStorm;
use POSIX ();
use Test::More;
use Time::HiRes qw/ time /;

my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';
my ($major, $minor, $patch) = `'$nginx' -v 2>&1` =~ /(\d+)\.(\d+)\.(\d+)/;
my $resolves = $major * 1e6 + $minor * 1e3 + $patch >= 1027003;

my $kind = load_kind('peers');
my $rounds = rounds(5);
my $changes = $resolves ? POSIX::ceil($rounds / 3) : 0;

my $dead = server('dead', 500);
my ($port) = $dead =~ /:(\d+)$/;
my $good = server('good', 200, '127.0.0.2', $port);
my $other = server('other', 500, '127.0.0.3', $port);

my ($resolver, $resolved) = ('', '');

# with "mandatory" servers that are new have no request before they have passed

if ($resolves) {
    my $dns = dns_start();

    dns_names('app.test' => '127.0.0.1 127.0.0.2');

    $resolver = "resolver 127.0.0.1:$dns ipv6=off valid=1s;";
    $resolved = "server app.test:$port resolve max_fails=0;";
}

start(<<"EOF_HTTP", <<'EOF_SERVER', "$kind\nworker_processes 2;");
    $resolver
    upstream app {
        zone app 64k;
        server $dead max_fails=0;
        server $good max_fails=0;
    }
    upstream must {
        zone must 256k;
        ${\($resolved || "server $dead max_fails=0; server $good max_fails=0;")}
    }
EOF_HTTP
        background_task app { interval 50ms; retry 50ms; probe app /health timeout=30s; }
        background_task must { interval 50ms; retry 50ms; probe must /must mandatory persistent timeout=30s; }
        location = /health { internal; proxy_pass http://app; }
        location = /must { internal; proxy_pass http://must; }
        location /client { proxy_pass http://app; proxy_next_upstream off; }
        location /client/must { proxy_pass http://must; proxy_next_upstream off; }
        location = /peers { peers must show; }
EOF_SERVER

settles($_, dead => 'down', good => 'up') for qw/ app must /;

defined(my $pid = fork) or die "fork: $!\n";

if ($pid == 0) {
    my $parent = getppid();
    $SIG{$_} = 'DEFAULT' for qw/ INT TERM HUP /;
    local $BackgroundStatus::quiet = 1;

    while (getppid() == $parent) {
        eval { get($_) } for qw{ /client /client/must };
    }

    POSIX::_exit(0);
}

my $start = time;

for my $n (1 .. $rounds) {
    my @old = workers();

    signal('HUP');
    others('new workers', @old);
    served();

    @old = workers();
    signal('KILL', @old);
    others('other workers', @old);
    served();
}

my $took = time - $start;

for my $n (1 .. $changes) {
    my ($goes, $comes) = $n % 2 ? qw/ dead other / : qw/ other dead /;

    dns_names('app.test' => $n % 2 ? '127.0.0.2 127.0.0.3'
                                   : '127.0.0.1 127.0.0.2');

    poll('the change', sub {
        return eval { state_of('must', $goes) eq 'none'
                      && state_of('must', $comes) eq 'down' };
    });
    served();
}

kill 'KILL', $pid;
waitpid $pid, 0;

sub clients { scalar grep { m{^GET /client} } asked_for($_[0]) }

# workers that are none of these

sub others {
    my ($what, @old) = @_;

    my %old = map { $_ => 1 } @old;

    poll($what, sub { grep { !$old{$_} } workers() });
}

sub served {
    my $before = clients('good');

    poll('clients are served', sub { clients('good') > $before + 5 });
}

is(clients($_), 0, "$_: no client met it") for qw/ dead other /;

poll('the status', sub { eval { state_of('app', 'dead') eq 'down' } });
is(peer('app', 'dead')->{changes}, 0, 'its verdict has never changed');
is(peer('app', 'good')->{changes}, 0, 'nor that of the good one');
like((get('/peers'))[2], qr/^tries=1$/m, 'nginx knows how many are up');

figures('reloads' => $rounds, 'kill -9 of all workers' => $rounds,
        'seconds' => $took, 'changes of DNS' => $changes,
        'client requests' => clients('good'),
        'of the dead' => clients('dead') + clients('other'),
        'checks of the dead' => connected('dead') + connected('other'));

put('error.log', join '', grep { !/exited on signal/ } split /^/, log_text());
stop();
done_testing();
