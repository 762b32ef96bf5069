#!/usr/bin/env perl

# The page of a task with "workers cluster": which server has it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundPage;
use BackgroundRedis qw/ redis redis_program redis_kill /;
use BackgroundStatus;
use Test::More;

plan skip_all => 'no redis-server' unless redis_program();

browser();

my $server = redis('redis');

start_page(<<"EOF");
    background_redis main { server $server; }
    background_task t {
        workers cluster lease=1s; interval 1d; simulate_io 1 delay=0-0;
    }
EOF

poll('it has run', sub { status()->{tasks}[0]{last} });

visit('/page');

my $text = 'document.querySelector("[data-f=rhythm]").textContent';

wait_for("$text.startsWith('this server, every')");
pass('it is this server');

js('document.querySelector("[data-f=name]").click()');
wait_for('/Cluster\s*this server, since .*, until .*, fence \d{13}/'
         . '.test(document.body.textContent)');
pass('since when, until when');

redis_kill('redis');
wait_for("$text.startsWith('no server known')");
pass('nobody, without the server');

stop();
done_testing();
