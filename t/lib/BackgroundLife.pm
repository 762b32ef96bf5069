package BackgroundLife;

# What tests of a whole nginx's life need beside BackgroundStatus: its
# processes, signals, and the log.

use strict;
use warnings;

use BackgroundProc;
use BackgroundStatus;
use Exporter qw/ import /;
use Time::HiRes qw/ time /;

our @EXPORT = qw/ master children process_stat gone workers active_workers
                  a_worker threads offsets signal new_binary reconfigure logged
                  log_text status_anyhow status_of_any next_cycle frozen
                  for_workers read_file /;

sub master { (slurp('nginx.pid') || 0) + 0 }

# a process's, by default the master's, by number

sub children { child_pids(@_ ? $_[0] : master()) }

# state, parent...

sub process_stat {
    return [split ' ', read_file("/proc/$_[0]/stat") =~ /\) (.*)/ ? $1 : '- 0'];
}

sub gone { process_stat($_[0])->[0] =~ /^[-Z]/ }

# children of a master, by default the one of now, that are workers, by title;
# zombies have none

sub workers {
    return grep { read_file("/proc/$_/cmdline") =~ /worker process/ }
           children(@_);
}

# those that are not shutting down

sub active_workers {
    return grep { read_file("/proc/$_/cmdline") =~ /worker process(?:\0|$)/ }
           children(@_);
}

# but for its first one; a sanitizer's own threads block SIGSEGV, which is bit
# 10, and nginx's do not

# one of them, when there is one

sub a_worker { poll('a worker', sub { (workers())[0] }) }

sub threads {
    my ($pid) = @_;

    return grep { $_ != $pid && !(blocked("/proc/$pid/task/$_") & 1 << 10) }
           map { m{(\d+)$} } glob "/proc/$pid/task/*";
}

sub blocked {
    return read_file("$_[0]/status") =~ /^SigBlk:.*(\w{8})$/m ? hex $1 : 0;
}

sub signal {
    my ($name, @pids) = @_;

    kill $name, @pids ? @pids : master();
}

# starts a new binary; returns both masters when the new one has n workers

sub new_binary {
    my ($n) = @_;

    my $old = master();

    signal('USR2', $old);

    my $new = poll('a new master', sub {
        my $new = master();

        return $new && $new != $old && active_workers($new) == $n && $new;
    });

    return ($old, $new);
}

# how far workers have read a file, for each descriptor of it

sub offsets {
    my ($path) = @_;

    my $file = join ':', (stat $path)[0, 1];

    return map { /^pos:\s+(\d+)/ }
           map { read_file(s{/fd/}{/fdinfo/}r) }
           grep { $file eq join ':', map { $_ // '' } (stat)[0, 1] }
           map { glob "/proc/$_/fd/*" } workers();
}

# changes the configuration and reloads it

sub reconfigure {
    my ($from, $to) = @_;

    my $conf = slurp('nginx.conf');
    $conf =~ s/\Q$from\E/$to/ or die "no \"$from\" in nginx.conf\n";
    put('nginx.conf', $conf);

    signal('HUP');
}

sub log_text { slurp('error.log') }

# the status, where a worker may die while it answers

sub status_anyhow {
    my ($uri) = @_;

    local $BackgroundStatus::quiet = 1;

    return poll('an answer', sub { eval { status($uri) } });
}

# the status, from whichever worker answers, where some may stand still

sub status_of_any {
    return parse(poll('an answer', sub {
        my $socket = BackgroundStatus::connection() or return 0;
        my $answer = '';
        my $end = time + 2;

        print $socket "GET /status HTTP/1.0\r\n\r\n";
        $socket->flush;

        while ((my $left = $end - time) > 0) {
            my $in = '';

            vec($in, fileno $socket, 1) = 1;
            select $in, undef, undef, $left or last;

            sysread $socket, $answer, 65536, length $answer or last;
        }

        return $answer =~ /\r\n\r\n(\{.*\]\}\n)\z/s ? $1 : 0;
    }));
}

# the task, after a cycle that started after the call and ended so: "completed"
# or "failed", and with such an error if there is a pattern for it

sub next_cycle {
    my ($name, $result, $error) = @_;

    my %task = by_name(status());
    my $cycles = $task{$name}{cycles};
    my $n = $cycles->{completed} + $cycles->{failed};
    my $before = $cycles->{$result};

    return poll("a cycle of $name is $result", sub {
        %task = by_name(status());
        my $now = $task{$name}{cycles};

        return $now->{completed} + $now->{failed} >= $n + 2
               && $now->{$result} > $before
               && (!$error || ($task{$name}{last}{error} // '') =~ $error)
               ? $task{$name} : 0;
    });
}

# Calls the function while all workers are stopped: what they are at stays as it
# is, and what the function changes they see at once.  Returns what it does.

sub frozen {
    my ($function) = @_;

    my @pids = workers();

    signal('STOP', @pids) if @pids;

    my $rv = eval {
        poll('the workers are stopped', sub {
            return !grep { !/\) [TXZ]/ } grep { $_ ne '' }
                    map { read_file($_) } map { glob "/proc/$_/task/*/stat" }
                    @pids;
        });

        $function->();
    };

    my $error = $@;

    signal('CONT', @pids) if @pids;
    die $error if $error;

    return $rv;
}

# gives files to the user whom workers run as

sub for_workers {
    return if $> != 0;
    chown +(getpwnam 'nobody')[2, 3], @_ or die "chown: $!";
}

# how often the log has it

sub logged {
    my ($re) = @_;

    my $n = () = log_text() =~ /$re/g;

    return $n;
}

sub slurp { read_file(dir() . "/$_[0]") }

1;
