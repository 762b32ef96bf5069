# A cycle that one of its own operations stops; and one whose job, which does
# not ask, comes home after the time-out.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use IO::Select;
use Test::More;

my $dir = dir();
my $kind = load_kind('stops');

my %tasks = (
    first => 'stop start; stop never;',
    second => 'stop never; stop start; stop never;',
    over => 'stop never; stop done; stop never;',
    job => "stop start; deaf $dir/none;",
    nested => 'stop cancel; stop never; stop start;',
);

# what is called: nothing starts after the stop, and what has started, as well
# what stops the cycle, is cancelled once, when it has started

my %called = (
    first => 'start: start, start: started, start: cancel',
    second => 'never: start, never: started, start: start, never: cancel, '
              . 'start: started, start: cancel',
    over => 'never: start, never: started, done: start, never: cancel, '
            . 'done: started',
    job => 'start: start, start: started, start: cancel',
    nested => 'cancel: start, cancel: started, never: start, never: started, '
              . 'start: start, cancel: cancel, never: cancel, '
              . 'start: started, start: cancel',
);

my $http = join '', map { "background_task $_ { interval off; $tasks{$_} }\n" }
                    sort keys %tasks;
my $locations = join '', map { "location /$_ { stops $_; }\n" }
                         sort(keys %tasks), 'late';

start("background_threads 2;\n$http
       background_task late { interval off; timeout 100ms; deaf $dir/gate; }",
      $locations, "$kind\nworker_processes 1;");

my $worker = a_worker();

for my $name (sort keys %tasks) {
    for my $n (1 .. 2) {
        my $before = length log_text();

        is((get("/$name"))[2], 'cancel 0', "$name: cancelled");

        my $log = substr log_text(), $before;

        is(join(', ', $log =~ /stop: (\w+: \w+)/g), $called{$name},
           "$name: called");
        unlike($log, qr/deaf: work/, "$name: no job");

        my %task = by_name(status());

        is($task{$name}{running}, 0, "$name: it is over");
        is($task{$name}{cycles}{cancelled}, $n, "$name: counted");
    }
}

# the time-out strikes while the job is under way: that cycle may not be a good
# one that has timed out

my ($socket, $works);

# on a busy machine the job may have no thread before: once more

until ($works) {
    $socket = BackgroundStatus::connection() or die "connect: $!\n";

    print $socket "GET /late HTTP/1.1\r\nHost: test\r\n"
                  . "Connection: close\r\n\r\n";
    $socket->flush;

    poll('it works, or is over', sub {
        $works = logged(qr/deaf: work/);
        return $works || IO::Select->new($socket)->can_read(0);
    });
}

poll('its time-out has struck', sub {
    my %task = by_name(status());

    return $task{late}{abandoned}
           || $task{late}{running} && $task{late}{running_seconds} > 0.2;
});

put('gate', '');

local $SIG{ALRM} = sub { die "no answer\n" };
alarm $BackgroundStatus::deadline;

my $answer = do { local $/; <$socket> };

alarm 0;

like($answer, qr/\r\n\r\n(?:success 0|failure 1)$/, 'not both');

is((workers())[0], $worker, 'the worker lives');

stop();
done_testing();
