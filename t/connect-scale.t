# 10,000 connections, and 10,000 waits, at the same time in one worker, which
# serves its clients while they start.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundPeer;
use BackgroundStatus;
use IO::Socket::UNIX;
use Test::More;

my $files = 11000;
my $limit = `sh -c 'ulimit -Hn'`;
chomp $limit;

plan skip_all => "RLIMIT_NOFILE is $limit, less than $files"
    if $> != 0 && $limit ne 'unlimited' && $limit < $files;

my ($full, @full) = full_listener();
my $dir = dir();
my $kinds = load_kind('freeze') . "\n"
            . load_kind('late', 'ngx_http_background_module');

start("late $dir/late;", 'location = /freeze { freeze; }',
      "$kinds\nworker_processes 1; worker_rlimit_nofile $files;");

# a worker that does not come to start its tasks yet

poll('a worker', sub { workers() });
put('late', '');

my $worker = new_worker("events {\n}\nhttp {", <<"EOF");
events { worker_connections $files; }
http {
    background_task waits { interval 1h; simulate_io 10000 delay=1s-2s; }
    background_task connects {
        timeout 1h; retry 1h;
        connect 127.0.0.1:$full timeout=1h count=10000;
    }
EOF

# clients that it finds then; the worker stops in the middle of each request

my @clients = map {
    my $client = IO::Socket::UNIX->new(Type => SOCK_STREAM,
                                       Peer => "$dir/socket")
        or die "connect: $!\n";

    syswrite $client, "GET /freeze HTTP/1.0\r\n\r\n" or die "write: $!\n";
    $client;
} 1 .. 12;

unlink "$dir/late" or die "unlink: $!\n";

my @seen;

for (@clients) {
    poll('the worker stops', sub { process_stat($worker)->[0] eq 'T' });

    push @seen, fds($worker);
    signal('CONT', $worker);
}

is(scalar(grep { join('', <$_>) =~ m{^HTTP/1\.1 204 } } @clients),
    scalar @clients, 'all requests are answered');

note("descriptors at each request: @seen");

cmp_ok(scalar(grep { $_ > 100 && $_ < 9000 } @seen), '>', 0,
    'requests are served while connections start');

poll('all connections at the same time', sub { fds($worker) >= 10000 });
pass('all connections at the same time');

my %task;

poll('the waits are over', sub {
    %task = by_name(status());

    return $task{waits}{last};
});

is($task{waits}{last}{operations}, 10000, 'waits: all ended');
is($task{waits}{last}{failed}, 0, 'well');
ok($task{connects}{running}, 'the connections stay meanwhile');

# which end

$worker = new_worker('timeout=1h count=10000', 'timeout=1s count=10000');

my $last = poll('the connections are over', sub {
    my %now = by_name(status());

    return $now{connects}{last};
});

is($last->{failed}, 10000, 'connections: all ended');
is($last->{error}, "connect \"127.0.0.1:$full\": connect() timed out",
   'as they should');
poll('no descriptors are left', sub { fds($worker) < 100 });
pass('no descriptors left');

stop();
done_testing();

# the worker of another configuration, when the old one is gone; it has no title
# yet where it is late

sub new_worker {
    my $old = a_worker();

    reconfigure(@_);

    return poll('another worker', sub {
        my @children = children();

        return @children == 1 && $children[0] != $old && $children[0];
    });
}

sub fds {
    opendir my $dir, "/proc/$_[0]/fd" or die "opendir: $!\n";

    return scalar(my @fds = readdir $dir);
}
