package Bench;

# Functions of all sections of the benchmark: an nginx, other programs, and the
# CPU time and memory of processes.

use strict;
use warnings;

# its groups can be removed only without processes, so after END below
use BackgroundCgroup ();

use Cpanel::JSON::XS ();
use Exporter qw/ import /;
use File::Basename qw/ dirname /;
use File::Temp qw/ tempdir /;
use IO::Socket::UNIX;
use POSIX qw/ WNOHANG /;
use Time::HiRes qw/ sleep time /;

our @EXPORT = qw/ dir put slurp cpus start stop get status first_cycle poll
                  log_lines processes
                  run program line finish stop_all haproxy has_haproxy cpu
                  memory median sleep time /;

our $folder = dirname(__FILE__);

my $user = $> == 0 ? 'user root;' : '';
my $modules = join '', map { "load_module $_;\n" }
              split ' ', $ENV{TEST_NGINX_LOAD_MODULES};

my $dir = tempdir('bench.XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir or die "chmod: $!\n";

my $script = $$;

# processes that must be stopped at the end, by pid

my %started;
my $nginx;

$SIG{INT} = $SIG{TERM} = $SIG{HUP} = sub { exit 1 };

sub dir { $dir }

sub put {
    my ($name, $text) = @_;

    open my $file, '>', "$dir/$name" or die "open $dir/$name: $!\n";
    print $file $text;
    close $file or die "close $dir/$name: $!\n";
}

sub slurp {
    my ($name) = @_;

    open my $file, '<', $name or return '';
    local $/;

    return scalar(<$file>) // '';
}

sub cpus {
    my $n = () = slurp('/proc/cpuinfo') =~ /^processor\s/mg;

    return $n || 1;
}

###############################################################################

# start(%CONF): nginx, with these parts of its configuration: main, events,
# http, server; in the cgroups "groups", on the CPU "cpu".  It has one worker
# unless main says otherwise, and answers on a socket of its own.

sub start {
    my (%conf) = @_;

    my ($main, $events, $http, $server) =
        map { $conf{$_} // '' } qw/ main events http server /;

    my $workers = $main =~ /worker_processes/ ? '' : 'worker_processes 1;';
    my $temp = join ' ', map { "${_}_temp_path temp;" }
        qw/ client_body proxy fastcgi uwsgi scgi /;
    my $level = $conf{log} // 'warn';

    put('nginx.conf', <<"EOF");
$modules
$user
$workers
$main
daemon off;
pid nginx.pid;
error_log error.log $level;
events {
    worker_connections 1024;
    $events
}
http {
    access_log off;
    $temp
    $http
    server {
        listen unix:$dir/socket;
        $server
        location = /answers {
            return 204;
        }
    }
}
EOF

    unlink map { "$dir/$_" } qw/ error.log socket nginx.pid /;

    $nginx = child(sub {
        enter($_) for @{$conf{groups} || []};

        open STDOUT, '>', "$dir/out" or die "open: $!\n";
        open STDERR, '>&', \*STDOUT or die "open: $!\n";
        exec defined $conf{cpu} ? ('taskset', '-c', $conf{cpu}) : (),
             $ENV{TEST_NGINX_BINARY}, '-p', "$dir/", '-c', 'nginx.conf',
             '-e', 'error.log';
    });

    poll('nginx answers', sub {
        waitpid($nginx, WNOHANG) == 0 or forget($nginx, 'nginx has ended');
        eval { get('/answers'); 1 };
    });
}

# figures are not valid if nginx logs errors

sub stop {
    end($nginx);

    my @lines = grep { /\[(?:error|alert|crit|emerg)\]/ }
                split /^/, slurp("$dir/out") . slurp("$dir/error.log");

    die "nginx complains: $lines[0]" if @lines;
}

# get(URI, [SOCKET]): returns the body of the response

sub get {
    my ($uri, $name) = @_;

    $name //= 'socket';

    my $socket = IO::Socket::UNIX->new(Peer => "$dir/$name")
        or die "connect: $!\n";
    my $answer = '';

    print $socket "GET $uri HTTP/1.0\r\n\r\n";
    $socket->flush;

    1 while sysread $socket, $answer, 65536, length $answer;

    my ($headers, $body) = split /\r\n\r\n/, $answer, 2;

    die "no answer\n" unless ($headers // '') =~ m{^HTTP/1\.1 20};

    return $body;
}

# returns the decoded answer of the location "/status"

sub status { Cpanel::JSON::XS->new->decode(get('/status')) }

# waits until the first task has finished a cycle, and returns that cycle

sub first_cycle {
    my $last;

    poll('the cycle is over', sub {
        $last = status()->{tasks}[0]{last};

        return defined $last->{finished};
    }, 0.2);

    die "the cycle failed: $last->{error}\n" if defined $last->{error};

    return $last;
}

# Calls the function until it returns something true, and returns that.  The
# period, in seconds, is long where a request would take time from what is
# measured.

sub poll {
    my ($name, $function, $period) = @_;

    my $end = time + 60;

    for ( ;; ) {
        my $rv = $function->();
        return $rv if $rv;

        die "timed out: $name\n" . slurp("$dir/error.log") if time > $end;
        sleep($period // 0.02);
    }
}

# returns the number of log lines that match

sub log_lines {
    my ($re) = @_;

    my $n = () = slurp("$dir/error.log") =~ /$re/g;

    return $n;
}

# returns the pids of the master and the workers

sub processes {
    return $nginx, split ' ', slurp("/proc/$nginx/task/$nginx/children");
}

###############################################################################

# run(COMMAND): returns its output

sub run {
    open my $pipe, '-|', @_ or die "$_[0]: $!\n";
    local $/;
    my $said = <$pipe>;

    close $pipe or die "failed: @_\n";

    return $said;
}

# program({group => CGROUP}, COMMAND): starts a command; the hash is optional.
# line() waits for a line of its output, finish() ends it

sub program {
    my (@command) = @_;

    my $group = ref $command[0] ? (shift @command)->{group} : undef;

    pipe my $out, my $in or die "pipe: $!\n";

    my $pid = child(sub {
        enter($group) if $group;
        open STDOUT, '>&', $in or die "open: $!\n";
        exec @command;
    });

    close $in;

    return {pid => $pid, out => $out};
}

sub line {
    my ($program) = @_;

    my $out = $program->{out};

    return readline($out) // forget($program->{pid}, 'a program has ended');
}

sub finish { end($_[0]->{pid}) }

sub child {
    my ($function) = @_;

    defined(my $pid = fork) or die "fork: $!\n";

    if ($pid == 0) {
        eval { $function->() };
        print STDERR $@ || "exec: $!\n";
        POSIX::_exit(1);
    }

    $started{$pid} = 1;

    return $pid;
}

sub enter {
    my ($group) = @_;

    open my $file, '>', "$group/cgroup.procs" or die "open $group: $!\n";
    print $file $$;
    close $file or die "close $group: $!\n";
}

sub forget {
    my ($pid, $why) = @_;

    delete $started{$pid};
    die "$why\n" . slurp("$dir/out") . slurp("$dir/error.log");
}

sub end {
    my ($pid) = @_;

    kill 'TERM', $pid;
    waitpid $pid, 0;
    delete $started{$pid};
}

sub stop_all { end($_) for keys %started }

# haproxy(CHECK, THREADS, ADDRESS...): starts HAProxy on the socket "haproxy", which
# checks each server by GET /health as its parameter "check" says

sub haproxy {
    my ($check, $threads, @servers) = @_;

    my $list = join '', map { "    server s$_ $servers[$_] check $check\n" }
               0 .. $#servers;

    put('haproxy.cfg', <<"EOF");
global
    nbthread $threads
    maxconn 1000
defaults
    mode http
    retries 0
    timeout connect 1s
    timeout client 5s
    timeout server 1s
    timeout check 1s
frontend front
    bind unix\@$dir/haproxy
    default_backend app
backend app
    option httpchk GET /health
$list
EOF

    unlink "$dir/haproxy";

    return program('haproxy', '-q', '-db', '-f', "$dir/haproxy.cfg");
}

sub has_haproxy { !system('haproxy -v > /dev/null 2>&1') }

END {
    if ($$ == $script) {
        my $status = $?;

        stop_all();

        $? = $status;
    }
}

###############################################################################

# CPU time of the running threads of processes, in seconds

sub cpu {
    my (@pids) = @_;

    my $ns = 0;

    for my $file (map { glob "/proc/$_/task/*/schedstat" } @pids) {
        $ns += (split ' ', slurp($file) || '0')[0];
    }

    die "no schedstat in /proc\n" unless $ns;

    return $ns / 1e9;
}

# memory of processes, in MB; a page of several processes counts once

sub memory {
    my (@pids) = @_;

    my $kb = 0;

    for (@pids) {
        slurp("/proc/$_/smaps_rollup") =~ /^Pss:\s+(\d+) kB/m
            or die "no memory of process $_ in /proc\n";
        $kb += $1;
    }

    return $kb / 1000;
}

sub median {
    my @sorted = sort { $a <=> $b } @_;

    return ($sorted[$#sorted / 2] + $sorted[@sorted / 2]) / 2;
}

1;
