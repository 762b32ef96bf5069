# Trees of many small files and a large sparse one: what "digest", "verify" and
# "compress" make of them, by the usual tools, and in how much memory.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

# how many files, and MiB: what util/slow.sh says, or the few of the test suite

my ($files, $mib) = split ' ', $ENV{BACKGROUND_SLOW} || '1000 64';

$BackgroundStatus::deadline += $files / 200 + $mib / 10;

my $dir = dir();
my $tree = "$dir/tree";
my $sums = "$dir/sums/SUMS";

mkdir $_ or die "mkdir: $!" for $tree, "$dir/sums", "$tree/flat",
                                map { "$tree/$_" } 0 .. 9;
for_workers($tree, "$dir/sums", glob "$tree/*");

my $bytes = 0;

for my $n (1 .. $files) {
    my $text = "the file $n\n" x 20;

    put('tree/' . ($n % 2 ? 'flat' : $n / 2 % 10) . "/$n.txt", $text);
    $bytes += length $text;
}

open my $sparse, '>', "$tree/sparse.txt" or die "open: $!";
seek $sparse, ($mib << 20) / 2, 0 or die "seek: $!";
print $sparse 'in the middle';
truncate $sparse, $mib << 20 or die "truncate: $!";
close $sparse or die "close: $!";

$bytes += $mib << 20;

# each time in a worker of its own, for its peak

cycle("digest $tree manifest=$sums");
is(said('sha256sum --quiet --strict -c ../sums/SUMS'), '', 'sha256sum -c');
is(said('wc -l < ../sums/SUMS'), $files + 1 . "\n", 'all are in the list');

cycle("verify $sums root=$tree");

cycle("compress $tree suffix=.txt gzip=1");
is(said('find . -name "*.gz" | wc -l'), $files + 1 . "\n", 'all have one');
is(said('find . -name "*.gz" -print0 | xargs -0 gzip -t'), '', 'gzip -t');
is(said('gzip -dc sparse.txt.gz | cmp - sparse.txt'), '', 'the large one');

my $small = 'find . -mindepth 2 -name "*.txt" | sort';

is(said("$small | sed 's/\$/.gz/' | xargs gzip -dc | sha256sum"),
   said("$small | xargs cat | sha256sum"), 'the small ones');

is(said('find . -name ".ngx*.tmp"'), '', 'no temporary is left');

system('rm', '-rf', $tree) == 0 or die "rm failed\n";

done_testing();

sub said { return scalar `cd $tree && { $_[0]; } 2>&1` }

sub cycle {
    my ($operation) = @_;

    my ($name) = $operation =~ /^(\w+)/;

    start(<<"EOF_CONF", '', 'worker_processes 1;');
        background_threads 2;
        background_task t { interval 1h; retry 1h; $operation; }
EOF_CONF

    my $last = poll('done', sub { status()->{tasks}[0]{last} });

    is($last->{error}, undef, $name);
    is($last->{operations}, $files + 1, "$name: files");
    is($last->{bytes}, $bytes, "$name: bytes");

    my $worker = a_worker();
    my ($peak) = read_file("/proc/$worker/status")
                 =~ /^VmHWM:\s+(\d+) kB/m;

    my $figures = sprintf '%s: %d files and %d MiB in %.3f s, CPU %.3f s, '
                          . 'peak of the worker %.1f MiB', $name, $files, $mib,
                          @$last{qw/ wall_seconds cpu_seconds /}, $peak / 1024;

    $ENV{BACKGROUND_SLOW} ? diag($figures) : note($figures);

    stop();
}
