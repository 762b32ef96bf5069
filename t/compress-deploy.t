# "compress": ways to deploy a site, with sources whose time never changes; no
# old file is sent when the next cycle is over.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;
use Time::HiRes qw/ stat /;

plan skip_all => 'no rsync' unless grep { -x "$_/rsync" } split /:/, $ENV{PATH};

my $dir = dir();
my $site = "$dir/site";
my $worker = $> == 0 ? '--chown=nobody:' . getgrgid((getpwnam 'nobody')[3])
                     : '';

# versions of the same size and time; each has a file of its own

for my $n (1 .. 8) {
    mkdir "$dir/v$n" or die "mkdir: $!";
    put("v$n/app.css", "version $n\n" x 500);
    put("v$n/same.css", "always\n" x 500);
    put("v$n/own$n.css", "own $n\n" x 500);
    utime 315532800, 315532800, glob "$dir/v$n/*" or die "utime: $!";
    for_workers("$dir/v$n", glob "$dir/v$n/*");
}

symlink 'v1', $site or die "symlink: $!";

start(<<"EOF_CONF", '', 'worker_processes 1;');
    background_threads 2;
    background_task c {
        interval 50ms;
        retry 50ms;
        compress $site suffix=.css gzip=6;
    }
EOF_CONF

deployed('a link', 1);

# the link is switched

symlink 'v2', "$dir/link" or die "symlink: $!";
rename "$dir/link", $site or die "rename: $!";
deployed('a link is switched', 2);

# a copy with hard links, list and all, is changed and switched to

run("cp -al $dir/v2 $dir/copy");
run("rsync -a --checksum $worker $dir/v3/ $dir/copy/");
run("ln -sfn copy $dir/link && mv -T $dir/link $site");
deployed('a copy with hard links', 3);
is(`gzip -dc $dir/v2/app.css.gz`, "version 2\n" x 500, 'what it is a copy of stays');

# rsync -a takes a file of the same size and time for the same one

run("rsync -a --checksum $worker $dir/v4/ $site/");
deployed('rsync -a', 4);

# what is made while the list is deleted would be nobody's

frozen(sub { run("rsync -a --checksum --delete $worker $dir/v5/ $site/") });
deployed('rsync --delete', 5);
ok(!-e "$site/own4.css.gz", 'what is deleted has no compressed file');

run("rsync -a --checksum --delete $worker '--filter=P *.gz' "
    . "'--filter=P .ngx_http_background_*' $dir/v6/ $site/");
deployed('rsync --delete but for what was made', 6);
ok(!-e "$site/own5.css.gz", 'which goes with its source');

# in place

run("for f in app same own7; do cp --preserve=timestamps $dir/v7/\$f.css $site/; done");
for_workers(glob "$site/*.css");
deployed('in place', 7);

# an image that has the files and the list: other inodes and change times

run("cp -a $dir/copy $dir/image");
my $inode = (stat "$dir/image/app.css.gz")[1];
run("ln -sfn image $dir/link && mv -T $dir/link $site");
deployed('an image', 7);
is((stat "$site/app.css.gz")[1], $inode, 'an image: nothing is made anew');

# one whose layers change a file of it

run("rsync -a --checksum $worker $dir/v8/ $site/");
deployed('a layer', 8);

# an image without the list: told, unless adopted

run("cp -a $dir/image $dir/bare && rm $dir/bare/.ngx_http_background_compress");
put('new.css', "version 9\n" x 500);
utime 315532800, 315532800, "$dir/new.css" or die "utime: $!";
run("cp -a $dir/new.css $dir/bare/app.css && ln -sfn bare $dir/link && mv -T $dir/link $site");
for_workers("$dir/bare/app.css");

is(cycle()->{last}{message}, "old files: 1, as \"$site/app.css.gz\"",
   'an image without a list');

reconfigure('gzip=6', 'gzip=6 adopt');
poll('adopted', sub { logged(qr/adopted "\Q$site\E\/same\.css\.gz"/) });
unlink "$site/app.css.gz" or die "unlink: $!";
deployed('adopted', 9);

stop();
done_testing();

sub run {
    my ($command) = @_;

    system($command) == 0 or die "$command: $?\n";
}

sub cycle { next_cycle('c', 'completed') }

# all that is compressed is what its source is, and nothing is told

sub deployed {
    my ($name, $n) = @_;

    my $task = cycle();

    is($task->{last}{message}, undef, "$name: nothing old");
    is(read_file("$site/app.css"), "version $n\n" x 500, "$name: deployed");
    is(join(',', grep { `gzip -dc $_` ne read_file(s/\.gz$//r) } glob "$site/*.gz"),
       '', "$name: as the sources");
    ok(-e "$site/app.css.gz" && -e "$site/same.css.gz", "$name: made");
}
