# probe: verdicts at a reload and at the death of workers: a server that is down
# gets no request; what is new or "mandatory" is not judged yet.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundServer;
use BackgroundStatus;
use Test::More;

my $kind = load_kind('peers');
my %address = map { $_ => server($_) } qw/ a b c /;

# all are asked once, as the test says what they answer before

says('a', 500);

start(<<"EOF_HTTP", <<'EOF_SERVER', "$kind\nworker_processes 2;");
    upstream app {
        zone app 64k;
        server $address{a} max_fails=0;
        server $address{b} max_fails=0;
        # more
    }
    upstream must {
        zone must 64k;
        server $address{a} max_fails=0;
        server $address{b} max_fails=0;
    }
EOF_HTTP
        background_task app  { interval 100ms; retry 100ms; probe app /x timeout=30s; }
        background_task must { interval 100ms; retry 100ms; probe must /y mandatory persistent timeout=30s; }
        location = /x { internal; proxy_pass http://app; }
        location = /y { internal; proxy_pass http://must; }
        location /client { proxy_pass http://app; proxy_next_upstream off; }
        location /must { proxy_pass http://must; proxy_next_upstream off; }
        location = /peers/app { peers app show; }
        location = /peers/must { peers must show; }
EOF_SERVER

sub reloaded {
    my ($from, $to) = @_;

    my %old = map { $_ => 1 } workers();

    reconfigure($from, $to);

    # the old ones do not answer any more

    poll('new workers', sub {
        my @pids = workers();
        return @pids == 2 && !grep { $old{$_} } @pids;
    });
}

settles('app', a => 'down', b => 'up');
settles('must', a => 'down', b => 'up');

my $asked = () = grep { m{GET /(?:client|must)} } asked_for('a');

# no probe from now on, in an hour: what is known has to last

reloaded('interval 100ms; retry 100ms; probe app', 'interval 1h; retry 1h; probe app');
reloaded('interval 100ms; retry 100ms; probe must', 'interval 1h; retry 1h; probe must');

for my $n (1 .. 20) {
    my $m = 100 + $n;
    reloaded('worker_processes 2;', "worker_processes 2; # $m") if $n == 1;
    reloaded('# ' . ($m - 1) . "\n", "# $m\n") if $n > 1;
    is(answers('/client', 6) . ' ' . answers('/must', 6), 'b b',
        "reload $n: b answers") if $n % 5 == 0;
}

for my $n (1 .. 6) {
    my @pids = workers();
    signal('KILL', @pids);
    my %dead = map { $_ => 1 } @pids;

    poll('others', sub {
        my @now = workers();
        return @now == 2 && !grep { $dead{$_} } @now;
    });

    is(client('/client') . client('/must'), 'bb', "death $n: b answers");
}

is(scalar(() = grep { m{GET /(?:client|must)} } asked_for('a')), $asked,
    'no client met the one that is down');
is(state_of('app', 'a'), 'down', 'its verdict stays');

# a new server, and one that is gone: verdicts are of addresses

reloaded('# more', "server $address{c} max_fails=0;");
is(answers('/client'), 'b c', 'a new one gets requests');

reloaded("server $address{a} max_fails=0;\n        server $address{b} max_fails=0;\n        server $address{c}",
         "server $address{c}");
is(answers('/client'), 'c', 'others are gone');

reloaded("server $address{c} max_fails=0;", "server $address{a} max_fails=0; server $address{c} max_fails=0;");
is(answers('/client'), 'a c', 'one that was gone is not known any more');

# mandatory: what is not persistent has to pass first

reloaded(' mandatory persistent', ' mandatory');
is(client('/must'), '502', 'nobody was judged yet');
like((get('/peers/must'))[2], qr/\A(?:\S+ down=40000000 .*\n){2}tries=0\n\z/,
    'the bit, and "tries"');

reloaded('interval 1h; retry 1h; probe must', 'interval 100ms; retry 100ms; probe must');
settles('must', a => 'down', b => 'up');
is(answers('/must'), 'b', 'then one of them');

# without the task

reloaded('background_task must ', '# ');
is(answers('/must'), 'a b', 'without the task all get requests');

put('error.log', join '', grep { !/exited on signal/ } split /^/, log_text());
stop();
done_testing();
