# A function that does not ask whether it is cancelled: a timeout fails its
# cycle when it returns, and a worker that has to exit waits, and names it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $dir = dir();

build_library("$dir/test.so", source())
    or plan skip_all => 'no C compiler';

start(<<"EOF", '', 'worker_processes 1;');
    background_threads 2;
    background_task late { interval 10ms; retry 10ms; timeout 200ms; call test.so stubborn $dir/late; }
    background_task stubborn { call test.so stubborn $dir/stubborn; }
EOF

my %task;

sub running {
    %task = by_name(status());

    return $task{$_[0]}{running};
}

poll('it runs', sub { running('stubborn') && $task{stubborn}{progress} });

# an abandoned job is no late one: it ends, and there is another one

poll('it is late', sub {
    return 1 if running('late') && $task{late}{running_seconds} > 0.5;

    if ($task{late}{abandoned}) {
        put('late', '');
        poll('it has ended', sub { running('late'); !$task{late}{abandoned} });
        unlink "$dir/late" or die "unlink: $!\n";
    }

    return 0;
});

my ($failed, $completed) = @{$task{late}{cycles}}{qw/ failed completed /};

put('late', '');
poll('it is over', sub {
    running('late');
    return $task{late}{cycles}{completed} > $completed;
});

# the next one may have had no thread in time

cmp_ok($task{late}{cycles}{failed}, '>', $failed, 'late: failed, then not late');
is($task{late}{last_failure}{error}, 'call "test.so": timed out', 'why');
cmp_ok(logged(qr/"late": stubborn\(\): version one is done/), '>=', 2,
       'late: done');

my $old = a_worker();

signal('HUP');

poll('it is named', sub {
    logged(qr/\[warn\] .* "stubborn": does not stop, the worker waits for it/)
});

ok(kill(0, $old), 'the old worker is there');
ok(running('stubborn'), 'as the status says');

is($task{stubborn}{lease}{pid}, $old, 'with its lease');

put('stubborn', '');

poll('the old worker is gone', sub { !grep { $_ == $old } workers() });
poll('the new one runs it', sub {
    running('stubborn') || $task{stubborn}{cycles}{completed}
});

is(logged(qr/"stubborn": does not stop/), 1, 'named once');

stop();
done_testing();
