# "compress": what it makes, keeps, and removes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;
use Time::HiRes qw/ stat utime /;

my $dir = dir();
my $tree = "$dir/tree";
my $list = "$tree/.ngx_http_background_compress";

my %tool = (gz => 'gzip -dc', br => 'brotli -dc', zst => 'zstd -dcq');

for my $suffix (sort keys %tool) {
    my ($name) = $tool{$suffix} =~ /^(\w+)/;
    plan skip_all => "no $name" unless grep { -x "$_/$name" } split /:/, $ENV{PATH};
}

mkdir $tree;
mkdir "$tree/sub";

my $text = join '', map { "line $_ of a text\n" } 1 .. 20_000;
my $noise = join '', map { chr int rand 256 } 1 .. 5000;

my %sources = (
    'a.css' => $text,
    'sub/b.js' => 'small and small and small and small and small',
    "new\nline\\.css" => $text,
    "\xff.js" => $text,
    'x' x 248 . '.css' => $text,
);

put("tree/$_", $sources{$_}) for keys %sources;

put('tree/noise.css', $noise);
put('tree/empty.css', '');
put('tree/short.css', 'a' x 19);
put('tree/other.txt', $text);
put('tree/own.css', $text);
put('tree/own.css.gz', 'the user\'s own');
put('tree/' . 'y' x 251 . '.css', $text);
symlink 'a.css', "$tree/link.css" or die "symlink: $!";
put('tree/.ngx_http_background_1_1.tmp', 'half');

chmod 0640, "$tree/a.css" or die "chmod: $!";
utime 1e9, 1e9 + 0.25, "$tree/a.css" or die "utime: $!";

own();

start(<<"EOF_CONF", '', 'worker_processes 1;');
    background_threads 3;
    background_task c {
        interval 50ms;
        retry 50ms;
        compress $tree suffix=.css,.js gzip=6 brotli=5 zstd=3;
    }
EOF_CONF

cycle();

for my $suffix (sort keys %tool) {
    is(join(',', grep { unpacked("$tree/$_.$suffix") ne $sources{$_} }
            sort grep { length($_) + length($suffix) < 255 } keys %sources),
       '', ".$suffix: all as the sources");
}

my %made = map { $_ => 1 } made();

ok(!$made{"$_.gz"}, "no $_.gz")
    for qw/ noise.css empty.css short.css other.txt link.css /;
ok($made{"own.css.$_"}, "own.css.$_") for qw/ br zst /;
ok($made{'x' x 248 . ".css.$_"}, "long name, $_") for qw/ gz br /;
is(logged(qr/no "\.zst" file for "\Q$tree\E\/x{248}\.css", the name would be too long/) > 0,
   1, 'a name that does not fit is told');
is(read_file("$tree/own.css.gz"), 'the user\'s own', 'a user\'s own file stays');
ok(!-e "$tree/.ngx_http_background_1_1.tmp", 'a dead process\'s file is gone');

for my $suffix (sort keys %tool) {
    my @source = stat "$tree/a.css";
    my @made = stat "$tree/a.css.$suffix";

    is(sprintf('%o', $made[2] & 07777), '640', ".$suffix: mode");
    is($made[9], $source[9], ".$suffix: time");
}

# what is up to date is left alone

my @before = map { (stat "$tree/$_")[1] } made();
my $task = cycle();

is_deeply([map { (stat "$tree/$_")[1] } made()], \@before, 'left alone');
is($task->{last}{bytes}, 0, 'nothing is read');
is($task->{last}{operations}, 10, 'each matching file is one operation');

my @list = stat $list;
cycle();
is((stat $list)[1], $list[1], 'and so is the list');
is(sprintf('%o', $list[2] & 07777), '600', 'for the worker alone');

# another time, another content, another mode

change('tree/a.css', "$text more");
change('tree/other.js', $text);
cycle();

is(unpacked("$tree/a.css.$_"), "$text more", "changed: .$_") for sort keys %tool;
is(unpacked("$tree/other.js.gz"), $text, 'a new file');

chmod 0600, "$tree/other.js" or die "chmod: $!";
cycle();
is(sprintf('%o', (stat "$tree/other.js.gz")[2] & 07777), '600', 'mode');

# no smaller any more, or too short

change('tree/a.css', $noise);
change('tree/sub/b.js', 'short');
cycle();

ok(!-e "$tree/a.css.$_", "no a.css.$_ any more") for sort keys %tool;
ok(!-e "$tree/sub/b.js.$_", "no b.js.$_ any more") for sort keys %tool;
is(cycle()->{last}{bytes}, 0, 'and it is not tried again');

# the source is gone, and with it what was made of it

my $own = "$tree/other.js.br";

