# "background_redis" beside nchan, whose module has a hiredis of its own and lets
# all others see it: both work, whichever is loaded first.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundRedis;
use IO::Socket::UNIX;
use Test::More;
use Time::HiRes qw/ time /;

plan skip_all => 'no redis-server' unless redis_program();

my $dir = redis_dir();
my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';
my ($folder) = `'$nginx' -V 2>&1` =~ /--modules-path=(\S+)/;
my $nchan = ($folder // '') . '/ngx_nchan_module.so';

plan skip_all => 'no nchan' unless -e $nchan;

my $port = free_port();

redis('redis', "port $port");

both('nchan is loaded first', "load_module $nchan;\n", '');
both('nchan is loaded last', '', "load_module $nchan;\n");

done_testing();

###############################################################################

sub both {
    my ($name, @load) = @_;

    local ($BackgroundRedis::load_before, $BackgroundRedis::load_after) = @load;

    redis_ask('redis', 'FLUSHALL');

    host('a', <<"EOF_HTTP", 'worker_processes 1;', <<'EOF_LOCATIONS');
background_redis main { server 127.0.0.1:$port; }
upstream channels { nchan_redis_server redis://127.0.0.1:$port; }
background_task t {
    workers  cluster lease=1s;
    interval 20ms;
    simulate_io 1 delay=1ms-1ms;
}
EOF_HTTP
location = /publish {
    nchan_publisher;
    nchan_channel_id test;
    nchan_redis_pass channels;
}
location = /subscribe {
    nchan_subscriber longpoll;
    nchan_channel_id test;
    nchan_redis_pass channels;
}
EOF_LOCATIONS

    poll("$name: the task runs", sub {
        my $t = host_status('a', 't');
        $t->{cluster}{leader} && $t->{cycles}{completed} > 3;
    });

    # nchan answers 503 until it is connected

    poll("$name: a message is published", sub { post('words') =~ m{ 20[012] } });
    is(host_get('a', '/subscribe'), 'words', "$name: a message of nchan");

    my $n = host_status('a', 't')->{cycles}{completed};

    poll("$name: the task runs on", sub {
        host_status('a', 't')->{cycles}{completed} > $n + 10;
    });

    # it may end on a busy machine

    ok(poll("$name: the lease", sub {
        (redis_ask('redis', 'GET', 'nginx:{t}:lease') // '')
            =~ /^\d+ \w+ \d+ h /;
    }), "$name: the lease");

    # both connect anew

    redis_kill('redis');
    redis('redis');

    poll("$name: the lease is there again", sub {
        (redis_ask('redis', 'GET', 'nginx:{t}:lease') // '') =~ / h /;
    });
    poll("$name: a message is published again", sub {
        post('others') =~ m{ 20[012] };
    });
    pass("$name: both are connected again");

    host_stop('a');
    unlike(host_log('a'), qr/exited on signal|\[emerg\]/, "$name: no crash");
    unlink "$dir/a/error.log";
}

sub post {
    my ($text) = @_;

    my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM,
                                       Peer => "$dir/a/socket")
        or die "connect: $!\n";

    print $socket "POST /publish HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
                  . 'Content-Length: ' . length($text) . "\r\n\r\n$text";
    $socket->flush;

    local $SIG{ALRM} = sub { die "no end of the answer\n" };
    alarm 60;
    local $/;
    my $answer = <$socket> // '';
    alarm 0;

    return $answer;
}
