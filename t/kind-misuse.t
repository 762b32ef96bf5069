# Kinds that break rules at run time: what they do is no success, and neither
# memory nor other operations suffer.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $kind = load_kind('misuse');

start(<<'EOF', '', $kind);
    background_task twice { interval 1h; misuse twice; }
    background_task timer { interval 1h; misuse timer; }
    background_task twice_more { retry 1h; timeout 100ms; misuse twice;
                                 misuse never; }
    background_task cancel { retry 1h; timeout 10ms; misuse in-cancel; }
    background_task cancel_more { retry 1h; timeout 10ms; misuse in-cancel;
                                  misuse in-cancel; misuse never; }
    background_task late { retry 1h; timeout 10ms; misuse after-cancel; }
    background_task step { interval 1h; misuse step; }
    background_task thread { interval 1h; misuse work-done; }

    background_task nothing { retry 1h; misuse nothing; }
    background_task work_nothing { retry 1h; misuse work-nothing; }
    background_task failed { retry 1h; misuse failed; }
    background_task active { retry 1h; timeout 10ms; misuse active; }
    background_task lengths { retry 1h; misuse lengths; }
    background_task format { retry 1h; misuse format; }
    background_task message { interval 1h; misuse message; }
    background_task asks { interval 1h; misuse asks; }
    background_task sleeps { interval 1h; misuse sleeps; }
    background_task process { retry 1h; misuse work-process; }
EOF

my %task;

poll('all are over', sub {
    %task = by_name(status());

    return !grep { !$_->{last} } values %task;
});

# done()

my $call = 'ngx_http_background_done() was called';
my $over = 'for a run that is over or cancelled, it is ignored';
my $gone = 'for no run of an I/O kind, or for one whose cycle is over, '
           . 'it is ignored';
my $thread = 'on a thread, it is ignored';

good('twice', 'done() twice');
alert('task "twice"', qq{misuse "twice": $call $over}, 1);

good('timer', 'done() twice, the run is gone');

failed('twice_more', 'misuse "never": timed out',
       'done() twice does not end the others');
alert('task "twice_more"', qq{misuse "twice": $call $over}, 1);

failed('cancel', 'misuse "in-cancel": timed out', 'done() in "cancel"');
alert('task "cancel"', qq{misuse "in-cancel": $call $over}, 1);

failed('cancel_more', 'misuse "in-cancel": timed out',
       'done() in "cancel" of several');
is($task{cancel_more}{operations}{failed}, 3, 'each is counted once');
alert('task "cancel_more"', qq{misuse "in-cancel": $call $over}, 2);

failed('late', 'misuse "after-cancel": timed out', 'done() after "cancel"');

poll('done() of what is over', sub {
    return logged(qr/\[alert\].*background: \Q$call $gone\E/) == 2;
});
pass('done() twice and after "cancel": alerts');

good('step', 'done() in a blocking step');
good('thread', 'done() in "work"');
is(logged(qr/\[alert\].*background: \Q$call $thread\E/), 2,
   'done() on threads: alerts');

# results

my $no_result = 'no result, nothing was completed or failed';

failed('nothing', "misuse \"nothing\": $no_result", 'no result');
failed('work_nothing', "misuse \"work-nothing\": $no_result",
       'no result of "work"');
failed('failed', 'misuse "failed": failed without a reason', 'no reason');
failed('format', 'misuse "format": failed without a reason', 'no format');
failed('active', 'misuse "active": timed out', 'a negative number');
is($task{active}{operations}{failed}, 1, 'is one operation');

failed('lengths', substr('misuse "lengths": ' . 'e' x 512, 0, 512),
       'a length of a billion');
is($task{lengths}{last}{message}, 'm' x 128, 'likewise of a message');

good('message', 'a message without a format');
is($task{message}{last}{message}, undef, 'is none');

good('asks', 'an I/O kind that asks whether to stop');

good('sleeps', '"start" that blocks');
like(log_text(), qr/\[warn\].*background task "sleeps": misuse "sleeps": "start" blocked the worker for \d+ ms/,
     'is named');

failed('process', 'misuse "work-process": waitpid() failed (10: No child '
       . 'processes)', 'a process in "work": nginx has taken its status');

quiet();
stop();

# "work" that does not return

start('background_task exits { retry 1h; misuse work-exits; }', '',
      "$kind\nworker_processes 1;");

poll('it runs', sub { return logged(qr/misuse: the thread ends/) });

signal('QUIT');

poll('it is named', sub {
    return logged(qr/\[warn\].*background task "exits": does not stop, the worker waits for it/);
});
pass('"work" that does not return: is named');

stop();

# a crash is one task's

SKIP: {
    skip 'a crash is a report of the sanitizer', 2 if $ENV{BACKGROUND_ASAN};

    start(<<'EOF', '', "$kind\nworker_processes 1; worker_rlimit_core 0;");
    background_task null { retry 1ms; misuse null; }
    background_task other { interval 1ms; simulate_io 1; }
EOF

    poll('quarantined', sub {
        %task = by_name(status_anyhow());
        return $task{null}{state} eq 'quarantined';
    });

    is($task{null}{last}{error}, 'worker process died during the cycle: SIGSEGV',
       '"%s" with NULL');

    next_cycle('other', 'completed');
    pass('others go on');

    quiet();
    stop();
}

done_testing();

sub good {
    my ($name, $text) = @_;

    is($task{$name}{last}{error}, undef, "$text: good");
    is($task{$name}{operations}{completed}, 1, "$text: one operation");
}

sub failed {
    my ($name, $error, $text) = @_;

    is($task{$name}{last}{error}, $error, $text);
}

sub alert {
    my ($task, $text, $n) = @_;

    is(logged(qr/\[alert\].*background \Q$task: $text\E/), $n,
       "$task: alerts");
}

# what was to be complained of has been looked at

sub quiet {
    my $text = log_text();

    $text =~ s/.*(?:ngx_http_background_done\(\) was|exited on signal|quarantined until).*\n//g;

    is(join('', grep { /\[(?:alert|crit|emerg)\]/ } split /^/, $text), '',
       'no other alert');

    truncate dir() . '/error.log', 0 or die "truncate: $!\n";
}
