#!/usr/bin/env perl

# "health start=unhealthy": a task is not healthy before "passes" good cycles,
# everywhere where its verdict is told.  A reload changes no verdict, with
# another size of the zone and with more workers neither.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundPeer;
use BackgroundStatus;
use Test::More;

###############################################################################

# each cycle lasts until the test lets it end, well or not

my $dir = dir();
my %gate = map { $_ => unix_listener($_) } qw/ first third each /;

start("background_zone 512k;\n# more", <<"EOF", 'worker_processes 1;');
    background_task first {
        interval 100ms;
        retry    100ms;
        timeout  1h;
        health   fails=2 start=unhealthy;
        request  /gate/;
    }
    background_task third {
        interval 100ms;
        retry    100ms;
        timeout  1h;
        health   start=unhealthy passes=3;
        request  /gate/;
    }
    background_task each {
        workers  all;
        interval 1h;
        retry    100ms;
        timeout  1h;
        health   start=unhealthy;
        request  /gate/;
    }
    background_task usual {
        interval 1h;
        health   start=healthy;
        simulate_io 1 delay=1ms-1ms;
    }

    location /gate/ {
        set \$empty         "";
        proxy_pass         http://unix:$dir/\$background_task:/\$empty;
    }

    location = /first   { background_status task=first failing=503; }
    location = /third   { background_status task=third failing=503; }
    location = /each    { background_status task=each  failing=503; }
    location = /metrics { background_status prometheus; }
    location = /variable {
        return 200 "\$background_status \$background_ok_first";
    }
EOF

my %held;

# not ready, while the first cycle is under way

$held{$_} = asked($gate{$_}) for sort keys %gate;

is(verdict($_), 'unhealthy 503', "$_: at the start") for sort keys %gate;
is(status()->{status}, 'degraded', 'the whole');
like((get('/metrics'))[2], qr/^nginx_background_task_healthy\{task="first"\} 0$/m,
     'Prometheus');
is((get('/variable'))[2], 'degraded 0', 'variables');

my %task = by_name(status());

ok($task{usual}{healthy}, 'start=healthy');
is($task{first}{last}, undef, 'no cycle yet');
is($task{first}{cycles}{failed}, 0, 'and none that failed');

# a failed one changes nothing, whatever "fails" is

ends(first => 500);
is(verdict('first'), 'unhealthy 503', 'after a failed cycle');

# a reload before the first good one

renew();
is(verdict($_), 'unhealthy 503', "$_: after a reload") for sort keys %gate;

# the first good one, and the third where three are wanted

ends(first => 200);
is(verdict('first'), 'healthy 200', 'after a good cycle');
is((get('/variable'))[2], 'degraded 1', 'variables');

ends(first => 500);
is(verdict('first'), 'healthy 200', 'as long as "fails" says');

ends(third => 200) for 1 .. 2;
is(verdict('third'), 'unhealthy 503', 'after two of three good cycles');
ends(third => 200);
is(verdict('third'), 'healthy 200', 'after the third one');

answer($held{each}, 200);
poll('a good cycle of the worker', sub { verdict('each') eq 'healthy 200' });
is(status()->{status}, 'ok', 'the whole');

# verdicts go on: the cycles that follow are held

renew();
is(verdict($_), 'healthy 200', "$_: after a reload") for sort keys %gate;
is(failures(), 1, 'and the failures in a row');

renew('background_zone 512k;', 'background_zone 1m;');
is(status()->{zone}{size}, 1048576, 'another size');
is(verdict($_), 'healthy 200', "$_: with another size") for sort keys %gate;
is(failures(), 1, 'and the failures in a row');

ends(first => 500);
is(verdict('first'), 'unhealthy 503', 'as many failures in a row as "fails"');

# more workers: those that are new have not had a cycle yet

renew('worker_processes 1;', 'worker_processes 3;');
my @more = map { asked($gate{each}) } 1 .. 2;
is(verdict('each'), 'healthy 200', 'each: with more workers');
is(verdict('first'), 'unhealthy 503', 'first: still not');

renew('background_zone 1m;', 'background_zone 2m;');
is(verdict('first'), 'unhealthy 503', 'first: still not, with another size');
is(verdict('third'), 'healthy 200', 'third: still healthy');

# a task that is new starts as it says

renew('# more', 'background_task new { health start=unhealthy; '
                . 'interval 1h; timeout 1h; simulate_io 1 delay=1h-1h; }');
poll('the new task runs', sub {
    %task = by_name(status());
    return $task{new}{running};
});
ok(!$task{new}{healthy}, 'a new task');

stop();
done_testing();

###############################################################################

sub failures {
    my %task = by_name(status());

    return $task{first}{cycles}{consecutive_failures};
}

sub verdict {
    my ($name) = @_;

    my ($code, undef, $body) = get("/$name");

    return (parse($body)->{tasks}[0]{healthy} ? 'healthy' : 'unhealthy')
           . " $code";
}

# the cycle under way ends, and the next one is under way

sub ends {
    my ($name, $code) = @_;

    answer($held{$name}, $code);
    $held{$name} = asked($gate{$name});
}

# a reload, maybe of a changed configuration: only new workers, and the cycles
# that the old ones have cancelled are under way again

sub renew {
    my %old = map { $_ => 1 } workers();
    my $generation = status()->{generation};
    my %runs = map { $_->{name} => $_->{running} } @{status()->{tasks}};

    @_ ? reconfigure(@_) : signal('HUP');

    poll('only new workers', sub {
        my @now = workers();

        return @now && !(grep { $old{$_} } @now)
               && status()->{generation} == $generation + 1;
    });

    for my $name (grep { $gate{$_} && $runs{$_} } sort keys %runs) {
        $held{$name} = asked($gate{$name}) for 1 .. $runs{$name};
    }
}
