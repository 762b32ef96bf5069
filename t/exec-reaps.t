# "exec" beside a module that handles SIGCHLD itself and waits for any child, as
# ngx.pipe of Lua does: no status is lost, neither those of commands nor those
# of the other module's children.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundExec;
use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $dir = dir();
my $n = $ENV{BACKGROUND_EXECS} || 100;

script(code => 'exit $1');
script(own => 'kill -9 $$');

my %ends = (
    0 => 'exec /bin/true;', 1 => 'exec /bin/false;',
    200 => "exec $dir/code 200;", 9 => "exec $dir/own;",
);

my %text = (1 => 'exited with code 1', 200 => 'exited with code 200',
            9 => 'killed by signal 9');

my $tasks = join '', map {
    "background_task t$_ { interval 1ms; retry 1ms; $ends{$_} }\n"
} sort keys %ends;

my $kind = load_kind('reaps');

start("background_threads 4;\n$tasks", 'location = /reaps { reaps; }',
      "$kind\nworker_processes 1;");

poll('a helper', sub { helpers() });

my ($requests, %task);

poll('so many of each', sub {
    for (1 .. 20) {
        (get('/reaps'))[1] =~ / 200 / or die "no child\n";
        $requests++;
    }

    %task = by_name(status());

    return !grep { $_->{cycles}{completed} + $_->{cycles}{failed} < $n }
           values %task;
});

for my $code (sort keys %ends) {
    my $task = $task{"t$code"};

    is($task->{cycles}{$code ? 'completed' : 'failed'}, 0, "$code: none is wrong");
    is($task->{last_failure} && $task->{last_failure}{error},
       $code ? "exec \"@{[$ends{$code} =~ /^exec ([^ ;]+)/]}\": $text{$code}"
             : undef, "$code: its error");
}

my %wrong;

for (log_text() =~ /background task "t(\d+": failed: exec "[^"]*": [^,\n]*)/g) {
    my ($code, $error) = /^(\d+)": failed: exec "[^"]*": (.*)/;
    $wrong{"$code: $error"}++ if $error ne ($text{$code} // '');
}

is(join('|', sort keys %wrong), '', 'nor in the log');

# a request of the last round has a child, too

my ($right, $wrong, $others);

poll('each child of the other module is known', sub {
    ($right, $wrong, $others) = split ' ', (get('/reaps'))[2];
    $requests++;
    return $right >= $requests - 20;
});

is($wrong, 0, 'with its status');
is($others, 0, 'and no other process, so none of ours');

# the helper is a child of the worker: its status goes to the other module, and
# its end is seen all the same

my ($helper) = helpers();
my %before = by_name(status());

kill 'KILL', $helper;

poll('the other module has its status', sub {
    (split ' ', (get('/reaps'))[2])[2] == 1
});
poll('another helper', sub { grep { $_ != $helper } helpers() });
poll('commands run again', sub {
    my %now = by_name(status());
    return $now{t0}{cycles}{completed} >= $before{t0}{cycles}{completed} + 10;
});
is(logged(qr/unknown process/), 0, 'no status was of an unknown process');
is(logged(qr/\[alert\]/), 1, 'one alert, of the helper');
is(logged(qr/\[alert\].*helper process $helper for commands has ended$/m), 1,
   'which has ended');

done_testing();
