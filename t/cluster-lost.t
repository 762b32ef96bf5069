# "workers cluster" when the server, a worker or a job does what it should not,
# and what goes with a task from one nginx to another.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind ();
use BackgroundRedis;
use Test::More;
use Time::HiRes qw/ time /;
use Time::Local qw/ timegm /;

plan skip_all => 'no redis-server' unless redis_program();

my $dir = redis_dir();
my $library = lease_library() or plan skip_all => 'no compiler';

my $server = do {
    local $BackgroundRedis::preload = redis_clock();
    redis('redis');
};

clock_steps();
without_the_server();
without_memory();
a_stubborn_job();
a_worker_that_stops();
an_event_loop_that_blocks();
what_goes_along();
a_fence_at_its_limit();
logs_of_tasks();
quarantine();

done_testing();

###############################################################################

# the server's clock is not used

sub clock_steps {

    # a lease that a busy machine keeps, mostly: or once more

    my $lease = 4;
    my $from = 0;

    hosts(2, "interval 20ms; call $library lease $dir/out/clock HOST 20;",
          "lease=${lease}s");

    for my $step (11, -60, 86400, 0) {
        my $same;

        for (1 .. 5) {
            write_file('clock', "$from\n");

            my $first = poll('one has it', sub { leader('t', 'a', 'b') });
            my $value = redis_ask('redis', 'GET', 'nginx:{t}:lease');
            my ($fence) = $value =~ /^(\d+ )/;

            write_file('clock', "$step\n");

            my $before = int(time) + $step;
            my $there = redis_ask('redis', 'TIME')->[0];

            ok($there >= $before && $there <= time + $step,
               "the clock is wrong by $step s");

            poll('the lease is renewed', sub {
                redis_ask('redis', 'GET', 'nginx:{t}:lease') ne $value;
            });

            # longer than a lease: who would take it has

            my $end = time + $lease + 0.5;
            my $n = () = runs('out/clock');

            poll('a lease later', sub {
                time > $end && runs('out/clock') > $n + 10
            });

            $same = leader('t', 'a', 'b') eq $first
                    && redis_ask('redis', 'GET', 'nginx:{t}:lease') =~ /^$fence/;
            last if $same;
        }

        ok($same, "$step s: the same one has it");
        $from = $step;
    }

    no_overlaps('clock');
    bye();
}

# "lost=run": each on its own, and one again when the server is back

sub without_the_server {
    # a lease that a busy machine keeps, when one has it again

    hosts(1, "interval 20ms; call $library lease $dir/out/run HOST 5;",
          'lease=4s lost=run');
    poll('one has it', sub { leader('t', 'a', 'b') });

    redis_kill('redis');
    poll('both are alone', sub {
        2 == grep { host_status($_, 't')->{cluster}{state} eq 'alone' } 'a', 'b';
    });

    my %n = map { $_ => host_status($_, 't')->{cycles}{completed} } 'a', 'b';

    for my $host ('a', 'b') {
        poll("$host runs it", sub {
            host_status($host, 't')->{cycles}{completed} > $n{$host} + 3;
        });
        is((grep { $_->[0] eq $host } runs('out/run'))[-1][2], 0,
           "$host: no fence");
        like(host_get($host, '/metrics'),
             qr/^nginx_background_cluster_leader\{task="t"\} 1$/m,
             "$host: a leader");
    }

    # with the data that it had

    redis('redis');

    # a busy machine may lose the lease: once more

    my $alone;

    for (1 .. 5) {
        my %state;

        poll('one again', sub {
            %state = map { $_ => host_status($_, 't')->{cluster}{state} }
                         'a', 'b';
            "@{[sort values %state]}" eq 'leader other';
        });

        my ($other) = grep { $state{$_} eq 'other' } keys %state;
        my $before = host_status($other, 't')->{cycles}{started};
        my $n = grep { $_->[2] } runs('out/run');

        poll('it runs', sub { (grep { $_->[2] } runs('out/run')) > $n + 3 });

        $alone = host_status($other, 't')->{cycles}{started} == $before;
        last if $alone;
    }

    ok($alone, 'one only');
    bye();

    # alone from the start, without a server

    redis_kill('redis');
    hosts(1, 'interval 20ms; simulate_io 1 delay=1ms-1ms;', 'lease=1s lost=run');
    poll('both run it', sub {
        2 == grep { host_status($_, 't')->{cycles}{completed} > 3 } 'a', 'b';
    });
    pass('lost=run without a server from the start');
    bye();
    redis('redis');
}

# the server has no memory for a renewal: nobody runs it, until there is some

