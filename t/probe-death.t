# probe: the worker that asks the servers dies, and one of an older configuration
# changes a verdict after new workers have started.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundControl;
use BackgroundKind;
use BackgroundLife;
use BackgroundServer;
use BackgroundStatus;
use Test::More;

my $kind = load_kind('freeze');
my %address = map { $_ => server($_) } qw/ a b /;

start(<<"EOF_HTTP", <<'EOF_SERVER', "$kind\nworker_processes 2;");
    upstream app {
        zone app 64k;
        server $address{a} max_fails=0;
        server $address{b} max_fails=0;
    }
EOF_HTTP
        background_task app { interval 200ms; retry 200ms; probe app /x timeout=30s; }
        location = /x {
            internal;
            # asks
            proxy_pass http://app;
            proxy_intercept_errors on;
            error_page 503 = /stops;
        }
        location = /stops { internal; freeze; }
        location / { proxy_pass http://app; proxy_next_upstream off; }
        location /control/ { background_control peers; }
EOF_SERVER

sub lease {
    my %task = by_name(status_anyhow());

    return $task{app}{lease} ? $task{app}{lease}{pid} : 0;
}

# the one that asks dies: another one goes on, and clients notice nothing

settles('app', a => 'up', b => 'up');
dies('a');
settles('app', a => 'down', b => 'up');

for my $n (1 .. 3) {
    my $pid = poll('a lease', \&lease);
    my $failed = peer('app', 'a')->{checks}{failed};

    signal('KILL', $pid);
    poll('another one', sub { my $now = lease(); $now && $now != $pid });

    is(answers('/'), 'b', "death $n: the verdict stays");
    poll('it is asked', sub {
        return peer('app', 'a')->{checks}{failed} > $failed + 1;
    });
    is(peer('app', 'a')->{changes}, 1, "death $n: it has not changed");
}

lives('a');
settles('app', a => 'up', b => 'up');
is(answers('/'), 'a b', 'it comes back');

# A worker stops when a server has answered, before it knows that.  Then the
# configuration is reloaded: new workers start with the old verdict, and their
# location asks nobody.

# On a slow machine the worker may lose its leases as one that hangs, and with them
# the check: then it is tried again.

my $tries = 0;
my (%old, $asked);

until (a_late_verdict() || ++$tries == 10) {
    says('a', 200);
    reconfigure('return 204;', '# asks');
    settles('app', a => 'up', b => 'up');
}

is(answers('/'), 'b', 'new workers know the one that has come since');
is(clients(), $asked, 'no client has met the server');

# returns false if the worker has lost the check

sub a_late_verdict {
    my $down = logged(qr/server \S+ is down after/);

    %old = map { $_ => 1 } workers();
    says('a', 503);

    my $stopped = poll('a worker stops', sub {
        return (grep { process_stat($_)->[0] eq 'T' } keys %old)[0];
    });

    reconfigure('# asks', 'return 204;');

    poll('new workers', sub { 2 == grep { !$old{$_} } workers() });

    is(process_stat($stopped)->[0], 'T', 'the old worker is stopped');
    is(answers('/', 4), 'a b', 'new workers have the old verdict');

    $asked = clients();

    signal('CONT', $stopped);
    poll('the old worker is gone', sub { gone($stopped) });

    return logged(qr/server \S+ is down after/) > $down
           || !logged(qr/worker process $stopped hangs/);
}

sub clients { scalar grep { !m{^GET /x } } asked_for('a') }

# an order that an old worker gets, as the client was there before

my $client = half_order("/control/peers/app/$address{b}/down");

# connections are accepted in the order in which they came

status();

%old = map { $_ => 1 } workers();
signal('HUP');
poll('new workers', sub { 2 == grep { !$old{$_} } workers() });
poll('one old worker at least is there', sub { grep { $old{$_} } workers() });

is(whole_order($client), 202, 'the order');
poll('new workers know it', sub { answers('/') eq '502' });

put('error.log', join '', grep { !/exited on signal/ } split /^/, log_text());
stop();
done_testing();
