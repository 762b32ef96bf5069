# A folder or a list that is gone since the configuration was read: one failure
# of each operation.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $dir = dir();

my %kinds = (
    digest => "digest $dir/tree",
    manifest => "digest $dir/tree manifest=$dir/own/SUMS",
    compress => "compress $dir/tree suffix=.css gzip=1",
    root => "verify $dir/own/LIST root=$dir/tree",
    list => "verify $dir/tree/LIST root=$dir/own",
);

mkdir "$dir/$_" or die "mkdir: $!" for qw/ tree own /;
put($_, 'd41d8cd98f00b204e9800998ecf8427e  empty') for qw( own/LIST tree/LIST );
for_workers("$dir/tree", "$dir/own");

start(join('', map { "background_task $_ { interval 20ms; retry 20ms; $kinds{$_}; }\n" }
               sort keys %kinds),
      '', 'worker_processes 1;');

rename "$dir/tree", "$dir/gone" or die "rename: $!";

for my $name (sort keys %kinds) {
    my $task = next_cycle($name, 'failed',
                          qr/open\(\) "\Q$dir\E\/tree(\/LIST)?" failed \(2: /);

    is($task->{last}{operations}, 1, "$name: one operation");
    is($task->{last}{failed}, 1, "$name: one failure");
}

stop();
done_testing();
