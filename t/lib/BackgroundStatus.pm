package BackgroundStatus;

# An nginx of the test's own, on a socket in a folder of the test's own, and
# what its status says.

use strict;
use warnings;

use BackgroundPoll;
use BackgroundProc qw/ child_pids /;
use Cpanel::JSON::XS ();
use Exporter qw/ import /;
use File::Temp qw/ tempdir /;
use IO::Socket::UNIX;
use POSIX qw/ WNOHANG /;
use Test::More;
use Time::HiRes qw/ sleep time /;

our @EXPORT = qw/ dir put replace start stop http get get_all status parse
                  utf8_text poll by_name type /;

###############################################################################

my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';
my $modules = join '', map { "load_module $_;\n" }
    split ' ', $ENV{TEST_NGINX_LOAD_MODULES} || '';

# workers have no rights to files of mode 0

my $user = $> == 0 ? 'user nobody ' . getgrgid((getpwnam 'nobody')[3]) . ';'
                   : '';

# ".S" or ".c" in a folder's name is that of a source to nginx's configure

my $dir = tempdir('status_XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir or die "chmod: $!\n";

my $test = $$;
my $pid;

# ten times what slow and busy machines and sanitizers need

our $deadline = 300;

# seconds for which the server holds each answer, which is made by then

my $answer_delay = $ENV{BACKGROUND_ANSWER_DELAY} || 0;

# no answer is no wonder: workers die

our $quiet;

$SIG{INT} = $SIG{TERM} = $SIG{HUP} = sub { exit 1 };

sub dir { $dir }

sub put {
    my ($name, $text) = @_;

    open my $file, '>', "$dir/$name" or die "open $dir/$name: $!\n";
    print $file $text;
    close $file or die "close $dir/$name: $!\n";
}

# the same at once: no reader finds half of it

sub replace {
    my ($name, $text) = @_;

    put("$name.new", $text);
    rename "$dir/$name.new", "$dir/$name" or die "rename: $!\n";
}

# start(HTTP, LOCATIONS, MAIN): what to add to the configuration, which has a
# location "/status" in any case; with "daemon on" in MAIN nginx can be upgraded

sub start {
    my ($http, $locations, $main) = map { defined $_ ? $_ : '' } @_[0 .. 2];

    my $off = $main =~ /daemon on;/ ? '' : 'daemon off;';
    my $temp = join ' ', map { "${_}_temp_path temp;" }
        qw/ client_body proxy fastcgi uwsgi scgi /;

    my ($load, $delay) = answer_delay();

    # a peer holds a response for as long as a test needs

    put('nginx.conf', <<"EOF");
$modules$load$user
$main
$off
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
        listen unix:$dir/socket;
        $delay
        location = /status {
            background_status;
        }
        $locations
    }
}
EOF

    unlink map { "$dir/$_" } qw/ error.log socket nginx.pid /;

    defined($pid = fork) or die "fork: $!\n";

    if ($pid == 0) {
        setpgrp;
        open STDOUT, '>', "$dir/out" or POSIX::_exit(1);
        open STDERR, '>&', \*STDOUT or POSIX::_exit(1);
        exec $nginx, '-p', "$dir/", '-c', 'nginx.conf', '-e', 'error.log'
            or POSIX::_exit(1);
    }

    # a master whose parent is still there takes no USR2

    my $daemon;

    poll('nginx answers', sub {
        if (waitpid($pid, WNOHANG) > 0) {
            if ($off || $?) {
                undef $pid;
                die slurp('out') . slurp('error.log');
            }

            $daemon = 1;
        }

        connection() && ($off || $daemon && slurp('nginx.pid'));
    });

    ($pid) = slurp('nginx.pid') =~ /(\d+)/ unless $off;

    poll('workers', \&titled) unless $main =~ /master_process off;/;
}

# whether the master has its title, and all workers have theirs: that of a new
# process is the master's

sub titled {
    my ($master) = slurp('nginx.pid') =~ /(\d+)/ or return 0;
    my $title = slurp("/proc/$master/cmdline");
    my @children = child_pids($master);

    # its PID is that of another namespace

    return 1 if $title !~ /nginx/;

    return $title =~ /^nginx: master process/
           && @children
           && !grep { slurp("/proc/$_/cmdline") =~ /^nginx: master process/ }
                    @children;
}

# what to load, and to say in the server, so that answers come late

sub answer_delay {
    return ('', '') unless $answer_delay;

    require BackgroundKind;

    return (BackgroundKind::load_kind('answer_delay') . "\n",
            sprintf 'answer_delay %dms;', 1000 * $answer_delay);
}

# stop([SIGNAL]): stops it; tests that it had nothing to complain of.  After TERM,
# the default, nginx kills workers that take more than a second to exit; after
# QUIT it waits for them.

