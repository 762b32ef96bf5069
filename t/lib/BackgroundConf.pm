package BackgroundConf;

# What nginx says of a configuration.

use strict;
use warnings;

use BackgroundPoll;
use BackgroundProc;
use Exporter qw/ import /;
use File::Temp qw/ tempdir /;
use POSIX qw/ WNOHANG /;
use Test::More;

our @EXPORT = qw/ accepts warns rejects rejects_at nginx_t conf_dir put /;

###############################################################################

my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';
my @modules = split ' ', $ENV{TEST_NGINX_LOAD_MODULES} || '';

# names of those that are not loaded

our @without;

my $dir = tempdir('conf.XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $test = $$;

# the process of a server that refuses configurations, and how many seconds a
# slow machine may take

my $server;
my $deadline = 300;

my $prefix = "worker_processes 2;\nevents {\n}\n";

# nginx makes files and folders, of tests too: all in the test's own

my $main = "pid nginx.pid; error_log error.log notice;\n";
my $http = join ' ', 'access_log off;', map { "${_}_temp_path temp;" }
    qw/ client_body proxy fastcgi uwsgi scgi /;

# where a text goes, in the place of "%s"

my %contexts = (
    main     => "%s\nhttp {\n}\n",
    all      => "%s\n",
    http     => "http {\n%s\n}\n",
    server   => "http {\nserver {\nlisten unix:$dir/socket;\n%s\n}\n}\n",
    location => "http {\nbackground_task t { simulate_io 1; }\n"
                . "server {\nlisten unix:$dir/socket;\n%s}\n}\n",
    task     => "http {\n%s}\n",
    empty    => "http {\n%s}\n",
);

# of these a configuration may have several, from the second one on with a number
# in the place of "%d"

my %blocks = (
    location => "location /%d {\n%s\n}\n",
    task     => "background_task t%d {\nsimulate_io 1;\n%s\n}\n",
    empty    => "background_task t%d {\n%s\n}\n",
);

my $accepted = "nginx: the configuration file $dir/nginx.conf syntax is ok\n"
    . "nginx: configuration file $dir/nginx.conf test is successful\n";

# accepts(CONTEXT, TEXT...)

sub accepts {
    my ($context, @texts) = @_;

    # one configuration has them all; which one it is that is refused is seen
    # one by one

    if ($blocks{$context} && @texts > 1) {
        my ($code, $said) = nginx_t(in($context, @texts));

        if ($said eq $accepted && $code eq '0') {
            pass("$context: " . name($_)) for @texts;
            return;
        }
    }

    for my $text (@texts) {
        my ($code, $said) = nginx_t(in($context, $text));

        is("$said\[$code]", "$accepted\[0]", "$context: " . name($text));
    }
}

# warns(CONTEXT, TEXT => MESSAGE, ...): accepts it with that warning

sub warns {
    my ($context, @cases) = @_;

    while (my ($text, $message) = splice @cases, 0, 2) {
        my ($code, $said) = nginx_t(in($context, $text));

        like("$said\[$code]",
            qr/^nginx:\ \[warn\]\ \Q$message\E\ in\ \Q$dir\E\/nginx\.conf:\d+\n
               nginx:\ the\ configuration\ file\ .*\ syntax\ is\ ok\n
               nginx:\ .*\ test\ is\ successful\n
               \[0\]\z/x, "$context: " . name($text));
    }
}

# rejects(CONTEXT, TEXT => MESSAGE, ...)
#
# Expects nothing but the message, with file and line, and that a server that is
# told to reload the configuration goes on.  The line is the one with "# here",
# or the text's first.

sub rejects {
    my ($context, @cases) = @_;

    while (my ($text, $message) = splice @cases, 0, 2) {
        my $name = name($text);

        $text =~ s/$/ # here/m unless $text =~ /# here/;

        my ($before) = full(in($context, $text)) =~ /(.*)# here/s;
        my $line = 1 + ($before =~ tr/\n//);

        rejects_at($context, $text => $message, "nginx.conf:$line", $name);
    }
}

# the same, for an error in an included file

sub rejects_at {
    my ($context, $text, $message, $where, $name) = @_;

    is(reloaded(in($context, $text)), "[emerg] $message in $dir/$where\n",
        "$context: " . ($name || name($text)));
}

# What a running nginx logs when it is told to reload this configuration, which
# it refuses: to start one for each takes several times as long.

sub reloaded {
    my ($conf) = @_;

    start_server() unless $server;

    put('nginx.conf', full($conf));
    put('error.log', '');

    kill 'HUP', $server or die "kill: $!\n";
    told(qr/\[emerg\] |start worker process /);

    # a signal without effect, which the master handles when the reload is over

    kill 'WINCH', $server or die "kill: $!\n";
    my $log = told(qr/\(SIGWINCH\).*\n/);

    $log =~ s/^\S+ \S+ (\[\w+\]) \d+#\d+: (?:\*\d+ )?/$1 /mg;
    $log =~ s/^\[notice\] (?:signal \d+ \(SIG(?:HUP|WINCH)\) .*|reconfiguring)\n//mg;

    return $log;
}

# the log, when this is in it, which takes a moment

sub told {
    my ($pattern) = @_;

    my $log;
    local $BackgroundPoll::least = 0.001;

    poll_until("$pattern in the log", $deadline, sub {
        $log = read_file("$dir/error.log");

        return 1 if $log =~ $pattern;

        die "nginx has ended\n$log" if waitpid($server, WNOHANG) != 0;
        return 0;
    }, sub { diag($log) });

    return $log;
}

sub start_server {
    put('nginx.conf', full("daemon off;\nevents {\n}\n"));
    put('error.log', '');

    defined(my $pid = fork) or die "fork: $!\n";

    if ($pid == 0) {
        open STDERR, '>>', "$dir/error.log" or POSIX::_exit(127);
        exec $nginx, '-p', "$dir/", '-c', 'nginx.conf', '-e', "$dir/error.log"
            or POSIX::_exit(127);
    }

    $server = $pid;

    # it takes no signals before

    told(qr/start worker process /);
}

$SIG{INT} = $SIG{TERM} = $SIG{HUP} = sub { exit 1 };

END {
    if ($server && $$ == $test) {
        my $status = $?;

        kill 'TERM', $server;
        waitpid $server, 0;
        $? = $status;
    }
}

# the exit code of "nginx -t", and what nginx says on standard error

sub nginx_t {
    my ($conf) = @_;

    put('nginx.conf', full($conf));

    # without a shell

    my $pid = open my $pipe, '-|';
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT or POSIX::_exit(127);
        exec $nginx, '-t', '-p', "$dir/", '-c', 'nginx.conf',
             '-e', "$dir/error.log" or POSIX::_exit(127);
    }

    my @said = <$pipe>;

    close $pipe;

    my $code = $? & 127 ? "signal " . ($? & 127) : $? >> 8;

    # sanitizers have more to say, in their own lines

    return ($code, join '', grep { /^nginx: / } @said);
}

sub conf_dir { $dir }

sub put {
    my ($name, $text) = @_;

    open my $file, '>', "$dir/$name" or die "open $dir/$name: $!\n";
    print $file $text;
    close $file or die "close $dir/$name: $!\n";
}

sub in {
    my ($context, @texts) = @_;

    my $conf = $contexts{$context} or die "no context \"$context\"\n";

    if (my $block = $blocks{$context}) {
        my $n = '';

        @texts = join '', map {
            my $one = $block =~ s/%d/$n/r =~ s/%s/$_/r;
            $n = ($n || 1) + 1;
            $one
        } @texts;
    }

    return $prefix . $conf =~ s/%s/$texts[0]/r;
}

sub full {
    my ($conf) = @_;

    $conf =~ s/^http \{/http { $http/m;

    my $modules = join '', map { my $module = $_;
        (grep { $module =~ /\/$_\.so$/ } @without) ? ''
                                                   : "load_module $module;\n" }
        @modules;

    return $modules . $main . $conf;
}

sub name {
    my ($name) = @_;

    $name =~ s/\s+/ /g;
    $name =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ge;
    $name =~ s/(.)\1{99,}/"$1 x " . length $&/ge;

    return $name;
}

1;
