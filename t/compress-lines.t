# "compress": lines of the list that are taken, and those that are dropped.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $dir = dir();
my $tree = "$dir/tree";
my $list = "$tree/.ngx_http_background_compress";
my $header = "# ngx_http_background_compress 1\n";

mkdir $tree;

# files that were made before, all of the same size and time, in a list of
# version 1

my $source = 'a source of a thousand bytes. ' x 33 . '0123456789';

put('source', $source);

my $made = `gzip -n < $dir/source`;
my $size = length $made;

my @names = ('a.css', 'with space.css', "new\nline.css", 'back\\slash.css',
             "\xff.css", '-.css');

for my $name (@names, 'taken.css') {
    put("tree/$name", $source);
    put("tree/$name.gz", $made);
    utime 1e9, 1e9, "$tree/$name", "$tree/$name.gz" or die "utime: $!";
}

# and a source of which none is to be made

my $poor = '- 1000 1000000000.000000000 a.css.br';

my $good = "+ $size 1000000000.000000000";
my $digest = '0123456789abcdef' x 4;
my $v2 = "2 $size 1000000000.000000000 1000 ";

my @lines = map { s/([\\\n])/$1 eq "\n" ? '\\n' : '\\\\'/ger }
            map { "$_.gz" } @names;

my @bad = map { s/^([-+*]*) 4\b/$1 $size/r } (
    '', ' ', '+', '+ ', '- ', '++ 4 1000000000.000000000 taken.css.gz',
    '* 4 1000000000.000000000 taken.css.gz',
    '+4 1000000000.000000000 taken.css.gz',
    '+ 4', '+ 4 ', '+ 4 1000000000', '+ 4 1000000000.', '+ 4 1000000000.0',
    '+ 4 1000000000.000000000', "$good ", '+ 4 1000000000.0 taken.css.gz',
    '+ 4 1000000000.0000000000 taken.css.gz',
    '+ 4 1000000000.00000000x taken.css.gz',
    '+ 4 .000000000 taken.css.gz', '+ 4 -.000000000 taken.css.gz',
    '+ 4 --1000000000.000000000 taken.css.gz',
    '+  1000000000.000000000 taken.css.gz',
    '+ -4 1000000000.000000000 taken.css.gz',
    '+ 99999999999999999999 1000000000.000000000 taken.css.gz',
    '+ 4 99999999999999999999.000000000 taken.css.gz',
    "$good taken.css.gz\\", "$good t\\aken.css.gz", "$good taken.css.gz\0",
    "$good taken.css.gz\0x", "$good " . 'x' x 32768, "$good " . 'x' x 70_000,
    "$good " . '\\\\' x 32768, "$good " . '/' x 32768,
    "$good " . 'x/' x 30_000 . 'taken.css.gz',
    (map { "$_$v2" . "7 1.000000000 taken.css.gz" } '+', '-', '~', ' '),
    (map { "+$v2$_ taken.css.gz" } "7 1.000000000 " . substr($digest, 1),
        "7 1.000000000 ${digest}0", "7 1.000000000 x" . substr($digest, 1),
        "18446744073709551616 1.000000000 $digest", " 1.000000000 $digest",
        "-7 1.000000000 $digest", "7 1.0 $digest", "7 $digest", "7"),
    "+3$v2" . "7 1.000000000 $digest taken.css.gz",
    "= $size 1000000000.000000000 taken.css.gz",
    "=$v2" . '7 taken.css.gz', "!$v2" . '7 1.000000000',
);

# and what is well-formed, but of no file of the tree

my @other = ('/taken.css.gz', '../tree/taken.css.gz', './../tree/taken.css.gz',
             '.', '..', '/', 'sub/', 'none.css.gz', 'x' x 32767, '/' x 32767,
             'x/' x 16383, '../' x 10_922, 'x' x 300 . '/taken.css.gz');

put('tree/.ngx_http_background_compress',
    join "\n", $header . '# a comment', (map { "$good $_" } @lines, @other),
               @bad,
               $poor, '+ 4 -5.000000001 none.css.gz', "$good half a li");
for_workers($tree, $list, glob "$tree/*");

start(<<"EOF_CONF", '', 'worker_processes 1;');
    background_threads 2;
    background_task c {
        interval 50ms;
        retry 50ms;
        compress $tree suffix=.css gzip=1;
    }
EOF_CONF

next_cycle('c', 'completed');

my ($first, @now) = split /^/, read_file($list);

is($first, $header =~ s/1/2/r, 'the header');

my $sha256 = (split ' ', `sha256sum $dir/source`)[0];
my $state = qr/1000 \d+ \d+\.\d{9}/;

is_deeply([sort map { s/ $state $sha256 / /r =~ s/^(=2 \d+) \S+ $state/$1/r } @now],
          [sort "$poor\n", "=2 $size taken.css.gz\n",
           map { s/\+/+2/r } map { "$good $_\n" } @lines], 'what is left');
is(read_file("$tree/taken.css.gz"), $made, 'no other file is touched')
    or diag(log_text());

# what is in the list belongs to the module

for my $name (@names) {
    unlink "$tree/$name" or die "unlink: $!";
}

next_cycle('c', 'completed');
is_deeply([glob "$tree/*.gz"], ["$tree/taken.css.gz"], 'all of the list');
is(join('', grep { !/^=/ } split /^/, read_file($list)), $header =~ s/1/2/r,
   'an empty list');

# a name can't write into the log

is(logged(qr/removed "\Q$tree\E\/new\?line\.css\.gz"/), 1,
   'a newline in the log');

stop();
done_testing();
