package BackgroundConf;

# What "nginx -t" says of a configuration.

use strict;
use warnings;

use Exporter qw/ import /;
use File::Temp qw/ tempdir /;
use POSIX ();
use Test::More;

our @EXPORT = qw/ accepts warns rejects rejects_at nginx_t conf_dir put /;

###############################################################################

my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';
my @modules = split ' ', $ENV{TEST_NGINX_LOAD_MODULES} || '';

# names of those that are not loaded

our @without;

my $dir = tempdir('conf.XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $prefix = "worker_processes 2;\nevents {\n}\n";

# nginx makes files and folders, of tests too: all in the test's own

my $main = "pid nginx.pid; error_log error.log;\n";
my $http = join ' ', 'access_log off;', map { "${_}_temp_path temp;" }
    qw/ client_body proxy fastcgi uwsgi scgi /;

# where a text goes, in the place of "%s"

my %contexts = (
    main     => "%s\nhttp {\n}\n",
    all      => "%s\n",
    http     => "http {\n%s\n}\n",
    server   => "http {\nserver {\nlisten unix:$dir/socket;\n%s\n}\n}\n",
    location => "http {\nbackground_task t { simulate_io 1; }\n"
                . "server {\nlisten unix:$dir/socket;\n"
                . "location / {\n%s\n}\n}\n}\n",
    task     => "http {\nbackground_task t {\nsimulate_io 1;\n%s\n}\n}\n",
    empty    => "http {\nbackground_task t {\n%s\n}\n}\n",
);

# accepts(CONTEXT, TEXT...)

sub accepts {
    my ($context, @texts) = @_;

    for my $text (@texts) {
        my ($code, $said) = nginx_t(in($context, $text));

        is("$said\[$code]",
            "nginx: the configuration file $dir/nginx.conf syntax is ok\n"
            . "nginx: configuration file $dir/nginx.conf test is successful\n"
            . '[0]', "$context: " . name($text));
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
# Expects nothing but the message, with file and line.  The line is the one
# with "# here", or the text's first.

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

    my ($code, $said) = nginx_t(in($context, $text));

    is("$said\[$code]", "nginx: [emerg] $message in $dir/$where\n"
        . "nginx: configuration file $dir/nginx.conf test failed\n[1]",
        "$context: " . ($name || name($text)));
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
    my ($context, $text) = @_;

    my $conf = $contexts{$context} or die "no context \"$context\"\n";

    $conf =~ s/%s/$text/;

    return $prefix . $conf;
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