change('tree/other.js.br', 'now the user\'s own');
unlink "$tree/other.js", "$tree/own.css", "$tree/\xff.js" or die "unlink: $!";
cycle();

ok(!-e "$tree/other.js.$_", "no other.js.$_ any more") for qw/ gz zst /;
is(read_file($own), 'now the user\'s own', 'not what is the user\'s own now');
is(read_file("$tree/own.css.gz"), 'the user\'s own', 'nor what always was');
ok(!-e "$tree/own.css.br", 'no own.css.br any more');
is((my $n = () = read_file($list) =~ /other|own/g), 0, 'forgotten');

rename "$tree/sub", "$tree/gone" or die "rename: $!";
unlink "$tree/gone/b.js";
cycle();

# a whole folder's files, with the folder renamed

change('tree/gone/c.css', $text);
cycle();
ok(-e "$tree/gone/c.css.gz", 'in a folder');
rename "$tree/gone", "$dir/away" or die "rename: $!";
is(cycle()->{last}{error}, undef, 'a folder that is gone');

# what is made no longer is not kept with other content

change('tree/d.css', $text);
cycle();
reload('gzip=6 brotli=5 zstd=3', 'gzip=6');
cycle();
ok(-e "$tree/d.css.br", 'still that of the source');
change('tree/d.css', "$text!");
cycle();
ok(!-e "$tree/d.css.br", 'of other content');
is(unpacked("$tree/d.css.gz"), "$text!", 'what is made');

# a user's file that comes in the place of ours

change('tree/d.css.gz', 'own');
change('tree/d.css', "$text?");
cycle();
is(read_file("$tree/d.css.gz"), 'own', 'a user\'s own file in the place of ours');

# two tasks in one tree

change("tree/e$_.css", "$text $_") for 1 .. 40;
reload('background_task c {', "background_task d { interval 50ms; "
    . "compress $tree suffix=.css zstd=1 gzip=1; }\n background_task c {");
poll('both', sub {
    my %task = by_name(status());
    return $task{d} && $task{d}{cycles}{completed} > 2;
});
cycle();

change("tree/e$_.css", "$text $_ again") for 1 .. 40;
cycle();
my %task = by_name(status());

is(join(',', grep { unpacked("$tree/e$_.css.gz") ne "$text $_ again" } 1 .. 40),
   '', 'of two tasks');
is(($task{$_}{last_failure} || {})->{error}, undef, "$_ never failed")
    for qw/ c d /;

unlink "$tree/e$_.css" for 1 .. 40;
cycle($_) for qw/ c d c /;
is(scalar(() = glob "$tree/e[0-9]*"), 0, 'what either made is gone');

# only root gives files away

if ($> == 0) {
    reload('user nobody', 'user root root; #');
    poll('a list of another user', sub {
        my %task = by_name(status());
        return ($task{c}{last}{error} // '')
               =~ /"\Q$list\E" belongs to another user than the worker/;
    });
    chown 0, 0, $list or die "chown: $!";
    change('tree/root.css', $text);
    chown 1234, 2345, "$tree/root.css" or die "chown: $!";

    poll('owner and group', sub {
        return join(' ', (stat "$tree/root.css.gz")[4, 5]) eq '1234 2345';
    });

    cycle();
    my @stat = stat "$tree/root.css.gz";

    cycle();
    is((stat "$tree/root.css.gz")[1], $stat[1], 'left alone');
}

stop();

is_deeply([glob "$tree/.ngx_http_background_*.tmp"], [], 'no temporary is left');

done_testing();

sub own {
    return if $> != 0;
    system("chown -R nobody $tree") == 0 or die;
}

sub made {
    my @made = grep { /\.(gz|br|zst)$/ } `cd $tree && find . -type f -printf '%P\\0'`
        =~ /([^\0]+)/g;

    return sort @made;
}

# a file with another time, whatever the clock's grain

sub change {
    my ($name, $text) = @_;

    put('new', $text);
    our $time ||= 1_000_000_000;
    $time += 1.5;
    utime $time, $time, "$dir/new" or die "utime: $!";
    chown +(getpwnam 'nobody')[2, 3], "$dir/new" if $> == 0;
    rename "$dir/new", "$dir/$name" or die "rename: $!";
}

# waits for the end of a good cycle that started after the call

sub cycle { next_cycle($_[0] // 'c', 'completed') }

# with no worker left of the old configuration

sub reload {
    my $old = a_worker();

    reconfigure(@_);

    poll('reloaded', sub {
        my @workers = workers();
        return @workers == 1 && $workers[0] != $old;
    });
}

sub unpacked {
    my ($file) = @_;

    my ($suffix) = $file =~ /\.(\w+)$/;
    open my $pipe, '-|', split(' ', $tool{$suffix}), $file or die "$suffix: $!";
    local $/;

    return scalar(<$pipe>) // '';
}
