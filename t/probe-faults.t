# probe: a lock that is never freed, a task that is quarantined, connections
# that are few, a server that hangs, a cycle that ends too early.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundServer;
use BackgroundStatus;
use Test::More;

my $dir = dir();
my $kinds = load_kind('peers') . "\n" . load_kind('crash');
my %address = map { $_ => server($_) } qw/ a b /;

says('a', 500);

start(<<"EOF_HTTP", <<"EOF_SERVER", "$kinds\nworker_processes 1; worker_rlimit_core 0;");
    background_threads 1;
    upstream app {
        zone app 64k;
        server $address{a} max_fails=0;
        server $address{b} max_fails=0;
    }
    upstream tcp {
        zone tcp 64k;
        server $address{a} max_fails=0;
    }
EOF_HTTP
        background_task app { interval 100ms; retry 100ms; probe app /x timeout=30s; crash $dir/crash; }
        location = /x { internal; proxy_pass http://app; }
        location / { proxy_pass http://app; proxy_next_upstream off; }
        location = /lock { peers app lock; }
        location = /free { peers app free; }
        location = /show { peers app show; }
EOF_SERVER

settles('app', a => 'down', b => 'up');
is(answers('/'), 'b', 'one is down');

# the peers are as if nobody had asked them

like((get('/show'))[2], qr{\A\Q$address{a}\E down=40000000 conns=0 fails=0 weight=-?\d+/1/1\n\Q$address{b}\E down=0 conns=0 fails=0 weight=-?\d+/1/1\ntries=1\n\z},
    'peers');

# no client may ask the upstream while it is locked: nginx would wait for ever

get('/lock');

my $task = next_cycle('app', 'failed', qr/is locked/);
is($task->{last}{error}, 'probe "app": upstream "app" is locked, by a worker '
    . 'process that died? Restart nginx', 'the cycle fails');

$task = next_cycle('app', 'failed', qr/is locked/);
cmp_ok($task->{last}{wall_seconds}, '>', 0.9, 'each cycle tries it for a second');
is(logged(qr/\[alert\] .* upstream "app" is locked, by a worker process that died\? Requests to it hang, restart nginx/),
    1, 'one alert');

is((get('/show'))[0], 200, 'the event loop lives');

get('/free');
says('a', 200);
settles('app', a => 'up', b => 'up');
is(answers('/'), 'a b', 'goes on when it is free');

# a server that answers nothing

reconfigure('timeout=30s', 'timeout=6s');
says('b', 'hang');
settles('app', b => 'down');
is(peer('app', 'b')->{last}{error}, 'timed out', 'a server that hangs');
is(answers('/'), 'a', 'the other one answers');

# workers die in the task's cycles: nobody asks the servers any more

put('crash', 'always');
says('b', 200);
poll('quarantined', sub {
    my %task = by_name(status_anyhow());
    return $task{app}{state} eq 'quarantined';
});
poll('all get requests', sub {
    my $show = eval { (get('/show'))[2] } // '';
    return $show =~ /down=0 .*\n.*down=0 .*\ntries=2/;
});
is(answers('/'), 'a b', 'quarantined: all get requests');

put('error.log', join '', grep { !/exited on signal|quarantined|is locked/ }
                              split /^/, log_text());
stop();
done_testing();
