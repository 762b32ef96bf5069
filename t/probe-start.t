# probe: when all of nginx has been killed, nothing is known of servers, as at the
# first start: those that are "mandatory" have to pass first.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundServer;
use BackgroundStatus;
use Test::More;

# another server answers checks

my %address = map { $_ => server($_) } qw/ a health /;
my ($health) = $address{health} =~ /(\d+)$/;

sub begin {
    start(<<"EOF_HTTP", <<"EOF_SERVER");
    upstream app { zone app 64k; server $address{a} max_fails=0; }
    upstream must { zone must 64k; server $address{a} max_fails=0; }
EOF_HTTP
        background_task app { interval 100ms; retry 100ms; probe app /x port=$health timeout=24h; }
        background_task must { interval 100ms; retry 100ms; probe must /y port=$health mandatory persistent timeout=24h; }
        location = /x { internal; proxy_pass http://app; }
        location = /y { internal; proxy_pass http://must; }
        location = /app { proxy_pass http://app; }
        location = /must { proxy_pass http://must; }
EOF_SERVER
}

sub not_judged {
    my ($when) = @_;

    is(state_of($_, 'a'), 'unknown', "$when: $_ is not judged") for qw/ app must /;
    is(client('/app'), 'a', "$when: it gets requests");
    is(client('/must'), '502', "$when: but not if that is mandatory");
}

sub hangs {
    my $asked = asked_for('health');

    return sub { asked_for('health') >= $asked + 2 };
}

my $both = hangs();

says('health', 'hang');
begin();
poll('the first checks', $both);
not_judged('first start');

dies('health');
settles($_, a => 'down') for qw/ app must /;
is(client("/$_"), '502', "$_: down") for qw/ app must /;

$both = hangs();
lives('health');
poll('new checks', $both);

signal('KILL', master(), workers());
stop();

$both = hangs();
begin();
poll('checks after the start', $both);
not_judged('new start');

says('health', 200);
dies('health');
lives('health');
settles($_, a => 'up') for qw/ app must /;
is(client("/$_"), 'a', "$_: up") for qw/ app must /;

stop();
done_testing();
