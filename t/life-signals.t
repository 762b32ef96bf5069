# What crashes when the module is unloaded already, as a worker exits, does so
# as without the module.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

# a library that stays until the process exits

build_library(dir() . '/last.so', root() . '/t/calls/last.c',
              '-Wl,-z,nodelete')
    or plan skip_all => 'no C compiler';

start('background_task t { interval 1h; call last.so last; }', '',
      'worker_processes 1; worker_rlimit_core 0;');

poll('a cycle', sub { status()->{tasks}[0]{cycles}{completed} });

signal('QUIT');
poll('exits', sub { !workers() });

poll('how', sub { logged(qr/worker process \d+ exited/) });
is(logged(qr/worker process \d+ exited on signal 6/), 1, 'of its own signal');

done_testing();
