# How long a cycle has waited for a thread: until the first of its jobs had
# one, however long the others waited.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use Test::More;
use Time::HiRes qw/ time /;

my $kinds = load_kind('arrive') . "\n" . load_kind('gate');
my $gate = dir() . '/gate';

put('gate', '');

start("background_threads 1;
       background_task turns { interval off; gate $gate keep; answer; }",
      'location /turns { arrive turns; }',
      "$kinds\nworker_processes 1;");

my $socket = BackgroundStatus::connection() or die "connect: $!\n";
my $sent = time;

print $socket "GET /turns HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
$socket->flush;

poll('the first job works', sub { status_anyhow()->{tasks}[0]{progress} });

my $working = time - $sent;

# the second one waits for longer than that

poll('twice the time', sub { time - $sent > 2 * $working });
unlink $gate or die "unlink: $!\n";

my $answer = do {
    local $SIG{ALRM} = sub { die "no answer\n" };
    alarm $BackgroundStatus::deadline;
    local $/;
    scalar <$socket>;
};

alarm 0;

my ($waited) = $answer =~ /\r\nX-Waited: (\d+)\r/;

ok(defined $waited, 'an answer') or diag($answer);
cmp_ok($waited, '<=', $working * 1000, 'the first job counts');

stop();
done_testing();
