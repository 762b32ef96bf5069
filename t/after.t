# "after": cycles that follow the end of another task's, in whichever worker.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundControl;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

sub task {
    my %task = by_name(status("/status?history=1&task=$_[0]"));
    return $task{$_[0]};
}

sub cycles { my $of = task($_[0])->{cycles}; $of->{completed} + $of->{failed} }

# what the hooks were told

sub hooks {
    my ($name) = @_;
    return [read_file(dir() . '/hooks.log') =~ /^$name (.*)$/mg];
}

put('hooks.log', '');
put('list', "/missing\rx\x7fy\n");
chmod 0666, dir() . '/hooks.log';
chmod 0777, dir();

my $dir = dir();

start(<<"EOF", <<"EOF2", 'worker_processes 2;');
    log_format field 'field [\$http_x_error]';
    log_format hook '\$background_task \$background_cause '
                    '\$background_cause_result [\$background_cause_error]';

    background_zone 1m;
    background_task alone { simulate_io 1 delay=1ms-1ms; interval 20ms; }
    background_task slow {
        after alone on=any;
        simulate_io 1 delay=100ms-100ms;
    }
    background_task never {
        after never_good;
        simulate_io 1 delay=1ms-1ms;
    }
    background_task never_good { interval 20ms; connect 127.0.0.1:1; }
    background_task any { after never_good on=any; simulate_io 1 delay=1ms-1ms; }
    background_task each { workers all; interval 20ms; connect 127.0.0.1:1; }
    background_task once {
        workers one;
        after each on=failure;
        simulate_io 1 delay=1ms-1ms;
    }
EOF
    location = /metrics { background_status prometheus; }
    location = /state {
        if (-f $dir/fail) {
            return 500;
        }
        return 200;
    }
    location = /once {
        if (-f $dir/fail_once) {
            return 500;
        }
        return 200;
    }
    location /control/ { background_control run; }
    location \@hook { access_log $dir/hooks.log hook; log_subrequest on;
                     return 200; }

    background_task source {
        interval 50ms;
        retry 50ms;
        request /state;
    }
    background_task good { after source; request \@hook; }
    background_task alarm { after source on=failure; request \@hook; }
    background_task back { after source on=recovery; request \@hook; }
    background_task both {
        after source on=failure;
        after source on=recovery;
        request \@hook;
    }
    background_task both_ways {
        schedule \@yearly;
        after source;
        request \@hook;
    }
    background_task holder {
        lock one;
        interval off;
        timeout 2h;
        simulate_io 1 delay=1h-1h;
    }
    background_task waits {
        lock one;
        after ordered on=any;
        request \@hook;
    }
    background_task ordered { interval off; request /once; }
    background_task any_end {
        after ordered;
        after ordered on=any;
        after ordered on=failure;
        after ordered on=recovery;
        request \@hook;
    }
    background_task chain { after alarm; request \@hook; }

    # a list of others

    background_task list { interval 1h; retry 1h; requests $dir/list; }
    background_task told {
        after list on=failure;
        request \@field "header=X-Error:\$background_cause_error";
    }
    location \@field { access_log $dir/hooks.log field; log_subrequest on;
                      return 200; }
    background_task failing { after source on=failure; request /state; }
    background_task again {
        after source on=failure;
        retry 50ms;
        request /state;
    }
EOF2

poll('good cycles', sub { cycles('good') >= 3 });

is(cycles($_), 0, "$_: not while it is good") for qw/ alarm back both chain /;
is(task('good')->{causes}[-1]{cause}, 'after', 'the cause');
is(task('good')->{interval_seconds}, undef, 'no interval');
is(task('good')->{next}, undef, 'nothing that is due');
ok(poll('by its end', sub { cycles('both_ways') }), 'with a schedule, too');
ok(task('both_ways')->{next}, 'which is due at its time');
is(join(' ', keys %{{ map { $_ => 1 } @{hooks('good')} }}),
   'source success []', 'what a good cycle tells');

# an outage, of many failed cycles

