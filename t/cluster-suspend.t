# "workers cluster" when a machine was suspended: the time counts, although
# nginx's timers and CLOCK_MONOTONIC do not include it.  A lease of an hour does
# not end while the test runs.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundPreload;
use BackgroundRedis;
use Test::More;

plan skip_all => 'no redis-server' unless redis_program();

my $dir = redis_dir();
my $library = lease_library() or plan skip_all => 'no compiler';
my $clock = "$dir/suspend.so";
my %suspended;

build_library($clock, "$FindBin::Bin/calls/suspend.c");

my $server = redis('redis');

# a lease that was given back is taken at once

lease_given(3600000);
begins($_) for 'a', 'b';

my $first = poll('one has it', sub { leader('t', 'a', 'b') });
my $other = $first eq 'a' ? 'b' : 'a';

poll('its job runs', sub { runs('out/runs') });

# the holder can ask nobody, so only its own clock ends the lease

redis_signal('redis', 'STOP');
suspended($first);

my $run = poll('the job is cancelled', sub {
    my ($run) = runs('out/runs');
    return defined $run->[4] && $run;
});

is($run->[0], $first, 'it was the job of the holder');

poll('the cycle is over, and it is not the holder any more', sub {
    my $task = host_status($first, 't');
    return $task->{cycles}{cancelled} && !$task->{cluster}{leader};
});

is(host_status($other, 't')->{cycles}{started}, 0, 'the other one waits');

redis_signal('redis', 'CONT');

# a candidate whose machine was suspended, after the death of the holder

my $last = poll('the first one has it again, as nobody has taken it', sub {
    my $last = (runs('out/runs'))[-1];
    return !defined $last->[4] && $last;
});

is($last->[0], $first, 'the value has not changed for the other one');
is($last->[2], $run->[2], 'so the fence is the same');

host_kill($first);

# again and again, as it may not have seen the last value before the first time

my $next = poll('the other one has it', sub {
    my $next = (runs('out/runs'))[-1];

    suspended($other);
    return $next->[0] eq $other && $next;
});

cmp_ok($next->[2], '>', $last->[2], 'a higher fence than that of the dead');

host_stop($other);

unlike(host_log($_), qr/\[(?:alert|crit|emerg)\]/, "$_: nothing to complain of")
    for 'a', 'b';

done_testing();

###############################################################################

sub begins {
    my ($host) = @_;

    write_file("$host.suspended", "0\n");

    local $ENV{SUSPEND_FILE} = "$dir/$host.suspended";
    local $ENV{LD_PRELOAD} = preloaded($clock);

    host($host, <<"EOF_HTTP", "worker_processes 1;\nenv SUSPEND_FILE;");
background_redis main { server $server; }
background_task t {
    workers cluster lease=1h;
    interval 20ms;
    call $library lease $dir/out/runs $host 3600000;
}
EOF_HTTP
}

# for two more hours

sub suspended {
    $suspended{$_[0]} += 7200;
    write_file("$_[0].new", "$suspended{$_[0]}\n");
    rename "$dir/$_[0].new", "$dir/$_[0].suspended" or die "rename: $!\n";
}
