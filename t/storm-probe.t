# probe: reloads and deaths of workers under load, with a server that is down and
# counts what it is asked: no client ever meets it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundServer;
use BackgroundStatus;
use BackgroundStorm;
use POSIX ();
use Test::More;

my $dir = dir();
my $rounds = rounds(10);
my %address = map { $_ => server($_) } qw/ dead good /;

says('dead', 500);

start(<<"EOF_HTTP", <<'EOF_SERVER', 'worker_processes 2;');
    upstream app {
        zone app 64k;
        server $address{dead} max_fails=0;
        server $address{good} max_fails=0;
    }
EOF_HTTP
        background_task app { interval 50ms; retry 50ms; probe app /health timeout=30s; }
        location = /health { internal; proxy_pass http://app; }
        location /client { proxy_pass http://app; proxy_next_upstream off; }
EOF_SERVER

settles('app', dead => 'down', good => 'up');

my $before = clients('dead');

defined(my $pid = fork) or die "fork: $!\n";

if ($pid == 0) {
    my $parent = getppid();
    $SIG{$_} = 'DEFAULT' for qw/ INT TERM HUP /;
    local $BackgroundStatus::quiet = 1;
    eval { get('/client') } while getppid() == $parent;
    POSIX::_exit(0);
}

for my $n (1 .. $rounds) {
    my $served = clients('good');

    if ($n % 2) {
        my %old = map { $_ => 1 } workers();

        signal('HUP');
        poll('new workers', sub { grep { !$old{$_} } workers() });

    } else {
        my @pids = workers();
        my %dead = map { $_ => 1 } @pids;

        signal('KILL', @pids);
        poll('other workers', sub { grep { !$dead{$_} } workers() });
    }

    poll('clients are served', sub { clients('good') > $served + 5 });
}

kill 'KILL', $pid;
waitpid $pid, 0;

sub clients { scalar grep { m{^GET /client} } asked_for($_[0]) }

is(clients('dead'), $before, "$rounds rounds: no client met the server that is "
   . 'down');

poll('the status', sub { eval { state_of('app', 'dead') eq 'down' } });
is(peer('app', 'dead')->{changes}, 0, 'its verdict has never changed');

put('error.log', join '', grep { !/exited on signal/ } split /^/, log_text());
stop();
done_testing();
