# "connect" leaves nothing behind, whenever it is stopped.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundPeer;
use BackgroundStatus;
use Test::More;

my ($listener) = drained(unix_listener('peer'));
my ($full, @full) = full_listener();
my ($closed, $keep) = closed_port('127.0.0.1');
my $dir = dir();
my %task;

start(<<"EOF", '', 'worker_processes 1; debug_points abort;');
    background_task idle { interval 1h; simulate_io 1 delay=0-0; }
EOF

sub fds { scalar(my @fds = glob "/proc/$_[0]/fd/*") }

# the only worker, when it is another one than before

my $worker = 0;

sub settled {
    poll('another worker', sub {
        my @workers = workers();

        return @workers == 1 && $workers[0] != $worker
               && ($worker = $workers[0]);
    });
}

settled();

poll('it has all that it opens', sub {
    my $status = status();

    return $status->{pid} == $worker && $status->{tasks}[0]{last};
});

my $before = fds($worker);

# cycles of all kinds, again and again

reconfigure('background_task idle', <<"EOF");
    background_task good { interval 50ms; connect unix:$dir/peer count=5; }
    background_task refused { retry 1ms; connect 127.0.0.1:$closed count=20; }
    background_task silent { retry 1ms; connect 127.0.0.1:$full timeout=5ms count=20; }
    background_task cut { retry 1ms; timeout 5ms; connect 127.0.0.1:$full count=20; }
    background_task idle
EOF

settled();

poll('many cycles', sub {
    %task = by_name(status());

    return $task{good} && $task{good}{cycles}{completed} > 40
           && !grep { $task{$_}{cycles}{failed} < 100 }
                    qw/ refused silent cut /;
});

is($task{good}{cycles}{failed}, 0, 'good cycles only');
# an eighth of 512 "worker_connections" may linger

cmp_ok(fds($worker), '<=', $before + 70 + 64,
       'no more than what is under way or lingers');

# in the middle of it

reconfigure('background_task idle', <<"EOF");
    background_task open { timeout 1h; connect 127.0.0.1:$full timeout=1h count=300; }
    background_task idle
EOF

settled();

poll('under way', sub { fds($worker) >= 300 });

signal('HUP');
settled();

%task = by_name(status());

is($task{open}{cycles}{cancelled}, 1, 'cancelled by the reload');

poll('under way again', sub { fds($worker) >= 300 });

signal('QUIT');

poll('exits', sub { !workers() });

is(logged(qr/open socket|\[(?:alert|crit|emerg)\]/), 0, 'no socket left');

stop();
done_testing();
