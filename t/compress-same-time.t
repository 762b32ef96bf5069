# "compress": sources whose time stays the same, what tells that they have
# changed, and old files that are not replaced.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundControl;
use BackgroundLife;
use BackgroundStatus;
use Test::More;
use Time::HiRes qw/ stat /;

my $dir = dir();
my $tree = "$dir/tree";
my $list = "$tree/.ngx_http_background_compress";
my $long = join '', map { "line $_ of a text\n" } 1 .. 2000;

mkdir $tree;
for_workers($tree);

source('a.css', $long);
source('noise.css', noise());

start(<<"EOF_CONF", 'location /control/ { background_control pause; }', 'worker_processes 1;');
    background_threads 2;
    background_task c {
        interval 50ms;
        retry 50ms;
        compress $tree suffix=.css gzip=1 brotli=1 zstd=1;
    }
EOF_CONF

good();
is(unpacked('a.css'), $long, 'made');
like(read_file($list), qr/\A# ngx_http_background_compress 2\n/, 'the version');

# another size, then the same one, by a rename and in place

source('a.css', "$long more");
good();
is(unpacked('a.css', $_), "$long more", "another size, $_") for qw/ gz br zst /;

source('a.css', "$long MORE");
good();
is(unpacked('a.css', $_), "$long MORE", "the same size, $_") for qw/ gz br zst /;

source('a.css', "$long More", 1);
good();
is(unpacked('a.css'), "$long More", 'the same size in place');

# what could not be made smaller

ok(!-e "$tree/noise.css.gz", 'no file of noise');
source('noise.css', 'a' x 5000);
good();
is(unpacked('noise.css'), 'a' x 5000, 'noise is replaced by a text');

# the same content with another inode and change time

my $before = (stat "$tree/a.css.gz")[1];
my $line = line('a.css.gz');

source('a.css', "$long More");
my $inode = (stat "$tree/a.css")[1];
good();
is((stat "$tree/a.css.gz")[1], $before, 'the same content: nothing is made');
isnt(line('a.css.gz'), $line, 'but its line');
like(line('a.css.gz'), qr/^\+2 \d+ 315532800\.0{9} \d+ $inode \d+\.\d{9} [0-9a-f]{64} a/,
     'the line has the inode');
is(good()->{last}{bytes}, 0, 'which is read once');

# what no task makes any more

reconfigure('gzip=1 brotli=1 zstd=1', 'gzip=1');
poll('without brotli', sub { log_text() =~ /exited with code 0/ });
$before = (stat "$tree/a.css.br")[1];
source('a.css', "$long More");
good();
is((stat "$tree/a.css.br")[1] // 0, $before, 'the same content: it stays');
source('a.css', "$long mORE");
good();
ok(!-e "$tree/a.css.br", 'of another content: removed');

# a list of version 1: files of other content are made anew, others stay

source('b.css', 'b' x 1000);
good();
$before = (stat "$tree/b.css.gz")[1];

between_cycles('c', sub {
    my ($size, $other) = map { (stat "$tree/$_.css.gz")[7] } qw/ a b /;

    put('tree/.ngx_http_background_compress', "# ngx_http_background_compress 1\n"
        . "+ $size 315532800.000000000 a.css.gz\n"
        . "+ $other 315532800.000000000 b.css.gz\n");
    for_workers($list);
    source('a.css', "$long v1!");
});

good();
is(unpacked('a.css'), "$long v1!", 'version 1: of another content');
is((stat "$tree/b.css.gz")[1], $before, 'version 1: of the same content');
is(join(' ', sort map { /^(\S+) .* (\S+)$/; "$1$2" } split /\n/, read_file($list)),
   '#2 +2a.css.gz +2b.css.gz =2noise.css.gz', 'now version 2');

# the list is lost: what is not ours stays, and is told.  A source that changed
# while it was read may have been told before.

my ($told, $over) = (told(), over());

between_cycles('c', sub {
    unlink $list or die "unlink: $!";
    source('a.css', "$long lost");
});

my $task = good();
is($task->{last}{message}, "old files: 1, as \"$tree/a.css.gz\"", 'told');
is(unpacked('a.css'), "$long v1!", 'it stays');
like(line('a.css.gz'), qr/^!2 /, 'in the list');
like(line('b.css.gz'), qr/^=2 /, 'one of the same content, too');
$task = good() for 1 .. 2;
is($task->{last}{bytes}, 0, 'compared once');
is(told(), $told + 1, 'in the log once');

# also one that is older than its source, or replaced by another old one

between_cycles('c', sub { source('b.css', 'B' x 1000); utime 2e9, 2e9, "$tree/b.css" });
is(good()->{last}{message}, "old files: 2, as \"$tree/a.css.gz\"", 'newer');
put('plain', "$long lost");
system("gzip -c $dir/plain > $dir/new.gz && mv $dir/new.gz $tree/a.css.gz") == 0 or die;
is(good()->{last}{message}, "old files: 1, as \"$tree/b.css.gz\"", 'mended by hand');

unlink "$tree/b.css.gz" or die "unlink: $!";
is(good()->{last}{message}, undef, 'removed by hand');
is(over(), $over + 1, 'in the log, too');

# adopt: what unpacks to its source is ours, and made anew where it is not as
# what would be made; the others stay

between_cycles('c', sub {
    unlink $list or die "unlink: $!";
    source('c.css', 'c' x 1000);
    system("gzip -c < $tree/c.css > $tree/c.css.gz") == 0 or die;
    system("(cat $tree/c.css; echo) | gzip > $tree/d.css.gz") == 0 or die;
    system("(gzip < $tree/c.css; echo) > $tree/e.css.gz") == 0 or die;
    system("gzip < $tree/c.css | head -c 20 > $tree/f.css.gz") == 0 or die;
    source("$_.css", 'c' x 1000) for qw/ d e f /;
});

good();
ok(-e "$tree/c.css.gz" && line('c.css.gz') =~ /^=2 /, 'off by default');

reconfigure('gzip=1', 'gzip=1 adopt');
poll('adopt', sub { logged(qr/adopted "\Q$tree\E\/c\.css\.gz"/) });
poll('made anew', sub { ((stat "$tree/c.css.gz")[9] // 0) == 315532800 });
$task = good();
is($task->{last}{message}, "old files: 3, as \"$tree/d.css.gz\"",
   'not what is longer, has something behind its end, or is cut');

source('a.css', "$long adopted");
unlink "$tree/c.css" or die "unlink: $!";
good();
is(unpacked('a.css'), "$long adopted", 'adopted: made anew');
ok(!-e "$tree/c.css.gz", 'adopted: removed with its source');

# a folder that may not be written any more

mkdir "$tree/sub";
for_workers("$tree/sub");
source('sub/a.css', $long);
unlink map { "$tree/$_.css.gz" } qw/ d e f /;
good();

SKIP: {
    skip 'only root gives folders away', 2 if $> != 0;

    between_cycles('c', sub {
        chown 0, 0, "$tree/sub" or die "chown: $!";
        source('sub/a.css', "$long more");
    });

    $task = next_cycle('c', 'failed', qr/temporary file for .* failed \(13: /);
    is($task->{last}{message}, "old files: 1, as \"$tree/sub/a.css.gz\"",
       'a folder that can not be written: told');
    for_workers("$tree/sub");
    is(good()->{last}{message}, undef, 'written again');
}

stop();
done_testing();

# a source that has the same time whatever is in it

sub source {
    my ($name, $text, $in_place) = @_;

    my $file = $in_place ? "tree/$name" : 'new';

    put($file, $text);
    utime 315532800, 315532800, "$dir/$file" or die "utime: $!";
    for_workers("$dir/$file");
    $in_place or rename "$dir/new", "$tree/$name" or die "rename: $!";
}

sub noise { join '', map { chr int rand 256 } 1 .. 5000 }

sub good { next_cycle('c', 'completed', qr/^$/) }

sub told { logged(qr/\[warn\].* old compressed files in "\Q$tree\E"/) }

sub over { logged(qr/there are no old compressed files in "\Q$tree\E" any more/) }

# the newest line of a file

sub line { (grep { / \Q$_[0]\E$/ } split /\n/, read_file($list))[-1] // '' }

sub unpacked {
    my ($name, $suffix) = (@_, 'gz');

    my %tool = (gz => 'gzip -dc', br => 'brotli -dc', zst => 'zstd -dcq');

    return scalar `$tool{$suffix} $tree/$name.$suffix`;
}
