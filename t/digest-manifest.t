# "digest" with a manifest: sha256sum and its like accept it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundControl;
use BackgroundLife;
use BackgroundStatus;
use Fcntl qw/ :flock /;
use POSIX ();
use Test::More;

my $dir = dir();
my $tree = "$dir/tree";
my $list = "$tree/SUMS";

mkdir $tree;
mkdir "$tree/a";
mkdir "$tree/empty";

my %files = (
    'plain' => 'p' x 100000,
    'a/b' => 'in a',
    'a.b' => 'beside a',
    '-' => 'not standard input',
    '-n' => 'not an option',
    '#x' => 'not a comment',
    ' blanks  and	tabs ' => 'b',
    "new\nline" => 'n',
    "\nnew" => 'n2',
    'back\\slash' => 'b',
    "carriage\r" => 'r',
    "\x80no UTF-8\xff" => 'u',
    'x' x 255 => 'long',
    'a/SUMS' => 'of the same name',
    'none' => '',
);

put("tree/$_", $files{$_}) for keys %files;

link "$tree/plain", "$tree/a/hard" or die "link: $!";
symlink 'plain', "$tree/link" or die "symlink: $!";
symlink '..', "$tree/a/up" or die "symlink: $!";
POSIX::mkfifo("$tree/fifo", 0600) or die "mkfifo: $!";

# of a process that was killed, and of one that lives

my @temp = map { "$tree/.ngx_http_background_${_}_1.tmp" } 1, 2;
put("tree/.ngx_http_background_${_}_1.tmp", 'half') for 1, 2;
open my $locked, '<', $temp[1] or die "open: $!";
flock $locked, LOCK_EX or die "flock: $!";

own($tree);

start(<<"EOF_CONF", 'location /control/ { background_control pause; }', 'worker_processes 1;');
    background_threads 3;
    background_task sums {
        interval 50ms;
        retry 50ms;
        digest $tree manifest=$list;
    }
    background_task md5 {
        interval 1h;
        digest $tree/a manifest=$dir/own/md5 algorithm=md5;
    }
    background_task sha512 {
        interval 1h;
        digest $tree/a manifest=$dir/own/sha512 algorithm=SHA512;
    }
EOF_CONF

cycle() for 1 .. 3;

is(check('sha256sum'), '', 'sha256sum -c');
is(check('sha256sum', '--strict'), '', 'every line');

my @names = lines();

is(scalar @names, 1 + keys %files, 'all regular files, but the list');
is_deeply(\@names, [sort @names], 'sorted as paths are');
is_deeply([grep { /SUMS|tmp/ } @names], ['a/SUMS'], 'neither list nor temporary');

# other algorithms

poll('done', sub {
    my %task = by_name(status());
    return $task{md5}{last} && $task{sha512}{last};
});

is(check('md5sum', '', "$tree/a", "$dir/own/md5"), '', 'md5sum -c');
is(check('sha512sum', '', "$tree/a", "$dir/own/sha512"), '', 'sha512sum -c');

# nothing has changed

my @before = stat $list;
cycle() for 1 .. 3;
is_deeply([(stat $list)[1, 9, 10]], [@before[1, 9, 10]], 'left alone');
is($before[2] & 07777, 0644, 'mode');

# something has

between_cycles('sums', sub {
    chmod 0600, $list or die "chmod: $!\n";
    put('tree/plain', 'other');
    unlink "$tree/none" or die "unlink: $!\n";
});

poll('changed', sub { (stat $list)[1] != $before[1] });
cycle();

is(check('sha256sum'), '', 'the new one');
is((stat $list)[2] & 07777, 0600, 'its mode stays');
is((stat $list)[4], $before[4], 'its owner stays');

is_deeply([grep { -e } @temp], [$temp[1]],
          'a dead process\'s temporary is gone, a living one\'s is not');

# what is not complete replaces nothing

my $old = read_file($list);

between_cycles('sums', sub {
    put('tree/secret', 's');
    chmod 0, "$tree/secret" or die "chmod: $!\n";
    put('tree/zzz', 'new');
});

my $task = failed();

is($task->{last}{error}, "digest \"$tree\": open() \"$tree/secret\" failed"
    . ' (13: Permission denied)', 'error');
is($task->{last}{failed}, 1, 'once');
is(read_file($list), $old, 'the old one stays');

unlink "$tree/secret", "$tree/zzz";

# never through a symlink

my $victim = "$dir/own/victim";
put('own/victim', 'victim');
own($victim);

recover();
between_cycles('sums', sub {
    unlink $list or die "unlink: $!\n";
    symlink $victim, $list or die "symlink: $!\n";
});

like(failed()->{last}{error}, qr/open\(\) "\Q$list\E" failed \(40: /, 'symlink');
is(read_file($victim), 'victim', 'what it leads to stays');
ok(-l $list, 'and so does the link');

between_cycles('sums', sub {
    unlink $list or die "unlink: $!\n";
    mkdir $list or die "mkdir: $!\n";
});
is(failed()->{last}{error}, qq(digest "$tree": "$list" is no regular file),
   'directory');
rmdir $list;

recover();
is(check('sha256sum'), '', 'again a list');

# a directory that can't be written

chmod 0555, $tree or die "chmod: $!";
like(failed()->{last}{error},
     qr/open\(\) of a temporary file for "\Q$list\E" failed \(13: /,
     'no right to write');
chmod 0755, $tree or die "chmod: $!";

recover();

stop('QUIT');

is_deeply([glob "$tree/.ngx*"], [$temp[1]], 'no temporary is left');

done_testing();

sub own {
    my ($path) = @_;

    mkdir "$dir/own";
    for_workers($path, "$dir/own", glob "$path/*");
}

sub cycle { next_cycle('sums', 'completed') }

sub failed { return next_cycle('sums', 'failed') }

sub recover {
    poll('good again', sub {
        my %task = by_name(status());
        return $task{sums}{healthy};
    });
}

sub check {
    my ($tool, $arguments, $path, $file) = @_;

    $arguments = '' unless defined $arguments;
    $path = $tree unless defined $path;
    $file = $list unless defined $file;

    my $said = `cd '$path' && $tool --quiet $arguments -c '$file' 2>&1 < /dev/null`;

    return $? ? "$? $said" : $said;
}

# names of the list, unescaped by other code than the module's

sub lines {
    my @names;

    for (split /\n/, read_file($list)) {
        my ($escaped, $name) = /^(\\?)[0-9a-f]{64}  (.*)$/ or die "line $_\n";
        my %char = (n => "\n", r => "\r", '\\' => '\\');
        $name =~ s/\\(.)/$char{$1}/g if $escaped;
        $name =~ s{^\./-$}{-};
        push @names, $name;
    }

    return @names;
}
