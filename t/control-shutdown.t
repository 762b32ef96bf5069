# "cancel" reaches a cycle of a client in a worker that shuts down.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundControl ();
use BackgroundKind;
use BackgroundLife qw/ active_workers gone signal /;
use BackgroundPost;
use BackgroundStatus;
use Test::More;

my $dir = dir();
my $kind = load_kind('gate');

put('closed', '');

start(<<"EOF", <<'EOF2', "$kind\nworker_processes 1;");
    background_task job { interval off; timeout 1d; gate $dir/closed; }
EOF
    location = /job { background_run job; }
    location /control/ { background_control cancel; }
EOF2

my $client = begin('/job', '');

poll('it runs', sub { task()->{running} });

my ($old) = active_workers();

signal('HUP');
poll('another worker', sub {
    my @now = active_workers();
    return @now == 1 && $now[0] != $old;
});
is(task()->{running}, 1, 'the client is still served');

is(BackgroundControl::code('/control/job/cancel'), 202, 'an order');

poll('it is cancelled', sub { task()->{cycles}{cancelled} == 1 });
like(rest($client), qr{^HTTP/1\.1 503 }, 'the client has its answer');
is(task()->{running}, 0, 'nothing is under way');
ok(-e "$dir/closed", 'the job did not end by itself');
poll('the worker exits', sub { gone($old) });

stop();
done_testing();

sub task { my %task = by_name(status()); return $task{job} }
