# A library that is replaced: reloads load the new one, the workers of before
# keep theirs, and what is not used any more is unloaded.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $dir = dir();

sub build { build_library("$dir/test.so", source(), "-DVERSION='\"$_[0]\"'") }

build('one') or plan skip_all => 'no C compiler';

start(<<"EOF", '', 'worker_processes 1;');
    background_threads 2;
    background_task version { interval 10ms; call test.so version; }
    background_task same { interval 10ms; call test.so version; }
EOF

poll('version one', sub { logged(qr/version one/) > 2 });

# without a reload it is the old one

build('two');

my $n = logged(qr/version one/);

poll('version one still', sub { logged(qr/version one/) > $n + 2 });
is(logged(qr/version two/), 0, 'not before a reload');

sub reloaded {
    my ($version) = @_;

    my @old;

    poll('one worker', sub { (@old = workers()) == 1 });

    signal('HUP');

    poll("only $version", sub {
        my @now = workers();

        return @now == 1 && $now[0] != $old[0];
    });

    my $n = logged(qr/version $version/);

    poll($version, sub { logged(qr/version $version/) > $n + 2 });
}

reloaded('two');

$n = logged(qr/version one/);

reloaded('two');
is(logged(qr/version one/), $n, 'version one no more');

# again and again

build('three');
reloaded('three');
build('four');
build('five');
reloaded('five');

# a reload that fails leaves all as it was

build('six');
reconfigure('call test.so version;', 'call test.so none;');

poll('the reload fails', sub { logged(qr/undefined symbol: none/) });

$n = logged(qr/version five/);
poll('version five still', sub { logged(qr/version five/) > $n + 2 });

ok(poll('one version', sub { mapped() == 1 }),
   'one version is in the master process');

reconfigure('call test.so none;', 'call test.so version;');
reloaded('six');

poll('the versions of before are gone', sub { mapped() == 1 });

# a job of an old worker, with a newer library in the new one

reconfigure('background_task same', <<"EOF");
    background_task stubborn { interval 1h; call test.so stubborn $dir/done; }
    background_task same
EOF

my $old = poll('a job runs', \&running);

build('seven');

signal('HUP');

poll('version seven', sub { logged(qr/version seven/) > 2 });

ok(kill(0, $old), 'the old worker is still there');
put('done', '');

poll('the job is done', sub { logged(qr/version six is done/) });

# and without any

my $conf = do { local (@ARGV, $/) = "$dir/nginx.conf"; <> };

put('nginx.conf', $conf =~ s/call test\.so.*?;/simulate_io 1;/gr);
signal('HUP');

poll('none', sub { mapped() == 0 });

# not stop(), as there is an error in the log: the reload's

signal('QUIT');
poll('exits', sub { !workers() });

is(logged(qr/\[(?:alert|crit)\]/), 0, 'nothing worse in the log');

done_testing();

# the worker that has the job

sub running {
    my %task = by_name(status());

    return $task{stubborn} && $task{stubborn}{running}
           && $task{stubborn}{progress}
           && $task{stubborn}{lease}{pid};
}

# how many versions the master has

sub mapped {
    open my $file, '<', '/proc/' . master() . '/maps' or die "open: $!\n";

    my %inode = map { / (\d+) +\S*test\.so/ ? ($1 => 1) : () } <$file>;

    return scalar keys %inode;
}
