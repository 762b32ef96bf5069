# A reload that changes the size of the zone: a task with "workers one" stays in
# the old worker until that has given it up; the new one goes on with it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundPeer;
use BackgroundStatus;
use Test::More;

my $dir = dir();
my $kind = load_kind('stops');
my $gate = unix_listener('asks');

# a job that does not ask whether it is cancelled, and a probe

start("background_threads 2;\nbackground_zone 512k;", <<"EOF", "$kind\nworker_processes 1;");
    background_task job { interval 1h; deaf $dir/opened; }
    background_task asks { interval 1h; retry 100ms; timeout 1h; health fails=2; request /gate; }

    location = /gate {
        proxy_pass         http://unix:$dir/asks:/;
    }
EOF

my %task;

poll('the job works', sub { logged(qr/deaf: work/) == 1 });

answer(asked($gate), 500);

my $held = asked($gate);
my $old = a_worker();

reconfigure('background_zone 512k', 'background_zone 1m');

poll('the new one waits', sub {
    logged(qr/"job": waits for a worker of another zone, which still runs the task$/m)
});

# the probe was cancelled, and is the new one's

$held = asked($gate);

poll('the new one answers', sub {
    my $status = status();

    %task = by_name($status);

    return $status->{pid} != $old && $task{asks}{running};
});

is(kill(0, $old), 1, 'the old worker is there');
is($task{job}{running}, 0, 'job: no cycle in the new one');
is($task{asks}{cycles}{cancelled}, 1, 'asks: cancelled');
is($task{asks}{cycles}{started}, 3, 'asks: started');
is($task{asks}{cycles}{consecutive_failures}, 1, 'asks: failures');
ok($task{asks}{healthy}, 'asks: healthy');
is(logged(qr/deaf: work/), 1, 'one job');

# what becomes of it is known to the new one

put('opened', '');

poll('the old worker is gone', sub { !kill 0, $old });
poll('the new one has the task', sub {
    %task = by_name(status());

    return $task{job}{cycles}{completed} == 1;
});

is($task{job}{cycles}{cancelled}, 1, 'job: cancelled in the old one');
is($task{job}{cycles}{started}, 2, 'job: started');
is($task{job}{cycles}{failed}, 0, 'job: not failed');
is(logged(qr/deaf: work/), 2, 'two jobs');

answer($held, 200);
poll('asks: good', sub {
    %task = by_name(status());
    return $task{asks}{cycles}{completed} == 1;
});

stop();
done_testing();
