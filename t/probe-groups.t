# probe: reloads with other numbers of upstreams: shared memory of another size
# has the verdicts of upstreams and servers that stay, and room for new ones.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundControl;
use BackgroundLife;
use BackgroundServer;
use BackgroundStatus;
use Test::More;

my $dir = dir();
my %address = map { $_ => server($_) } qw/ a b /;

# a port that nobody listens on, on other addresses

my ($port) = $address{a} =~ /(\d+)$/;
my @many = map { "127.1.0.$_:$port" } 1 .. 250;

# each server is asked once: what is known later has been taken over

dies('a');
configure([1 .. 8]);

start(<<"EOF_HTTP", <<"EOF_SERVER", 'worker_processes 1; worker_rlimit_core 0;');
    include $dir/upstreams.conf;
EOF_HTTP
        include $dir/tasks.conf;
        location /control/ { background_control peers; }
EOF_SERVER

sub configure {
    my ($upstreams, @big) = @_;

    # one is listed twice

    my %servers = map { ("up$_" => [@address{qw/ a b a /}]) } @$upstreams;

    $servers{big} = \@big if @big;

    my @names = sort keys %servers;

    put('upstreams.conf', join '', map {
        "upstream $_ { zone $_ 256k; "
        . join(' ', map { "server $_ max_fails=0;" } @{$servers{$_}}) . " }\n"
    } @names);

    put('tasks.conf', join '', map {
        "background_task $_ { interval 1h; retry 1h; probe $_ timeout=30s; }\n"
        . "location /$_ { proxy_pass http://$_; proxy_next_upstream off; }\n"
    } @names);
}

sub failures { logged(qr/\[emerg\]|exited on signal/) }

# polls, but not when it is in vain

sub unless_failed {
    my ($name, $code) = @_;

    poll($name, sub { failures() || $code->() });
    give_up() if failures();
}

sub give_up {
    is(join('', grep { /\[emerg\]|exited on signal/ } split /^/, log_text()),
       '', 'reloads succeed, and no worker dies');
    stop();
    done_testing();
    exit;
}

sub reloaded {
    my %old = map { $_ => 1 } workers();

    configure(@_);
    signal('HUP');

    unless_failed('a new worker', sub {
        my @pids = workers();
        return @pids == 1 && !$old{$pids[0]};
    });
}

sub judged {
    for my $n (@_) {
        unless_failed("up$n is judged", sub {
            return state_of("up$n", 'a') eq 'down'
                   && state_of("up$n", 'b') eq 'up';
        });
    }
}

sub known {
    my ($when, @upstreams) = @_;

    is(join(' ', grep { !known_of($_) } @upstreams), '',
        "$when: verdicts have been taken over");

    is(join(' ', grep { answers("/up$_", 4) ne 'b' } @upstreams), '',
        "$when: they are in force");
}

sub known_of {
    my ($n) = @_;

    my ($a, $b) = map { peer("up$n", $_) } qw/ a b /;

    return $a->{state} eq 'down' && $a->{checks}{failed} == 1
           && $b->{state} eq 'up' && $b->{checks}{passed} == 1;
}

sub big_is_down {
    my ($n) = @_;

    my @peers = values %{{peers('big')}};

    return @peers == $n
           && !grep { $_->{state} ne 'down' || $_->{checks}{failed} != 1 }
                    @peers;
}

# more upstreams, and fewer, of so few servers that these need no more memory

judged(1 .. 8);

reloaded([1 .. 9]);
known('8 to 9', 1 .. 8);
judged(9);

reloaded([1 .. 8]);
known('9 to 8', 1 .. 8);

# many servers have the first records; then there are many upstreams

reloaded([], @many);
unless_failed('many servers are judged', sub { big_is_down(250) });

reloaded([11 .. 26], @many);
ok(big_is_down(250), '1 to 17: many servers are known');
judged(11 .. 26);

# little memory is left: upstreams are gone, others have fewer servers

reloaded([21 .. 27], @many[100, 200]);
known('17 to 8', 21 .. 26);
ok(big_is_down(2), '17 to 8: those that are left of many are known');
judged(27);
is(code("/control/peers/up27/$address{b}/down"), 202, 'an order');

# and much again

reloaded([21 .. 37]);
known('8 to 17', 21 .. 26);
is(state_of('up27', 'b'), 'disabled', '8 to 17: an order is known');
is(answers('/up27', 4), '502', '8 to 17: it is in force');
judged(28 .. 37);

is(failures(), 0, 'reloads succeed, and no worker dies');

stop();
done_testing();
