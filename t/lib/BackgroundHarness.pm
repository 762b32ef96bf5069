package BackgroundHarness;

# How prove runs the files of the suite: several at the same time, the longest
# first, each with ports and a folder of its own, which stays if the file fails.
# Before prove's own last lines it tells what was skipped and why.

use strict;
use warnings;

use parent 'TAP::Harness';

use File::Basename qw/ basename /;
use File::Path qw/ remove_tree /;
use IO::Socket::INET;

# those that take longest, as they do so

my @long = map { "$_.t" } qw/
    config fuzz example-kind redis-peers hardening kind-checks probe-answer
    cluster-many revoked poison late request-scale reload-again
    redis-sentinel request-leak slow-tree cluster-lost verify-extra storm-exec
    page-states page-run status-schema page-many page-stale storm-stop
    requests-retry kind-misuse run-wait run-reserve life-robust prom-rules
    compress-faults prom-counters probe-reload page life-names cluster
/;

my $dir = $ENV{BACKGROUND_TESTS} or die "BACKGROUND_TESTS is not set\n";
my $lines = 100;      # of what a file says, the last ones
my $first = 20000;
my $ports = 20;

my @options = qw/ ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS /;
my %folders;      # by the parser
my %claims;       # what keeps its ports
my %skipped;      # by file and reason, how many tests
my @kept;

sub aggregate_tests {
    my ($self, $aggregate, @tests) = @_;

    for (map { ref ? $_->[0] : $_ } @tests) {
        next if -e;

        print STDERR qq/no test file "$_"\n/;
        exit 2;
    }

    # a program that this release of Debian does not have

    @tests = grep { planned(ref ? $_->[0] : $_) } @tests if @tests > 1;

    # one file's output comes as it is made

    if (@tests == 1) {
        $self->jobs(1);
        $self->formatter->jobs(1);
    }

    if ($self->jobs > 1) {
        my %rank = map { $long[$_] => $_ - @long } 0 .. $#long;
        my $rank = sub { $rank{basename(ref $_[0] ? $_[0][0] : $_[0])} || 0 };

        @tests = sort { $rank->($a) <=> $rank->($b) } @tests;
    }

    $self->switches([$self->switches, '-MBackgroundKeep']);

    $self->SUPER::aggregate_tests($aggregate, @tests);
}

# whether the program that the file's first line wants is installed

sub planned {
    open my $file, '<', $_[0] or return 1;

    my ($program) = (<$file> // '') =~ /^# Planned where (\S+) is installed/;

    return !$program || grep { -x "$_/$program" } split /:/, $ENV{PATH};
}

sub make_parser {
    my ($self, $job) = @_;

    my $name = $job->description;
    my $own = "$dir/" . basename($name, '.t');

    $own .= '_' while -e $own;
    mkdir $own or die "mkdir $own: $!\n";
    chmod 0755, $own or die "chmod $own: $!\n";

    my ($port, $claim) = claim();

    local $ENV{TMPDIR} = $own;
    local $ENV{TEST_NGINX_PORT} = $port;
    local $ENV{TEST_NGINX_SERVROOT} = "$own/servroot";

    # in a long run a process gets the pid of an earlier one, whose report a
    # process of another user can't replace: sanitizers would end it

    my @set = grep { defined $ENV{$_} } @options;

    local @ENV{@set} = map {
        $ENV{$_} =~ s/(log_path=[^:,]*)/"$1." . basename($own)/er
    } @set;

    # complaints come with their file's result, not among those of others

    local $ENV{BACKGROUND_STDERR} = $self->jobs > 1 ? "$own/stderr" : '';

    my ($parser, $session) = $self->SUPER::make_parser($job);

    $parser->callback(test => sub {
        my ($test) = @_;

        $skipped{$name}{$test->explanation}++ if $test->has_skip;
    });

    $claims{$parser} = $claim;
    $folders{$parser} = $own;

    return ($parser, $session);
}

sub finish_parser {
    my ($self, $parser, $session) = @_;

    my $name = $session->name;
    my $own = delete $folders{$parser};

    $self->SUPER::finish_parser($parser, $session);

    if (open my $file, '<', "$own/stderr") {
        my @said = <$file>;
        my $more = @said - $lines;

        splice @said, 0, $more, "... $more lines more ...\n"
            if $more > 0;

        print STDERR "$name said:\n", @said if @said;
    }

    delete $claims{$parser};
    $skipped{$name}{$parser->skip_all} = 0 if $parser->skip_all;

    if ($parser->has_problems) {
        push @kept, "$name: $own";

    } else {
        remove_tree($own);
    }

    return $parser;
}

sub summary {
    my ($self, $aggregate, @more) = @_;

    my $formatter = $self->formatter;
    my $said = count(scalar $aggregate->descriptions, 'file') . ', '
               . count($aggregate->total, 'test')
               . (%skipped ? "; skipped:\n" : ", nothing skipped\n");

    for my $name (sort keys %skipped) {
        for my $why (sort keys %{$skipped{$name}}) {
            my $n = $skipped{$name}{$why};

            $said .= "  $name: " . ($n ? "$n of its tests" : 'all')
                     . ": $why\n";
        }
    }

    $said .= "what failed has left its files:\n" if @kept;
    $said .= "  $_\n" for @kept;

    $formatter->_output($said) unless $formatter->silent;

    $self->SUPER::summary($aggregate, @more);
}

sub count { "$_[0] $_[1]" . ($_[0] == 1 ? '' : 's') }

# A port (and the nineteen after it) that nobody has, and a socket on the last
# but one, which is not used: it keeps others away for as long as it is open.

sub claim {
    for (1 .. 1000) {
        my $port = $first + $ports * int rand 500;
        my $claim = listener($port + $ports - 2) or next;

        return ($port, $claim)
            unless grep { !listener($_) } $port .. $port + $ports - 3,
                                          $port + $ports - 1;
    }

    die "no ports are free\n";
}

sub listener {
    return IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1,
                                 LocalPort => $_[0], ReuseAddr => 1);
}

1;
