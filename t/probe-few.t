# probe: checks that can't be made, as there are few connections, and those that
# have not begun when the cycle ends, count as neither; then they come first.
# And memory of another size at a reload: verdicts are taken over.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundServer;
use BackgroundStatus;
use IO::Socket::UNIX;
use Test::More;

my %address = map { $_ => server($_) } qw/ a b c d /;

says($_, 'hang') for qw/ a d /;

start(<<"EOF_HTTP", <<'EOF_SERVER', 'worker_processes 1;');
    upstream few { zone few 64k; server $address{b} max_fails=0; server $address{c} max_fails=0; }
    upstream late { zone late 64k; server $address{a}; server $address{b}; server $address{c}; }
    upstream turns { zone turns 64k; server $address{a}; server $address{d}; server $address{c}; }
    upstream tcp { zone tcp 64k; server $address{b}; }
EOF_HTTP
        client_header_timeout 1d;
        background_task few { interval 100ms; retry 100ms; probe few /few timeout=30s; }
        background_task late { interval 100ms; retry 100ms; timeout 1s; probe late /late concurrency=1 timeout=10s; }
        background_task turns { interval 100ms; retry 100ms; timeout 1s; probe turns /turns concurrency=1 timeout=10s; }
        background_task tcp { interval 100ms; retry 100ms; probe tcp timeout=30s; }
        location = /few  { internal; proxy_pass http://few; }
        location = /turns { internal; proxy_pass http://turns; }
        location = /late { internal; proxy_pass http://late; }
        location /client { proxy_pass http://few; proxy_next_upstream off; }
EOF_SERVER

settles('few', b => 'up', c => 'up');

# the first one hangs as long as the cycle; the others come first in the next one

poll('the others are asked', sub {
    return state_of('late', 'b') eq 'up' && state_of('late', 'c') eq 'up';
});

my $peer = peer('late', 'a');
is($peer->{state}, 'unknown', 'the one that did not end is not judged');
is($peer->{checks}{failed} + $peer->{checks}{passed}, 0, 'nor counted');

# each one has its turn, whichever hangs

poll('two that hang', sub { state_of('turns', 'c') eq 'up' });

# clients take all connections; one with a part of a request is not closed for
# another one.  There are not so many of them that connect() waits for a worker
# that can't accept more

my @clients;

poll('few connections', sub {
    local $SIG{PIPE} = 'IGNORE';

    for (1 .. 50) {
        last if @clients >= 600;

        my $client = IO::Socket::UNIX->new(Type => SOCK_STREAM,
                                           Peer => dir() . '/socket')
            or last;

        syswrite $client, 'G';
        push @clients, $client;
    }

    return 2 == grep {
        logged(qr/probe "$_": .* servers were not asked: .*connections/)
    } qw/ few tcp /;
});

my $failed = () = log_text() =~ /upstream "(?:few|tcp)": server \S+ is down/g;
is($failed, 0, 'no server is down for that');

@clients = ();
poll('connections again', sub {
    my %task = by_name(eval { status() } || { tasks => [] });
    return 2 == grep { $task{$_} && $task{$_}{last} && !$task{$_}{last}{error} }
                     qw/ few tcp /;
});
is(peer($_, 'b')->{checks}{failed}, 0, "$_: nothing was counted")
    for qw/ few tcp /;

# another size: more records than there were

says('b', 500);
settles('few', b => 'down', c => 'up');
dies('a');

my %old = map { $_ => 1 } workers();

reconfigure('interval 100ms; retry 100ms; probe few /few',
            'interval 1h; retry 1h; probe few /few peers=1000');
poll('a new worker', sub {
    my @pids = workers();
    return @pids == 1 && !grep { $old{$_} } @pids;
});

is(answers('/client', 10), 'c', 'the verdict is in the new memory');
is(state_of('few', 'b'), 'down', 'and the status');

my ($down) = peer('few', 'b')->{checks}{failed};
cmp_ok($down, '>', 0, 'and the counts');

put('error.log', join '', grep { !/worker_connections are not enough/ }
                              split /^/, log_text());
stop();
done_testing();
