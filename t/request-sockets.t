# The socket of a request serves the next one if nginx has not watched it and
# has set no option of it; of many at once only some are kept.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $kept = 32;
my $dir = dir();

put('body', 'x' x 100);

{
    begin('interval 1ms; request /here');

    my @first = sockets_after(1);
    my @then = sockets_after(20);

    is(scalar(@first), 1, 'one after the other: one socket');
    is("@then", "@first", 'the same one later');
    stop('QUIT');
}

{
    begin('interval 1h; request /slow count=100');

    my $n = () = sockets_after(1);

    cmp_ok($n, '>', 0, '100 at once: kept');
    cmp_ok($n, '<=', $kept, 'not all');
    stop('QUIT');
}

for (['watched', '/upstream'], ['reset', '/reset']) {
    my ($what, $uri) = @$_;

    begin("interval 1h; request $uri");

    is(join(' ', sockets_after(1)), '', "$what: closed");
    stop('QUIT');
}

done_testing();

sub begin {
    my ($task) = @_;

    start('', <<"EOF", 'worker_processes 1; debug_points abort;');
        background_task asks { retry 1h; $task; }
        location = /here { return 200 "here"; }
        location = /slow { limit_rate 100; alias $dir/body; }
        location = /upstream {
            proxy_pass http://unix:$dir/nobody;
            error_log $dir/upstream.log emerg;
        }
        location = /reset { reset_timedout_connection on; return 444; }
EOF
}

# those of internal requests in the worker after so many cycles, by inode

sub sockets_after {
    my ($cycles) = @_;

    poll("$cycles cycles", sub { ended() >= $cycles });

    my %datagram = map { $_->[6] => 1 } grep { ($_->[4] // '') eq '0002' }
                   map { [split] } split /\n/, read_file('/proc/net/unix');

    return sort grep { $datagram{$_} }
           map { (readlink($_) // '') =~ /^socket:\[(\d+)\]/ }
           glob '/proc/' . a_worker() . '/fd/*';
}

sub ended {
    my $cycles = status()->{tasks}[0]{cycles};

    return $cycles->{completed} + $cycles->{failed};
}
