# examples/systemd/hardening.conf: what it leaves is enough for each kind.  The
# test does what systemd does of it: a read-only root, an unprivileged user, and
# a filter of system calls; what it does not allow ends the process.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundCopies;
use BackgroundDns;
use BackgroundLife;
use BackgroundPeer;
use BackgroundStatus;
use File::Spec;
use Test::More;

my $dir = dir();
my $text = read_file("$FindBin::Bin/../examples/systemd/hardening.conf");

if (!$ENV{BACKGROUND_FILTER}) {
    plan skip_all => 'needs root, to become another user' if $> != 0;
    plan skip_all => 'a sanitizer needs more system calls'
        if $ENV{BACKGROUND_ASAN};
    plan skip_all => 'no systemd-analyze (Debian\'s package systemd)'
        if system('systemd-analyze --version > /dev/null 2>&1');
    plan skip_all => 'no python3-seccomp'
        if system("/usr/bin/python3 -c 'import seccomp' 2> /dev/null");

    put('read-only', <<'EOF');
tmp=$1
shift
mount --bind "$tmp" "$tmp" && mount -o remount,bind,ro / && exec "$@"
EOF

    my $tmp = File::Spec->tmpdir;

    plan skip_all => 'unshare(CLONE_NEWNS) or mount() is refused'
        if system("unshare -m sh $dir/read-only $tmp true 2> /dev/null");

    prepare();

    my $status = system('unshare', '-m', 'sh', "$dir/read-only", $tmp, $^X,
                        (map { "-I$_" } @INC), $0);
    exit($status >> 8 || $status);
}

# the calls of the filter, and a program that starts nginx behind it

sub prepare {
    my @set;

    for my $line ($text =~ /^SystemCallFilter=(.+)/mg) {
        my ($not, $names) = $line =~ /^(~?)(.+)/;
        my %named = map { $_ => 1 } map { calls($_) } split ' ', $names;

        @set = $not ? grep { !$named{$_} } @set : (@set, keys %named);
    }

    put('calls', join "\n", @set);

    # a kind is built with the modules where they are

    BackgroundStatus::answer_delay();

    mkdir "$dir/modules" or die "mkdir: $!";
    copy_modules("$dir/modules");

    my ($families) = $text =~ /^RestrictAddressFamilies=(.+)/m;
    my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';

    put('filter.py', <<'EOF');
import errno, os, socket, sys
from seccomp import ALLOW, ERRNO, KILL_PROCESS, EQ, MASKED_EQ
from seccomp import Arg, Arch, SyscallFilter, resolve_syscall

calls, families, *command = sys.argv[1:]
less = os.environ["BACKGROUND_FILTER"] == "less"

# RestrictNamespaces, RestrictSUIDSGID: these are refused

refuse = SyscallFilter(ALLOW)
refuse.add_rule(ERRNO(errno.ENOSYS), "clone3")
refuse.add_rule(ERRNO(errno.ENOSYS), "openat2")

for flag in 0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, \
            0x20000000, 0x40000000:
    refuse.add_rule(ERRNO(errno.EPERM), "unshare",
                    Arg(0, MASKED_EQ, flag, flag))

# MemoryDenyWriteExecute

refuse.add_rule(KILL_PROCESS, "mmap", Arg(2, MASKED_EQ, 6, 6))
refuse.add_rule(KILL_PROCESS, "mprotect", Arg(2, MASKED_EQ, 4, 4))

# the rest

allow = SyscallFilter(ERRNO(errno.EPERM) if less else KILL_PROCESS)

for name in open(calls).read().split():
    if resolve_syscall(Arch(), name) < 0 or name == "socket":
        continue
    if less and name in ("ioprio_set", "sched_setaffinity", "sched_setattr",
                         "setpriority"):
        continue
    allow.add_rule(ALLOW, name)

for name in families.split():
    allow.add_rule(ALLOW, "socket", Arg(0, EQ, getattr(socket, name)))

refuse.load()
allow.load()
os.execvp(command[0], command)
EOF

    # commands keep the I/O class of nginx, also where ioprio_set() is refused

    put('nginx', <<"EOF");
#!/bin/sh
exec ionice -c 2 -n 4 setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs \\
    --bounding-set -all --inh-caps -all \\
    /usr/bin/python3 $dir/filter.py $dir/calls '$families' '$nginx' "\$@"
EOF
    chmod 0755, "$dir/nginx" or die "chmod: $!";

    $ENV{TEST_NGINX_BINARY} = "$dir/nginx";
    $ENV{BACKGROUND_FILTER} = 'all';
    $ENV{BACKGROUND_VERIFY} = verify();
}

