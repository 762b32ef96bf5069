# A quarantined task gets one cycle after a reload, on trial.  As long as an
# abandoned job of that cycle works, there is no other one; a crash of its worker
# quarantines the task again, and its end is the end of the trial.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use POSIX qw/ strftime /;
use Test::More;

###############################################################################

my $dir = dir();

build_library("$dir/test.so", source())
    or plan skip_all => 'no C compiler';

my $kind = load_kind('arrive');

start(<<"EOF", 'location = /asked { arrive asked 9; }', "$kind\nworker_processes 1; worker_rlimit_core 0;");
    background_threads 8 priority=0;
    background_task late { interval 10ms; retry 10ms; timeout 2s; call test.so stubborn $dir/late; }
    background_task asked { interval off; timeout 2s; call test.so stubborn $dir/asked; }
    background_task quick { interval 10ms; simulate_io 1 delay=0-0; }
EOF

my %task;
my $began = strftime('%Y-%m-%dT%H:%M:%S', gmtime);

# three crashes; requests are answered when their cycles are abandoned

for my $n (1 .. 3) {
    is((get('/asked'))[0], 504, "crash $n: a request");
    crash("crash $n");
}

quarantined();

# on trial, abandoned, and one more crash

reload();
is((get('/asked'))[0], 504, 'on trial: a request');
on_trial();
crash('the trial');
quarantined();

# on trial, in an old worker, too

reload();
is((get('/asked'))[0], 504, 'on trial again: a request');
on_trial();

my $old = $task{late}{lease}{pid};

reload();
poll('a new worker', sub {
    task('quick')->{lease} && $task{quick}{lease}{pid} != $old
});
on_trial();
is($task{late}{lease}{pid}, $old, 'late: with the old worker');

# it comes back: the trial is over, and the crashes before do not count

put($_, '') for qw/ late asked /;

poll('both go on', sub {
    task('late')->{healthy} && $task{late}{cycles}{completed} > 2
});
poll('asked: an answer', sub { (get('/asked'))[0] == 200 });
is((get('/asked'))[0], 200, 'asked: each');

for (qw/ late asked /) {
    unlink "$dir/$_" or die "unlink: $!\n";
}

is((get('/asked'))[0], 504, 'after the trial: a request');
crash('after the trial');
poll('not quarantined', sub { task('late')->{abandoned} });
is((get('/asked'))[0], 504, 'asked: not quarantined');

put('error.log', join '', grep { !/exited on signal|: quarantined/ }
                               split /^/, log_text());

put($_, '') for qw/ late asked /;
stop();
done_testing();

###############################################################################

sub task {
    %task = by_name(status_anyhow());

    return $task{$_[0]};
}

# the worker is killed while both tasks have abandoned jobs

sub crash {
    my ($when) = @_;

    poll("$when: both are abandoned", sub {
        task('late')->{abandoned} && $task{asked}{abandoned}
    });

    my $died = $task{late}{lease}{pid};

    signal('KILL', $died);
    poll("$when: another worker", sub {
        task('quick')->{lease} && $task{quick}{lease}{pid} != $died
        && $task{late}{lease} && !$task{asked}{running}
        && !$task{asked}{abandoned};
    });
    cmp_ok($task{asked}{last}{started}, 'ge', $began, "$when: its cycle");
}

sub quarantined {
    poll('late: quarantined', sub { task('late')->{state} eq 'quarantined' });
    poll('asked: quarantined', sub {
        task('asked')->{state} eq 'quarantined'
    });
    is((get('/asked'))[0], 503, 'asked: declined');
}

# until the old worker accepts no connections

sub reload {
    my $old = status_anyhow()->{pid};

    signal('HUP');
    poll('a new worker', sub {
        logged(qr/\] $old#\d+: gracefully shutting down/)
            && !grep { status_anyhow()->{pid} == $old } 1 .. 10
    });
}

# one cycle of each is on trial, and no other one starts

sub on_trial {
    poll('both are abandoned', sub {
        task('late')->{abandoned} == 1 && $task{asked}{abandoned} == 1
    });

    my $late = $task{late}{cycles}{started};
    my $asked = $task{asked}{cycles}{started};
    my $quick = $task{quick}{cycles}{completed};

    cmp_ok((get('/asked'))[0], '>=', 429, 'on trial: another request');

    poll('quick: cycles', sub {
        task('quick')->{cycles}{completed} > $quick + 20
    });

    is($task{late}{cycles}{started}, $late, 'on trial: late: one cycle');
    is($task{asked}{cycles}{started}, $asked, 'on trial: asked: one cycle');
    is($task{late}{state}, 'abandoned', 'on trial: late: state');
}
