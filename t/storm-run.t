# "background_run" in a storm: reloads while clients post, and clients that go
# away at any time.  No answer is wrong, no slot is lost.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundLife;
use BackgroundStatus;
use BackgroundStorm;
use Test::More;
use Time::HiRes qw/ sleep /;

my $rounds = rounds(10);
my $dir = dir();
my $calls = root() . '/t/calls';

build_library("$dir/$_.so", "$calls/$_.c", '')
    or plan skip_all => 'no C compiler'
    for qw/ output hold /;

start(<<"EOF", <<'EOF_LOCATIONS', 'worker_processes 2;');
    background_threads 2;
    background_task reverse { interval off; call output.so reverse; }
    background_task hold    { interval off; call hold.so hold $dir/gate; }
    background_task beside  { interval 10ms; simulate_cpu 1ms; }
EOF
    client_body_buffer_size 1k;
    client_max_body_size    10m;

    location /reverse { background_run reverse; }
    location /hold    { background_run hold; }
EOF_LOCATIONS

all_there(2);

# reloads

load(3, 'POST /reverse hello', 'POST /reverse ' . join '', 1 .. 5000);

for my $generation (2 .. $rounds + 1) {
    signal('HUP');
    poll("generation $generation", sub {
        return status_anyhow()->{generation} == $generation;
    });
}

my $saw = load_end();

is($saw->{failed}, 0, 'no failed job') or diag(explain($saw->{why}));
cmp_ok($saw->{requests}, '>', 0, 'jobs');

# clients that go away: before, while and after their body is sent, while the
# job waits or runs

srand 1;

for my $n (1 .. 30 * $rounds) {
    my @clients = map { BackgroundStatus::connection() or die "connect: $!\n" }
                      1 .. 3;

    for my $client (@clients) {
        my $body = 'x' x int rand 5000;
        my $request = 'POST ' . (rand() < 0.5 ? '/hold' : '/reverse')
                      . " HTTP/1.1\r\nHost: test\r\nContent-Length: "
                      . length($body) . "\r\n\r\n$body";

        syswrite $client, rand() < 0.2 ? substr $request, 0,
                                                int rand length $request
                                       : $request;

        sleep rand 0.002 if rand() < 0.3;
    }

    sleep rand 0.005;
}

my %task;

poll('nothing runs', sub {
    my $status = status_anyhow();

    %task = by_name($status);
    return !grep { $task{$_}{running} || $task{$_}{waiting} } qw/ reverse hold /;
});

is($task{$_}{cycles}{failed}, 0, "$_: none has failed") for qw/ reverse hold /;

for (qw/ reverse hold /) {
    my $cycles = $task{$_}{cycles};

    is($cycles->{completed} + $cycles->{cancelled}, $cycles->{started},
       "$_: each was recorded");
}

# both slots are there

my @held = map {
    my $client = BackgroundStatus::connection() or die "connect: $!\n";

    print $client "POST /hold HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
                  . "Content-Length: 0\r\n\r\n";
    $client->flush;
    $client;
} 1 .. 2;

poll('two run', sub {
    my %now = by_name(status_anyhow());
    return $now{hold}{running} == 2 && !$now{hold}{waiting};
});

put('gate', '');

like(scalar readline($_), qr{^HTTP/1.1 200 }, 'it is answered') for @held;

figures('aborts' => 90 * $rounds, 'reloads' => $rounds,
        'jobs' => $saw->{requests});

stop();

done_testing();
