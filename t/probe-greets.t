# "probe" without a URI, and a server that sends something first, as those of
# databases and of mail do: its connections are not reset.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundPeer;
use BackgroundStatus;
use IO::Select;
use POSIX ();
use Test::More;

my $dir = dir();
my $listener = unix_listener('greets');
my $test = $$;

$SIG{PIPE} = 'IGNORE';

defined(my $pid = fork) or die "fork: $!\n";
serve() unless $pid;

start(<<"EOF", 'background_task t { interval 20ms; retry 20ms; probe peers; }', 'worker_processes 1;');
    upstream peers { zone peers 64k; server unix:$dir/greets; }
EOF

# Where the machine is slow, a second may be too short for some of them.  If the
# connection is closed at once, there is never a good one.

poll('greetings that are read', sub {
    (() = read_file("$dir/said") =~ /^end of file$/mg) >= 10;
});
pass('no reset');

is((by_name(status()))[1]{cycles}{failed}, 0, 'no check has failed');

stop();
done_testing();

# until the test ends

sub serve {
    open my $said, '>', "$dir/said" or POSIX::_exit(1);
    $said->autoflush(1);

    while (getppid == $test) {
        IO::Select->new($listener)->can_read(0.1) or next;

        my $peer = $listener->accept or next;

        print $said !defined syswrite($peer, 'greeting') ? "write: $!\n"
                    : !defined sysread($peer, my $bytes, 1) ? "read: $!\n"
                    : "end of file\n";
    }

    POSIX::_exit(0);
}