sub stop {
    my ($signal) = @_;

    my $before = runs() ? slurp('error.log') : '';

    kill $signal // 'TERM', $pid;

    my $end = time + $deadline;

    while (runs()) {
        if (time > $end) {
            fail('nginx stops');
            kill 'KILL', -$pid;
            waitpid $pid, 0;
            last;
        }

        sleep 0.02;
    }

    undef $pid;

    # so they may on a busy machine or with sanitizers

    my $after = substr slurp('error.log'), length $before;

    $after =~ s/.*exited on signal 9\n//g;

    is(join('', grep { /\[(?:alert|crit|emerg)\]|Sanitizer/ }
                    split /^/, $before . $after . slurp('out')),
        '', 'nothing to complain of');
}

END {
    if ($pid && $$ == $test) {
        my $status = $?;

        kill 'KILL', -$pid;
        waitpid $pid, 0;

        $? = $status;
    }
}

# the raw answer to a raw request, up to the connection's end

sub http {
    my ($request) = @_;

    return receive(send_request($request));
}

sub send_request {
    my ($request) = @_;

    my $socket = connection() or die "connect: $!\n";

    local $SIG{PIPE} = 'IGNORE';

    print $socket $request;
    $socket->flush;

    return $socket;
}

sub receive {
    my ($socket) = @_;

    my $answer = '';

    local $SIG{ALRM} = sub { die "no end of the answer\n" };
    alarm $deadline;
    1 while sysread $socket, $answer, 65536, length $answer;
    alarm 0;

    if ($answer eq '') {
        diag(slurp('error.log')) unless $quiet;
        die "no answer: $!\n";
    }

    return $answer;
}

# returns (CODE, HEADERS, BODY)

sub get { parts(http(get_request(@_))) }

# get_all(URI, NUMBER): the responses to so many requests at the same time, as
# references to such lists.  If an old and a new worker listen, either may accept
# all that come one after the other.

sub get_all {
    my ($uri, $n) = @_;

    my @sockets = map { send_request(get_request($uri)) } 1 .. $n;

    return map { [parts(receive($_))] } @sockets;
}

sub get_request {
    my ($uri) = @_;

    return "GET $uri HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
}

sub parts {
    my ($answer) = @_;

    my ($headers, $body) = split /\r\n\r\n/, $answer, 2;
    my ($code) = $headers =~ /^HTTP\/1\.1 (\d{3}) /;

    return ($code, $headers, $body);
}

sub status {
    my ($uri) = @_;

    return parse((get($uri || '/status'))[2]);
}

# strict: well-formed UTF-8, and nothing around the JSON

sub parse {
    my ($body) = @_;

    my $text = utf8_text($body);

    die "not UTF-8\n" if $text ne utf8_text($body, '?');

    return Cpanel::JSON::XS->new->decode($text);
}

# text of bytes; each that is not in a well-formed sequence of UTF-8 (The
# Unicode Standard, table 3-7) becomes U+FFFD, or what is given

sub utf8_text {
    my ($bytes, $instead) = @_;

    $instead = "\xef\xbf\xbd" unless defined $instead;

    $bytes =~ s/\G(?<good>(?:
          [\x00-\x7f]++
        | [\xc2-\xdf] [\x80-\xbf]
        | \xe0 [\xa0-\xbf] [\x80-\xbf]
        | [\xe1-\xec\xee\xef] [\x80-\xbf]{2}
        | \xed [\x80-\x9f] [\x80-\xbf]
        | \xf0 [\x90-\xbf] [\x80-\xbf]{2}
        | [\xf1-\xf3] [\x80-\xbf]{3}
        | \xf4 [\x80-\x8f] [\x80-\xbf]{2}
        )+) | \G.
        /defined $+{good} ? $+{good} : $instead/gexs;

    utf8::decode($bytes) or die "utf8::decode() failed\n";

    return $bytes;
}

# calls the function until it returns something true, and returns that

sub poll {
    my ($name, $function) = @_;

    return poll_until($name, $deadline, $function, sub {
        diag(join '', grep { defined }
                           (split /^/, slurp('error.log'))[-100 .. -1]);
        diag(eval { (get('/status'))[2] } || 'no status');
    });
}

sub by_name {
    my ($status) = @_;

    return map { $_->{name} => $_ } @{$status->{tasks}};
}

# a value's JSON type

sub type {
    my ($value) = @_;

    return 'null' unless defined $value;
    return 'boolean' if Cpanel::JSON::XS::is_bool($value);
    return lc ref $value if ref $value;
    return Cpanel::JSON::XS->new->encode([$value]) =~ /^\["/ ? 'string'
                                                            : 'number';
}

sub connection {
    return IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => "$dir/socket");
}

sub runs {
    return 1 if waitpid($pid, WNOHANG) == 0;

    open my $file, '<', "/proc/$pid/stat" or return 0;

    return <$file> =~ /\) [^Z]/;
}

sub slurp {
    my ($name) = @_;

    open my $file, '<', $name =~ m{^/} ? $name : "$dir/$name" or return '';
    local $/;

    return scalar(<$file>) // '';
}

1;
