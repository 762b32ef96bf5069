# 10,000 requests in one cycle, answered at once, and 10,000 that are under way
# at the same time, in one worker, which answers meanwhile; a list of 1,000,000
# URIs takes no memory.  "prove -v" shows how long answers took.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use Test::More;
use Time::HiRes qw/ sleep time /;

my $files = 11000;

# not even root may raise it where it has no CAP_SYS_RESOURCE

plan skip_all => "RLIMIT_NOFILE is less than $files"
    if system("sh -c 'ulimit -n $files' 2> /dev/null") != 0;

my $dir = dir();
my $allowed = $ENV{BACKGROUND_ASAN} ? 500_000 : 2_000;   # KB

put('list', join '', map { "/n/$_\n" } 1 .. 1_000_000);

start('', 'location = /stalled { return 200 $stall_requests; }',
      load_kind('stall')
      . "worker_processes 1; worker_rlimit_nofile $files;");

my $old = a_worker();
my $none = "events {\n}\nhttp {\n";

my $server = <<"EOF_SERVER";
events { worker_connections $files; }
http {
    limit_req_zone \$nginx_version zone=hold:1m rate=1r/m;
    server {
        listen unix:$dir/other;
        # tasks
        location / { return 204; }
        location = /stall {
            stall $dir/go;
            return 204;
        }
        location = /hold {
            limit_req zone=hold burst=1000000;
            try_files /nothing =204;
        }
        location = /hold_stall {
            stall $dir/go;
            limit_req zone=hold burst=1000000;
            try_files /nothing =204;
        }
        location ~ ^/n/[2-9][0-9][0-9][0-9][0-9][0-9]\$ {
            limit_req zone=hold burst=1000000;
            try_files /nothing =204;
        }
    }
EOF_SERVER

my ($worker, $stalls, %task);

# at once

reload($none, $server =~ s/# tasks/background_task quick {
    interval 10ms; request \/ count=10000; }/r);

watch('10,000 answered at once', sub {
    $task{quick} && $task{quick}{cycles}{completed} >= 5
});

is($task{quick}{last}{operations}, 10_000, '10,000 in a cycle');
is($task{quick}{cycles}{failed}, 0, 'none failed');

# the worker answers before all are made

reload('background_task quick {
    interval 10ms; request / count=10000;',
       'background_task stalls { interval 1h; request /stall count=10000;');

between('10,000 answered at once');

watch('the rest of them', sub { $task{stalls}{last} });
is($task{stalls}{last}{operations}, 10_000, 'all are made');

# at the same time; some more, as some of them end on a slow machine before the
# last ones start

reload('background_task stalls { interval 1h; request /stall count=10000;',
       'background_task starts { timeout 1d;
    request /hold_stall count=10100;');

between('10,000 under way');

my $most;

watch('starting', sub { ($most = fds($worker)) >= 10_000 });

cmp_ok($most, '>=', 10_000, 'all at the same time');

note(sprintf '%d KB for each', rss($worker) / 10_000);

# each hundredth one, the last one, too, looks for the file that a reload removes

poll('all are made', sub { (get('/stalled'))[2] =~ /^10100$/ });

# and all timed out

reload('background_task starts { timeout 1d;
    request /hold_stall count=10100;',
       'background_task held { retry 1h; timeout 20s;
    request /hold count=10000;');

watch('timed out', sub { $task{held}{last} }, 0.1);
is($task{held}{last}{operations}, 10_000, 'all are counted');
like($task{held}{last}{error}, qr/^request "\/hold": timed out$/, 'timed out');
poll('no descriptor is left', sub { fds($worker) < 50 });

# a long list

reload('background_task held { retry 1h; timeout 20s;
    request /hold count=10000;',
       'background_task list { timeout 1h; requests list concurrency=100;');

%task = by_name(status());

my $before = rss($worker);

watch('list', sub {
    my $progress = $task{list}{progress};

    return $progress && $progress->{done} > 0.1 * $progress->{total};
});

cmp_ok(rss($worker) - $before, '<', $allowed, 'memory');

stop();
done_testing();

sub reload {
    my ($from, $to) = @_;

    unlink "$dir/go";
    $stalls = logged(qr/stall: waits/);
    reconfigure($from, $to);

    poll('another worker', sub {
        my @workers = workers();

        return @workers == 1 && ($worker = $workers[0]) != $old;
    });

    $old = $worker;
    %task = ();
}

# The hundredth request stops the event loop: what a client sends then is
# answered before all requests are made.

sub between {
    my ($name) = @_;

    poll("$name: a request stops the event loop", sub {
        logged(qr/stall: waits/) > $stalls
    });

    my $socket = BackgroundStatus::send_request(
        BackgroundStatus::get_request('/stalled'));

    put('go', '');

    my ($made) = BackgroundStatus::receive($socket) =~ /\r\n\r\n(\d+)$/;

    note("$name: an answer after $made of them");
    cmp_ok($made, '<', 10_000, "$name: an answer before all are made");
}

# asks for the status until that is true, with pauses where it takes its time

sub watch {
    my ($name, $done, $pause) = @_;

    my ($end, @took) = (time + 2 * $BackgroundStatus::deadline);

    until ($done->()) {
        die "timed out: $name\n" if time > $end;

        sleep $pause if $pause;

        my $started = time;
        %task = by_name(status());
        push @took, time - $started;
    }

    @took = sort { $a <=> $b } @took;

    note(sprintf '%s: %d answers, half of them in %.1f ms, 99 %% in %.1f ms, '
         . 'the slowest in %.1f ms', $name, scalar @took,
         map { 1000 * $took[$_ * $#took] } 0.5, 0.99, 1) if @took;
}

sub fds { scalar(my @fds = glob "/proc/$_[0]/fd/*") }

sub rss {
    open my $file, '<', "/proc/$_[0]/status" or return 0;
    local $/;

    return <$file> =~ /^VmRSS:\s*(\d+)/m ? $1 : 0;
}
