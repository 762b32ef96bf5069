#!/usr/bin/env perl

# Makes doc/status.png, the picture in README.md, of an nginx that runs for
# about three minutes:
#
#     util/test.sh util/screenshot.t
#
# With BACKGROUND_SHOTS=DIR it writes the page of other screens there, too.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../t/lib";

use BackgroundPage;
use BackgroundStatus;
use Test::More;
use Time::HiRes qw/ sleep /;

###############################################################################

browser();

my $dir = dir();

put('warm.txt', join '', map { "/products/$_\n" } 1 .. 20);
put('image', 'x' x 12_000_000);

mkdir "$dir/$_" or die "mkdir: $!\n" for qw/ site up /;
put("site/$_", 'x' x 50_000) for 1 .. 200;
put('MANIFEST', scalar qx{cd '$dir/site' && sha256sum *});
put("up/$_", '') for qw/ app api /;

start_page(<<"EOF_HTTP", <<"EOF_SERVER", 'worker_processes 2;');
    background_threads 2;

    background_task io_cycle { workers all; interval 4s; simulate_io 5; }
    background_task checksums {
        interval 5s; digest $dir/image limit_rate=800k;
    }
    background_task verify_site {
        interval 3s; verify $dir/MANIFEST root=$dir/site;
    }
    background_task thumbnails { interval 2s jitter=2s; simulate_cpu 400ms; }
EOF_HTTP
    background_task warm_cache {
        interval 3s; requests $dir/warm.txt concurrency=8;
    }
    background_task probe.app { interval 3s; request /up/app; }
    background_task probe.api {
        interval 3s; retry 2s; health fails=2 passes=2; request /up/api;
    }
    location /up/ { alias $dir/up/; }
    location /products/ { proxy_pass http://unix:$dir/socket:/slow/; }
    location /slow/ { alias $dir/site/; limit_rate 100k; }
EOF_SERVER

# some past failures and a current one

sleep 80;
unlink "$dir/up/app", "$dir/site/7";
sleep 4;
put('up/app', '');
put('site/7', 'x' x 50_000);
sleep 80;
unlink "$dir/up/api";

poll('a task fails', sub { status()->{status} eq 'degraded' });
sleep 12;

shoot("$FindBin::Bin/../doc/status.png", 'light', 1180);

if (my $shots = $ENV{BACKGROUND_SHOTS}) {
    shoot("$shots/dark.png", 'dark', 1180);
    shoot("$shots/phone.png", 'light', 390, 1400);
    shoot("$shots/phone-dark.png", 'dark', 390, 1400);
}

stop();

done_testing();

###############################################################################

sub shoot {
    my ($name, $scheme, $width, $height) = @_;

    browser()->size($width, $height || 600);
    browser()->media('prefers-color-scheme' => $scheme);
    visit('/page');
    wait_for('(p => p && p.value > 0.4 * p.max && p.value < 0.8 * p.max)'
        . '(document.querySelector("progress[value]"))');
    browser()->size($width, js('document.documentElement.scrollHeight'))
        unless $height;
    sleep 1.2;
    browser()->screenshot($name);

    cmp_ok(-s $name, '<', 150_000, $name);
}
