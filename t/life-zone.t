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
EOF

poll('a cycle of each', sub {
    my %task = by_name(status());

    return $task{waits}{cycles}{completed} == 2
           && $task{far}{cycles}{completed} == 1;
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

close $taken;

# another size

reconfigure('512k', '1m');

poll('statistics anew', sub {
    my $s = status();

    return $s->{zone}{size} == 1048576 && $s->{generation} == 1
           && @{[workers()]} == 2;
});

is(logged(qr/background: zone size changed to 1048576, statistics start anew/),
   1, 'logged');

put('error.log', join '', grep { !/bind\(\)/ } split /^/, log_text());

stop();
done_testing();

sub seconds {
    my ($y, $m, $d, @t) = $_[0] =~ /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)/;

    return timegm(reverse(@t), $d, $m - 1, $y);
}
