# probe: reloads and deaths of workers under load, with a server that is down and
# counts what it is asked: no client ever meets it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundClients;
use BackgroundLife;
use BackgroundServer;
use BackgroundStatus;
use BackgroundStorm;
use Test::More;
use Time::HiRes qw/ time /;

my $rounds = rounds(5);
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

clients_start('/client');

my $start = time;

for my $n (1 .. $rounds) {
    my @old = workers();

    signal('HUP');
    others('new workers', @old);
    served('good');

    # three deaths in a row, each in a cycle, would lift verdicts

    applied('app');

    @old = workers();
    signal('KILL', @old);
    others('other workers', @old);
    served('good');
}

my $took = time - $start;

clients_end();

# workers that are none of these

sub others {
    my ($what, @old) = @_;

    my %old = map { $_ => 1 } @old;

    poll($what, sub { grep { !$old{$_} } workers() });
}

is(clients('dead'), $before, 'no client met the server that is down');

poll('the status', sub { eval { state_of('app', 'dead') eq 'down' } });
is(peer('app', 'dead')->{changes}, 0, 'its verdict has never changed');
is(peer('app', 'good')->{changes}, 0, 'nor that of the good one');

figures('reloads' => $rounds, 'kill -9 of all workers' => $rounds,
        'seconds' => $took, 'client requests' => clients('good'),
        'of the dead' => clients('dead') - $before,
        'checks of the dead' => connected('dead'));

put('error.log', join '', grep { !/exited on signal/ } split /^/, log_text());
stop();
done_testing();
