# "compress": folders that go away while the tree is walked.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $dir = dir();
my $tree = "$dir/tree";
my $text = join '', map { "line $_ of a text\n" } 1 .. 20_000;

mkdir $tree;
put('tree/a.css', $text);

for my $folder (qw/ removed renamed /) {
    mkdir "$tree/$folder";
    put("tree/$folder/b.css", $text);
}

system("chown -R nobody $tree") == 0 or die if $> == 0;

# one thread: the folders have been seen, but are not read before the file is
# compressed

start(<<"EOF_CONF", '', 'worker_processes 1;');
    background_threads 1;
    background_task c {
        interval 50ms;
        retry 50ms;
        compress $tree suffix=.css gzip=1 limit_rate=200k;
    }
EOF_CONF

# where it is too late for that the file is made new

my $time = 1_000_000_000;

poll('a file is compressed', sub {
    frozen(sub {
        my $read = grep { $_ > 0 && $_ < length $text } offsets("$tree/a.css");

        if ($read) {
            system("rm -r $tree/removed") == 0 or die;
            rename "$tree/renamed", "$tree/z" or die "rename: $!";

        } elsif (-e "$tree/a.css.gz") {
            utime ++$time, $time, "$tree/a.css" or die "utime: $!";
        }

        return $read;
    });
});

my $task = poll('two cycles', sub {
    my %task = by_name(status());

    return $task{c}{cycles}{completed} >= 2 ? $task{c} : 0;
});

is(($task->{last_failure} || {})->{error}, undef, 'no failure');
ok(-e "$tree/a.css.gz", 'the file');
ok(-e "$tree/z/b.css.gz", 'what was renamed is there in the next cycle');

stop();

done_testing();
