# "background_run" over HTTP/2: curl, and a client that resets its streams.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundLife;
use BackgroundStatus;
use IO::Socket::UNIX;
use Test::More;

my $dir = dir();
my $calls = root() . '/t/calls';

build_library("$dir/$_.so", "$calls/$_.c", '')
    or plan skip_all => 'no C compiler'
    for qw/ output hold /;

# the two forms of the directives; nginx has the second one since 1.25.1

my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';
my ($major, $minor, $patch) = `'$nginx' -v 2>&1` =~ /(\d+)\.(\d+)\.(\d+)/;
my @forms = "listen unix:$dir/h2 http2;";

push @forms, "listen unix:$dir/h2; http2 on;"
    if $major * 1e6 + $minor * 1e3 + $patch >= 1_025_001;

my $socket;
my $long = join '', map { chr(97 + $_ % 26) } 1 .. 300_000;

put('body', $long);

over_http2($_) for @forms;

done_testing();

###############################################################################

sub over_http2 {
    my ($listen) = @_;

    start(<<"EOF", '', 'worker_processes 1;');
    background_threads 1;
    background_task reverse { interval off; call output.so reverse; }
    background_task hold    { interval off; call hold.so hold $dir/gate; }

    server {
        $listen
        client_body_buffer_size 1k;
        client_max_body_size    10m;

        location /reverse { background_run reverse; }
        location /hold    { background_run hold; }
    }
EOF

    is(curl('-d', 'hello', 'http://test/reverse'), 'olleh', 'a body');
    is(curl('-T', "$dir/body", 'http://test/reverse'), scalar reverse($long),
       'PUT, a large one');
    is(curl('-w', '%{http_version} %{http_code}', '-d', '',
            'http://test/reverse'), '2 200', 'an empty one');
    is(curl('-H', 'Content-Length:', '-d', '@' . "$dir/body",
            'http://test/reverse'), scalar reverse($long), 'of no known length');

    $socket = connected();
    send_frames(post(1, '/hold'));

    poll('it runs', sub {
        my $hold = task('hold');
        return $hold->{running} && !$hold->{waiting};
    });

    send_frames(post(3, '/hold'));
    poll('another one waits', sub { task('hold')->{waiting} == 1 });

    # CANCEL

    send_frames(frame(3, 0, 3, pack 'N', 8));
    poll('it does not any more', sub { task('hold')->{waiting} == 0 });

    send_frames(frame(3, 0, 1, pack 'N', 8));
    poll('nor does the first run', sub { !task('hold')->{running} });

    is(task('hold')->{cycles}{cancelled}, 2, 'both were cancelled');

    # a stream that is reset before its body is there has no job; nor has one
    # with a body that is longer than was said

    my $started = task('hold')->{cycles}{started};

    send_frames(headers(5, 4, '/hold', literal('content-length', '10')),
                frame(0, 0, 5, 'abc'), frame(3, 0, 5, pack 'N', 8),
                headers(7, 4, '/hold', literal('content-length', '1')),
                frame(0, 1, 7, 'abc'));

    # another connection, with two streams, one of which runs: it is closed

    my $first = $socket;

    $socket = connected();
    send_frames(post(1, '/hold'), post(3, '/hold'));

    poll('one runs, one waits', sub {
        my $hold = task('hold');
        return $hold->{running} == 2 && $hold->{waiting} == 1;
    });

    is(task('hold')->{cycles}{started}, $started + 2, 'no body, no job');

    close $socket;
    poll('both end', sub { !task('hold')->{running} });
    is(task('hold')->{cycles}{cancelled}, 4, 'as they were cancelled');

    # and a curl that is killed

    my $pid = open my $curl, '-|', 'curl', '-sS', '--http2-prior-knowledge',
                   '--unix-socket', "$dir/h2", '-d', 'x', 'http://test/hold'
        or die "curl: $!\n";

    poll('its job runs', sub { task('hold')->{running} == 1 });
    kill 'KILL', $pid;
    close $curl;
    poll('it ends', sub { !task('hold')->{running} });
    is(task('hold')->{cycles}{cancelled}, 5, 'cancelled');
    is(task('hold')->{cycles}{failed}, 0, 'none has failed');

    # the first connection is as it was

    $socket = $first;

    put('gate', '');
    send_frames(post(9, '/hold'));

    my $seen = '';

    {
        local $SIG{ALRM} = sub { die "no answer\n" };
        alarm $BackgroundStatus::deadline;

        # HEADERS of stream 9, with END_HEADERS and maybe END_STREAM

        until ($seen =~ /\x01[\x04\x05]\x00\x00\x00\x09/) {
            sysread $socket, $seen, 4096, length $seen or last;
        }

        alarm 0;
    }

    like($seen, qr/\x01[\x04\x05]\x00\x00\x00\x09/, 'another stream is answered');

    stop();

    unlink "$dir/gate" or die "unlink: $!\n";
}

sub curl {
    my @command = ('curl', '-sS', '--http2-prior-knowledge', '--max-time', 90,
                   '--unix-socket', "$dir/h2", @_);

    open my $out, '-|', @command or die "curl: $!\n";
    local $/;

    return scalar <$out> // '';
}

sub task {
    my %tasks = by_name(status_anyhow());

    return $tasks{$_[0]};
}

sub frame {
    my ($type, $flags, $stream, $payload) = @_;

    return pack('Cn CC N a*', length($payload) >> 16, length($payload) & 0xffff,
                $type, $flags, $stream, $payload);
}

sub literal { pack 'C C/a* C/a*', 0, @_ }

sub headers {
    my ($stream, $flags, $path, @fields) = @_;

    return frame(1, $flags, $stream, join '', literal(':method', 'POST'),
                 literal(':scheme', 'http'), literal(':authority', 'test'),
                 literal(':path', $path), @fields);
}

sub post { headers($_[0], 5, $_[1]) }

sub connected {
    my $new = IO::Socket::UNIX->new(Peer => "$dir/h2")
        or die "connect: $!\n";

    syswrite $new, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . frame(4, 0, 0, '');

    return $new;
}

sub send_frames {
    syswrite $socket, join '', @_;
}