sub without_memory {
    hosts(1, "interval 20ms; call $library lease $dir/out/memory HOST 5;");
    poll('one has it', sub { leader('t', 'a', 'b') });

    redis_ask('redis', 'CONFIG', 'SET', 'maxmemory', 1);
    poll('nobody has it', sub {
        !grep { host_status($_, 't')->{cluster}{leader} } 'a', 'b';
    });
    like(poll('it is told', sub {
        my ($error) = grep { /OOM/ } map { host_status($_)->{redis}[0]{error} // '' }
                                         'a', 'b';
        $error;
    }), qr/it has no memory left by its "maxmemory": "OOM/, 'no memory');

    # each renewal fails: one line a minute, and no line between that it is well

    for my $host ('a', 'b') {
        my $errors = sub { host_status($host)->{redis}[0]{errors}{memory} // 0 };
        my $n = $errors->() + 20;

        write_file("$host/error.log", '');
        my $start = time;
        poll("$host: many renewals fail", sub { $errors->() > $n });

        my @lines = grep { /redis "main" at/ } split /^/, host_log($host);
        my $said = grep { /OOM/ } @lines;

        # a busy machine may lose the connection, after which it is told again

        my $others = grep { /\[error\]/ && !/OOM/ } @lines;

        cmp_ok($said, '<=', 1 + $others + (time - $start) / 60,
               "$host: an error is told once a minute") or diag(@lines);
        cmp_ok(scalar(grep { /: connected/ } @lines), '<=', $others,
               "$host: nothing says that it is well") or diag(@lines);
    }

    my $n = () = runs('out/memory');

    redis_ask('redis', 'CONFIG', 'SET', 'maxmemory', 0);
    poll('it runs again', sub { runs('out/memory') > $n + 3 });
    no_overlaps('memory');
    bye();
}

# it does not ask whether it is cancelled: it is abandoned

sub a_stubborn_job {
    hosts(1, "interval 20ms; call $library lease $dir/out/stubborn HOST 1 "
             . "stubborn=$dir/go;");
    my $first = poll('one has it', sub { leader('t', 'a', 'b') });
    my $other = $first eq 'a' ? 'b' : 'a';

    poll('the job runs', sub { runs('out/stubborn') });
    redis_signal('redis', 'STOP');
    poll('it is abandoned', sub {
        host_status($first, 't')->{abandoned} == 1;
    });
    ok(!host_status($first, 't')->{healthy}, 'which is not healthy');
    like(host_status($first, 't')->{last}{error}, qr/cancelled for another server/,
         'its error');
    redis_signal('redis', 'CONT');
    poll('it runs somewhere', sub { leader('t', 'a', 'b') });
    write_file('go', '');
    poll('the job is back', sub {
        host_status($first, 't')->{abandoned} == 0;
    });
    pass('a stubborn job is abandoned');
    bye();
}

# the whole process stands still for longer than the lease: the other nginx has
# a higher fence, and a job of the first one stops by itself

sub a_worker_that_stops {
    hosts(1, "interval 20ms; call $library lease $dir/out/stop HOST 3600000;");

    # a busy machine may not renew a lease in time, so another one may have it

    my $run = poll('a job is stopped', sub {
        my $run = (runs('out/stop'))[-1];

        return if !$run || defined $run->[4];

        kill 'STOP', $run->[1];
        poll('it stands still', sub {
            read_file("/proc/$run->[1]/stat") =~ /\) T/;
        });

        runs('out/stop');
        return $run unless defined $run->[4];

        kill 'CONT', $run->[1];
        return;
    });

    my ($first, $pid, $fence) = @$run;

    my $next = poll('the other one runs it', sub {
        my $next = (runs('out/stop'))[-1];
        return $next->[0] ne $first && $next;
    });

    cmp_ok($next->[2], '>', $fence, 'a higher fence');
    is($run->[4], undef, 'the job in the stopped worker has not ended');
    kill 'CONT', $pid;
    poll('it ends by itself', sub { runs('out/stop') && defined $run->[4] });

    poll('each cycle of it was cancelled', sub {
        host_status($first, 't')->{cycles}{cancelled}
            == grep { $_->[0] eq $first && defined $_->[4] } runs('out/stop');
    });

    no_overlaps('stop');

    bye();
}

# the event loop alone: a job sees by itself that the lease has ended

sub an_event_loop_that_blocks {
    redis_ask('redis', 'DEL', 'nginx:{t}:lease');

    host('a', <<"EOF", BackgroundKind::load_kind('stall')
background_redis main { server $server; }
background_task t {
    workers cluster lease=1s;
    interval 1h;
    call $library lease $dir/out/block a 3600000;
}
EOF
         . "\nworker_processes 1;", "location = /stall { stall $dir/go; }");

    my $run = poll('the job runs', sub {
        my $run = (runs('out/block'))[-1];
        return $run && !defined $run->[4] && $run;
    });

    unlink "$dir/go";
    host_get('a', '/stall') for 1 .. 99;

    my $socket = host_send('a', 'GET /stall HTTP/1.1');

    poll('the job has ended', sub { runs('out/block') && defined $run->[4] });
    pass('while the event loop stands still');

    write_file('go', '');
    host_stop('a');
    write_file('a/error.log', '');
}

# due time and failures

sub what_goes_along {
    # due in ten minutes, which no other time is near

    my $due = int(time) + 600;

    hosts(1, "interval 1h; call $library lease $dir/out/due HOST 1;",
          'lease=5s', 1000 * $due);
    my $first = poll('one has it', sub { leader('t', 'a', 'b') });
    my $other = $first eq 'a' ? 'b' : 'a';
    my $next = poll('it is due', sub { host_status($first, 't')->{next} });

    cmp_ok(abs(seconds($next) - $due), '<=', 2, 'as it was given away');

    poll('the server knows', sub {
        my @value = split ' ', redis_ask('redis', 'GET', 'nginx:{t}:lease');
        return $value[1] ne 'a' x 32 && $value[6] > 0;
    });

    host_kill($first);
    poll('the other one has it', sub { leader('t', $other) });

    my $t = poll('it is due', sub {
        my $t = host_status($other, 't');
        $t->{next} && $t;
    });

    cmp_ok(abs(seconds($t->{next}) - seconds($next)), '<=', 2,
           'a takeover keeps the rhythm');
    is($t->{cycles}{started}, 0, 'and does not run it');
    host($first);
    bye();

    hosts(1, "interval 1h; retry 1h; connect unix:$dir/nobody;", 'lease=5s');
    $first = poll('one has it', sub { leader('t', 'a', 'b') });
    $other = $first eq 'a' ? 'b' : 'a';
    poll('it has failed', sub { host_status($first, 't')->{last_failure} });
    poll('the server knows', sub {
        (split ' ', redis_ask('redis', 'GET', 'nginx:{t}:lease'))[7] == 1;
    });
    host_stop($first);
    $t = poll('the other one has it', sub {
        my $t = host_status($other, 't');
        $t->{cluster}{leader} && $t;
    });
    is($t->{cycles}{consecutive_failures}, 1, 'failures go along');
    ok(!$t->{healthy}, 'and health');
    is($t->{cycles}{started}, 0, 'a planned exit keeps the rhythm, too');
    host($first);
    bye();
}

# a fence with no higher one, which somebody else has written, blocks no task

sub a_fence_at_its_limit {
    hosts(1, "interval 20ms; call $library lease $dir/out/limit HOST 1;");
    poll('one has it', sub { leader('t', 'a', 'b') });

    for my $state ('h', 'f') {
        write_file("$_/error.log", '') for 'a', 'b';
        redis_ask('redis', 'SET', 'nginx:{t}:lease',
                  '9007199254740991 ' . 'a' x 32
                  . " 1 $state 1000 1 0 0 0 0 " . redis_epoch('redis')
                  . ' other');

        poll("$state: one has it", sub {
            (redis_ask('redis', 'GET', 'nginx:{t}:lease') // '')
                =~ /^1\d{12} (?!a{32})\w{32} \d+ h /
            && leader('t', 'a', 'b');
        });

        my $n = () = runs('out/limit');

        poll("$state: it runs", sub { runs('out/limit') > $n + 3 });
        like(join('', map { host_log($_) } 'a', 'b'),
             qr/\[alert\].* "t": another program has written the highest possible fence to the key "nginx:\{t\}:lease" of redis "main"/,
             "$state: which is told");
    }

    my @fences = map { $_->[2] } runs('out/limit');

    is_deeply([grep { !/^1\d{12}$/ } @fences], [], 'none has run with it');
    is_deeply(\@fences, [sort { $a <=> $b } @fences], 'the fence rises');

    # the other one has seen it, too

    my $first = poll('one has it', sub { leader('t', 'a', 'b') });

    host_stop($first);
    poll('the other one has it', sub { leader('t', $first eq 'a' ? 'b' : 'a') });
    pass('after a takeover');
    host_stop($_) for grep { $_ ne $first } 'a', 'b';
    write_file("$_/error.log", '') for 'a', 'b';
}

# what is of a task is in its log, and what is of the connection in the error log

sub logs_of_tasks {
    redis_ask('redis', 'DEL', "nginx:{$_}:lease") for 'one', 'two';

    my $task = 'workers cluster lease=1s lost=run; interval 20ms; '
               . 'simulate_io 1 delay=1ms-1ms;';

    host('a', "background_redis main { server $server; }\n"
              . "background_task one { $task log one.log crit; }\n"
              . "background_task two { $task }\n", 'worker_processes 1;');

    for my $t ('one', 'two') {
        poll("$t runs", sub { leader($t, 'a') });
        redis_ask('redis', 'SET', "nginx:{$t}:lease",
                  '9007199254740991 ' . 'a' x 32 . ' 1 f 1000 1 0 0 0 0 '
                  . redis_epoch('redis') . ' other');
        poll("$t: an alert", sub {
            (host_log('a') . read_file('a/one.log')) =~ /\[alert\].* "$t"/;
        });
    }

    redis_kill('redis');
    poll('an error', sub { host_status('a')->{redis}[0]{error} });
    host_reload('a');

    for my $t ('one', 'two') {
        poll("$t runs alone", sub {
            host_status('a', $t)->{cluster}{state} eq 'alone';
        });
    }

    # "one" logs alerts only

    poll('the log says so', sub {
        host_log('a') =~ /"two": runs here, as Redis/;
    });

    my ($error, $one) = (host_log('a'), read_file('a/one.log'));

    like($error, qr/\[error\].* redis "main" at /,
         'an error of the connection is in the error log');
    unlike($one, qr/redis "main" at /, 'and in no log of a task');
    like($error, qr/\[alert\].* "two": another program/,
         'an alert of a task without a log is in the error log');
    unlike($one, qr/"two"/, 'and in no log of another task');
    like($one, qr/\[alert\].* "one": another program/,
         'an alert of a task with a log is there');
    unlike($error, qr/"one": another program/, 'and not in the error log');
    like($error, qr/"two": runs here, as Redis/,
         'a notice of a task without a log is in the error log');
    unlike($error, qr/"one": runs here, as Redis/,
           'that of a task with a log is not');

    host_stop('a');
    redis('redis');
    write_file('a/error.log', '');
}

# three workers die in it: no nginx runs it, each until its own reload

sub quarantine {

    # the lease must not end between a death and the next renewal

    write_file('crash', '');
    hosts(1, "interval 20ms; retry 20ms; "
             . "call $library lease $dir/out/crash HOST 1 crash=$dir/crash;",
          'lease=20s');

    poll('both are quarantined', sub { 2 == grep { quarantined($_) } 'a', 'b' });

    my $n = () = runs('out/crash');

    is($n, 3, 'three workers died, of all');

    host_stop('a');
    host('a');
    poll('a is quarantined again', sub { quarantined('a') });
    $n = () = runs('out/crash');
    is($n, 3, 'a restart does not end it');

    unlink "$dir/crash";

    # the shared memory of this reload is another one

    write_file('b/nginx.conf', read_file('b/nginx.conf')
                               =~ s/worker_processes 1/worker_processes 2/r);
    host_reload('b');
    poll('b runs it', sub { leader('t', 'b') && runs('out/crash') > $n + 3 });
    is(host_status('a', 't')->{state}, 'quarantined', 'a does not');
    host_reload('a');
    poll('a is a candidate', sub {
        host_status('a', 't')->{cluster}{state} eq 'other';
    });
    pass('a would run it after a reload');

    host_stop('b');
    poll('a runs it', sub {
        (grep { $_->[0] eq 'a' && defined $_->[4] } runs('out/crash')) > 3;
    });
    host('b');

    for my $host ('a', 'b') {
        host_stop($host);
    }
}

###############################################################################

sub hosts {
    my ($workers, $task, $parameters, $due) = @_;

    redis_ask('redis', 'DEL', 'nginx:{t}:lease') if eval { redis_ask('redis', 'PING') };
    lease_given(1000, $due) if $due;

    for my $host ('a', 'b') {
        my $lines = $task =~ s/\bHOST\b/$host/gr;
        my $cluster = 'workers cluster ' . ($parameters // 'lease=1s');

        host($host, "background_redis main { server $server; }\n"
                    . "background_task t { $cluster; $lines }\n",
             "worker_processes $workers;");
    }
}

# since the epoch

sub seconds {
    my ($y, $m, $d, @t) = $_[0] =~ /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)/;

    return timegm(reverse(@t), $d, $m - 1, $y);
}

sub bye {
    for my $host ('a', 'b') {
        host_stop($host);
        unlike(host_log($host) =~ s/.*exited on signal \d+.*\n//gr,
               qr/\[(?:alert|crit|emerg)\]/, "$host: nothing to complain of");
        write_file("$host/error.log", '');
    }
}

sub no_overlaps {
    my ($file) = @_;

    is(join("\n", overlaps("out/$file", {})), '', "$file: no two at once");
}
