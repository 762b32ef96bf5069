# probe: "keep=" beside a backup, and beside servers that were not judged yet; a
# server that is listed more than once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundServer;
use BackgroundStatus;
use Test::More;

my %address = map { $_ => server($_) } qw/ a b spare quiet /;

says('quiet', 'hang');

start(<<"EOF_HTTP", <<'EOF_SERVER');
    upstream backed {
        zone backed 64k;
        server $address{a} max_fails=0;
        server $address{spare} backup;
    }
    upstream fresh {
        zone fresh 64k;
        server $address{a} max_fails=0;
        server $address{quiet} max_fails=0;
    }
    upstream twice {
        zone twice 64k;
        server $address{a} max_fails=0;
        server $address{a} max_fails=0;
        server $address{b} max_fails=0;
    }
    upstream both {
        zone both 64k;
        server $address{a} max_fails=0;
        server $address{b} max_fails=0;
        server $address{a} backup;
    }
EOF_HTTP
        proxy_next_upstream off;
        background_task backed { interval 100ms; retry 100ms; probe backed /b keep=1 timeout=30s; }
        background_task fresh { interval 100ms; timeout 24h; probe fresh /f mandatory keep=2 timeout=24h; }
        background_task twice { interval 100ms; retry 100ms; probe twice /t timeout=30s; }
        background_task both { interval 100ms; retry 100ms; probe both /o timeout=30s; }
        location = /b { internal; proxy_pass http://backed; }
        location = /f { internal; proxy_pass http://fresh; }
        location = /t { internal; proxy_pass http://twice; }
        location = /o { internal; proxy_pass http://both; }
        location = /backed { proxy_pass http://backed; }
        location = /fresh { proxy_pass http://fresh; proxy_read_timeout 60s; }
        location = /up { return 200 $background_peers_up_twice/$background_peers_up_both; }
EOF_SERVER

# listed twice, or as a backup, too

settles($_, a => 'up', b => 'up') for qw/ twice both /;
is((get('/up'))[2], '3/2', 'each one is counted');
ok(!peer('both', 'a')->{backup}, 'a primary server that is a backup, too');
is(next_cycle('twice', 'completed')->{last}{message}, '3 of 3 servers up',
    'by the cycle, too');

my %peers = peers('twice');
is(scalar keys %peers, 2, 'one line in the status');

# a backup

settles('backed', a => 'up', spare => 'up');
poll('the other is asked', sub {
    return asked_for('quiet') && state_of('fresh', 'a') eq 'up';
});
says('a', 500);
settles('backed', a => 'down', spare => 'up');
settles('both', a => 'down', b => 'up');
settles('twice', a => 'down', b => 'up');
is((get('/up'))[2], '1/1', 'and none is, when it is down');
is(answers('/backed'), 'spare', 'with a backup none is kept');

dies('spare');
settles('backed', a => 'down', spare => 'down');
is(answers('/backed'), 'a', 'without it the last one is');

# one that was not judged is not kept

is(state_of('fresh', 'quiet'), 'unknown', 'not judged yet');
is(state_of('fresh', 'a'), 'up', 'the other one was');
is(answers('/fresh'), 'a', 'only that one has requests');

says('quiet', 500);
dies('quiet');
lives('quiet');
settles('fresh', a => 'down', quiet => 'down');
poll('both are kept', sub { answers('/fresh') eq 'a quiet' });

my %old = map { $_ => 1 } workers();

says('quiet', 'hang');

my $asked = asked_for('quiet');

poll('a check that hangs', sub { asked_for('quiet') > $asked });
signal('HUP');
poll('new workers', sub { my @w = workers(); @w && !grep { $old{$_} } @w });
poll('the one that was judged', sub { state_of('fresh', 'a') eq 'down' });
is(state_of('fresh', 'quiet'), 'unknown', 'without "persistent"');
poll('it is kept', sub { answers('/fresh') eq 'a' });

stop();
done_testing();
