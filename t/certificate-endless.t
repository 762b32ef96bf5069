# "certificate": TLS servers that send without an end keep no thread of the pool.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundLife;
use BackgroundPreload;
use BackgroundStatus;
use IO::Socket::INET;
use Test::More;

my $dir = dir();
my @servers;

# the pauses of a server on a busy machine must not be the end of a poll()

put('poll.c', <<'EOF_C');
#define _GNU_SOURCE
#include <poll.h>
#include <stddef.h>
#include <time.h>

int
poll(struct pollfd *fds, nfds_t n, int timeout)
{
    struct timespec  ts;

    ts.tv_sec = timeout / 1000;
    ts.tv_nsec = timeout % 1000 * 1000000L;

    return ppoll(fds, n, (timeout < 0 || timeout == 10) ? NULL : &ts, NULL);
}
EOF_C

build_library("$dir/poll.so", "$dir/poll.c")
    or plan skip_all => 'no C compiler';

# records of HelloRequest messages, which a client ignores: a byte each 2 ms, or
# as fast as they are read

my $record = "\x16\x03\x03\x40\x00" . "\0" x 0x4000;
my @bytes = map { ($_, 0.002) } split //, $record;

my %port = (
    timeout => server('timeout', @bytes),
    end     => server('end', @bytes),
    bytes   => server('bytes', $record, 0),
);

{
    local $ENV{LD_PRELOAD} = preloaded("$dir/poll.so");

    start(<<"EOF", '', 'worker_processes 1;');
    background_threads 3;
    background_task timeout {
        interval 1h; retry 1h; timeout 4s;
        certificate 127.0.0.1:$port{timeout};
    }
    background_task end {
        interval 1h; retry 1h;
        certificate 127.0.0.1:$port{end};
    }
    background_task bytes {
        interval 1h; retry 1h;
        certificate 127.0.0.1:$port{bytes};
    }
EOF
}

my %task;

poll('all are over', sub {
    %task = by_name(status());
    return !grep { !$_->{last} } values %task;
});

my %error = map { $_ => $task{$_}{last}{error} // 'none' } keys %task;

like($error{timeout}, qr/: timed out$/, 'the time-out of the task');
like($error{end}, qr/: 127\.0\.0\.1:$port{end} timed out$/,
     'the time for a server');
like($error{bytes},
     qr/: 127\.0\.0\.1:$port{bytes} has sent 10\d{5} bytes without an end$/,
     'the bytes of a server');

ok(poll("$_ is closed", sub { -e "$dir/$_.closed" }),
   "$_: the connection is closed")
    for sort keys %port;

ok(poll('no thread works', sub { status()->{cpu}{running} == 0 }),
   'no thread works');

kill 'KILL', @servers;
stop();
done_testing();

END {
    my $status = $?;
    kill 'KILL', @servers if @servers;
    $? = $status;
}

# sends the parts again and again, each followed by a pause, until it can't

sub server {
    my ($name, @parts) = @_;

    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5)
        or die "listen: $!\n";

    defined(my $pid = fork) or die "fork: $!\n";

    if ($pid) {
        push @servers, $pid;
        return $listener->sockport;
    }

    $SIG{PIPE} = 'IGNORE';

    my $client = $listener->accept or POSIX::_exit(1);
    sysread $client, my $hello, 4096;

    for (my $i = 0; ; $i = ($i + 2) % @parts) {
        last if !syswrite $client, $parts[$i];
        select undef, undef, undef, $parts[$i + 1] if $parts[$i + 1];
    }

    put("$name.closed", '');
    POSIX::_exit(0);
}
