# "verify ... extra=fail": files that are in the tree and not in the list.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use POSIX ();
use Test::More;

my $dir = dir();
my $tree = "$dir/tree";

mkdir $_ or die "mkdir: $!" for $tree, "$tree/a", "$tree/a/deep", "$dir/outside";
put("tree/$_", $_) for 'x', 'a/b', 'a/deep/c', "new\nline", '-';
put('outside/secret', 'x');

# the names in several ways of writing them

system("cd $tree && { sha256sum x ./a/b a//deep/./c new* ./-; } > $dir/plain; "
       . "find $tree -type f -exec sha256sum {} + > $dir/absolute; "
       . "find . -type f ! -name SUMS -exec sha256sum --tag {} + > SUMS") == 0
    or die 'no list';

# what is none: the list itself, what the module writes, links, and no files

put("tree/a/.ngx_http_background_$_", 'x') for 'compress', '12_34.tmp';
symlink "$dir/outside", "$tree/way" or die "symlink: $!";
symlink 'x', "$tree/link" or die "symlink: $!";
POSIX::mkfifo("$tree/a/fifo", 0644) or die "mkfifo: $!";

my $other = 'interval 20ms; retry 20ms;';

# a list that lies in its tree

rename "$tree/SUMS", "$dir/SUMS.in" or die "rename: $!";
mkdir "$dir/in" or die "mkdir: $!";
put('in/x', 'x');
system("cd $dir/in && sha256sum x > SUMS") == 0 or die 'no list';

start(<<"EOF_CONF", '', 'worker_processes 1;');
    background_threads 2;
    background_task plain { $other verify $dir/plain root=$tree extra=fail; }
    background_task absolute {
        $other verify $dir/absolute root=$tree extra=fail;
    }
    background_task tagged { $other verify $dir/SUMS.in root=$tree extra=fail; }
    background_task inside { $other verify $dir/in/SUMS extra=fail; }
    background_task ignore {
        $other verify $dir/plain root=$tree extra=ignore;
    }
    background_task default { $other verify $dir/plain root=$tree; }
EOF_CONF

my @all = qw/ plain absolute tagged inside ignore default /;

is(next_cycle($_, 'completed')->{last}{error}, undef, "$_: all is listed")
    for @all;

# one more, then several

put('tree/a/shell.php', 'x');

for my $name (qw/ plain absolute tagged /) {
    my $task = next_cycle($name, 'failed', qr/^verify "[^"]+": "\Q$tree\E\/a\/shell.php" is not in the list$/);
    is($task->{last}{failed}, 1, "$name: one");
}

mkdir "$tree/upload" or die "mkdir: $!";
put("tree/$_", 'x') for '.hidden', 'upload/shell.php', 'upload/x',
    'a/.ngx_http_background_1.php', "new\nLine";

for my $name (qw/ plain absolute tagged /) {
    my $task = next_cycle($name, 'failed', qr/is not in the list$/);
    is($task->{last}{failed}, 6, "$name: all are counted");
    is($task->{last}{operations}, 11, "$name: the listed ones are checked");
}

next_cycle($_, 'completed') for qw/ ignore default inside /;

is(status_of($_)->{cycles}{failed}, 0, "$_: none") for qw/ ignore default /;

put('in/y', 'x');
next_cycle('inside', 'failed', qr/"\Q$dir\E\/in\/y" is not in the list$/);
link "$dir/in/x", "$dir/in/z" or die "link: $!";
unlink "$dir/in/y" or die "unlink: $!";
next_cycle('inside', 'failed', qr/"\Q$dir\E\/in\/z" is not in the list$/);
pass('another name of a listed file is an extra one');

# they go again

unlink map { "$tree/$_" } '.hidden', 'upload/shell.php', 'upload/x',
    'a/.ngx_http_background_1.php', "new\nLine", 'a/shell.php';

next_cycle($_, 'completed') for qw/ plain absolute tagged /;
pass('good again');

# a directory that can't be read hides nothing

SKIP: {
    chmod 0, "$tree/upload" or die "chmod: $!";
    skip 'tests that run as root have workers of another user', 1
        if $> == 0 && !getpwnam 'nobody';

    like(next_cycle('plain', 'failed')->{last}{error},
         qr/open\(\) "\Q$tree\E\/upload" failed \(13: /, 'an unreadable one');
    chmod 0755, "$tree/upload" or die "chmod: $!";
}

stop();

# more names than there is memory for

open my $file, '>', "$dir/many" or die "open: $!";
print $file '00  ', $_, "\n" for 1 .. 4_000_001;
close $file or die "close: $!";

# not niced, as on a busy machine that might be all that is left for it

start(<<"EOF_CONF", '', 'worker_processes 1;');
    background_threads 1 priority=0 quota=100%;
    background_task many {
        retry 1h;
        verify $dir/many root=$tree extra=fail algorithm=blake2b512;
    }
EOF_CONF

my $many;

poll('a cycle', sub { $many = status_of('many'); $many->{last} });

is($many->{last}{error}, "verify \"$dir/many\": \"$dir/many\" has more than "
   . '4000000 names, which is the most with "extra=fail"', 'too many names');
is($many->{last}{operations}, 1, 'nothing else is done');

stop();
done_testing();

sub status_of {
    my %task = by_name(status());

    return $task{$_[0]};
}
