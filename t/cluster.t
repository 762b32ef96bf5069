# "workers cluster": one worker of one nginx of two has the task.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundRedis;
use Test::More;
use Time::HiRes qw/ sleep time /;

plan skip_all => 'no redis-server' unless redis_program();

my $dir = redis_dir();
my $server = redis('redis');
my $library = lease_library() or plan skip_all => 'no compiler';

host($_, conf($_)) for qw/ a b /;

my $first = poll('one of them has it', sub { leader('t', 'a', 'b') });
my $other = $first eq 'a' ? 'b' : 'a';

poll('it runs', sub { runs("out/runs") >= 5 });

my %task = map { $_ => host_status($_, 't') } 'a', 'b';
is($task{$first}{workers}, 'cluster', 'workers');
ok($task{$first}{cluster}{leader}, 'leader');

done_testing();

sub conf {
    my ($name) = @_;

    return <<"EOF";
background_redis main { server $server; }
background_task t {
    workers cluster lease=1s;
    interval 100ms;
    call $library lease $dir/out/runs $name 20;
}
EOF
}
