# "verify": checks files against a list.

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

mkdir $tree;
mkdir "$tree/a";

my %files = (
    'plain' => 'p' x 100000,
    'a/b' => 'in a',
    '-n' => 'not an option',
    ' blanks  and	tabs ' => 'b',
    "new\nline" => 'n',
    'back\\slash' => 'b',
    "carriage\r" => 'r',
    "\x80no UTF-8\xff" => 'u',
    'x' x 255 => 'long',
    'none' => '',
);

put("tree/$_", $files{$_}) for keys %files;

# lists as sha256sum and its like write them

my %lists = (
    'tree/SUMS' => q(sha256sum -- [!aS]* a/b),
    'own' => q(find . -type f ! -name SUMS -print0 | xargs -0 sha256sum),
    'binary' => q(sha256sum -b plain a/b),
    'tagged' => q(sha256sum --tag plain a/b new*),
    'md5' => q(md5sum plain a/b),
    'md5tag' => q(md5sum --tag plain a/b),
    'blake2' => q(b2sum plain a/b),
    'text' => q((echo '# comment'; echo; sha256sum plain; printf '\r\n#')),
    'dos' => q(sha256sum plain a/b | sed 's/$/\r/'),
);

for my $list (keys %lists) {
    system("cd $tree && $lists{$list} > $dir/$list") == 0
        or die "no $list";
}

my $sums = read_file("$dir/own");

put('big', '');
truncate "$dir/big", 50_000_000 or die "truncate: $!";
put('slow', '0' x 64 . "  tree/plain\n" . '0' x 64 . "  big\n");

my $good = join "\n", map { "background_task $_ { interval 1h; retry 1h; "
        . "verify $dir/" . list($_) . ' ' . arguments($_) . '; }' }
    qw/ SUMS own binary tagged md5 md5tag blake2 text dos slow /;

sub list {
    my ($name) = @_;

    return $name eq 'SUMS' ? 'tree/SUMS' : $name;
}

sub arguments {
    my ($name) = @_;

    return '' if $name eq 'SUMS';
    return 'limit_rate=100k' if $name eq 'slow';
    return "root=$tree" . ($name =~ /^md5/ ? ' algorithm=md5'
                           : $name eq 'blake2' ? ' algorithm=blake2b512' : '');
}

start("background_threads 2; $good", '', 'worker_processes 2;');

my %task;

poll('all are done', sub {
    %task = by_name(status());
    return !grep { !$task{$_}{last} && $_ ne 'slow' } keys %task;
});

for my $name (sort grep { $_ ne 'slow' } keys %task) {
    is($task{$name}{last}{error}, undef, $name);
}

is($task{own}{last}{operations}, scalar keys %files, 'each file is one');
is($task{own}{last}{bytes}, length join('', values %files), 'bytes');
is($task{text}{last}{operations}, 1, 'comments and empty lines are none');

poll('progress', sub {
    %task = by_name(status());
    my $progress = $task{slow}{progress} or return 0;
    return $progress->{total} == 2 && $progress->{done} == 1;
});

# what the worker's user may rewrite; as root the tests' workers are "nobody"

my $warning = qr/\[warn\].*the worker's own user may rewrite "\Q$dir\E/;

if ($> == 0) {
    is(logged($warning), 0, 'a list that the worker\'s user may not rewrite');
    chown +(getpwnam 'nobody')[2, 3], "$dir/binary" or die "chown: $!";
}

# changed, missing, unreadable, and what is no file

put('tree/plain', 'P' x 100000);
unlink "$tree/none" or die "unlink: $!";
chmod 0, "$tree/-n" or die "chmod: $!";
unlink "$tree/a/b";
symlink "$dir/own", "$tree/a/b" or die "symlink: $!";
unlink "$tree/back\\slash";
mkdir "$tree/back\\slash" or die "mkdir: $!";

mkdir "$tree/into";
put('tree/into/file', 'x');
symlink 'into', "$tree/way" or die "symlink: $!";
POSIX::mkfifo("$tree/fifo", 0644) or die "mkfifo: $!";

my $hash = '0' x 64;

