#!/usr/bin/env perl

# What a task includes counts as if it stood there, and operations of all kinds
# run in tasks of http and of a server.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundStatus;
use Test::More;

###############################################################################

put('settings.conf', "interval 7s;\nworkers all;\ninclude *.op;\n");
put('a.op', "simulate_io 1 delay=0-0;\n");
put('b.op', "include nested.inc;\nsimulate_io 2 delay=0-0;\n");
put('nested.inc', "digest file;\nsimulate_cpu 3ms;\n");
put('task.inc', "background_task included { retry 9s; include *.op; }\n");
put('file', '0123456789');

start(<<'EOF', <<'EOF2');
    background_task in_http {
        include settings.conf;
        retry   6s;
    }
EOF
        background_task in_server {
            simulate_cpu 3ms;
            include  b.op;
            interval 8s;
            digest   file algorithm=md5;
        }
        include task.inc;
EOF2

my (@tasks, %tasks);

poll('each task has a cycle behind it', sub {
    @tasks = @{status()->{tasks}};

    3 == grep { $_->{last} } @tasks;
});

%tasks = map { $_->{name} => $_ } @tasks;

is(join(' ', map { $_->{name} } @tasks), 'in_http in_server included', 'tasks');

is($tasks{in_http}{workers}, 'all', 'workers');
is($tasks{in_http}{interval_seconds}, 7, 'interval');
is($tasks{in_http}{retry_seconds}, 6, 'retry');
is($tasks{in_server}{workers}, 'one', 'server: workers');
is($tasks{in_server}{interval_seconds}, 8, 'server: interval');
is($tasks{in_server}{retry_seconds}, 5, 'server: retry');
is($tasks{included}{interval_seconds}, 30, 'included: interval');
is($tasks{included}{retry_seconds}, 9, 'included: retry');

# a file is an operation, and so is each wait

is($tasks{in_http}{last}{operations}, 5, 'operations');
is($tasks{in_server}{last}{operations}, 6, 'server: operations');
is($tasks{included}{last}{operations}, 5, 'included: operations');

is($_->{last}{failed}, 0, "$_->{name}: all good") for @tasks;
cmp_ok($_->{last}{cpu_seconds}, '>', 0, "$_->{name}: CPU work") for @tasks;

stop();

done_testing();
