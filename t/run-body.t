# "background_run": a large body is read where it is; the worker's memory does
# not grow with it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundLife;
use BackgroundStatus;
use BackgroundStorm;
use Test::More;

my $dir = dir();
my $size = ($ENV{BACKGROUND_BODY} || 64) * 1024 * 1024;

build_library("$dir/sum.so", root() . '/t/calls/sum.c', '')
    or plan skip_all => 'no C compiler';

start(<<"EOF", <<'EOF_LOCATIONS', 'worker_processes 1;');
    background_threads 1 quota=100%;
    background_task sum { interval off; call sum.so sum $dir/gate; }
EOF
    client_body_buffer_size 16k;
    client_max_body_size    10g;

    location /sum { background_run sum; }
EOF_LOCATIONS

sub begin {
    my ($length) = @_;

    my $socket = BackgroundStatus::connection() or die "connect: $!\n";
    my $piece = "\1" x 65536;

    print $socket "POST /sum HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
                  . "Content-Length: $length\r\n\r\n";
    print $socket $piece for 1 .. $length / length $piece;
    $socket->flush;

    return $socket;
}

# what is in no file, in bytes

sub anonymous {
    my ($kb) = read_file('/proc/' . a_worker() . '/status')
               =~ /^RssAnon:\s+(\d+) kB/m or die "no RssAnon\n";

    return 1024 * $kb;
}

sub all_read {
    my ($length) = @_;

    poll('all is read', sub {
        my $progress = status_anyhow()->{tasks}[0]{progress};
        return $progress && $progress->{done} == $length;
    });
}

sub rest {
    my ($socket) = @_;

    put('gate', '');

    local $/;
    my $answer = <$socket>;

    unlink "$dir/gate";

    return (split /\r\n\r\n/, $answer, 2)[1];
}

my $small = begin(65536);
all_read(65536);
my $before = anonymous();
is(rest($small), 65536, 'a small one in a file');

my $large = begin($size);
all_read($size);
my $after = anonymous();
is(rest($large), $size, 'a large one');

SKIP: {
    skip 'sanitizers have memory of their own for each page', 1
        if $ENV{BACKGROUND_ASAN};

    cmp_ok($after - $before, '<=', 1024 * 1024, 'memory');
}

figures('body, bytes' => $size, 'anonymous memory, bytes' => $after,
        'more than with a body of 64k, bytes' => $after - $before);

is(scalar(my @files = glob "$dir/temp/*"), 0, 'no file is left');

stop();
done_testing();
