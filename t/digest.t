# "digest": files, trees, and what is in them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use IO::Socket::UNIX;
use POSIX ();
use Test::More;

my $tree = dir() . '/tree';

mkdir $tree;
mkdir "$tree/sub";
mkdir "$tree/empty";
put('tree/a', 'a' x 100000);
put('tree/sub/b', 'hello');
put('tree/none', '');
put('outside', 'o' x 777);
symlink '../outside', "$tree/link" or die;
symlink '..', "$tree/sub/up" or die;
POSIX::mkfifo("$tree/fifo", 0600) or die;
my $socket = IO::Socket::UNIX->new(Local => "$tree/socket", Listen => 1) or die;

my $deep = dir() . '/deep';
my $path = $deep;
mkdir $path;
for (1 .. 140) { $path .= '/d'; mkdir $path or die "mkdir: $!" }

put('big', '');
truncate dir() . '/big', 50_000_000 or die;

start(<<"EOF");
    background_threads 2;
    background_task tree { interval 1h; retry 1h; digest $tree; }
    background_task md5 { interval 1h; digest $tree/a algorithm=md5; }
    background_task deep { interval 1h; retry 1h; digest $deep; }
    background_task slow { interval 1h; digest ${\dir()}/big limit_rate=100k; }
EOF

my %task;

poll('done', sub {
    %task = by_name(status());

    return $task{tree}{last} && $task{md5}{last} && $task{deep}{last};
});

is($task{tree}{last}{error}, undef, 'no error');
is($task{tree}{last}{operations}, 3, 'regular files');
is($task{tree}{last}{bytes}, 100005, 'bytes');
is($task{md5}{last}{bytes}, 100000, 'a file');
is($task{md5}{state}, 'waiting', 'state');
like($task{deep}{last}{error}, qr{"\Q$deep\E.*" is too deep to read$},
     'a tree too deep');

poll('progress', sub {
    my %t = by_name(status());
    my $progress = $t{slow}{progress} or return 0;

    return $progress->{total} == 50_000_000 && $progress->{done} > 0
           && $progress->{done} < 50_000_000;
});

stop();

chmod 0, "$tree/sub" or die;
put('tree/secret', 's');
chmod 0, "$tree/secret" or die;

start("background_task tree { interval 1h; retry 1h; digest $tree; }");
poll('failed', sub { status()->{tasks}[0]{cycles}{failed} });

my $last = status()->{tasks}[0]{last};

like($last->{error}, qr{^digest "\Q$tree\E": open\(\) "\Q$tree\E/(sub|secret)" failed \(13: Permission denied\)$},
     'the first is named');
is($last->{failed}, 2, 'all are counted');
is($last->{operations}, 4, 'the rest is hashed');
is($last->{bytes}, 100000, 'bytes of the rest');

stop();

chmod 0755, "$tree/sub" or die;

done_testing();
