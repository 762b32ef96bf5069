# "call": a function has a current folder and a umask that it may change; they
# are neither the event loop's nor the next function's.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundLife;
use BackgroundStatus;
use Cwd qw/ getcwd /;
use Test::More;

my $dir = dir();

build_library("$dir/fs.so", root() . '/t/calls/fs.c')
    or plan skip_all => 'no C compiler';

mkdir "$dir/$_" or die "mkdir: $!\n" for qw/ made elsewhere /;
chmod 0777, "$dir/made" or die "chmod: $!\n";

# the umask of a daemon is 0

start(<<"EOF", '', "daemon on; worker_processes 1; working_directory $dir;");
    background_threads 1;
    background_task create {
        interval 1h;
        call $dir/fs.so create $dir/made/absolute;
        call $dir/fs.so create made/relative;
    }
    background_task enter { interval 10ms; call $dir/fs.so enter elsewhere; }
EOF

# a thread that has run such a function, and runs one again

my %found;

poll('several functions on one thread', sub {
    my $log = log_text();

    %found = ();
    push @{$found{$1}}, $2 while $log =~ /: thread (\d+) found (.*)$/mg;

    my %task = by_name(status());

    return $task{create}{last} && grep { @$_ >= 5 } values %found;
});

my %task = by_name(status());

is($task{create}{last}{error}, undef, 'files are created');
is(mode("made/$_"), '0644', "$_: writable by its owner only")
    for qw/ absolute relative /;

is((grep { $_ ne "022 $dir" } map { @$_ } values %found), 0,
   "each function finds the worker's folder, and its own umask");
cmp_ok(logged(qr/ has 077 \Q$dir\E\/elsewhere$/m), '>', 0,
       'which it may change');

my $worker = a_worker();

is(readlink "/proc/$worker/cwd", $dir, 'the event loop is where it was');

SKIP: {
    my ($umask) = read_file("/proc/$worker/status") =~ /^Umask:\s*(\d+)$/m
        or skip 'no "Umask" in /proc', 1;

    is($umask, '0000', 'with its umask');
}

is($task{enter}{cycles}{failed}, 0, 'no cycle has failed');

stop();

# a umask that is stricter is kept

umask 027;

start(<<"EOF", '', 'worker_processes 1;');
    background_threads 1;
    background_task create { interval 1h; call $dir/fs.so create $dir/made/strict; }
EOF

poll('it is over', sub { status()->{tasks}[0]{last} });

is(mode('made/strict'), '0640', 'a stricter umask stays');

stop();

# a folder that workers may not enter

SKIP: {
    skip 'only root has such a one', 3 if $> != 0;

    umask 022;
    mkdir "$dir/closed", 0700 or die "mkdir: $!\n";

    my $before = getcwd();

    chdir "$dir/closed" or die "chdir: $!\n";

    start(<<"EOF", '', 'worker_processes 1;');
        background_threads 1;
        background_task enter { interval 10ms; call $dir/fs.so enter $dir/elsewhere; }
EOF

    poll('two cycles', sub { status()->{tasks}[0]{cycles}{completed} >= 2 });

    is(logged(qr/ found 022 \/$/m) > 1, 1, 'it is "/" then');
    is(status()->{tasks}[0]{cycles}{failed}, 0, 'and nothing fails');

    stop();
    chdir $before or die "chdir: $!\n";
}

done_testing();

sub mode {
    return sprintf '%04o', 07777 & (stat "$dir/$_[0]")[2] // 0;
}
