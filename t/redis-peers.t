# "background_redis": a server that answers what no server should, too late, in
# pieces, or not at all.  nginx tells what was wrong, in words, serves requests
# all the time, and goes on when the server is one again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundDns;
use BackgroundRedis;
use IO::Select;
use IO::Socket::UNIX;
use POSIX ();
use Test::More;
use Time::HiRes qw/ sleep time /;

my $dir = redis_dir();
my $socket = "$dir/peer.sock";
my $pid;

my $info = "# Server\r\nredis_version:7.0.15\r\n# Replication\r\n"
           . "role:master\r\n# Cluster\r\ncluster_enabled:0\r\nloading:0\r\n"
           . "maxmemory:0\r\nmaxmemory_policy:noeviction\r\n";

sub begin {
    my ($name, $timeout, $lease) = @_;

    host($name, <<"EOF");
background_redis main {
    server          unix:$socket;
    timeout         $timeout;
    connect_timeout 1s;
}
background_task t {
    workers  cluster lease=$lease;
    interval 50ms;
    simulate_io 1 delay=1ms-1ms;
}
EOF
}

sub bulk { '$' . length($_[0]) . "\r\n$_[0]\r\n" }

# a name, what the peer answers to the n-th command of a connection, and what
# nginx says

my @cases = (
    ['closes at once', sub { undef },
     qr/the connection was closed/],
    ['no reply', sub { '' },
     qr/a reply takes too long/],
    ['garbage', sub { "HTTP\/1.1 400 Bad Request\r\n\r\n" },
     qr/it sent an invalid reply/],
    ['binary', sub { join '', map { chr } 0 .. 255 },
     qr/it sent an invalid reply/],
    ['no version', sub { bulk('hello') },
     qr/the reply to INFO has no version/],
    ['a number', sub { ":1\r\n" },
     qr/the reply to INFO has no version/],
    ['an old version', sub { bulk($info =~ s/7\.0\.15/6.2.6/r) },
     qr/it has version 6\.2\.6, 7\.0 or later is needed/],
    ['a cluster', sub { bulk($info =~ s/cluster_enabled:0/cluster_enabled:1/r) },
     qr/it is a node of a Redis Cluster, which is not supported/],
    ['a replica', sub { bulk($info =~ s/role:master/role:slave/r) },
     qr/it is a replica/],
    ['loading', sub { bulk($info =~ s/loading:0/loading:1/r) },
     qr/it still loads its data/],
    ['two replies', sub { bulk($info) . "+OK\r\n" x 2 },
     qr/it sent a reply without a command|a reply has an unexpected type/],
    ['a bulk of 2 GiB', sub { "\$2147483647\r\n" },
     qr/a reply takes too long/],
    ['an array of 2 billion', sub { "*2147483647\r\n" },
     qr/the reply is too large/],
    ['nested arrays', sub { "*1\r\n" x 1000 },
     qr/it sent an invalid reply/],
    ['many arrays', sub { "*1000000\r\n" . "*100000\r\n" x 1000 },
     qr/the reply is too large|it sent an invalid reply/],
    ['another protocol', sub { "%1\r\n+a\r\n,1.5\r\n" },
     qr/it sent an invalid reply|the reply to INFO has no version/],
    ['a number of values', sub { $_[0] ? "*9\r\n" . ":1\r\n" x 9 : bulk($info) },
     qr/a reply has an unexpected type/],
    ['no array', sub { $_[0] ? "+OK\r\n" : bulk($info) },
     qr/a reply has an unexpected type/],
    ['a wrong value', sub { $_[0] ? "*1\r\n:1\r\n" : bulk($info) },
     qr/a reply has an unexpected type/],

    # errors, when it connects and later

    (map {
        my ($error, $words) = @$_;
        (["$error, at first", sub { "-$error some text\r\n" }, $words],
         ["$error, later", sub { $_[0] ? "-$error some text\r\n"
                                       : bulk($info) }, $words])
    } ['LOADING', qr/it still loads its data: "LOADING some text"/],
      ['READONLY', qr/it is a replica: "READONLY some text"/],
      ['MOVED', qr/it is a node of a Redis Cluster, which is not supported: "MOVED/],
      ['NOAUTH', qr/it needs a password, set "password_file": "NOAUTH/],
      ['NOPERM', qr/the user has no right to a command or key: "NOPERM/],
      ['WRONGPASS', qr/user or password is wrong, or the user is disabled: "WRONGPASS/],
      ['OOM', qr/it has no memory left by its "maxmemory": "OOM/],
      ['MISCONF', qr/it cannot save its data, so it refuses writes: "MISCONF/],
      ['NOREPLICAS', qr/it has too few replicas, so it refuses writes: "NOREPLICAS/],
      ['MASTERDOWN', qr/it is a replica that has lost its master: "MASTERDOWN/],
      ['UNBLOCKED', qr/it has become a replica: "UNBLOCKED/],
      ['BUSY', qr/a script of another client keeps it busy: "BUSY/],
      ['WRONGTYPE', qr/the key has another type: "WRONGTYPE/],
      ['ERR', qr/it answered with an error: "ERR some text"/]),

    ['NOSCRIPT for ever', sub { $_[0] ? "-NOSCRIPT a\r\n" : bulk($info) },
     qr/it has forgotten a script: "NOSCRIPT a"/],
    ['control characters', sub { "-ERR \e[31m\x01\xff\r\n" },
     qr/it answered with an error: "ERR \.\[31m\.\."/],
    ['control characters in a policy', sub {
        $_[0] ? "*1\r\n:1\r\n"
              : bulk($info =~ s/maxmemory:0/maxmemory:1/r
                           =~ s/:noeviction/:\e[31mallkeys-lru/r)
     }, qr/a reply has an unexpected type/],
);

# time enough to read as much as nginx takes

{
    my $case = ['64 MiB', sub { "\$67108864\r\n" . 'x' x (17 * 1024 * 1024) }];

    peer($case);
    begin('b', '60s', '200s');
    poll('64 MiB: nginx says so', sub {
        (host_status('b')->{redis}[0]{error} // '') =~ /the reply is too large/
    });
    pass($case->[0]);
    host_stop('b');
}

peer($cases[0]);
begin('a', '2s', '3s');

for my $case (@cases) {
    my ($name, undef, $words) = @$case;

    peer($case);

    my $error = poll("$name: nginx says so", sub {
        my $e = host_status('a')->{redis}[0]{error} // '';
        $e =~ $words && $e;
    });

    like($error, $words, $name);
}

is(host_status('a', 't')->{cycles}{started}, 0, 'nothing has run');
is_deeply([grep { /exited on signal/ } split /^/, host_log('a')], [],
          'no worker died');

like(host_log('a'), qr/\[warn\].* it has "maxmemory-policy "/,
     'control characters in a policy: the warning');
is_deeply([grep { /[^\x20-\x7e\n]/ } split /^/, host_log('a')], [],
          'no control character in the log');

# each reason was counted

my $errors = host_status('a')->{redis}[0]{errors};

cmp_ok($errors->{$_}, '>', 0, "$_ is counted")
    for qw/ auth busy closed cluster loading master memory other permission
            protocol readonly storage timeout type /;

SKIP: {
    skip 'no redis-server', 2 unless redis_program();

    # a real one, each byte of whose answers comes alone

    redis('real');
    peer(['byte by byte', undef, undef]);
    poll('it runs', sub { host_status('a', 't')->{cycles}{completed} > 2 });
    pass('byte by byte: it runs');

    # a reply that is lost: the command is done, the connection is gone

    peer(['lost', undef, undef, 1]);

    my $n = host_status('a', 't')->{cycles}{completed};

    poll('it goes on', sub {
        host_status('a', 't')->{cycles}{completed} > $n + 5;
    });
    pass('lost replies: it goes on');
}

host_stop('a');

# a Sentinel

my $conf = <<"EOF";
background_redis main {
    server   unix:$socket;
    sentinel main;
}
background_task t {
    workers  cluster lease=3s;
    interval 50ms;
    simulate_io 1 delay=1ms-1ms;
}
EOF

host('b', $conf);

for my $case (['two lines', "127.0.0.1\n[alert] forged"],
              ['control characters', "\e[31m"],
              ['256 bytes', 'x' x 256],
              ['no host', ''])
{
    my ($name, $host) = @$case;

    peer([$name, sub { "*2\r\n" . bulk($host) . bulk('6379') }]);

    # the error of the case before is not waited for, nor that of its end

    my $errors = host_status('b')->{redis}[0]{errors}{sentinel} // 0;

    poll("$name: nginx says so", sub {
        my $redis = host_status('b')->{redis}[0];
        ($redis->{errors}{sentinel} // 0) > $errors
            && ($redis->{error} // '') =~ /its reply has an invalid address of the master/;
    });
    pass("the address of a master: $name");
}

unlike(host_log('b'), qr/forged|\e/, 'no byte of it is in the log');

# two servers that are both a master: the one that the Sentinel names now

SKIP: {
    skip 'no redis-server', 3 unless redis_program();

    my %port = map { $_ => free_port() } 'one', 'two';

    redis($_, "port $port{$_}") for 'one', 'two';
    write_file('master', $port{one});
    peer(['another master', sub {
        "*2\r\n" . bulk('127.0.0.1') . bulk(read_file('master'));
    }]);

    poll('it runs', sub { leader('t', 'b') });
    ok(redis_ask('one', 'GET', 'nginx:{t}:lease'), 'a master that is named');

    write_file('master', $port{two});
    poll('it uses the other one', sub {
        (redis_ask('two', 'GET', 'nginx:{t}:lease') // '') =~ / h /
            && leader('t', 'b');
    });
    like(host_log('b'), qr/\[notice\].* redis "main": the Sentinels name 127\.0\.0\.1:$port{two} as the master/,
         'another master that is named');

    # a name

    my $dns = dns_start();

    dns_names('master.test' => '127.0.0.1');
    redis_ask('one', 'DEL', 'nginx:{t}:lease');
    peer(['a name of the master', sub {
        "*2\r\n" . bulk('master.test') . bulk($port{one});
    }]);
    host_reload('b', "resolver 127.0.0.1:$dns valid=1s ipv6=off;\n$conf");
    ok(poll('it runs', sub { redis_ask('one', 'GET', 'nginx:{t}:lease') }),
       'a name of the master');
    dns_stop();
}

kill 'KILL', $pid;
waitpid $pid, 0;
host_stop('b');

done_testing();

###############################################################################

# starts a peer in the place of the one before; with nothing to answer it is in
# front of a real server

sub peer {
    my ($case) = @_;

    if ($pid) {
        kill 'KILL', $pid;
        waitpid $pid, 0;
    }

    unlink $socket;

    my $listener = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $socket,
                                         Listen => 64) or die "socket: $!\n";
    chmod 0777, $socket;

    defined($pid = fork) or die "fork: $!\n";
    return if $pid;

    $SIG{PIPE} = 'IGNORE';
    my $parent = getppid;
    my $select = IO::Select->new($listener);
    my (%in, %n, %real, %lost);

    while (getppid == $parent) {
        for my $s ($select->can_read(0.5)) {
            if ($s == $listener) {
                my $c = $listener->accept or next;
                $select->add($c);

                if (!$case->[1]) {
                    $real{$c} = IO::Socket::UNIX->new(Type => SOCK_STREAM,
                                                      Peer => "$dir/real.sock");
                    $real{$real{$c}} = $c;
                    $select->add($real{$c});
                    $lost{$real{$c}} = 0;
                }

                next;
            }

            if (!sysread $s, my $data, 65536) {
                for my $t ($s, $real{$s} || ()) {
                    $select->remove($t);
                    close $t;
                }

                next;

            } elsif (my $t = $real{$s}) {
                if (!exists $lost{$s}) {
                    syswrite $t, $data;

                } elsif ($case->[3] && ++$lost{$s} > 1 + int rand 8) {
                    $select->remove($s, $t);
                    close $_ for $s, $t;

                } else {
                    for (split //, $data) {
                        syswrite $t, $_;
                    }
                }

                next;

            } else {
                $in{$s} .= $data;
            }

            # a command begins with "*"

            while ($in{$s} =~ s/^\*(\d+)\r\n//) {
                for (1 .. $1) {
                    $in{$s} =~ s/^\$(\d+)\r\n//;
                    substr $in{$s}, 0, $1 + 2, '';
                }

                my $answer = $case->[1]->($n{$s}++);

                if (!defined $answer) {
                    $select->remove($s);
                    close $s;
                    last;
                }

                while (length $answer) {
                    my $w = syswrite $s, $answer or last;
                    substr $answer, 0, $w, '';
                }
            }
        }
    }

    POSIX::_exit(0);
}
