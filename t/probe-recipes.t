# The recipes of the pages with "probe", as they are there but for addresses and
# times: two application servers and a backup; blue and green.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundDoc;
use BackgroundServer;
use BackgroundStatus;
use IO::Socket::UNIX;
use Test::More;

my $dir = dir();
my %address = map { $_ => server($_) } qw/ one two spare old1 old2 new1 new2 /;

says($_, 503) for qw/ new1 new2 /;

start(recipe('probe', 'app', 'listen 8080' => "listen unix:$dir/app",
             '10.0.0.1:8080' => $address{one}, '10.0.0.2:8080' => $address{two},
             '10.0.0.9:8080' => $address{spare})
      . recipe('Blue and green', 'version', 'listen 80' => "listen unix:$dir/version",
               '10.0.0.1:8080' => $address{old1}, '10.0.0.2:8080' => $address{old2},
               '10.0.0.3:8080' => $address{new1}, '10.0.0.4:8080' => $address{new2}));

sub recipe {
    my ($name, $socket, %change) = @_;

    my $text = doc_recipe($name);

    %change = (%change, 'interval 5s jitter=1s' => 'interval 100ms',
               'interval 2s' => 'interval 100ms', 'retry    5s' => 'retry 100ms',
               'retry    2s' => 'retry 100ms');

    for (sort { length $b <=> length $a } keys %change) {
        $text =~ s/\Q$_\E/$change{$_}/g;
    }

    return $text;
}

# who answers clients of that server

sub from {
    my ($server) = @_;

    my %who;

    for (1 .. 20) {
        my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM,
                                           Peer => "$dir/$server")
            or die "connect: $!\n";

        print $socket "GET / HTTP/1.0\r\n\r\n";
        $socket->flush;
        $who{join('', <$socket>) =~ /(\w+) \d+\z/ ? $1 : 'none'}++;
    }

    return join ' ', sort keys %who;
}

settles('app_servers', one => 'up', two => 'up', spare => 'up');
is(from('app'), 'one two', 'two servers');
dies('one');
settles('app_servers', one => 'down');
is(from('app'), 'two', 'one of them');
says('two', 500);
settles('app_servers', two => 'down');
is(from('app'), 'spare', 'the backup');

settles('blue', old1 => 'up', old2 => 'up');
settles('green', new1 => 'down', new2 => 'down');
is(from('version'), 'old1 old2', 'blue');
says('new2', 200);
settles('green', new2 => 'up');
is(from('version'), 'new2', 'green, as soon as one is ready');
says('new1', 200);
settles('green', new1 => 'up');
is(from('version'), 'new1 new2', 'and both of it');
dies($_) for qw/ new1 new2 /;
settles('green', new1 => 'down', new2 => 'down');
is(from('version'), 'old1 old2', 'blue again');

stop();
done_testing();
