# util/kind.sh builds a kind that is somewhere else, against the packaged nginx.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundStatus;
use Test::More;

my ($source) = built();

plan skip_all => 'the nginx under test is not the packaged one'
    if $source ne '/usr/share/nginx/src';

my $dir = dir();
my $root = qx/cd '$FindBin::Bin\/..' && pwd/;
chomp $root;

my $so = "$dir/result/ngx_http_background_example_module.so";

system("cp -r '$root/examples/kind' '$dir/kind'") == 0 or die "cp failed\n";

is(qx{'$root/util/kind.sh' '$dir/kind' '$dir/result' 2>&1}, "$so\n", 'built');
is($?, 0, 'no error');

like(qx{'$root/util/kind.sh' '$dir/none' 2>&1},
     qr/^kind\.sh: there is no \S+none\/config$/, 'no such folder');

start('background_task t { interval 1h; pause 1ms; disk_space / 1; }', '',
      "load_module $so;");

my $task = poll('a cycle', sub {
    my %task = by_name(status());
    return $task{t}{last} && $task{t};
});

is($task->{operations}{completed}, 2, 'it runs');

stop();
done_testing();
