# What clients meet when one of two servers dies, or hangs: with "probe", with
# HAProxy and the same check, and with nginx alone, which finds out by requests of
# clients.  No request is sent to another server instead, so each one counts that
# was sent to the dead one.

package Bench::failover;

use strict;
use warnings;

use Bench;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();

my $host = '127.9.8.7';
my @ports = (23_001, 23_002);
my $clients = 4;
my $window = 12;        # seconds, more than the default "fail_timeout"

my %server;

# each of the servers is an nginx of its own, which can be killed

sub server {
    my ($port) = @_;

    my $dir = dir() . "/server$port";

    mkdir $dir;
    put("server$port/nginx.conf", <<"EOF");
daemon off;
master_process off;
pid nginx.pid;
error_log error.log;
events { }
http {
    access_log off;
    client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp;
    uwsgi_temp_path temp; scgi_temp_path temp;
    server { listen $host:$port; location / { return 200 ok; } }
}
EOF

    $server{$port} = program($ENV{TEST_NGINX_BINARY}, '-p', "$dir/", '-c',
                             'nginx.conf', '-e', 'error.log');

    poll("server $port", sub {
        return IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port);
    });
}

# Kills or stops a server.  Returns how many requests met it then, the seconds
# until the last one of them began, and when that was.

sub kill_one {
    my ($socket, $signal) = @_;

    my @pipes = map { client($socket) } 1 .. $clients;

    sleep 1;

    my $dead = $server{$ports[0]};
    my $death = time;

    kill $signal, $dead->{pid};
    sleep $window;

    my ($met, $all, $last) = (0, 0, $death);

    for (@pipes) {
        syswrite $_->{stop}, "\n" or die "write: $!\n";

        my ($n, @failed) = split ' ', do { local $/; readline $_->{out} };

        waitpid $_->{pid}, 0;
        $all += $n;
        $met += @failed;
        $last = $_ > $last ? $_ : $last for @failed;
    }

    kill 'KILL', $dead->{pid};
    finish($_) for $dead, $server{$ports[1]};

    die "no requests\n" unless $all;

    return ($met, $last - $death, $last);
}

# requests all the time; tells how many there were, and when those that failed
# began

sub client {
    my ($socket) = @_;

    pipe my $out, my $in or die "pipe: $!\n";
    pipe my $wait, my $stop or die "pipe: $!\n";

    defined(my $pid = fork) or die "fork: $!\n";

    if ($pid == 0) {
        my $select = IO::Select->new($wait);
        my ($n, @failed) = (0);

        until ($select->can_read(0.004)) {
            my $start = time;

            $n++;
            push @failed, $start unless ok($socket);
        }

        print $in join ' ', $n, @failed;
        close $in;
        POSIX::_exit(0);
    }

    close $wait;
    close $in;

    return {pid => $pid, out => $out, stop => $stop};
}

sub ok {
    my $peer = IO::Socket::UNIX->new(Peer => $_[0]) or return 0;
    my $answer = '';

    print $peer "GET /client HTTP/1.0\r\n\r\n";
    $peer->flush;

    1 while sysread $peer, $answer, 65536, length $answer;

    return $answer =~ m{^HTTP/1\.\d 200 };
}

sub nginx {
    my ($parameters, $task) = @_;

    server($_) for @ports;

    my $list = join ' ', map { "server $host:$_ $parameters;" } @ports;

    start(main => 'worker_processes 2;', log => 'crit',
          http => "upstream app { zone app 64k; $list }",
          server => "$task location /client { proxy_pass http://app; "
                    . 'proxy_next_upstream off; proxy_read_timeout 1s; } '
                    . 'location = /status { background_status; }');
}

sub ours {
    my ($signal) = @_;

    nginx('max_fails=0', 'background_task app { interval 1s; retry 1s; '
          . 'probe app /health fails=2; } location = /health { internal; '
          . 'proxy_pass http://app; }');

    poll('both are up', sub {
        return 2 == grep { $_->{state} eq 'up' } @{peers() || []};
    });

    my ($met, $until, $last) = kill_one(dir() . '/socket', $signal);

    # the verdict, by the same clock, on the same day

    my ($down) = grep { $_->{state} eq 'down' } @{peers()};
    my ($h, $m, $s) = $down->{since} =~ /T(\d+):(\d+):([\d.]+)Z$/;
    my $day = 86400;
    my $after = POSIX::fmod($last - 3600 * $h - 60 * $m - $s, $day);

    $after -= $day if $after > $day / 2;

    stop();

    return ($met, $until, $after > 0 ? 1000 * $after : 0);
}

sub peers { status()->{tasks}[0]{peers} }

sub passive {
    my ($signal) = @_;

    nginx('', '');

    my @figures = kill_one(dir() . '/socket', $signal);

    stop();

    return @figures[0, 1];
}

sub other {
    my ($signal) = @_;

    server($_) for @ports;

    my $haproxy = haproxy('inter 1s fall 2', 2, map { "$host:$_" } @ports);
    my $socket = dir() . '/haproxy';

    poll('HAProxy answers', sub { ok($socket) });

    my @figures = kill_one($socket, $signal);

    finish($haproxy);

    return @figures[0, 1];
}

my $there = has_haproxy();
my @programs = ('probe', $there ? 'HAProxy' : (), 'max_fails');
my %function = (probe => \&ours, HAProxy => \&other, max_fails => \&passive);
my %signal = (dead => 'KILL', hangs => 'STOP');
my (@things, @rows);

for my $how (sort keys %signal) {
    for my $program (@programs) {
        my @units = map { "$how: $_" } 'requests that met it',
                    's until the last', $program eq 'probe'
                                        ? 'ms after the verdict' : ();

        push @things, [$program, \@units,
                       sub { $function{$program}->($signal{$how}) }];
        push @rows, map { [$_, $program, undef, /verdict/ ? '<= 20' : ()] }
                    @units;
    }
}

{
    rounds => 2,
    $there ? () : (notes => ['no HAProxy (Debian\'s package haproxy)']),
    things => \@things,
    rows => \@rows,
};