# what systemd says of it; it writes, so not with a read-only root

sub verify {
    mkdir $_ or die "mkdir: $!" for "$dir/unit", "$dir/unit/nginx.service.d";
    put('unit/nginx.service.d/hardening.conf', $text);
    put('unit/nginx.service', <<'EOF');
[Service]
Type=forking
PIDFile=/run/nginx.pid
ExecStart=/usr/sbin/nginx
EOF

    my $said = `systemd-analyze verify --man=no $dir/unit/nginx.service 2>&1`;
    my $code = $?;

    return join '', "[$code] ",
           grep { /hardening|nginx\.service/ } split /^/, $said;
}

# those of a group

sub calls {
    my ($name) = @_;

    return $name unless $name =~ /^@/;

    return map { calls($_) }
           `systemd-analyze syscall-filter --no-pager $name` =~ /^    (\@?[a-z]\S*)/mg;
}

SKIP: {
    skip 'no /usr/sbin/nginx', 1 unless -x '/usr/sbin/nginx';
    is($ENV{BACKGROUND_VERIFY}, '[0] ', 'systemd-analyze verify');
}

ok(!open(my $file, '>', '/usr/written') && $!{EROFS}, 'the root is read-only');

# each kind

my $listener = listener('127.0.0.1') or die "listen: $!\n";
my $port = $listener->sockport;

drained($listener);

my $dns = dns_start();

dns_names('here.test' => '127.0.0.1');
build_library("$dir/test.so", source()) or plan skip_all => "no compiler";

mkdir "$dir/$_" or die "mkdir: $!" for qw( site site/sub lists temp );

system('openssl req -x509 -newkey ed25519 -nodes -days 90 -subj /CN=a.test'
       . " -keyout $dir/a.key -out $dir/a.pem 2>/dev/null") == 0
    or die "openssl: no certificate\n";
put("site/sub/$_.css", 'some text ' x 1000) for 1 .. 9;
put('URIS', "/status\n/page\n");
for_workers($dir, glob "$dir/site $dir/site/sub $dir/site/sub/* $dir/lists $dir/temp");

my $often = 'interval 50ms; retry 50ms;';
my $http = <<"EOF";
    resolver 127.0.0.1:$dns;
    background_threads 2;

    background_task all { $often workers all; simulate_io 1 delay=0-0;
                          simulate_cpu 1ms; }
    background_task digest { $often digest $dir/site manifest=$dir/lists/SUMS; }
    background_task verify { $often verify $dir/lists/SUMS root=$dir/site
                             extra=ignore; }
    background_task compress { $often compress $dir/site suffix=.css gzip=1; }
    background_task call { $often call $dir/test.so echo x; }
    background_task connect { $often connect localhost:$port;
                              connect 127.0.0.1:$port;
                              connect unix:$dir/socket; }
    background_task resolve { $often connect here.test:$port resolve; }
    background_task certificate { $often certificate $dir/a.pem; }
    background_task exec { $often exec /bin/sh -c "echo; kill -0 0"; }
    background_task memory { $often exec /bin/true memory=1g; }
    background_task after { after exec; lock one; simulate_io 1 delay=0-0; }
    background_task nightly { schedule "* * * * *"; exec /bin/true; }
    background_state $dir/lists/state;
    upstream peers { zone peers 64k; server unix:$dir/socket; }
    background_task run { interval off; call $dir/test.so echo; }
    background_task outside { $often digest $dir/site manifest=/var/tmp/SUMS; }
