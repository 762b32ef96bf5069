# "workers cluster" when the data of the server are older than what a holder of
# the lease was told: after a restart without the last writes, and when another
# server is the master, while the one before still answers as a master.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundGate;
use BackgroundRedis;
use IO::Select;
use IO::Socket::UNIX;
use POSIX ();
use Test::More;

plan skip_all => 'no redis-server' unless redis_program();

my $dir = redis_dir();
my $library = lease_library() or plan skip_all => 'no compiler';
my $key = 'nginx:{t}:lease';

older_data();
another_master();

done_testing();

###############################################################################

sub older_data {
    redis('redis');

    for my $host ('a', 'b') {
        gate("$dir/$host.sock", "$dir/redis.sock");
    }

    # saved when nobody had it: now a has it, and can reach no server

    redis_ask('redis', 'SET', $key, given('redis'));
    redis_ask('redis', 'SAVE');

    host('a', older('a'));
    runs_it('a');
    host('b', older('b'));
    sees('b');

    go_back('a');
    runs_it('b');
    fences('older data: nobody had it');

    # saved when b had it, then a has got it

    redis_ask('redis', 'SAVE');
    gate_say("$dir/b.sock", 'hold');
    gate_say("$dir/a.sock", 'pass');
    runs_it('a');
    gate_say("$dir/b.sock", 'pass');
    sees('b');

    go_back('a');
    runs_it('b');
    fences('older data: b had it');

    gate_say("$dir/a.sock", 'pass');
    host_stop($_) for 'a', 'b';
}

# the data of the last SAVE, while the host can not reach the server

sub go_back {
    my ($host) = @_;

    gate_say("$dir/$host.sock", 'hold');
    redis_kill('redis');
    redis('redis');
}

sub another_master {
    my %port = map { $_ => free_port() } 'one', 'two';

    redis($_, "port $port{$_}") for 'one', 'two';

    for my $host ('a', 'b') {
        mkdir "$dir/$host";
        name($host, $_, $port{one}) for 1 .. 3;
        sentinels($host);
    }

    host('a', named('a'));
    runs_it('a');
    host('b', named('b'));
    sees('b');

    # The Sentinels that a asks do not answer any more, and the first master
    # goes on.  For b there is another one, without what a has written.

    redis_ask('two', 'SET', $key, given('one'));
    redis_signal('one', 'STOP');
    name('a', $_, '') for 1 .. 3;
    name('b', $_, $port{two}) for 1, 2;

    my $n = () = runs('out/runs');

    redis_signal('one', 'CONT');
    runs_it('b');
    fences('another master');
    poll('a does not have it', sub { !leader('t', 'a') });

    is_deeply([grep { $_->[0] eq 'a' } later($n)], [],
              'another master: a has not run it again');

    # it hears of the new one

    name('a', $_, $port{two}) for 2, 3;
    poll('it is told', sub {
        host_log('a') =~ /\[notice\].* redis "main": the Sentinels name 127\.0\.0\.1:$port{two} as the master/;
    });
    sees('a');

    # one of three is not enough

    name('b', 1, '');
    poll('b stops', sub { !leader('t', 'b') });
    runs_it('a');
    fences('no answers of Sentinels for b');

    host_stop($_) for 'a', 'b';

    # with "lost=run" each runs it then, though the server answers

    for my $host ('a', 'b') {
        name($host, $_, $port{two}) for 1 .. 3;
        host($host, named($host) =~ s/lease=3s/lease=1s lost=run/r);
    }

    poll('one has it', sub {
        my @states = sort map { host_status($_, 't')->{cluster}{state} } 'a', 'b';
        "@states" eq 'leader other';
    });

    for my $host ('a', 'b') {
        name($host, $_, '') for 2, 3;
    }

    poll('both are alone', sub {
        2 == grep { host_status($_, 't')->{cluster}{state} eq 'alone' } 'a', 'b';
    });
    pass('lost=run without answers of Sentinels');

    host_stop($_) for 'a', 'b';
}

# a host has it, and its job runs

sub runs_it {
    my ($host) = @_;

    poll("$host has it", sub { leader('t', $host) });
    poll("$host runs it", sub {
        my $run = (runs('out/runs'))[-1];
        $run && $run->[0] eq $host;
    });
}

sub sees {
    my ($host) = @_;

    poll("$host sees that another one has it", sub {
        host_status($host, 't')->{cluster}{state} eq 'other';
    });
}

sub fences {
    my ($name) = @_;

    my @fences = map { $_->[2] } runs('out/runs');

    is(join("\n", overlaps('out/runs', {})), '', "$name: no two at once");
    is_deeply(\@fences, [sort { $a <=> $b } @fences], "$name: the fence rises");
}

# runs after the first so many

sub later {
    my ($n) = @_;

    my @runs = runs('out/runs');

    return @runs[$n .. $#runs];
}

# the value when another nginx has given it back to that server

sub given {
    my ($server) = @_;

    return '1 ' . 'a' x 32 . ' 1 f 3000 1 0 0 0 0 ' . redis_epoch($server)
           . ' other';
}

sub older { conf($_[0], "server unix:$dir/$_[0].sock;") }

sub named {
    my ($name) = @_;

    return conf($name, "sentinel main; "
                       . join ' ', map { "server unix:$dir/$name.s$_;" } 1 .. 3);
}

sub conf {
    my ($name, $servers) = @_;

    return <<"EOF_CONF";
background_redis main { $servers }
background_task t {
    workers  cluster lease=3s;
    interval 20ms;
    call     $library lease $dir/out/runs $name 3600000;
}
EOF_CONF
}

###############################################################################

# the port of the master that a Sentinel of a host names; none: it does not
# answer

sub name {
    my ($host, $n, $port) = @_;

    write_file("$host.s$n.new", $port);
    rename "$dir/$host.s$n.new", "$dir/$host.s$n.port" or die "rename: $!\n";
}

# three of them

sub sentinels {
    my ($host) = @_;

    my %n;

    for my $n (1 .. 3) {
        my $path = "$dir/$host.s$n";
        my $listener = IO::Socket::UNIX->new(Type => SOCK_STREAM, Listen => 64,
                                             Local => $path)
            or die "socket: $!\n";

        chmod 0777, $path or die "chmod: $!\n";
        $n{$listener} = [$n, $listener];
    }

    my $parent = $$;

    defined(my $pid = fork) or die "fork: $!\n";
    return if $pid;

    $SIG{PIPE} = 'IGNORE';

    my $select = IO::Select->new(map { $_->[1] } values %n);
    my %of;

    while (getppid == $parent) {
        for my $s ($select->can_read(0.5)) {
            if (my $n = $n{$s}) {
                my $c = $s->accept or next;

                $of{$c} = $n->[0];
                $select->add($c);
                next;
            }

            if (!sysread $s, my $command, 65536) {
                $select->remove($s);
                close $s;
                next;
            }

            my $port = read_file("$host.s$of{$s}.port");

            syswrite $s, "*2\r\n\$9\r\n127.0.0.1\r\n\$" . length($port)
                         . "\r\n$port\r\n" if length $port;
        }
    }

    POSIX::_exit(0);
}
