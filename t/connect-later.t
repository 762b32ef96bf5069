# "connect" to names that do not resolve when the configuration is read: a
# warning, cycles that fail, and good ones once they do.  getaddrinfo() is the
# test's own: what it says is in files, and on a thread it waits for a gate.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundKind;
use BackgroundLife;
use BackgroundPeer;
use BackgroundPreload;
use BackgroundStatus;
use POSIX qw/ mkfifo /;
use Test::More;

my $dir = dir();

put('names.c', <<'EOF_C');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* the file of a name has an address, or "hold" */

static int
said(const char *name, char *text, size_t size)
{
    char    path[4096];
    FILE   *file;
    size_t  n;

    snprintf(path, sizeof(path), "%s/%s", getenv("NAMES"), name);

    file = fopen(path, "r");
    if (file == NULL) {
        return 0;
    }

    n = fread(text, 1, size - 1, file);
    text[n] = '\0';
    fclose(file);

    return n != 0;
}

static void
asked(const char *name, const char *what)
{
    char   path[4096];
    FILE  *file;

    snprintf(path, sizeof(path), "%s/asked", getenv("NAMES"));

    file = fopen(path, "a");
    if (file) {
        fprintf(file, "%s%s\n", name, what);
        fclose(file);
    }
}

int
getaddrinfo(const char *name, const char *service,
    const struct addrinfo *hints, struct addrinfo **res)
{
    char   text[64];
    int  (*real)(const char *, const char *, const struct addrinfo *,
                 struct addrinfo **);

    real = (int (*)(const char *, const char *, const struct addrinfo *,
                    struct addrinfo **)) dlsym(RTLD_NEXT, "getaddrinfo");

    if (name == NULL || strstr(name, ".test") == NULL) {
        return real(name, service, hints, res);
    }

    if (syscall(SYS_gettid) == getpid()) {
        return said(name, text, sizeof(text)) && strcmp(text, "hold")
               ? real(text, service, hints, res) : EAI_NONAME;
    }

    asked(name, "");

    if (said(name, text, sizeof(text)) && strcmp(text, "hold") == 0) {
        asked(name, " held");

        do {
            usleep(10000);
        } while (said(name, text, sizeof(text)) && strcmp(text, "hold") == 0);
    }

    return said(name, text, sizeof(text))
           ? real(text, service, hints, res) : EAI_NONAME;
}
EOF_C

build_library("$dir/names.so", "$dir/names.c", '-ldl')
    or plan skip_all => 'no compiler';

mkdir "$dir/names" or die "mkdir: $!";
for_workers("$dir/names");

sub name {
    my ($name, $address) = @_;

    put('names.new', $address);
    rename "$dir/names.new", "$dir/names/$name" or die "rename: $!";
}

sub questions {
    my ($name) = @_;

    return scalar grep { /^$name$/ }
                  split /^/, read_file("$dir/names/asked");
}

$ENV{NAMES} = "$dir/names";

my $listener = listener('127.0.0.1') or die "listen: $!\n";
my $port = $listener->sockport;
my $often = 'interval 20ms; retry 20ms;';

drained($listener);
put('URIS', "/status\n");
name($_, 'hold') for qw/ held.test held2.test /;

my $http = <<"EOF";
    background_task later { $often connect later.test:$port count=3; }
    background_task held { $often timeout 200ms; connect held.test:$port; }
    background_task held2 { $often timeout 200ms; connect held2.test:$port; }
    background_task both { $often connect later.test:$port;
                           connect later.test:$port; }
EOF

{
    local $ENV{LD_PRELOAD} = preloaded("$dir/names.so");

    start($http, <<"EOF", "env NAMES; env LD_PRELOAD; worker_processes 1;");
        background_task requests { $often requests $dir/URIS; }
EOF
}

is(logged(qr/\[warn\].*host not found in address "later\.test:$port" of "connect" directive, its cycles will fail until it is found in/),
   3, 'a warning each');

# a thread is in getaddrinfo(): nothing else waits for it

my $held = qr/held2?\.test/;

poll('a thread asks', sub { questions($held) });
next_cycle($_, 'failed', qr/^connect "$held:$port": timed out$/)
    for qw/ held held2 held held2 /;
