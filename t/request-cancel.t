# Requests in all states are torn down at once by a timeout, a reload and each
# kind of exit, and their upstream connections closed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use BackgroundUpstream;
use IO::Socket::UNIX;
use Test::More;
use Time::HiRes qw/ time /;

my $dir = dir();

put('big', '');
truncate "$dir/big", 50_000_000 or die "truncate: $!\n";
put('small', 'small');
put('list', "/hold/\n" x 100_000);
put('mixed', "/hold/\n/big\n/limited\n/aio\n" x 100_000);

upstream('peer');

my $http = <<'EOF_HTTP';
    limit_req_zone $uri zone=req:1m rate=1r/m;
    proxy_cache_path cache keys_zone=cache:1m;
    log_format seen '$background_task $status';
EOF_HTTP

my $locations = <<"EOF_LOCATIONS";
        access_log seen.log seen;
        location /hold { proxy_pass http://unix:$dir/peer; log_subrequest on; }
        location /mirrored { mirror /hold; alias $dir/small; }
        location /auth { auth_request /hold; alias $dir/small; }
        location = /big { root $dir; limit_rate 1k; }
        location = /aio {
            alias $dir/big;
            aio threads;
            limit_rate 100k;
            limit_rate_after 1m;
        }
        location = /limited {
            limit_req zone=req burst=100000;
            alias $dir/small;
        }
        location /cached {
            proxy_pass http://unix:$dir/peer:/hold;
            proxy_cache cache;
            proxy_cache_lock on;
        }
EOF_LOCATIONS

# a timeout

start($http, <<"EOF_SERVER", 'worker_processes 1; debug_points abort;');
    $locations
    background_task hold { timeout 1s; retry 1h; request /hold count=20; }
    background_task list { timeout 6s; retry 1h; requests list; }
    background_task big { timeout 200ms; retry 1h; request /big; }
EOF_SERVER

my %task;

poll('timed out', sub {
    %task = by_name(status());
    return !grep { !$_->{last} } values %task;
});

is($task{hold}{last}{error}, 'request "/hold": timed out', 'request: error');
is($task{hold}{last}{failed}, 20, 'request: all that were under way');
is($task{list}{last}{error}, 'requests "list": timed out', 'requests: error');
is($task{list}{last}{failed}, 8, 'requests: what was under way');
is($task{big}{last}{error}, 'request "/big": timed out', 'limit_rate');

poll('upstream connections are closed', sub {
    return opened('peer') == 28 && closed('peer') == 28;
});

stop();

is(join(' ', read_text("$dir/seen.log") =~ /^(?:hold|list) (\d+)$/gm),
   '499 ' x 27 . '499', 'logged as 499');

# exits and reloads

my $tasks = join "\n", map { "background_task $_->[0] { workers all; "
                             . "timeout 1h; $_->[1]; }" }
    (['hold', 'request /hold count=10'], ['mirrored', 'request /mirrored'],
     ['auth', 'request /auth'], ['big', 'request /big count=5'],
     ['aio', 'request /aio count=5'], ['limited', 'request /limited count=9'],
     ['cached', 'request /cached count=5'], ['list', 'requests mixed'],
     ['slow', 'requests list rate=1r/m']);

for my $case (['quit', 'worker_processes 2;', 'QUIT'],
              ['stop', 'worker_processes 2;', 'TERM'],
              ['quit, then stop', 'worker_processes 2;', 'QUIT', 'TERM'],
              ['reload, then quit', 'worker_processes 2;', 'HUP', 'QUIT'],
              ['reload with a timeout, then quit', 'worker_processes 2; '
               . 'worker_shutdown_timeout 1ms;', 'HUP', 'QUIT'],
              ['quit of a single process', 'master_process off;', 'QUIT'],
              ['stop of a single process', 'master_process off;', 'TERM'])
{
    my ($name, $main, @signals) = @$case;
    my $n = $main =~ /worker_processes 2/ ? 2 : 1;

    forget('peer');
    start($http, "$locations $tasks", "$main debug_points abort;");

    my $pid = master();
    my $started;

    for my $signal (@signals) {
        poll("$name: all run", sub {
            %task = by_name(status());
            return !grep { $_->{running} != $n || $_->{cycles}{failed} }
                    values %task;
        }) unless $started;

        if ($signal eq 'HUP') {
            my @old = workers();

            signal($signal);
            poll("$name: old workers leave", sub {
                my %now = map { $_ => 1 } workers();
                return !grep { $now{$_} } @old;
            });
            next;
        }

        $started ||= time;
        signal($signal);
    }

    poll("$name: exits", sub { !kill(0, $pid) || zombie($pid) });

    note(sprintf '%s: %.3fs', $name, time - $started);

    # it accepts this connection after those of nginx

    my $last = IO::Socket::UNIX->new(Peer => "$dir/peer")
        or die "connect: $!\n";

    syswrite $last, "GET /code/204 HTTP/1.1\r\nHost: x\r\n\r\n"
        or die "write: $!\n";
    sysread $last, my $answer, 1000 or die "no answer\n";
    close $last;

    poll("$name: upstream connections are closed", sub {
        return opened('peer') && opened('peer') == closed('peer');
    });

    # nginx kills a worker that has not exited within a second

    is(logged(qr/exited with code [^0]|exited on signal (?!9\n)/), 0,
       "$name: no bad exit");
    is(logged(qr/background task "\w+": failed/), 0, "$name: no failure");

    stop();
}

done_testing();

sub zombie {
    open my $file, '<', "/proc/$_[0]/stat" or return 1;

    return <$file> =~ /\) Z /;
}
