# probe stream:UPSTREAM: all balancers of nginx's stream, with weights and
# backups: a server that is down gets no connection, and when it is back, each
# one gets what it got before.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundBalancers;
use BackgroundServer;
use BackgroundStatus;
use IO::Socket::UNIX;
use Test::More;

plan skip_all => 'nginx has no stream'
    if $ENV{TEST_NGINX_LOAD_MODULES} !~ /ngx_http_background_stream_module/;

my $dir = dir();
my %address = map { $_ => server($_) } qw/ a b c spare only /;

# a PROXY header names the client; those by key and "random" have no backup

my %balancer = (
    rr         => '',
    least      => 'least_conn;',
    hash       => 'hash $proxy_protocol_addr;',
    consistent => 'hash $proxy_protocol_addr consistent;',
    random     => 'random;',
    two        => 'random two least_conn;',
);

my %by_key = map { $_ => 1 } qw/ hash consistent /;
my %backup = map { $_ => 1 } qw/ rr least /;
my @all = sort keys %balancer;

my ($stream, $tasks) = ('', '');

sub upstream {
    my ($name, $balancer, @servers) = @_;

    my $list = join ' ', map { "server $_;" } @servers;

    $stream .= <<"EOF";
    upstream $name { $balancer zone $name 64k; $list }
    server {
        listen              unix:$dir/$name proxy_protocol;
        proxy_pass          $name;
        proxy_next_upstream off;
    }
EOF
    $tasks .= <<"EOF";
        background_task $name {
            interval 200ms; retry 200ms; probe stream:$name timeout=30s;
        }
EOF
}

for (@all) {
    upstream($_, $balancer{$_}, "$address{a} weight=3 max_fails=2",
             $address{b}, $address{c},
             $backup{$_} ? "$address{spare} backup" : ());
    upstream("one_$_", $balancer{$_}, $address{only});
}

start('', $tasks, "worker_processes 2;\nstream {\n$stream}\n");

# who answers the client with this key

sub who {
    my ($name, $key) = @_;

    my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => "$dir/$name")
        or die "connect: $!\n";

    local $SIG{PIPE} = 'IGNORE';
    print $socket "PROXY TCP4 10.$key.0.1 127.0.0.1 1 2\r\n"
                  . "GET / HTTP/1.0\r\n\r\n";
    $socket->flush;

    my $answer = join '', <$socket>;

    return $answer =~ /(\w+) 200$/ ? $1 : 'none';
}

$BackgroundBalancers::who = \&who;

# these servers have these states in each upstream, for two cycles: what the
# first of them has found is in force

sub all_settle {
    my (%states) = @_;

    my %name = map { $address{$_} => $_ } keys %states;

    poll(join(' ', %states), sub {
        return !grep {
            my $state = $states{$name{$_->{address}} // ''};
            defined $state && $_->{state} ne $state;
        } map { @{$_->{peers}} } @{status()->{tasks}};
    });

    all_checked();
}

all_settle(a => 'up', b => 'up', c => 'up', only => 'up');

my %keys;

for (@all) {
    served($_, 'a b c', "$_: all are up");
    served("one_$_", 'only', "$_: a single one");
    $keys{$_} = keys_of($_) if $by_key{$_};
}

is_deeply(share('rr'), { a => 18, b => 6, c => 6 }, 'shares by weight');

# it gets no connection

dies('a');
dies('only');
all_settle(a => 'down', b => 'up', c => 'up', only => 'down');

for (@all) {
    served($_, 'b c', "$_: one is down");
    is(who("one_$_", 1), 'none', "$_: the single one is down");
    others_stay($_, $keys{$_}, 'a') if $by_key{$_};
}

is_deeply(share('rr'), { b => 15, c => 15 }, 'shares of those that are up');

# it comes back

lives('a');
lives('only');
all_settle(a => 'up', b => 'up', c => 'up', only => 'up');

for (@all) {
    served($_, 'a b c', "$_: it is back");
    is(who("one_$_", 1), 'only', "$_: the single one is back");
    is(keys_of($_), $keys{$_}, "$_: keys are as before") if $by_key{$_};
}

# none but the backup

dies($_) for qw/ a b c /;
all_settle(a => 'down', b => 'down', c => 'down');
is(who($_, 1), $backup{$_} ? 'spare' : 'none', "$_: all are down") for @all;

lives('a');
all_settle(a => 'up', b => 'down', c => 'down');
served($_, 'a', "$_: one of three") for @all;

lives($_) for qw/ b c /;
all_settle(a => 'up', b => 'up', c => 'up');
served($_, 'a b c', "$_: all are up again") for @all;
is(keys_of($_), $keys{$_}, "$_: keys are as before") for sort keys %by_key;

stop();
done_testing();
