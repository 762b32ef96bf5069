# "workers cluster" and background_run of one task: cycles of requests take down
# workers that do not have the lease, and other servers hear of the quarantine.
# The lease is an hour: another nginx has the task within the time of the test
# only if it is given back.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundRedis;
use Test::More;

plan skip_all => 'no redis-server' unless redis_program();

my $dir = redis_dir();
my $library = lease_library() or plan skip_all => 'no compiler';
my $server = redis('redis');
my $key = 'nginx:{t}:lease';

condemned('the one with the lease goes on', 'CONT');
condemned('the one with the lease dies, too', 'KILL');

done_testing();

###############################################################################

sub condemned {
    my ($name, $signal) = @_;

    my $n = () = runs('out/runs');

    lease_given(3600000);
    begin('a');
    poll('a has it', sub { leader('t', 'a') });

    my $run = poll('it has run', sub {
        my @runs = runs('out/runs');
        return @runs > $n && defined $runs[-1][4] && $runs[-1];
    });

    begin('b');
    write_file('crash', '');

    # requests get to other workers

    kill 'STOP', $run->[1];
    poll('it stands still', sub {
        read_file("/proc/$run->[1]/stat") =~ /\) T/;
    });
    poll('workers die', sub {
        eval { host_order('a', '/run') };
        quarantined('a');
    });
    kill $signal, $run->[1];

    like(poll('the task is given back', sub {
        my $value = redis_ask('redis', 'GET', $key);
        return $value =~ / f / && $value;
    }), qr/^\d+ \w+ \d+ f 3600000 \d+ \d+ \d+ \d+ [1-9]/,
         "$name: given back as quarantined");
    poll('b hears of it', sub { quarantined('b') });
    ok(quarantined('a'), "$name: both are quarantined");

    unlink "$dir/crash" or die "unlink: $!\n";

    for my $host ('a', 'b') {
        host_stop($host);
        like(host_log($host), qr/"t": quarantined on all servers/,
             "$name: $host: logged");
        write_file("$host/error.log", '');
    }
}

sub begin {
    my ($host) = @_;

    host($host, <<"EOF_CONF", 'worker_processes 2;', <<'EOF_LOCATIONS');
background_redis main { server $server; }
background_task t {
    workers  cluster lease=1h;
    interval 1h;
    call     $library lease $dir/out/runs $host 5 crash=$dir/crash;
}
EOF_CONF
location = /run { background_run t; }
EOF_LOCATIONS
}
