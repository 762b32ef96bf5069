# probe: an upgrade of nginx's binary: verdicts and orders are known to workers
# of the new one before their first request, and to both while there are both;
# also when the upgrade is taken back.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundControl;
use BackgroundKind;
use BackgroundLife;
use BackgroundServer;
use BackgroundStatus;
use Test::More;

my $kind = load_kind('crash');
my $dir = dir();
my %address = map { $_ => server($_) } qw/ a b c d /;

# a new binary's sanitizers, if there are any, are to know what is asked of them

my $env = join ' ', map { "env ${_}_OPTIONS;" } qw/ ASAN LSAN UBSAN TSAN /;

my $servers = join "\n", map { "server $address{$_} max_fails=0;" } qw/ a b c d /;

# more servers than a page has

my $many = join "\n", map { my $n = $_; map { "server 127.1.$n.$_:1;" } 1 .. 50 }
           0, 1;
my ($port) = $address{a} =~ /(\d+)$/;

$many =~ s/:1;/:$port;/g;

start(<<"EOF_HTTP", <<"EOF_SERVER", "$kind\ndaemon on; worker_processes 1; worker_rlimit_core 0; $env");
    background_threads 1;
    upstream app  { zone app 64k; $servers }
    upstream must { zone must 64k; $servers }
    upstream sick { zone sick 64k; $servers }
    upstream many { zone many 1m; $many }
EOF_HTTP
        background_task app  { interval 200ms; retry 200ms; probe app timeout=30s; }
        background_task must { interval 200ms; retry 200ms; probe must mandatory timeout=30s; }
        background_task sick { interval 200ms; retry 200ms; probe sick timeout=30s; crash $dir/crash; }
        background_task many { interval 200ms; retry 200ms; probe many timeout=30s; }
        add_header X-Pid \$pid always;
        location /app { proxy_pass http://app; proxy_next_upstream off; }
        location /must { proxy_pass http://must; proxy_next_upstream off; }
        location /sick { proxy_pass http://sick; proxy_next_upstream off; }
        location /control/ { background_control peers; }
        location = /up { return 200 \$background_peers_up_many; }
EOF_SERVER

# who answers 10 clients at least of workers of that master

sub who {
    my ($uri, $master) = @_;

    my %who;
    my $n = 0;

    poll("workers of $master answer", sub {
        for (get_all($uri, 20)) {
            my ($code, $head, $body) = @$_;
            my ($pid) = $head =~ /^X-Pid: (\d+)/m;

            next unless $pid && process_stat($pid)->[1] == $master;

            $who{$body =~ /^(\w+) \d+$/ ? $1 : $code} = 1;
            $n++;
        }

        return $n >= 10;
    });

    return join ' ', sort keys %who;
}

sub asked { scalar grep { m{^GET /(?:app|must) } } asked_for($_[0]) }

# crashes: verdicts are lifted

settles('app', a => 'up', b => 'up', c => 'up', d => 'up');
dies('a');
settles($_, a => 'down', b => 'up', c => 'up', d => 'up') for qw/ app must sick /;
poll('many are down', sub { (get('/up'))[2] eq '0' });

put('crash', 'always');
poll('quarantined', sub {
    my %task = by_name(status_anyhow());
    return $task{sick}{state} eq 'quarantined';
});

is(code("/control/peers/app/$address{d}/down"), 202, 'an order');
settles('app', a => 'down', b => 'up', c => 'up', d => 'disabled');

my ($old, $new) = new_binary(1);

is(who('/app', $new), 'b c', 'the new one knows verdicts, and an order');
is(who('/must', $new), 'b c d', 'and those that are mandatory');
is(who('/sick', $new), '502 b c d', 'a quarantined task has none');
is(who('/app', $old), 'b c', 'the old one knows them');
my $up = poll('the new one has many', sub {
    for (get_all('/up', 20)) {
        my ($code, $head, $body) = @$_;
        my ($pid) = $head =~ /^X-Pid: (\d+)/m;

        return [$body] if process_stat($pid)->[1] == $new;
    }

    return 0;
});

is($up->[0], '0', 'verdicts of many servers');

# while both are there, the old one has the task

my $asked = asked('b');

says('b', 'close');
dies('b');
poll('the verdict', sub { logged(qr/upstream "app": server \S+ is down/) == 2 });
poll('the other', sub { logged(qr/upstream "must": server \S+ is down/) == 2 });

for my $master ($new, $old) {
    poll("verdicts that come then: $master", sub {
        who('/app', $master) eq 'c' && who('/must', $master) eq 'c d'
    });
    pass("verdicts that come then: $master");
}

# orders, whoever gets them

for my $order (qw/ up down up /) {
    is(code("/control/peers/app/$address{d}/$order"), 202, "order: $order");

    for my $master ($new, $old) {
        my $who = $order eq 'up' ? 'c d' : 'c';

        poll("$order: $master", sub { who('/app', $master) eq $who });
        pass("by $master");
    }
}

my $failed = peer('app', 'a')->{checks}{failed};

# the new one is alone; it tries once more what crashed the old one

unlink "$dir/crash" or die "unlink: $!\n";
signal('WINCH', $old);
poll('the old workers are gone', sub { !workers($old) });

poll('alone', sub { who('/app', $new) eq 'c d' });
poll('it asks', sub { peer('app', 'a')->{checks}{failed} > $failed });
is(peer('app', 'a')->{changes}, 1, 'changes are counted on');

lives('a');
settles('app', a => 'up', b => 'down', c => 'up', d => 'up');
poll('it comes back', sub { who('/app', $new) eq 'a c d' });
is(code("/control/peers/app/$address{c}/down"), 202, 'an order');
settles('app', a => 'up', b => 'down', c => 'disabled', d => 'up');

# taken back

signal('HUP', $old);
poll('the old one has a worker', sub { workers($old) });
is(who('/app', $old), 'a d', 'taken back: the old one knows what has come since');
is(who('/must', $old), 'a c d', 'taken back: mandatory');

signal('QUIT', $new);
poll('the new one is gone', sub { gone($new) });
poll('the old one is the master', sub { master() == $old });

settles('app', a => 'up', b => 'down', c => 'disabled', d => 'up');
is(who('/app', $old), 'a d', 'and goes on');
is(asked('b'), $asked, 'no client has met one that was down');

put('error.log', join '', grep { !/exited on signal|quarantined/ }
                              split /^/, log_text());

signal('TERM', $old);
poll('the end', sub { gone($old) });

stop();
done_testing();
