# The zone over reloads: another size, a port that is taken; and the processes
# that are no workers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use IO::Socket::INET;
use Test::More;
use Time::Local qw/ timegm /;

start(<<'EOF', '', 'worker_processes 2;');
    proxy_cache_path cache keys_zone=cache:1m;
    background_zone 512k;
    background_task waits { workers all; interval 1h; simulate_io 1 delay=1ms-1ms; }
    background_task far { interval 1h; simulate_io 1 delay=1ms-1ms; }
    background_task long { timeout 2h; simulate_io 1 delay=1h-1h; }
    background_task job { interval 1h; simulate_cpu 1ms; }
EOF

poll('a cycle of each', sub {
    my %task = by_name(status());

    return $task{waits}{cycles}{completed} == 2
           && $task{far}{cycles}{completed} == 1 && $task{long}{running}
           && $task{job}{cycles}{completed} == 1;
});

is(logged(qr/background task "waits": started/), 2,
   'the cache manager and loader run nothing');

my %before = by_name(status());

# the next cycle is due when it was due

my %old = map { $_ => 1 } workers();
my %task;

signal('HUP');

poll('only new workers, and one has the task', sub {
    my @now = workers();

    %task = by_name(status());

    return @now == 2 && !(grep { $old{$_} } @now) && $task{far}{next};
});

is($task{far}{cycles}{completed}, 1, 'no cycle for the reload');
cmp_ok(abs(seconds($task{far}{next}) - seconds($before{far}{next})), '<=', 1,
       'due when it was due');

# a port that is taken

my $taken = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')
    or die "listen: $!\n";

reconfigure('server {', 'server { listen 127.0.0.1:' . $taken->sockport . ';');
poll('refused', sub { logged(qr/still could not bind/) });

is(status()->{generation}, 2, 'the configuration in use stays');

put('nginx.conf', read_file(dir() . '/nginx.conf') =~ s/listen 127\S+;//r);

# another size: all is as it was, and what was under way has been cancelled

my $before = status('/status?history=1');

reconfigure('512k', '1m');

my $after = poll('the new workers have the tasks', sub {
    my $s = status('/status?history=1');

    %task = by_name($s);

    return $s->{zone}{size} == 1048576 && @{[workers()]} == 2
           && $task{far}{next} && $task{long}{running} == 1 ? $s : 0;
});

is(logged(qr/background: zone size changed to 1048576$/m), 1, 'logged');
is($after->{generation}, $before->{generation} + 1, 'generation');
cmp_ok($after->{uptime_seconds}, '>', $before->{uptime_seconds}, 'uptime');

%before = by_name($before);

for my $name (qw/ waits far /) {
    is_deeply($task{$name}{$_}, $before{$name}{$_}, "$name: $_")
        for qw/ cycles operations last last_success history causes io_seconds
                wall_seconds healthy /;
}

cmp_ok(abs(seconds($task{far}{next}) - seconds($before{far}{next})), '<=', 1,
       'due when it was due');

is($task{long}{cycles}{cancelled}, $before{long}{cycles}{cancelled} + 1,
   'long: cancelled');
is($task{long}{cycles}{started}, $before{long}{cycles}{started} + 1,
   'long: started again');
is(scalar @{$task{long}{causes}}, scalar @{$before{long}{causes}} + 1,
   'long: causes');
is($task{long}{cycles}{failed}, 0, 'long: not failed');
is($after->{cpu}{completed}, $before->{cpu}{completed}, 'jobs');
cmp_ok($after->{cpu}{completed}, '>=', 1, 'at least one');
is(logged(qr/died/), 0, 'nobody died');

# and back again, with fewer workers

reconfigure('worker_processes 2;', 'worker_processes 1;');
poll('one worker', sub { @{[workers()]} == 1 });

reconfigure('background_zone 1m', 'background_zone 256k');

poll('one worker, a smaller size', sub {
    %task = by_name(status());

    return status()->{zone}{size} == 262144 && @{[workers()]} == 1;
});

is_deeply($task{waits}{cycles}, $before{waits}{cycles},
          'cycles of a worker that is no more');

put('error.log', join '', grep { !/bind\(\)/ } split /^/, log_text());

stop();
done_testing();

sub seconds {
    my ($y, $m, $d, @t) = $_[0] =~ /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)/;

    return timegm(reverse(@t), $d, $m - 1, $y);
}
