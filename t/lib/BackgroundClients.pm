package BackgroundClients;

# A client of servers of BackgroundServer that asks nginx all the time, whether
# it answers or not.

use strict;
use warnings;

use BackgroundServer;
use BackgroundStatus;
use Exporter qw/ import /;
use POSIX ();

our @EXPORT = qw/ clients_start clients_end clients served /;

my $test = $$;
my $pid;

# clients_start(URI...): all of them begin with "/client"

sub clients_start {
    my (@uris) = @_;

    defined($pid = fork) or die "fork: $!\n";
    return if $pid;

    my $parent = getppid();
    $SIG{$_} = 'DEFAULT' for qw/ INT TERM HUP /;
    local $BackgroundStatus::quiet = 1;

    while (getppid() == $parent) {
        eval { get($_) } for @uris;
    }

    POSIX::_exit(0);
}

sub clients_end {
    local $?;

    kill 'KILL', $pid;
    waitpid $pid, 0;
    undef $pid;
}

# how many requests of clients have come to a server

sub clients { scalar grep { m{^GET /client} } asked_for($_[0]) }

# some more do

sub served {
    my ($name) = @_;

    my $before = clients($name);

    poll("clients of $name", sub { clients($name) > $before + 5 });
}

END { clients_end() if $pid && $$ == $test }

1;
