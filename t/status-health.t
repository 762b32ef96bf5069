#!/usr/bin/env perl

# A task is healthy until it has failed "fails" times in a row, and then again
# after "passes" good cycles in a row.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundPeer;
use BackgroundStatus;
use Test::More;

###############################################################################

# each cycle lasts until the test lets it end, well or not

my $dir = dir();
my %gate = map { $_ => unix_listener($_) } qw/ patient default /;

start('', <<"EOF");
    background_task patient {
        interval 300ms;
        retry    300ms;
        timeout  1h;
        health   fails=3 passes=2;
        request  /gate/;
    }
    background_task default {
        interval 300ms;
        retry    300ms;
        timeout  1h;
        request  /gate/;
    }

    location /gate/ {
        set \$empty         "";
        proxy_pass         http://unix:$dir/\$background_task:/\$empty;
    }

    location = /patient { background_status task=patient failing=503; }
    location = /default { background_status task=default failing=503; }
EOF

# "failures, good cycles, healthy, code"; between two cycles, which a look may
# come too late for, the state tells whether the last one has failed

sub look {
    my ($name) = @_;

    my ($code, undef, $body) = get("/$name");
    my $task = parse($body)->{tasks}[0];
    my $cycles = $task->{cycles};
    my $state = $cycles->{consecutive_failures} ? 'retrying' : 'waiting';

    fail("$name: state $task->{state}, not $state")
        if $task->{state} ne 'running' && $task->{state} ne $state;

    return join ' ', $cycles->{consecutive_failures}, $cycles->{completed},
                $task->{healthy} ? 'healthy' : 'unhealthy', $code;
}

my (%seen, @held);

for my $code (500, 500, 500, 500, 200, 200, 200, undef) {
    for my $name (sort keys %gate) {
        my $peer = asked($gate{$name});

        push @{$seen{$name}}, look($name);

        if (!$code) {
            push @held, $peer;
            next;
        }

        answer($peer, $code);
        look($name);
    }
}

is_deeply($seen{patient}, [
    '0 0 healthy 200',
    '1 0 healthy 200',
    '2 0 healthy 200',
    '3 0 unhealthy 503',
    '4 0 unhealthy 503',
    '0 1 unhealthy 503',
    '0 2 healthy 200',
    '0 3 healthy 200',
], 'health fails=3 passes=2');

is_deeply($seen{default}, [
    '0 0 healthy 200',
    '1 0 unhealthy 503',
    '2 0 unhealthy 503',
    '3 0 unhealthy 503',
    '4 0 unhealthy 503',
    '0 1 healthy 200',
    '0 2 healthy 200',
    '0 3 healthy 200',
], 'by default');

# the error of a failure that is over is still told, but not as the last's

my $task = status()->{tasks}[0];

is($task->{last}{error}, undef, 'last: no error');
like($task->{last_failure}{error}, qr/ unexpected status 500$/,
    'last failure: error');
isnt($task->{last_failure}{finished}, $task->{last}{finished},
    'last failure: before the last');

stop();

done_testing();
