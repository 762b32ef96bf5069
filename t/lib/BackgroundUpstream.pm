package BackgroundUpstream;

# Peers that nginx's requests go to: a server that answers as its URI says, and
# another nginx.

use strict;
use warnings;

use BackgroundStatus;
use Exporter qw/ import /;
use IO::Handle;
use IO::Select;
use IO::Socket::UNIX;
use POSIX ();
use Time::HiRes qw/ sleep time /;

our @EXPORT = qw/ upstream seen opened closed forget second_nginx stop_second
                  read_text /;

my $test = $$;
my %peers;

###############################################################################

# upstream(NAME): a server on the socket NAME of the test's folder
#
#   /ok/N      a body of N bytes
#   /wait/MS   200 after that time
#   /hold      no answer at all
#   /lost      the connection is closed instead of an answer
#   /cut/N     N bytes of twice as many
#   /chunked/N an answer in chunks that ends after N bytes, without an end
#   /code/N    that status
#   /vary      "Vary: Accept-Encoding"
#
# What has come is in NAME.log: "open", "request ...", "body ...", "close".

sub upstream {
    my ($name) = @_;

    my $path = dir() . "/$name";
    my $listener = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $path,
                                         Listen => 4096)
        or die "listen on $path: $!\n";

    chmod 0666, $path or die "chmod: $!\n";

    defined(my $pid = fork) or die "fork: $!\n";

    if ($pid == 0) {
        $SIG{PIPE} = 'IGNORE';
        $SIG{$_} = 'DEFAULT' for qw/ INT TERM HUP /;
        serve($listener, "$path.log", getppid());
        POSIX::_exit(0);
    }

    $peers{$name} = $pid;
}

sub serve {
    my ($listener, $log, $parent) = @_;

    open my $seen, '>>', $log or POSIX::_exit(1);
    $seen->autoflush(1);

    my $select = IO::Select->new($listener);
    my (%in, %out, %due);

    while (getppid() == $parent) {
        my $writers = IO::Select->new;
        $writers->add($_->{socket}) for values %out;

        my ($r, $w) = IO::Select->select($select, $writers, undef, 0.02);

        for my $socket (@{$r || []}) {
            if ($socket == $listener) {
                my $new = $listener->accept or next;
                $new->blocking(0);
                $select->add($new);
                $in{$new} = '';
                print $seen "open\n";
                next;
            }

            my $n = sysread $socket, $in{$socket}, 65536, length $in{$socket};

            if (!$n) {
                finish($select, $seen, $socket, \%in, \%out, \%due);
                next;
            }

            while ($in{$socket} =~ s/^(\S+) (\S+) HTTP[^\r]*\r\n(.*?)\r\n\r\n//s)
            {
                my ($method, $uri, $headers) = ($1, $2, $3);
                my ($length) = $headers =~ /^Content-Length: (\d+)/im;
                my $body = substr $in{$socket}, 0, $length || 0, '';

                $headers =~ s/\r\n/|/g;
                print $seen "request $method $uri|$headers\n";
                print $seen "body $body\n" if $length;

                my ($text, $close, $delay) = answer($method, $uri);

                $due{$socket} = { socket => $socket, text => $text,
                                  close => $close, at => time + $delay }
                    if defined $text;
            }
        }

        for my $key (keys %due) {
            next if $due{$key}{at} > time;
            $out{$key} = delete $due{$key};
        }

        for my $socket (@{$w || []}) {
            my $o = $out{$socket} or next;
            my $n = syswrite $socket, $o->{text}, 1 << 20;

            next if !defined $n && $!{EAGAIN};

            substr $o->{text}, 0, $n, '' if $n;
            next if $n && length $o->{text};

            delete $out{$socket};

            finish($select, $seen, $socket, \%in, \%out, \%due)
                if $o->{close} || (!$n && length $o->{text});
        }
    }
}

sub finish {
    my ($select, $seen, $socket, @tables) = @_;

    $select->remove($socket);
    delete $_->{$socket} for @tables;
    close $socket;
    print $seen "close\n";
}

# text, whether to close, delay

sub answer {
    my ($method, $uri) = @_;

    my $ok = "HTTP/1.1 200 OK\r\n";
    my $n = $uri =~ m{/(\d+)} ? $1 : 0;

    return if $uri =~ m{^/hold};
    return ('', 1, 0) if $uri =~ m{^/lost};
    return ("${ok}Content-Length: 2\r\n\r\nok", 0, $n / 1000)
        if $uri =~ m{^/wait};
    return ($ok . 'Content-Length: ' . 2 * $n . "\r\n\r\n" . 'x' x $n, 1, 0)
        if $uri =~ m{^/cut};
    return ("${ok}Transfer-Encoding: chunked\r\n\r\n"
            . sprintf('%x', $n) . "\r\n" . 'x' x $n . "\r\n", 1, 0)
        if $uri =~ m{^/chunked};
    return ("HTTP/1.1 $n Code\r\nContent-Length: 0\r\n\r\n", 0, 0)
        if $uri =~ m{^/code};

    $ok .= "Vary: Accept-Encoding\r\n" if $uri =~ m{^/vary};

    return ("${ok}Content-Length: $n\r\n\r\n"
            . ($method eq 'HEAD' ? '' : 'x' x $n), 0, 0);
}

# what has come to an upstream

sub seen {
    my ($name) = @_;

    return map { chomp; $_ } grep { /^(?:request|body) / }
           split /^/, read_text(dir() . "/$name.log");
}

sub opened { count($_[0], 'open') }

sub closed { count($_[0], 'close') }

sub count {
    my ($name, $what) = @_;

    return scalar grep { $_ eq "$what\n" }
           split /^/, read_text(dir() . "/$name.log");
}

sub forget {
    my ($name) = @_;

    truncate dir() . "/$name.log", 0 or die "truncate: $!\n";
}

###############################################################################

# second_nginx(HTTP): another nginx, with plain HTTP modules only, in the folder
# "second" of the test's

sub second_nginx {
    my ($http) = @_;

    my $second = dir() . '/second';
    my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';

    mkdir $second;

    my $temp = join ' ', map { "${_}_temp_path temp;" }
        qw/ client_body proxy fastcgi uwsgi scgi /;

    put('second/nginx.conf', <<"EOF_CONF");
daemon off;
master_process off;
pid nginx.pid;
error_log error.log info;
events {
}
http {
    access_log off;
    $temp
    proxy_read_timeout 1d;
    $http
}
EOF_CONF

    defined(my $pid = fork) or die "fork: $!\n";

    if ($pid == 0) {
        open STDOUT, '>', "$second/out" or POSIX::_exit(1);
        open STDERR, '>&', \*STDOUT or POSIX::_exit(1);
        exec $nginx, '-p', "$second/", '-c', 'nginx.conf', '-e', 'error.log'
            or POSIX::_exit(1);
    }

    $peers{second} = $pid;

    my $end = time + $BackgroundStatus::deadline;

    until (-s "$second/nginx.pid") {
        die read_text("$second/error.log") if time > $end;
        sleep 0.02;
    }
}

sub stop_second {
    my $pid = delete $peers{second};

    kill 'TERM', $pid;
    waitpid $pid, 0;
}

sub read_text {
    open my $file, '<', $_[0] or return '';
    local $/;

    return scalar(<$file>) // '';
}

END {
    if ($$ == $test) {
        my $status = $?;

        for my $pid (values %peers) {
            kill 'KILL', $pid;
            waitpid $pid, 0;
        }

        $? = $status;
    }
}

1;
