package BackgroundStorm;

# Storms: clients that load an nginx while a test reloads it, changes it or
# kills its workers, and somebody who watches meanwhile.

use strict;
use warnings;

use BackgroundLife;
use BackgroundStatus;
use Exporter qw/ import /;
use IO::Socket::UNIX;
use POSIX ();
use Test::More;
use Time::HiRes qw/ sleep time /;

our @EXPORT = qw/ rounds load load_end figures watch watch_step watch_died
                  watch_dead watch_end all_there in_log /;

# how many rounds: what util/storm.sh says, or the few of the test suite

sub rounds { $ENV{BACKGROUND_STORM} || $_[0] }

###############################################################################

# Clients that ask for "/status" and "/page", or for other URIs, in turn, each
# time by a new connection, with some milliseconds in between.  An URI
# "POST URI BODY" is a request whose response has to be the body, backwards.

my @clients;

sub load {
    my ($n, @uris) = @_;

    my $test = $$;

    @uris = qw{ /status /page } unless @uris;

    for (1 .. $n) {
        pipe my $read, my $write or die "pipe: $!\n";
        defined(my $pid = fork) or die "fork: $!\n";

        if ($pid == 0) {
            my $end = 0;

            # not in the middle of a request, nor of what Perl itself does

            my $stop = POSIX::SigAction->new(sub { $end = 1 }, undef,
                                             &POSIX::SA_RESTART);

            $stop->safe(1);
            POSIX::sigaction($_, $stop)
                for &POSIX::SIGTERM, &POSIX::SIGINT, &POSIX::SIGHUP;

            close $read;
            print $write client(sub { $end || getppid() != $test }, @uris);
            close $write;
            POSIX::_exit(0);
        }

        push @clients, [$pid, $read];
    }
}

sub client {
    my ($end, @uris) = @_;

    my ($requests, $longest, %failed) = (0, 0);

    $SIG{PIPE} = 'IGNORE';
    $SIG{ALRM} = sub { die "slow\n" };

    until ($end->()) {
        my $uri = $uris[$requests++ % @uris];
        my $start = time;
        my $error = eval { request($uri) };

        $error = $@ if $@;
        $failed{substr($uri, 0, 30) . ": $error"}++ if $error;

        my $took = time - $start;
        $longest = $took if $took > $longest;

        sleep 0.003;
    }

    return join '', "$requests\n", "$longest\n",
                    map { s/\n//r . "\t$failed{$_}\n" } keys %failed;
}

# why it failed

sub request {
    my ($uri) = @_;

    my $answer = '';
    my ($method, $input) = ('GET', '');

    ($method, $uri, $input) = ('POST', $1, $2) if $uri =~ /^POST (\S+) (.*)/s;

    alarm $BackgroundStatus::deadline;

    my $socket = IO::Socket::UNIX->new(Peer => dir() . '/socket')
        or return "connect: $!";

    syswrite $socket, "$method $uri HTTP/1.1\r\nHost: test\r\n"
                      . "Connection: close\r\nContent-Length: "
                      . length($input) . "\r\n\r\n$input"
        or return "send: $!";

    for ( ;; ) {
        my $n = sysread $socket, $answer, 65536, length $answer;

        last if defined $n && $n == 0;
        return $answer eq '' ? "no answer: $!" : "cut off: $!"
            unless defined $n;
    }

    alarm 0;

    return 'no answer' if $answer eq '';

    my ($head, $body) = split /\r\n\r\n/, $answer, 2;
    my ($code) = $head =~ m{^HTTP/1\.1 (\d+)};

    return "code $code" . (length $body < 100 ? " $body" : '')
        if $code ne '200';

    my ($length) = $head =~ /^Content-Length: (\d+)/mi;

    return 'cut off'
        if defined $length ? length $body != $length
                           : $body !~ /\r\n0\r\n\r\n\z|\}\n?\z/;

    return 'wrong answer' if $method eq 'POST' && $body ne reverse $input;

    return '';
}

# returns what they saw; the load's end

sub load_end {
    my %saw = (requests => 0, failed => 0, longest => 0);

    kill 'TERM', map { $_->[0] } @clients;

    for (@clients) {
        my ($pid, $read) = @$_;

        chomp(my ($requests, $longest, @failed) = <$read>);
        waitpid $pid, 0;

        die "a client died\n" unless defined $longest;

        $saw{requests} += $requests;
        $saw{longest} = $longest if $longest > $saw{longest};

        for (@failed) {
            my ($why, $n) = split /\t/;

            $saw{why}{$why} += $n;
            $saw{failed} += $n;
        }
    }

    @clients = ();

    return \%saw;
}

END { kill 'TERM', map { $_->[0] } @clients if @clients }

