#!/usr/bin/env perl

# A task probes a back end: requests go to a fallback while it fails, and come
# back; "health fails=2 passes=2" is in between.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

###############################################################################

my $dir = dir();

put('up', '');

start(<<"EOF", <<"EOF2", 'worker_processes 2;');
    map \$background_ok_backend \$pool {
        1       primary;
        default fallback;
    }

    upstream primary  { server unix:$dir/primary; }
    upstream fallback { server unix:$dir/fallback; }

    server {
        listen unix:$dir/primary;

        # each probe and each request needs a connection of its own
        keepalive_timeout 0;

        location = /health {
            if (!-f $dir/up) { return 503; }
            return 204;
        }

        location / { return 200 primary; }
    }

    server {
        listen unix:$dir/fallback;
        location / { return 200 fallback; }
    }
EOF
    background_task backend {
        interval 1d;
        retry    1d;
        health   fails=2 passes=2;

        request /probe;
    }

    location = /probe {
        internal;
        proxy_pass http://primary/health;
    }

    location = /app {
        proxy_pass http://\$pool;
    }

    location = /set {
        set_background \$ok backend ok;

        if (\$ok = 0) {
            return 200 fallback;
        }

        return 200 primary;
    }
EOF2

# each step is one cycle: the next one is a day away, until a reload has it
# come at once

is(route(), 'primary', 'from the start');

poll('a good cycle', sub { cycles()->{completed} == 1 });
is(route(), 'primary', 'after a good cycle');

unlink "$dir/up" or die "unlink: $!\n";

step('interval 1d;', 'interval 1s;', sub { cycles()->{failed} == 1 });
is(route(), 'primary', 'after one failure');

step('retry    1d;', 'retry 50ms;', sub { cycles()->{failed} > 1 });
is(route(), 'fallback', 'after more of them');

is(task()->{last}{error}, 'request "/probe": unexpected status 503',
    'the reason');

# up again; one good cycle, with a day to the next

step('interval 1s;', 'interval 1d;', sub { 1 });
put('up', '');

poll('a good cycle', sub { cycles()->{completed} == 2 });
is(route(), 'fallback', 'after one good cycle');
is(cycles()->{consecutive_failures}, 0, 'it was good');

step('interval 1d;', 'interval 50ms;', sub { cycles()->{completed} > 3 });
ok(poll('the primary', sub { route() eq 'primary' }), 'after more of them');

# the back end goes away altogether

rename "$dir/primary", "$dir/away" or die "rename: $!\n";

poll('the fallback', sub { route() eq 'fallback' });
like(task()->{last}{error}, qr/^request "\/probe": unexpected status 502/,
    'the reason');

rename "$dir/away", "$dir/primary" or die "rename: $!\n";

poll('the primary', sub { route() eq 'primary' });

put('error.log', join '', grep { !/connect\(\) to unix:/ }
                              split /^/, log_text());

stop();

done_testing();

sub step {
    my ($from, $to, $done) = @_;
    my $old = task()->{lease}{pid};

    reconfigure($from, $to);

    poll($to, sub {
        my $lease = task()->{lease};

        $lease && $lease->{pid} != $old && $done->();
    });
}

sub task { (by_name(status()))[1] }

sub cycles { task()->{cycles} }

# both ways have to say the same, whichever worker answers

sub route {
    my %routes = map { (get($_))[2] => 1 } map { ('/app', '/set') } 1 .. 4;

    return join ' or ', sort keys %routes;
}
