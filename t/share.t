# CPU work that several threads share.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $kind = load_kind('share') . load_kind('gate');

my $gate = dir() . '/gate';

put('gate', '');

my $all = 'background_threads %d; background_task all { %s; ';

start(sprintf($all, 4, 'interval 1h') . "share 1000 $gate; }", '',
      "$kind\nworker_processes 2;");

my %task;

poll('four threads at the same time', sub { status()->{cpu}{running} == 4 });
unlink $gate or die "unlink: $!\n";

poll('all items done', sub {
    %task = by_name(status());

    return $task{all}{cycles}{completed};
});

my $last = $task{all}{last};

is($last->{operations}, 1000, 'results of all threads are gathered');
is($last->{bytes}, 10_000, 'bytes');
is(logged(qr/share: all handed out 1000 to 4 threads, cancelled 0/), 1,
   'four threads, then "finish"');
is(status()->{cpu}{completed}, 4, 'four jobs');

# a thread that only waits for the others has no slot

put('gate', '');

reconfigure(sprintf($all, 4, 'interval 1h') . "share 1000 $gate;",
            sprintf($all, 2, 'interval 10ms') . "share 3 $gate leave;");

poll('one of two works', sub {
    logged(qr/share: left/) && status()->{cpu}{running} == 1
});

unlink $gate or die "unlink: $!\n";

poll('they have done it', sub {
    logged(qr/share: all handed out 3 to 2 threads, cancelled 0/)
});

# what cannot begin does not work, but is finished

reconfigure(sprintf($all, 2, 'interval 10ms') . "share 3 $gate leave;",
            sprintf($all, 4, 'interval 10ms; retry 1h') . 'share 1000 fail;');

poll('failed', sub {
    %task = by_name(status());
    return $task{all}{cycles}{failed};
});

is($task{all}{last}{error}, 'share "1000": begin failed', 'error');
is($task{all}{last}{failed}, 1, 'once');
poll('finished', sub {
    logged(qr/share: all handed out 0 to 0 threads, cancelled 0/) == 1
});

# a time-out while it begins, which does not look

reconfigure('interval 10ms; retry 1h; share 1000 fail;',
            'timeout 10ms; retry 20ms; share 1001 slow;');

# one may have been timed out late

poll('timed out at once', sub {
    %task = by_name(status());
    return ($task{all}{last}{error} || '') =~ /1001/
           && $task{all}{last}{operations} == 1;
});

is($task{all}{last}{error}, 'share "1001": timed out', 'error');

# unless it had no thread in time

poll('finished', sub {
    logged(qr/share: all handed out 0 to 0 threads, cancelled 1/)
});

# a cycle that is timed out

reconfigure('timeout 10ms; retry 20ms; share 1001 slow;',
            'retry 10ms; timeout 200ms; share 100000;');

# one of some may have had no thread in time

poll('timed out, with all that was under way', sub {
    %task = by_name(status());
    return ($task{all}{last}{error} || '') =~ /100000/
           && $task{all}{last}{failed} == 4;
});

is($task{all}{last}{error}, 'share "100000": timed out', 'error');
poll('told to finish', sub {
    logged(qr/share: all handed out \d+ to 4 threads, cancelled 1/)
});

# threads that others use are not waited for

put('gate', '');

reconfigure('timeout 200ms; share 100000; }', <<"EOF");
    interval 10ms; share 50; }
    background_task other { gate $gate; }
    background_task other2 { gate $gate; }
    background_task other3 { gate $gate; }
EOF

poll('the only thread does all', sub {
    my $status = status();
    %task = by_name($status);

    return 3 == (grep { ($task{$_} || {})->{running} } qw/ other other2 other3 /)
           && logged(qr/share: all handed out 50 to 1 threads, cancelled 0/);
});

poll('none is left waiting', sub {
    my $cpu = status()->{cpu};
    return $cpu->{running} == 3 && $cpu->{queued} == 0;
});

# exit in the middle

my %before = map { $_ => 1 } workers();

reconfigure('share 50;', 'share 100001;');

poll('runs again', sub {
    my $status = status();
    my @workers = workers();
    %task = by_name($status);

    return $status->{cpu}{running} == 4 && $task{all}{running}
           && @workers == 2 && !grep { $before{$_} } @workers;
});

my $n = logged(qr/share: all handed out .* cancelled 1/);
my @old = workers();

signal('HUP');

poll('old workers are gone', sub { !grep { kill 0, $_ } @old });

is(logged(qr/share: all handed out .* cancelled 1/), $n + 1,
   'finished at exit');

stop();
done_testing();