EOF
my $server = <<"EOF";
        background_task request { $often request /status; }
        background_task requests { $often requests $dir/URIS; }
        background_task save { $often request /status save=$dir/lists/saved; }
        background_task probe { $often probe peers; }
        location = /page { background_status html; }
        location = /run { background_run run; client_body_buffer_size 1k; }
EOF
my @kinds = qw/ all digest verify compress call connect resolve request
                requests certificate exec memory after save probe /;

# a CPU that this test may use

my ($cpu) = read_file('/proc/self/status') =~ /^Cpus_allowed_list:\s*(\d+)/m;
my $mask = '1' . '0' x $cpu;

start($http, $server,
      "worker_processes 2; worker_cpu_affinity $mask $mask;");

next_cycle($_, 'completed') for @kinds;
pass('each kind');

SKIP: {
    skip '/var/tmp is another file system', 1
        if (stat '/var/tmp')[0] != (stat '/')[0];

    next_cycle('outside', 'failed', qr/\(30: Read-only file system\)/);
    pass('a file outside of what may be written');
}

my $status = read_file('/proc/' . a_worker() . '/status');

like($status, qr/^Seccomp:\s+2$/m, 'the workers have a filter');
like($status, qr/^NoNewPrivs:\s+1$/m, 'they get no rights');
like($status, qr/^Uid:\s+65534\s+65534\s+65534\s+65534$/m, 'their user');
like($status, qr/^CapEff:\s+0+$/m, 'they have no capabilities');
is((get('/page'))[0], 200, 'the page');
like(http("POST /run HTTP/1.0\r\nContent-Length: 100000\r\n\r\n" . 'x' x 100000),
     qr/^HTTP\/1.1 2/, 'a request that runs a task, its body in a file');

# a reload, and the death of a worker

reload('background_threads 2;', 'background_threads 2 priority=idle;');

# on a busy CPU they have nearly no time

next_cycle('call', 'completed');
reload('background_threads 2 priority=idle;', 'background_threads 2;');
next_cycle($_, 'completed') for @kinds;
pass('after reloads');

my $old = a_worker();

signal('KILL', $old);
poll('another worker', sub { workers() == 2 && !grep { $_ == $old } workers() });

{
    local $BackgroundStatus::quiet = 1;
    poll($_, sub { eval { next_cycle($_, 'completed') } }) for @kinds;
}
pass('after the death of a worker');

my $threads = qr/\[(?:warn|notice)\].* of a thread failed/;

is(logged(qr/signal 31/), 0, 'no other system call');
is(logged($threads), 0, 'nothing was refused to threads');
is(logged(qr/unshare\(/), 0, 'nor a notice');

put('error.log', join '', grep { !/signal 9/ } split /^/, log_text());
chown 65534, 65534, "$dir/error.log";
stop();

# without those of @resources

$ENV{BACKGROUND_FILTER} = 'less';
start($http, $server, 'worker_processes 2;');
next_cycle($_, 'completed') for @kinds;
pass('without setpriority() and ioprio_set()');

cmp_ok(logged(qr/\[warn\].*$_\S* of a thread failed \(1: /), '>', 0,
       "a warning of $_") for qw/ setpriority ioprio_set /;

cmp_ok(logged(qr/\[notice\].*sched_setattr\(\) of a thread failed \(1: /), '>',
       0, 'a notice of sched_setattr');

stop();
done_testing();

sub reload {
    my $generation = status()->{generation};

    reconfigure(@_);
    poll('the reload', sub { status_anyhow()->{generation} > $generation
                             && workers() == 2 });
}
