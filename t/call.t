# "call": what a function gets, and what it can tell.

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

my $once = 'interval 1h; retry 1h;';

start(<<"EOF", '', 'worker_processes 1;');
    background_threads 2;
    background_task echo { $once call test.so echo a "b c" "" é; }
    background_task none { $once call test.so echo; }
    background_task items { $once call test.so items; }
    background_task fails { $once call test.so fails x%s; }
    background_task returns { $once call test.so returns 3; }
    background_task zero { $once call test.so returns 0; }
    background_task verbose { $once call test.so verbose; }
    background_task cut { retry 10ms; timeout 100ms; call test.so waits; }
    background_task two { $once call test.so items; call test.so returns 0; }
EOF

my %task;

poll('all are over', sub {
    %task = by_name(status());

    # "cut" may have had no thread in time

    return !(grep { !$_->{last} } values %task)
           && said('cut', 'waits(): told to stop');
});

sub said {
    my ($task, $text) = @_;

    return logged(qr/\[info\] \S+ background task "$task": \Q$text\E\n/);
}

sub error_of { $task{$_[0]}{last}{error} }

is(said('echo', 'echo(): echo: 4 arguments'), 1, "the task's name");
is(said('echo', "echo(): $_->[0] is \"$_->[1]\" "), 1, "argument $_->[0]")
    for [0, 'a'], [1, 'b c'], [2, ''], [3, 'é'];
is(said('none', 'echo(): none: 0 arguments'), 1, 'no arguments');
is($task{echo}{cycles}{completed}, 1, 'a good cycle');
is($task{echo}{last}{operations}, 1, 'one operation');

like($task{echo}{last}{message}, qr/^3 is "\x{e9}"\s?$/,
     'the last message is in the status');
ok(!exists $task{items}{last}{message}, 'where there is one');
is($task{verbose}{last}{message}, 'x' x 128, 'its beginning');

is($task{items}{last}{operations}, 7, 'items');
is($task{items}{last}{bytes}, 1000024, 'bytes');
is($task{two}{last}{operations}, 8, 'items, and one operation');

is(error_of('fails'), "call \"test.so\": fails(): item 1 is bad: \x{fffd} x%s",
   'the first failure');
is($task{fails}{last}{failed}, 2, 'failures are counted');
is($task{fails}{cycles}{failed}, 1, 'a failed cycle');
is($task{fails}{last}{operations}, 2, 'nothing else');

is(error_of('returns'), 'call "test.so": returns() returned 3', 'not 0');
is(error_of('zero'), undef, '0');

like(error_of('verbose'), qr/^call "test.so": verbose\(\): x{400,512}$/,
     'a long failure is cut');
like(log_text(), qr/"verbose": verbose\(\): x{1023}\n/,
     'a long message is cut');

is(error_of('cut'), 'call "test.so": timed out', 'timed out');

# progress, and a reload in the middle

reconfigure('background_task echo {', <<"EOF");
    background_task waits { call test.so waits; }
    background_task echo {
EOF

poll('runs', sub {
    %task = by_name(status());

    # a thread sets the total first

    return $task{waits}{running} && $task{waits}{progress}
           && $task{waits}{progress}{done};
});

is_deeply($task{waits}{progress}, { done => 12, total => 80 }, 'progress');

my $old = only_worker(0);

signal('HUP');
only_worker($old);

poll('runs again', sub {
    %task = by_name(status());

    return $task{waits}{running} && $task{waits}{cycles}{cancelled};
});

is($task{waits}{cycles}{cancelled}, 1, 'cancelled');
is($task{waits}{cycles}{failed}, 0, 'not failed');
is(said('waits', 'waits(): told to stop'), 1, 'it was told');

stop();
done_testing();

# when it is another one than before

sub only_worker {
    my ($old) = @_;

    return poll('another worker', sub {
        my @workers = workers();

        return @workers == 1 && $workers[0] != $old && $workers[0];
    });
}
