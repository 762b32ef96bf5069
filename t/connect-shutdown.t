# "connect" and "probe": a connection that is under way when
# "worker_shutdown_timeout" ends is not a good one.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundPeer;
use BackgroundPost;
use BackgroundStatus;
use Test::More;

my ($full, @full) = full_listener();

start(<<"EOF", <<'EOF_SERVER', 'worker_processes 1; worker_shutdown_timeout 300ms;');
    upstream silent { zone silent 64k; server 127.0.0.1:$full; }
    background_task connect {
        interval off; timeout 1h;
        connect 127.0.0.1:$full timeout=1h;
    }
EOF
    background_task probe {
        interval off; timeout 1h;
        probe silent timeout=1h mandatory;
    }

    location = /connect { background_run connect; }
    location = /probe   { background_run probe; }
EOF_SERVER

my ($worker) = workers();

sub sockets {
    return scalar grep { (readlink($_) // '') =~ /^socket:/ }
                       glob "/proc/$worker/fd/*";
}

# a connection of a client that has got an answer

sub client {
    my $client = BackgroundStatus::connection() or die "connect: $!\n";

    print $client "GET /none HTTP/1.1\r\nHost: test\r\n\r\n";
    $client->flush;

    sysread $client, my $answer, 65536 or die "no answer\n";

    return $client;
}

# nginx closes connections in the order of their slots: some of the connections
# have slots that clients had before them, others those behind theirs

my %first = map { $_ => client() } 1 .. 2;
my %clients = map { $_ => client() } qw/ connect probe /;
my $sockets = sockets();

close $_ for values %first;
poll('their slots are free', sub { sockets() == $sockets - 2 });

for my $name (qw/ connect probe /) {
    print {$clients{$name}} "POST /$name HTTP/1.1\r\nHost: test\r\n"
                            . "Content-Length: 0\r\n\r\n";
    $clients{$name}->flush;
}

poll('both are under way', sub { sockets() == $sockets });

my @late = map { begin("/$_", '') } qw/ connect connect /;

poll('all are under way', sub { sockets() == $sockets + 4 });

signal('HUP');
poll('the old worker exits', sub { gone($worker) });

my %task;

poll('all have ended', sub {
    %task = by_name(status());
    return $task{connect}{cycles}{failed} + $task{connect}{cycles}{cancelled}
           + $task{connect}{cycles}{completed} == 3
           && $task{probe}{cycles}{started} == 1 && !$task{probe}{running};
});

is($task{$_}{cycles}{completed}, 0, "$_: no good cycle") for qw/ connect probe /;
is($task{connect}{cycles}{failed}, 1, 'a failed one');
is(logged(qr/failed: connect "127\.0\.0\.1:$full": connect\(\) was cancelled/),
   1, 'why');
is($task{probe}{peers}[0]{state}, 'unknown', 'a server is not judged');

stop();
done_testing();
