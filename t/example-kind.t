# The example of somebody else's kinds: a module of its own, built by its own
# "config", with util/kind.sh for the packaged nginx, and loaded beside the module
# under test.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundStatus;
use Test::More;

my $dir = dir();
my $root = qx/cd '$FindBin::Bin\/..' && pwd/;
chomp $root;

my $name = 'ngx_http_background_example_module';

my $lines = () = slurp("$root/examples/kind/$name.c") =~ /\n/g;

cmp_ok($lines, '<', 50, 'under 50 lines');

my ($source) = built();
my $so;

if ($source eq '/usr/share/nginx/src') {

    # configuring nginx takes long, and is done once a clone

    my $objs = "$root/build/example";

    is(qx{flock '$root/build/lock' '$root/util/kind.sh' \\
          '$root/examples/kind' '$objs' 2>&1}, "$objs/$name.so\n",
       'util/kind.sh');
    is($?, 0, 'no error');

    run("chown -R --reference='$root' '$objs'") if $> == 0;
    run("cp '$objs/$name.so' '$dir'");

    $so = "$dir/$name.so";

    like(qx{'$root/util/kind.sh' '$dir/none' 2>&1},
         qr/^kind\.sh: there is no \S+none\/config$/, 'no such folder');

} else {
    $so = "$dir/objs/$name.so";

    run(configure("--builddir=$dir/objs",
                  "--add-dynamic-module=$root/examples/kind"));
    run("cd '$source' && make -f '$dir/objs/Makefile' '$so'");
}

start(<<"EOF", '', "load_module $so;");
    background_task waits { interval 1h; pause 20ms; }
    background_task looks { interval 1h; disk_space / 1; }
    background_task full { retry 1h; disk_space / 8000000g; }
    background_task none { retry 1h; disk_space /none 1; }
    background_task cut { retry 1h; timeout 50ms; pause 1h; }
EOF

my %task;

poll('all are over', sub {
    %task = by_name(status());

    return !grep { !$_->{last} } values %task;
});

is($task{waits}{last}{operations}, 1, 'I/O: a good one');
cmp_ok($task{waits}{last}{wall_seconds}, '>=', 0.02, 'which took its time');
is($task{cut}{last}{error}, 'pause "1h": timed out', 'I/O: cancelled');
is($task{looks}{last}{operations}, 1, 'CPU: a good one');
like($task{full}{last}{error}, qr/^disk_space "\/": less than that is free$/,
     'CPU: failed');
is($task{none}{last}{error}, 'disk_space "/none": '
   . 'statvfs() "/none" failed (2: No such file or directory)',
   'CPU: with a reason');

stop();
done_testing();

sub run {
    my ($command) = @_;

    system("($command) > '$dir/build.log' 2>&1") == 0
        or die "failed: $command\n" . slurp("$dir/build.log");
}

sub slurp {
    my ($name) = @_;

    open my $file, '<', $name or die "open $name: $!\n";
    local $/;

    return scalar <$file>;
}
