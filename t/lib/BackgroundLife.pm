package BackgroundLife;

# What tests of a whole nginx's life need beside BackgroundStatus: its
# processes, signals, and the log.

use strict;
use warnings;

use BackgroundStatus;
use Exporter qw/ import /;

our @EXPORT = qw/ master workers threads signal reconfigure logged log_text
                  status_anyhow /;

sub master { (slurp('nginx.pid') || 0) + 0 }

# children of the master that are workers, by title; zombies have none

sub workers {
    my $master = master();
    my @workers;

    for my $pid (map { m{/(\d+)/stat$} } glob '/proc/[0-9]*/stat') {
        my $stat = read_file("/proc/$pid/stat");
        next unless $stat =~ /\) \S (\d+) / && $1 == $master;
        push @workers, $pid
            if read_file("/proc/$pid/cmdline") =~ /worker process/;
    }

    return sort { $a <=> $b } @workers;
}

sub threads {
    my ($pid) = @_;

    return grep { $_ != $pid } map { m{(\d+)$} } glob "/proc/$pid/task/*";
}

sub signal {
    my ($name, @pids) = @_;

    kill $name, @pids ? @pids : master();
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

# how often the log has it

sub logged {
    my ($re) = @_;

    my $n = () = log_text() =~ /$re/g;

    return $n;
}

sub slurp { read_file(dir() . "/$_[0]") }

sub read_file {
    my ($name) = @_;

    open my $file, '<', $name or return '';
    local $/;
    my $text = <$file>;

    return defined $text ? $text : '';
}

1;
