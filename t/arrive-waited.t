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

my $kind = load_kind('arrive');

start('background_threads 1;
       background_task turns { interval off; simulate_cpu 300ms; answer; }',
      'location /turns { arrive turns; }',
      "$kind\nworker_processes 1;");

my $socket = BackgroundStatus::connection() or die "connect: $!\n";
my $sent = time;

print $socket "GET /turns HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
$socket->flush;

poll('the first job works', sub {
    my $progress = status_anyhow()->{tasks}[0]{progress};
    return $progress && $progress->{done};
});

my $working = (time - $sent) * 1000;

my $answer = do {
    local $SIG{ALRM} = sub { die "no answer\n" };
    alarm 60;
    local $/;
    scalar <$socket>;
};

alarm 0;

my ($waited) = $answer =~ /\r\nX-Waited: (\d+)\r/;

ok(defined $waited, 'an answer') or diag($answer);
cmp_ok($waited, '<=', $working, 'the first job counts');

stop();
done_testing();