for my $outage (1, 2) {
    my $failed = task('source')->{cycles}{failed};

    put('fail', '');
    poll('it fails', sub {
        task('source')->{cycles}{failed} >= $failed + 5
            && cycles('alarm') == $outage && cycles('both') == 2 * $outage - 1
            && cycles('chain') == $outage
            && task('failing')->{cycles}{failed} == $outage
            && task('again')->{cycles}{failed} >= 2 * $outage
    });

    my $good = poll('no good cycle any more', sub {
        my $n = cycles('good');
        my $then = task('source')->{cycles}{failed};

        poll('more failures', sub {
            task('source')->{cycles}{failed} >= $then + 20
        });

        return cycles('good') == $n ? $n : 0;
    });

    is(cycles('alarm'), $outage, "outage $outage: one alarm");
    is(cycles('back'), $outage - 1, "outage $outage: no recovery yet");

    # another worker looks at the same

    if ($outage == 1) {
        my @old = workers();
        signal('HUP');
        poll('new workers', sub {
            my %now = map { $_ => 1 } workers();
            keys %now == 2 && !grep { $now{$_} } @old;
        });

        my $then = task('source')->{cycles}{failed};
        poll('it still fails', sub {
            task('source')->{cycles}{failed} >= $then + 20
        });
        is(cycles('alarm'), 1, 'no alarm for the reload');
    }

    unlink dir() . '/fail' or die "unlink: $!\n";
    poll('it recovers', sub {
        cycles('back') == $outage && cycles('both') == 2 * $outage
            && cycles('good') > $good
            && task('again')->{cycles}{completed} == $outage
    });
}

my $alarms = hooks('alarm');
is(@$alarms, 2, 'a hook for each outage');
is($alarms->[0], 'source failure [request \\x22/state\\x22: unexpected status 500]',
   'what it is told');
is(hooks('back')->[0], 'source success []', 'what a recovery is told');
is(hooks('chain')->[0], 'alarm success []', 'a task after a task after one');

# what others have written is no line break of a header field

poll('told', sub { cycles('told') });
is(task('told')->{last}{error}, undef, 'a field with what others have written');
is_deeply(hooks('field'), ['[requests \x22' . dir() . '/list\x22: '
                           . '\x22/missing?x?y\x22: unexpected status 404]'],
          'without control characters');

# without "retry" a failed hook is left

is(task('failing')->{cycles}{failed}, 2, 'a failed one is not tried again');
cmp_ok(task('again')->{cycles}{failed}, '>', 2, 'but with "retry"');
is(task('again')->{cycles}{completed}, 2, 'until it is good');

is(cycles('never'), 0, 'nothing was good');
is(cycles('once'), 1, 'one alarm of both workers');
ok(poll('any', sub { cycles('any') >= 2 }), 'failed cycles are ends for "on=any"');

# an end is one, whatever it is the end of

my @ends = qw/ success failure success success /;

for my $n (1 .. @ends) {
    if ($ends[$n - 1] eq 'failure') {
        put('fail_once', '');

    } else {
        unlink "$dir/fail_once";
    }

    is(code('/control/ordered/run'), 202, "end $n: an order");

    my $task = poll("end $n: a cycle", sub {
        my $task = task('any_end');

        return cycles('ordered') == $n && $task->{cycles}{completed} == $n
               && $task;
    });

    is($task->{cycles}{coalesced}, 0, "end $n is counted once");
}

is(join(' ', map { (split)[1] } @{hooks('any_end')}), "@ends",
   'what it is told of each');

# an end that a cycle waits to start for, while the size of the zone is changed

poll('it has followed', sub {
    return cycles('waits') + task('waits')->{cycles}{coalesced} == @ends;
});

my $followed = @{hooks('waits')};

is(code('/control/holder/run'), 202, 'the lock is taken');
poll('the lock is taken', sub { task('holder')->{running} });

put('fail_once', '');
is(code('/control/ordered/run'), 202, 'an order');
poll('it has ended', sub { cycles('any_end') == @ends + 1 });

my %old = map { $_ => 1 } workers();

reconfigure('background_zone 1m', 'background_zone 2m');
poll('new workers', sub { !grep { $old{$_} } workers() });

my $waited = poll('it follows', sub {
    my $hooks = hooks('waits');
    return @$hooks > $followed && $hooks;
});

is($waited->[-1],
   'ordered failure [request \\x22/once\\x22: unexpected status 500]',
   'it is told of the end before the reload');

unlink "$dir/fail_once" or die "unlink: $!\n";
poll('an order', sub { code('/control/ordered/run') == 202 });
$waited = poll('it follows again', sub {
    my $hooks = hooks('waits');
    return @$hooks > $followed + 1 && $hooks;
});
is($waited->[-1], 'ordered success []', 'and of the one after it');

# those that end while it runs become one

poll('slow', sub { task('slow')->{cycles}{coalesced} > 3 });
like((get('/metrics'))[2],
     qr/^nginx_background_cycles_coalesced_total\{task="slow"\} (?!0)/m,
     'metrics');
cmp_ok(cycles('slow'), '<', cycles('alone'), 'fewer cycles than ends');

stop();

done_testing();
