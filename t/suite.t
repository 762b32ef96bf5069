# How the suite runs its files: each has ports and a folder of its own, what
# fails leaves its folder and is named, and what was skipped is told, with the
# reason, before prove's last lines.

use strict;
use warnings;

use FindBin;

use File::Temp qw/ tempdir /;
use Test::More;

my $dir = tempdir('suite.XXXXXX', TMPDIR => 1, CLEANUP => 1);

mkdir "$dir/files" or die "mkdir: $!\n";

# each waits for the other one

my $meets = <<'EOF_TEST';
use File::Temp qw/ tempdir /;
use Test::More;

my ($dir, $me, $other) = @ARGV;
my $own = tempdir(TMPDIR => 1, CLEANUP => 1);

sub say_it {
    open my $file, '>', "$dir/$_[0]" or die "open: $!\n";
    print $file "$ENV{TEST_NGINX_PORT} $ENV{TMPDIR} $own\n";
    close $file;
}

say_it('%s');

for (1 .. 1000) {
    last if -s "$dir/%s";
    select undef, undef, undef, 0.1;
}

ok(-s "$dir/%s", 'at the same time');
EOF_TEST

test('one', sprintf($meets, 'one', 'two', 'two') . 'done_testing();');
test('two', sprintf($meets, 'two', 'one', 'one')
            . 'diag("two is unhappy"); fail("bad"); done_testing();');
test('some', <<'EOF_TEST');
use Test::More tests => 3;
pass('good');
SKIP: { skip 'no frob()', 2 }
EOF_TEST
test('all', "use Test::More skip_all => 'no AF_FROB';\n");

my $said = run('-j', 4, map { "$dir/$_.t" } qw/ one two some all /);

my ($port1, $tmp1, $own1) = split ' ', slurp('one');
my ($port2, $tmp2, $own2) = split ' ', slurp('two');

cmp_ok(abs($port1 - $port2), '>=', 20, 'ports of its own');
is($tmp1, "$dir/files/one", 'a folder');
is($tmp2, "$dir/files/two", 'of its own');
ok(!-e $tmp1, 'what passes leaves nothing');
ok(-d $own2, 'what fails leaves its files');

like($said, qr{^4 files, 6 tests; skipped:
  \Q$dir\E/all.t: all: no AF_FROB
  \Q$dir\E/some.t: 2 of its tests: no frob\(\)
what failed has left its files:
  \Q$dir\E/two.t: \Q$tmp2\E
}m, 'what was skipped, and what is left');
like($said, qr/\nFiles=4, Tests=6, .*\nResult: FAIL\n\z/, 'last lines');
like($said, qr{two.t said:\n# two is unhappy\n}, 'complaints are its own');

$said = run("$dir/some.t", "$dir/all.t");
like($said, qr/\nAll tests successful\.
Files=2, Tests=3, .*
Result: PASS
\z/, 'a good end');

# a file that is quiet for long does not keep others from being run, nor their
# lines from being seen

test('waits', <<'EOF_TEST');
use Test::More;

my ($dir) = @ARGV;
my $said = '';

for (1 .. 1000) {
    open my $file, '<', "$dir/said" or die "open: $!\n";
    $said = join '', <$file>;

    last if $said =~ /last\.t .* ok$/m;
    select undef, undef, undef, 0.1;
}

like($said, qr/last\.t .* ok$/m, 'the line of the last one');
done_testing();
EOF_TEST

test('last', "use Test::More tests => 1; pass('the last one');\n");

$said = run('-j', 2, map { "$dir/$_.t" } qw/ waits some last /);
like($said, qr{last\.t \.+ ok\n.*waits\.t \.+ ok\n}s, 'lines as they end');

# what a release of Debian does not have is not planned there

test('absent', "# Planned where frobd is installed.\ndie;\n");
test('here', "# Planned where perl is installed.\n"
             . "use Test::More tests => 1; pass('planned');\n");

$said = run(map { "$dir/$_.t" } qw/ absent here some /);
unlike($said, qr/absent/, 'a program that is not installed');
like($said, qr/^2 files, 4 tests; /m, 'one that is');

# what a test has forked ends with it

test('forks', <<'EOF_TEST');
defined(my $pid = fork) or die;
sleep 1 while $pid == 0;
die "no plan\n";
EOF_TEST

local $SIG{ALRM} = sub { die "prove waits for what a test has forked\n" };

alarm 300;
$said = run(map { "$dir/$_.t" } qw/ forks some /);
alarm 0;
like($said, qr/^Result: FAIL$/m, 'a test that dies before what it has forked');

# a file that is not there

mkdir "$dir/empty" or die "mkdir: $!\n";

$said = qx{TMPDIR=$dir/empty '$FindBin::Bin/../util/test.sh' -j 2 t/suite.t t/x.t 2>&1};

is($said, qq/no test file "t\/x.t"\n/, 'no such file');
is($? >> 8, 2, 'its exit code');
is_deeply([glob "$dir/empty/*"], [], 'nothing is left');

done_testing();

sub test {
    my ($name, $text) = @_;

    open my $file, '>', "$dir/$name.t" or die "open: $!\n";
    print $file $text;
    close $file or die "close: $!\n";
}

sub run {
    local $ENV{PERL5LIB} = join ':', "$FindBin::Bin/lib",
                                     $ENV{PERL5LIB} // ();
    local $ENV{BACKGROUND_TESTS} = "$dir/files";

    system "prove --norc --harness BackgroundHarness @_ :: $dir >$dir/said 2>&1";

    return slurp('said');
}

sub slurp {
    open my $file, '<', "$dir/$_[0]" or return '';
    local $/;

    return scalar(<$file>) // '';
}