put('changed', grep_line('plain'));
put('missing', grep_line('none'));
put('secret', grep_line('-n'));
put('link', grep_line('a/b'));
put('folder', grep_line('slash'));
put('through', "$hash  way/file\n");
put('pipe', "$hash  fifo\n");
put('absolute', "$hash  $dir/own\n");
put('beside', "$hash  ${tree}x/plain\n");
put('above', "$hash  ../own\n");
put('around', "$hash  into/../plain\n");
put('bad', "# good\n$hash,fifo\n");
put('short', substr($hash, 1) . "  plain\n");
put('other', "SHA1 (plain) = $hash\n");
put('escape', "\\$hash  a\\x\n");
put('zero', "$hash  a\0b\n");
put('endless', 'x' x 200_000);
put('empty', '');
put('comments', "# nothing\n");

my %error = (
    own => qr/^verify "\Q$dir\E\/own": /,
    changed => qr/"\Q$tree\E\/(?:\.\/)?plain" has another checksum$/,
    missing => qr/open\(\) "\Q$tree\E\/\.\/none" failed \(2: /,
    secret => qr/open\(\) "\Q$tree\E\/\.\/-n" failed \(13: /,
    link => qr/open\(\) "\Q$tree\E\/\.\/a\/b" failed \(40: /,
    folder => qr/"\Q$tree\E\/\.\/back\\slash" is no regular file$/,
    through => qr/open\(\) "\Q$tree\E\/way\/file" failed \((40|20): /,
    pipe => qr/"\Q$tree\E\/fifo" is no regular file$/,
    absolute => qr/: "\Q$dir\E\/own" leads out of the root$/,
    beside => qr/: "\Q$tree\Ex\/plain" leads out of the root$/,
    above => qr/: "\.\.\/own" leads out of the root$/,
    around => qr/: "into\/\.\.\/plain" leads out of the root$/,
    bad => qr/line 2 of "\Q$dir\E\/bad" is no checksum of the algorithm$/,
    short => qr/line 1 of "\Q$dir\E\/short" is no checksum of the algorithm$/,
    other => qr/line 1 of "\Q$dir\E\/other" is no checksum of the algorithm$/,
    escape => qr/line 1 of "\Q$dir\E\/escape" is no checksum/,
    zero => qr/line 1 of "\Q$dir\E\/zero" is no checksum/,
    endless => qr/line 1 of "\Q$dir\E\/endless" is no checksum/,
    empty => qr/"\Q$dir\E\/empty" has no checksums$/,
    comments => qr/"\Q$dir\E\/comments" has no checksums$/,
    nowhere => qr/open\(\) "\Q$dir\E\/nowhere" failed \(2: /,
    tree => qr/"\Q$dir\E\/tree" is no regular file$/,
);

my $bad = join "\n", map { "background_task $_ { interval 1h; retry 1h; "
    . "verify $dir/$_ root=$tree; }" } sort keys %error;

stop();
start("background_threads 2; $bad background_task binary { interval 50ms; "
      . "retry 50ms; verify $dir/binary root=$tree; }", '',
      'worker_processes 2;');

poll('all have failed', sub {
    %task = by_name(status());
    return !grep { !$task{$_}{cycles}{failed} } keys %error;
});

for my $name (sort keys %error) {
    like($task{$name}{last}{error}, $error{$name}, $name);
}

is($task{own}{last}{failed}, 5, 'all are counted');
is($task{own}{last}{operations}, scalar keys %files, 'the rest is checked');
is($task{$_}{last}{failed}, 1, "$_: once") for qw/ endless zero above /;

# once a worker

poll('cycles', sub {
    %task = by_name(status());
    return $task{binary}{cycles}{failed} >= 3;
});

is(logged(qr/\[warn\].*may rewrite "\Q$dir\E\/binary", which "verify" relies on/),
   1, 'a list that the worker\'s user may rewrite, told once');

stop();
done_testing();

# a list's line

sub grep_line {
    my ($part) = @_;

    my ($line) = grep { /\Q$part\E/ } split /\n/, $sums;

    return "$line\n";
}
