package BackgroundRedis;

# Servers of Redis, and nginx of several "hosts" that use them, all of the
# test's own.

use strict;
use warnings;

use BackgroundCall;
use BackgroundPoll;
use BackgroundProc qw/ child_pids /;
use Cpanel::JSON::XS ();
use Exporter qw/ import /;
use File::Temp qw/ tempdir /;
use IO::Socket::UNIX;
use List::Util qw/ max /;
use POSIX qw/ WNOHANG /;
use Test::More;
use Time::HiRes qw/ sleep time /;

our @EXPORT = qw/ redis_program redis_dir redis redis_kill redis_signal
                  redis_wait redis_ask redis_pid redis_sentinels
                  redis_epoch
                  redis_clock
                  free_port
                  host host_reload host_kill host_stop host_status host_get
                  host_order host_send host_log host_workers host_signal
                  host_finish
                  lease_given leader quarantined
                  runs killed overlaps poll write_file read_file
                  lease_library /;

###############################################################################

my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';
my $modules = join '', map { "load_module $_;\n" }
    split ' ', $ENV{TEST_NGINX_LOAD_MODULES} || '';

# modules before, and after, those that are tested

our ($load_before, $load_after) = ('', '');

my $user = $> == 0 ? 'user nobody ' . getgrgid((getpwnam 'nobody')[3]) . ';'
                   : '';

