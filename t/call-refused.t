# "call" where the kernel refuses unshare(2), as in a container: jobs have the
# worker's folder and umask, and the log says so once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $dir = dir();

build_library("$dir/fs.so", root() . '/t/calls/fs.c')
    or plan skip_all => 'no C compiler';

mkdir "$dir/made" or die "mkdir: $!\n";
chmod 0777, "$dir/made" or die "chmod: $!\n";

start(<<"EOF", '', load_kind('refuse') . "\ndaemon on; worker_processes 1;");
    background_threads 2;
    background_task create { interval 1h; call $dir/fs.so create $dir/made/file; }
    background_task meet {
        interval 1h;
        call $dir/fs.so meet;
        call $dir/fs.so meet;
    }
EOF

my %task;

poll('all are over', sub {
    %task = by_name(status());

    return !grep { !$_->{last} } values %task;
});

SKIP: {
    skip 'seccomp(2) is not permitted', 4 if logged(qr/refuse: prctl/);

    my %thread = map { $_ => 1 } log_text() =~ /: thread (\d+) found 000 /g;

    is(keys %thread, 2, 'two threads with the umask of the worker');
    is(logged(qr/\[notice\] .*unshare\(CLONE_FS\) of a thread failed, jobs have/),
       1, 'one line');
    is(sprintf('%04o', 07777 & (stat "$dir/made/file")[2]), '0666',
       'a file is as the function asks for it');
    is((grep { $_->{cycles}{failed} } values %task), 0, 'nothing fails');
}

stop();
done_testing();
