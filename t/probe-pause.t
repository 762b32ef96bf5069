# probe: the verdicts of a task that is paused stay, also at a reload.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundControl;
use BackgroundLife;
use BackgroundServer;
use BackgroundStatus;
use Test::More;

my %address = map { $_ => server($_) } qw/ a b /;

start(<<"EOF_HTTP", <<'EOF_SERVER');
    upstream app {
        zone app 64k;
        server $address{a} max_fails=0;
        server $address{b} max_fails=0;
    }
EOF_HTTP
        background_task app { interval 100ms; retry 100ms; probe app /x timeout=30s; }
        location = /x { internal; proxy_pass http://app; }
        location / { proxy_pass http://app; proxy_next_upstream off; }
        location /control/ { background_control pause; }
EOF_SERVER

says('a', 500);
settles('app', a => 'down', b => 'up');

is(code('/control/app/pause'), 202, 'pause');

# a server may be slow to note a request of a check that was cancelled; twice, as
# a worker may be about to begin one

my $idle = 0;

poll('no check', sub {
    my %task = by_name(status());

    $idle++ if $task{app}{paused};
    $idle = 0 if $task{app}{running};

    return $idle > 1;
});

# new workers know from their start that it is paused

reloaded();

my $asked = asked_for('a');

says('a', 200);
is(answers('/'), 'b', 'the verdict stays');
reloaded();
is(answers('/'), 'b', 'also at a reload');
is(state_of('app', 'a'), 'down', 'its state');
is(scalar(asked_for('a')), $asked, 'it is not asked');

my %task = by_name(status());

is($task{app}{state}, 'paused', 'the state is shown');

is(code('/control/app/resume'), 202, 'resume');
settles('app', a => 'up', b => 'up');
is(answers('/'), 'a b', 'it is judged again');

sub reloaded {
    my %old = map { $_ => 1 } workers();

    signal('HUP');
    poll('new workers only', sub {
        my @pids = workers();
        return @pids && !grep { $old{$_} } @pids;
    });
}

stop();
done_testing();