my $dir = tempdir('redis_XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir or die "chmod: $!\n";

# where workers write

mkdir "$dir/out";
chmod 0777, "$dir/out" or die "chmod: $!\n";

my $test = $$;
my (%redis, %host);

our $deadline = 300;

# what the next servers are started with

our $preload = '';

$SIG{INT} = $SIG{TERM} = $SIG{HUP} = sub { exit 1 };

# the program, of Redis or Valkey, or false

sub redis_program {
    for my $name ($ENV{BACKGROUND_REDIS} || (), 'redis-server',
                  'valkey-server') {
        for my $path (split(/:/, $ENV{PATH}), '/usr/bin') {
            return "$path/$name" if -x "$path/$name";
        }
    }

    return '';
}

sub redis_dir { $dir }

sub write_file {
    my ($name, $text) = @_;

    open my $file, '>', "$dir/$name" or die "open $dir/$name: $!\n";
    print $file $text;
    close $file or die "close $dir/$name: $!\n";
}

sub read_file {
    my ($path) = @_;

    open my $file, '<', $path =~ m{^/} ? $path : "$dir/$path" or return '';
    local $/;

    return scalar(<$file>) // '';
}

sub poll {
    my ($name, $function) = @_;

    return poll_until($name, $deadline, $function, sub {
        for my $host (sort keys %host) {
            diag("$host:\n" . join '', grep { defined }
                              (split /^/, host_log($host))[-40 .. -1]);
        }
    });
}

# a port of the test's own

my $nports = 0;

sub free_port { ($ENV{TEST_NGINX_PORT} || 20000) + $nports++ }

###############################################################################

# a library for $preload: the clock of a server that is started with it is wrong
# by as many seconds as the file "clock" has

sub redis_clock {
    my $library = "$dir/clock.so";

    build_library($library, root() . '/t/calls/clock.c');
    $ENV{CLOCK_FILE} = "$dir/clock";
    write_file('clock', "0\n");

    return $library;
}

# redis(NAME, OPTION...): starts one at the unix socket "NAME.sock", with the
# options of a configuration file, a line each; the same NAME again goes on
# with its data

sub redis {
    my ($name, @options) = @_;

    my $program = redis_program();
    my $folder = "$dir/$name.data";

    mkdir $folder;

    my $sentinel = grep { /^sentinel / } @options;

    if (@options || !$redis{$name}) {
        my $conf = join "\n", ((grep { /^port / } @options) ? () : 'port 0'),
            "dir $folder", 'bind 127.0.0.1', 'save ""', 'daemonize no',
            "unixsocket $dir/$name.sock", 'unixsocketperm 777',
            "logfile $dir/$name.log", @options, '';

        # "save" is no directive of a Sentinel's

        $conf =~ s/^save ""\n//m if $sentinel;
        write_file("$name.conf", $conf);
    }

    unlink "$dir/$name.sock";

    defined(my $pid = fork) or die "fork: $!\n";

    if ($pid == 0) {
        setpgrp;
        open STDOUT, '>>', "$dir/$name.out" or POSIX::_exit(1);
        open STDERR, '>&', \*STDOUT or POSIX::_exit(1);
        local $ENV{LD_PRELOAD} = $preload if $preload;
        exec $program, "$dir/$name.conf", $sentinel ? '--sentinel' : ()
            or POSIX::_exit(1);
    }

    $redis{$name} = $pid;
    redis_wait($name);

    return "unix:$dir/$name.sock";
}

# a master "m1", its replica "m2", and three Sentinels "s1", "s2", "s3", which
# know it as "main" and have a password, and these options

sub redis_sentinels {
    my ($port, $password, @options) = @_;

    # A Sentinel that had no CPU for 2 s finds no server dead in the next 30 s.
    # It promotes no replica that lost the master more than ten times this time
    # before the master was found dead.

    my $down_after = $ENV{BACKGROUND_STORM} ? 1000 : 5000;

    redis('m1', "port $port->{m1}", 'repl-diskless-sync-delay 0');
    redis('m2', "port $port->{m2}", 'repl-diskless-sync-delay 0',
          "replicaof 127.0.0.1 $port->{m1}");

    poll('the replica is one', sub {
        (eval { redis_ask('m2', 'INFO', 'replication') } // '')
            =~ /master_link_status:up/;
    });

    redis($_, "port $port->{$_}", "requirepass $password",
          "sentinel sentinel-pass $password",
          "sentinel monitor main 127.0.0.1 $port->{m1} 2",
          "sentinel down-after-milliseconds main $down_after",
          'sentinel failover-timeout main 3000', @options)
        for qw/ s1 s2 s3 /;

    poll('the Sentinels know each other', sub {
        my $n = 0;

        for my $s (qw/ s1 s2 s3 /) {
            my $r = redis_ask($s, ['AUTH', $password], 'SENTINEL', 'MASTER',
                              'main');
            my %m = @$r;
            $n++ if $m{'num-other-sentinels'} == 2 && $m{'num-slaves'} == 1;
        }

        $n == 3;
    });
}

sub redis_wait {
    my ($name) = @_;

    poll("$name answers", sub {
        if (waitpid($redis{$name}, WNOHANG) > 0) {
            die read_file("$name.out") . read_file("$name.log");
        }

        my $answer = eval { redis_ask($name, 'PING') } // $@;

        $answer =~ /^(?:PONG|error NOAUTH)/;
    });
}

sub redis_kill {
    my ($name, $signal) = @_;

    kill $signal || 'KILL', $redis{$name};
    waitpid $redis{$name}, 0;
}

sub redis_pid { $redis{$_[0]} }

sub redis_signal {
    my ($name, $signal) = @_;

    kill $signal, $redis{$name};
}

# one command on a connection of its own: the reply, an error as "error TEXT";
# commands before it, as AUTH, are references to arrays

sub redis_ask {
    my ($name, @command) = @_;

    my @before;
    push @before, shift @command while ref $command[0];

    my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM,
                                       Peer => "$dir/$name.sock")
        or die "connect: $!\n";
    my $reply;

    for my $c (@before, \@command) {
        print $socket '*' . @$c . "\r\n",
            map { '$' . length($_) . "\r\n$_\r\n" } @$c;
        $socket->flush;
        $reply = reply($socket);
    }

    return $reply;
}

# what a worker that is connected now writes into a value as the epoch

sub redis_epoch {
    my ($name) = @_;

    my $info = redis_ask($name, 'INFO');
    my ($id) = $info =~ /^run_id:(\w{16})/m;
    my ($offset) = $info =~ /^second_repl_offset:(-?\d+)/m;

    return "$id/$offset";
}

sub reply {
    my ($socket) = @_;

    local $SIG{ALRM} = sub { die "no reply\n" };
    alarm $deadline;

    my $line = <$socket> // die "no reply\n";
    $line =~ s/\r\n\z//;

    my ($type, $rest) = $line =~ /^(.)(.*)/;
    my $value;

    if ($type eq '-') {
        $value = "error $rest";

    } elsif ($type eq '$' && $rest >= 0) {
        read $socket, $value, $rest;
        read $socket, my $end, 2;

    } elsif ($type eq '*' && $rest >= 0) {
        $value = [map { reply($socket) } 1 .. $rest];

    } elsif ($type =~ /[+:]/) {
        $value = $rest;
    }

    alarm 0;

    return $value;
}

###############################################################################

# host(NAME, HTTP, MAIN, LOCATIONS): starts an nginx

sub host {
    my ($name, @conf) = @_;

    mkdir "$dir/$name";

    host_conf($name, @conf) if @conf;

    unlink "$dir/$name/socket";

    defined(my $pid = fork) or die "fork: $!\n";

    if ($pid == 0) {
        setpgrp;
        open STDOUT, '>>', "$dir/$name/out" or POSIX::_exit(1);
        open STDERR, '>&', \*STDOUT or POSIX::_exit(1);
        exec $nginx, '-p', "$dir/$name/", '-c', 'nginx.conf', '-e', 'error.log'
            or POSIX::_exit(1);
    }

    $host{$name} = $pid;

    poll("$name answers", sub {
        if (waitpid($pid, WNOHANG) > 0) {
            delete $host{$name};
            die read_file("$name/out") . read_file("$name/error.log");
        }

        eval { host_get($name, '/status') };
    });
}

sub host_conf {
    my ($name, $http, $main, $locations) = map { $_ // '' } @_[0 .. 3];

    my $temp = join ' ', map { "${_}_temp_path temp;" }
        qw/ client_body proxy fastcgi uwsgi scgi /;

    $main = "worker_processes 2;\n$main" unless $main =~ /worker_processes/;

    write_file("$name/nginx.conf", <<"EOF_CONF");
$load_before$modules$load_after$user
$main
daemon off;
pid nginx.pid;
error_log error.log info;
events {
}
http {
    access_log off;
    $temp
    proxy_read_timeout 1d;
    $http
    server {
        listen unix:$dir/$name/socket;
        location = /status {
            background_status;
        }
        location = /page {
            background_status html;
        }
        location = /metrics {
            background_status prometheus;
        }
        $locations
    }
}
EOF_CONF
}

sub host_reload {
    my ($name, @conf) = @_;

    host_conf($name, @conf) if @conf;

    my $before = host_status($name)->{generation};

    kill 'HUP', $host{$name};

    poll("$name has reloaded", sub {
        (eval { host_status($name)->{generation} } // 0) > $before;
    });
}

# all processes at once

sub host_kill {
    my ($name) = @_;

    my @pids = host_workers($name);

    kill 'KILL', -$host{$name};
    waitpid delete $host{$name}, 0;

    # workers are not this process' children

    poll("$name is dead", sub {
        !grep { read_file("/proc/$_/stat") =~ /\) [^Z]/ } @pids;
    });
}

sub host_signal {
    my ($name, $signal) = @_;

    kill $signal, $host{$name};
}

sub host_stop {
    my ($name, $signal) = @_;

    my $pid = delete $host{$name};

    kill $signal || 'QUIT', $pid;

    poll("$name exits", sub { waitpid($pid, WNOHANG) != 0 });
}

sub host_get {
    my ($name, $uri) = @_;

    return host_ask($name, "GET $uri HTTP/1.1")
           =~ s/^.*?\r\n\r\n//sr || die "no answer\n";
}

# an order of background_control: the status code

sub host_order {
    my ($name, $uri) = @_;

    my $answer = host_ask($name, "POST $uri HTTP/1.1\r\nX-Background: 1");

    return $answer =~ m{^HTTP/1\.1 (\d+) } ? $1 : die "no answer\n";
}

sub host_ask {
    my $socket = host_send(@_);
    my $answer = '';

    local $SIG{ALRM} = sub { die "no end of the answer\n" };
    alarm $deadline;
    1 while sysread $socket, $answer, 65536, length $answer;
    alarm 0;

    return $answer;
}

# sends a request; returns the connection

sub host_send {
    my ($name, $lines) = @_;

    my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM,
                                       Peer => "$dir/$name/socket")
        or die "connect: $!\n";

    local $SIG{PIPE} = 'IGNORE';
    print $socket "$lines\r\nHost: test\r\nConnection: close\r\n\r\n";
    $socket->flush;

    return $socket;
}

sub host_status {
    my ($name, $task) = @_;

    my $status = Cpanel::JSON::XS->new->decode(host_get($name, '/status'));

    return $status unless defined $task;
    return (grep { $_->{name} eq $task } @{$status->{tasks}})[0];
}

sub host_log { read_file("$_[0]/error.log") }

sub host_workers {
    my ($name) = @_;

    return grep { read_file("/proc/$_/cmdline") =~ /worker process/ }
           child_pids($host{$name});
}

# it exits, and had nothing to complain of

sub host_finish {
    my ($name) = @_;

    host_stop($name);
    unlike(host_log($name), qr/\[(?:alert|crit|emerg)\]/,
           "$name: nothing to complain of");
    write_file("$name/error.log", '');
}

# another host has had the task "t" and has given it back

sub lease_given {
    my ($lease, $due, $failures) = @_;

    redis_ask('redis', 'SET', 'nginx:{t}:lease',
              join ' ', 1, 'a' x 32, 1, 'f', $lease, 1, $due // 0,
                        $failures // 0, 0, 0, redis_epoch('redis'), 'other');
}

sub quarantined {
    my ($name) = @_;

    my $task = eval { host_status($name, 't') };

    return $task && $task->{state} eq 'quarantined';
}

# the host of these that has the task, by its status, or ''

sub leader {
    my ($task, @hosts) = @_;

    my @leaders = grep {
        my $t = eval { host_status($_, $task) };
        $t && $t->{cluster} && $t->{cluster}{leader};
    } @hosts;

    return @leaders == 1 ? $leaders[0] : '';
}

###############################################################################

# what the function of t/calls/lease.c has written: [HOST, PID, FENCE, START,
# END], in seconds; END is undef if it never came.  A file only grows, so that
# what was read once is kept.

my %written;

sub runs {
    my ($file) = @_;

    my $w = $written{$file} //= { size => 0, runs => [], open => {} };

    if (open my $handle, '<', "$dir/$file") {
        seek $handle, $w->{size}, 0;

        while (my $line = <$handle>) {
            last if $line !~ /\n\z/;

            $w->{size} += length $line;
            written($w, split ' ', $line);
        }
    }

    return @{$w->{runs}};
}

sub written {
    my ($w, $host, $pid, $fence, $what, $usec) = @_;

    if ($what eq 'start') {
        my $run = [$host, $pid, $fence, $usec / 1e6, undef];

        push @{$w->{runs}}, $run;
        $w->{open}{"$host $pid"} = $run;

    } elsif (my $run = delete $w->{open}{"$host $pid"}) {
        $run->[4] = $usec / 1e6;
    }
}

# notes that processes were killed or stopped after that time, if their runs have
# no end: these count up to then, or up to their start, as this test may have had
# no CPU since

sub killed {
    my ($file, $ends, $since, @pids) = @_;

    my %is = map { $_ => 1 } @pids;

    for my $run (runs($file)) {
        $ends->{$run->[1]} = max($since, $run->[3] + 1e-6)
            if $is{$run->[1]} && !defined $run->[4];
    }
}

# Runs that started before an earlier one had ended.  "ends", a reference to a
# hash by PID, is that of killed().

sub overlaps {
    my ($file, $ends) = @_;

    # the line of an end may come late

    poll('each run has an end', sub {
        my @open = grep { !defined $_->[4] && !exists $ends->{$_->[1]} }
                        sort { $a->[3] <=> $b->[3] } runs($file);

        pop @open;
        return !grep { -e "/proc/$_->[1]" } @open;
    });

    my ($before, $end) = (undef, 0);
    my @overlaps;

    for my $run (sort { $a->[3] <=> $b->[3] } runs($file)) {
        push @overlaps, "@$before[0 .. 3] $end and @$run[0 .. 3]"
            if $run->[3] < $end;

        my $e = $run->[4] // 9e99;
        my $cut = $ends->{$run->[1]};

        $e = $cut if defined $cut && $run->[3] < $cut && $cut < $e;

        ($before, $end) = ($run, $e) if $e > $end;
    }

    return @overlaps;
}

sub lease_library {
    return build_library("$dir/lease.so", root() . '/t/calls/lease.c')
           ? "$dir/lease.so" : '';
}

END {
    if ($$ == $test) {
        my $status = $?;

        for my $pid (values %host,
                     values %redis) {
            kill 'CONT', -$pid;
            kill 'KILL', -$pid;
            waitpid $pid, 0;
        }

        $? = $status;
    }
}

1;