pass('time-outs do not wait for the thread');
is(questions($held), 1, 'only one thread asks');
next_cycle('requests', 'completed');
pass('"requests" has a thread');

# it is known then

name($_, '127.0.0.1') for qw/ held.test held2.test /;
next_cycle($_, 'completed') for qw/ held held2 /;
pass('an answer that comes late');

my $task = next_cycle('later', 'failed',
                      qr/^connect "later\.test:$port": host not found$/);
is($task->{last}{failed}, 3, 'each copy counts');
is(next_cycle('both', 'failed')->{last}{failed}, 2, 'each operation counts');

# a reload for another cause

reload();
next_cycle('later', 'failed', qr/: host not found$/);

name('later.test', '127.0.0.1');
next_cycle($_, 'completed') for qw/ later both /;
cmp_ok(accept_all($listener), '>', 0, 'connected');

my $asked = questions('later.test');

next_cycle('later', 'completed') for 1 .. 3;
is(questions('later.test'), $asked, 'a name that is known is not asked for');

# a worker exits while its thread is in getaddrinfo()

unlink "$dir/names/held.test" or die "unlink: $!";
reload();
$asked = questions('held.test held');
name('held.test', 'hold');
poll('a thread asks again', sub { questions('held.test held') > $asked });

my ($old) = workers();

signal('HUP');
poll('the new worker', sub { grep { $_ != $old } workers() });
poll('the old one has left its tasks', sub {
    return read_file("/proc/$old/cmdline") =~ /shutting down/
           && status_anyhow()->{pid} != $old;
});

# nginx itself would spin until the thread is back

poll('the old one sleeps', sub { process_stat($old)->[0] eq 'S' });
ok((grep { $_ == $old } workers()), 'and is there');
name('held.test', '127.0.0.1');
poll('the old one is gone', sub { !grep { $_ == $old } workers() });
next_cycle('held', 'completed');

is(logged(qr/\[(?:crit|alert)\]/), 0, 'nothing worse');

stop();

# all threads are taken: a cycle that waits for one is cancelled, another one
# still waits for the same name

my $kind = load_kind('step');
my $arrive = load_kind('arrive');
my $busy = 'step fifo; ' x 64;

mkfifo("$dir/fifo", 0600) or die "mkfifo: $!";
for_workers("$dir/fifo");

unlink "$dir/names/held.test" or die "unlink: $!";

{
    local $ENV{LD_PRELOAD} = preloaded("$dir/names.so");

    start(<<"EOF", 'location /run { arrive wait; }',
        background_task busy { interval 1h; timeout 1h; $busy }
        background_task wait { interval off; timeout 1h;
                               connect held.test:$port; }
EOF
          "$kind\n$arrive\nenv NAMES; env LD_PRELOAD; worker_processes 1;");
}

poll('all threads are taken', sub { threads(a_worker()) >= 64 });

$asked = questions('held.test');
name('held.test', '127.0.0.1');

my ($first, $second) = map { arrived($_) } 1 .. 2;

close $first or die "close: $!";
poll('it is cancelled', sub { cycles('cancelled') == 1 });
is(questions('held.test'), $asked, 'no thread has asked');

open my $fifo, '>', "$dir/fifo" or die "open: $!";
print $fifo 'x' x 64;
close $fifo or die "close: $!";

poll('the other one is over', sub { cycles('completed') || cycles('failed') });
is(cycles('completed'), 1, 'the other one has the answer');
is(questions('held.test'), $asked + 1, 'of one question');

stop();
done_testing();

# only the new worker is there when it returns

sub reload {
    my $old = a_worker();

    signal('HUP');

    poll('the reload', sub {
        my ($new, @others) = workers();

        return $new && !@others && $new != $old;
    });
}

sub cycles {
    my %task = by_name(status());

    return $task{wait}{cycles}{$_[0]};
}

# a client, when its cycle, the one of that number, has started

sub arrived {
    my ($n) = @_;

    my $client = BackgroundStatus::connection() or die "connect: $!\n";

    print $client "GET /run HTTP/1.0\r\n\r\n";
    $client->flush;

    poll('a cycle has started', sub { cycles('started') == $n });

    return $client;
}
