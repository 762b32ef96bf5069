# "certificate": the time for a server has no time of the lookup of its name, or
# of other jobs.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundControl;
use BackgroundKind;
use BackgroundLife;
use BackgroundPreload;
use BackgroundStatus;
use IO::Socket::INET;
use Test::More;

plan skip_all => 'ThreadSanitizer calls functions of libc itself'
    if $ENV{TSAN_OPTIONS};

my $dir = dir();

# a lookup takes as long as there is a file "hold", and 20 seconds more, by the
# clock of its thread

put('lookup.c', <<'EOF_C');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <time.h>
#include <unistd.h>

static __thread time_t  later;

int
clock_gettime(clockid_t clock, struct timespec *ts)
{
    int  rc;

    static int  (*real)(clockid_t clock, struct timespec *ts);

    if (real == NULL) {
        *(void **) &real = dlsym(RTLD_NEXT, "clock_gettime");
    }

    rc = real(clock, ts);

    if (clock == CLOCK_MONOTONIC) {
        ts->tv_sec += later;
    }

    return rc;
}

int
getaddrinfo(const char *node, const char *service,
    const struct addrinfo *hints, struct addrinfo **res)
{
    static int  (*real)(const char *node, const char *service,
                        const struct addrinfo *hints, struct addrinfo **res);

    if (real == NULL) {
        *(void **) &real = dlsym(RTLD_NEXT, "getaddrinfo");
    }

    close(open(DIRECTORY "/made/held", O_WRONLY|O_CREAT, 0644));

    while (access(DIRECTORY "/hold", F_OK) == 0) {
        usleep(1000);
    }

    later = 20;

    return real(node, service, hints, res);
}
EOF_C

build_library("$dir/lookup.so", "$dir/lookup.c", "'-DDIRECTORY=\"$dir\"' -ldl")
    or plan skip_all => 'no C compiler';

mkdir "$dir/made" or die "mkdir: $!\n";
for_workers("$dir/made");
put($_, '') for qw/ hold gate /;

# a server that answers at once

my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5)
    or die "listen: $!\n";
my $port = $listener->sockport;

defined(my $server = fork) or die "fork: $!\n";

if ($server == 0) {
    while (my $client = $listener->accept) {
        sysread $client, my $hello, 4096;
        syswrite $client, "220 no TLS here\r\n" x 10;
    }

    POSIX::_exit(0);
}

{
    local $ENV{LD_PRELOAD} = preloaded("$dir/lookup.so");

    start(<<"EOF_CONF", <<'EOF_CONF', load_kind('gate') . "\nworker_processes 1;");
    background_threads 1;
    background_task server { interval 1h; retry 1h; timeout 1h; certificate localhost:$port; }
    background_task other { interval off; timeout 1h; gate $dir/gate keep; }
EOF_CONF
    location /control/ { background_control run; }
EOF_CONF
}

poll('the lookup', sub { -e "$dir/made/held" });

is(code('/control/other/run'), 202, 'another task');
poll('it waits for the thread', sub { status()->{cpu}{queued} });

unlink "$dir/hold" or die "unlink: $!\n";

# the other task keeps the thread, once it has it

my $last = poll('the server was asked', sub {
    my %task = by_name(status());
    return $task{server}{last};
});

like($last->{error}, qr/SSL_connect\(\) to localhost:$port failed \(wrong version number\)/,
     'what the server has answered, in time');

unlink "$dir/gate" or die "unlink: $!\n";

my $other = poll('the other task is over', sub {
    my %task = by_name(status());
    return $task{other}{last};
});

is($other->{error}, undef, 'the other task runs then');

kill 'KILL', $server;
stop();
done_testing();

END {
    my $status = $?;
    kill 'KILL', $server if $server;
    $? = $status;
}