###############################################################################

# Watches the tasks: for how long none of the workers had a task, and whether
# totals ever went back.

my %seen;         # time when the task had a runner
my %gap;          # the longest without one
my %totals;
my %back;         # what went back
my %dead;         # process identifiers
my %owed;         # times since when a task lacks a worker
my ($answers, $log_read, $most_running);

sub watch {
    %seen = %gap = %totals = %back = %dead = %owed = ();
    ($answers, $log_read, $most_running) = (0, -s dir() . '/error.log', 0);
    watch_step();
}

# a look; returns the status

sub watch_step {
    my $status = status_anyhow();
    my $now = time;

    $answers++;

    for my $task (@{$status->{tasks}}) {
        my $name = $task->{name};

        if ($task->{workers} eq 'one') {
            $seen{$name} //= $now;

            if ($task->{lease} && !$dead{$task->{lease}{pid}}) {
                gap($name, $now - $seen{$name});
                $seen{$name} = $now;
            }
        }

        total("$name $_", $task->{cycles}{$_})
            for qw/ completed failed cancelled /;
        total("$name operations $_", $task->{operations}{$_})
            for qw/ completed failed bytes /;
        total("$name $_", $task->{$_})
            for qw/ io_seconds cpu_seconds wall_seconds /;
    }

    total('jobs', $status->{cpu}{completed});
    total('job seconds', $status->{cpu}{seconds});
    total('generation', $status->{generation});

    $most_running = $status->{cpu}{running}
        if $status->{cpu}{running} > $most_running;

    look_at_log($now);

    return $status;
}

sub total {
    my ($what, $value) = @_;

    if (defined $totals{$what} && $value < $totals{$what}) {
        $back{$what} //= "$totals{$what} > $value";
    }

    $totals{$what} = $value;
}

sub gap {
    my ($name, $gap) = @_;

    $gap{$name} = $gap if $gap > ($gap{$name} || 0);
}

# a worker was killed, and these tasks of all workers with it

sub watch_died {
    my ($pid, @all) = @_;

    push @{$owed{$_}}, time for @all;

    # when it was started is no news any more

    look_at_log(time);

    $dead{$pid} = 1;
}

sub watch_dead { !defined $_[0] || $dead{$_[0]} }

# the log tells when a new worker has a task

sub look_at_log {
    my ($now) = @_;

    open my $file, '<', dir() . '/error.log' or die "open: $!\n";
    seek $file, $log_read, 0;
    local $/;
    my $text = <$file> // '';

    $text =~ s/[^\n]*\z//;
    $log_read += length $text;

    while ($text =~ /start worker process (\d+)$|background task "([^"]+)": started$/mg) {

        # the kernel gives a process identifier to another one later

        if (defined $1) {
            delete $dead{$1};
            next;
        }

        my $owed = $owed{$2} or next;

        gap($2, $now - shift @$owed) if @$owed;
    }
}

# returns what there was; for those that nobody has now it is too early

sub watch_end {
    return { answers => $answers, gap => \%gap, back => \%back,
             running => $most_running,
             owed => [grep { @{$owed{$_}} } sort keys %owed] };
}

###############################################################################

# waits until just so many workers are there, none of the old, and each task
# has a runner

sub all_there {
    my ($n, @old) = @_;

    my %old = map { $_ => 1 } @old;

    poll("$n workers", sub {
        my @now = workers();

        return @now == $n && !grep { $old{$_} } @now;
    });

    my %now = map { $_ => 1 } workers();

    return poll('each task has a runner', sub {
        my $status = status_anyhow();

        for my $task (@{$status->{tasks}}) {
            return 0 if $task->{state} eq 'stopped'
                        || $task->{workers} eq 'one'
                           && !($task->{lease} && $now{$task->{lease}{pid}});
        }

        return $status;
    });
}

# Lines of the log that should not be there.  On a busy machine a job that stops
# at once may take more than a second for it, and a worker may have no CPU while
# it starts an operation, which are warnings.

sub in_log {
    my ($but) = @_;

    return join "\n", grep { /\[(?:alert|crit|emerg|warn)\]|exited with code [^0]|exited on signal/
                             && !/does not stop, the worker waits for it/
                             && !/"start" blocked the worker for/
                             && !($but && /$but/) }
                      split /\n/, log_text();
}

# what was measured, for people

sub figures {
    my (@figures) = @_;

    my @texts;

    while (my ($name, $value) = splice @figures, 0, 2) {
        push @texts, "$name: " . ($value =~ /^\d+\.\d/ ? sprintf '%.3f', $value
                                                       : $value);
    }

    diag(join ', ', @texts) if $ENV{BACKGROUND_STORM};
    note(join ', ', @texts);
}

1;
