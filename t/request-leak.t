# 10,000 cycles of requests, good and bad ones, leave no descriptor, connection
# or memory behind; an answer of 1 GiB takes no memory either.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use BackgroundUpstream;
use Test::More;

my $cycles = $ENV{BACKGROUND_ASAN} ? 1_000 : 10_000;

# in KB; sanitizers keep freed memory

my $allowed = $ENV{BACKGROUND_ASAN} ? 100_000 : 1_000;

my $huge = $ENV{BACKGROUND_ASAN} ? 1 << 26 : 1 << 30;

my $dir = dir();

put('file', 'x' x 1000);
put('huge', '');
truncate "$dir/huge", $huge or die "truncate: $!\n";
put('list', "/file\n/204\n/404\n/proxy\n" x 5);

second_nginx("server { listen unix:$dir/second.sock; root $dir; "
             . '}');

my @kinds = ('request /file', 'request @named', 'request /204 count=10',
             'request /404', 'request /444', 'request /proxy',
             'request /proxy?$msec body=$msec header=X-A:$msec', 'requests list',
             'request /204 header=Host:a/b', 'request "$crlf"');

my $tasks = join "\n", map {
        "background_task t$_ { interval 1ms; retry 1ms; $kinds[$_]; }";
    } 0 .. $#kinds;

start(<<"EOF_HTTP", <<"EOF_SERVER", 'worker_processes 1; debug_points abort;');
    upstream second { server unix:$dir/second.sock; keepalive 10; }
    map \$uri \$crlf { default "/a\\r\\nb"; }
EOF_HTTP
        $tasks
        background_task cut { timeout 2ms; interval 1ms; retry 1ms;
                              request /slow count=5; }
        background_task huge { interval 1d; timeout 1h; request /huge; }
        background_task huge2 { interval 1d; timeout 1h; request /huge2; }
        root $dir;
        location = /204 { return 204; }
        location = /444 { return 444; }
        location = /proxy { proxy_pass http://second/file; }
        location = /slow { limit_rate 1; alias $dir/file; }
        location = /huge { proxy_pass http://second; proxy_buffering off; }
        location = /huge2 { proxy_pass http://second/huge; sendfile off; }
        location \@named { return 200; }
        location = /stub { stub_status; }
EOF_SERVER

cycle(50) for 1 .. 4;

my $before = sizes();

cycle($cycles / 100) for 1 .. 10;

my $after = sizes();

# How many are under way at a time depends on the machine; it is less than 20
# requests, which have three descriptors each, and 32 sockets are kept at most.
# Of each task there were 100 cycles at least.

cmp_ok($after->{fds}, '<=', $before->{fds} + 92, 'descriptors');
cmp_ok($after->{active}, '<=', $before->{active} + 20, 'connections');
cmp_ok($after->{kb} - $before->{kb}, '<', $allowed, 'memory');

my %task;

poll('a huge answer came, two times', sub {
    %task = by_name(status());
    return $task{huge}{last} && $task{huge2}{last};
});

is($task{$_}{last}{error}, undef, "$_: no error") for qw/ huge huge2 /;
cmp_ok($task{$_}{last}{bytes}, '>', $huge, "$_: all of it")
    for qw/ huge huge2 /;

cmp_ok(sizes()->{peak} - $before->{peak}, '<', 2 * $allowed, 'peak of memory');

stop();
stop_second();
done_testing();

# until each task has had that many more cycles

sub cycle {
    my ($n) = @_;

    my %first = by_name(status());

    poll("$n cycles", sub {
        my %now = by_name(status());

        return !grep {
                my ($a, $b) = map { $_->{completed} + $_->{failed} }
                              map { $_->{cycles} } $first{$_}, $now{$_};
                $b < $a + $n;
            } grep { !/huge/ } keys %now;
    });
}

# the least descriptors, as requests come and go

sub sizes {
    my $worker = a_worker();
    my %size;

    for (1 .. 50) {
        my $fds = () = glob "/proc/$worker/fd/*";
        my ($active) = (get('/stub'))[2] =~ /^Active connections: (\d+)/;

        $size{fds} = $fds if !defined $size{fds} || $fds < $size{fds};
        $size{active} = $active
            if !defined $size{active} || $active < $size{active};
    }

    my $status = read_text("/proc/$worker/status");

    ($size{kb}) = $status =~ /^VmRSS:\s*(\d+)/m;
    ($size{peak}) = $status =~ /^VmHWM:\s*(\d+)/m;

    note(join ', ', map { "$_: $size{$_}" } sort keys %size);

    return \%size;
}
