# What is removed frees its place in the zone: it never runs full of tasks of
# former configurations, nor of those that were refused.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use BackgroundStorm;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Test::More;

# room for the tasks of the old workers, of the new ones, and some more

my $n = 0;
my $generation = 1;

put('big', '');
truncate dir() . '/big', 100_000_000 or die "truncate: $!\n";

start(tasks(), "location = /big { root ${\dir()}; limit_rate 1; "
               . 'limit_rate_after 64k; }', 'worker_processes 2;');

all_there(2);

# what the next reload frees is there, too

reload() for 1 .. 2;

my $free = status()->{zone}{free};

reload() for 1 .. 12;

is(status()->{zone}{free}, $free, 'other tasks, twelve times');
is_deeply([map { $_->{name} } @{status()->{tasks}}],
          [map { "task$n" . "_$_" } 1 .. 6], 'the last ones');

# refused, after the zone had made room: a port is taken

my $taken = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')
    or die "listen: $!\n";
my $listen = 'server { listen 127.0.0.1:' . $taken->sockport . ';';
my @workers = workers();
my %before = by_name(status());

for my $time (1 .. 4) {
    my $tries = logged(qr/still could not bind/);

    put('nginx.conf', conf() =~ s/server \{ *(?:listen 127.*?;)?/$listen/r
                             =~ s/# tasks\n.*# end\n/tasks()/ser);
    signal('HUP');

    poll('refused', sub { logged(qr/still could not bind/) > $tries });
}

my %now = by_name(status());

is(join(' ', workers()), "@workers", 'refused: the same workers');
is(status()->{generation}, $generation, 'the same configuration');
is(join(' ', sort keys %now), join(' ', sort keys %before), 'the same tasks');

for (sort keys %before) {
    is_deeply($now{$_}{lease}, $before{$_}{lease}, "$_: the same worker");
    is($now{$_}{cycles}{cancelled}, $before{$_}{cycles}{cancelled},
       "$_: goes on");
    cmp_ok($now{$_}{cycles}{completed}, '>=',
           $before{$_}{cycles}{completed}, "$_: totals");
}

put('nginx.conf', conf() =~ s/listen 127.*?;//r);
reload();
is(status()->{zone}{free}, $free, 'nothing is left of what was refused');

# a worker that serves a slow client may still use its tasks: they stay, and
# when there is no room for others that is told

my $client = IO::Socket::UNIX->new(Peer => dir() . '/socket')
    or die "connect: $!\n";

print $client "GET /big HTTP/1.1\r\nHost: test\r\n\r\n";
$client->flush;
sysread $client, my $answer, 1000 or die "no answer: $!\n";

for my $time (1 .. 10) {
    last unless reload('and the one that serves the client');
}

cmp_ok(logged(qr/background_zone has no room for 6 tasks beside those of workers that are still shutting down in /),
       '==', 1, 'no room');
is(status()->{generation}, $generation, 'the configuration in use stays');

close $client;

poll('it has left', sub { @{[children()]} == 2 });

reload() for 1 .. 2;
is(status()->{zone}{free}, $free, 'room again');

put('error.log', join '', grep { !/bind\(\)|has no room for/ }
                               split /^/, log_text());

stop();
done_testing();

sub tasks {
    $n++;

    return "# tasks\n    background_zone 228k;\n"
           . join('', map { "    background_task task${n}_$_ { workers "
                            . ($_ % 2 ? 'one' : 'all') . '; interval 10ms; '
                            . "simulate_io 1 delay=1ms-9ms; }\n" } 1 .. 6)
           . "# end\n";
}

# other tasks; whether there is room.  Waits until the old workers are gone, as
# these have their tasks to the end, but for one where that is said

sub reload {
    my ($one_stays) = @_;

    my %old = map { $_ => 1 } workers();

    put('nginx.conf', conf() =~ s/# tasks\n.*# end\n/tasks()/ser);
    signal('HUP');

    my $said = poll('a reload', sub {
        return 'no room' if $one_stays && logged(qr/has no room for/);
        return status()->{generation} == $generation + 1;
    });

    return 0 if $said eq 'no room';

    $generation++;

    # not only by their titles: nginx's master makes room when it has noticed

    poll('new workers', sub {
        my @left = grep { $old{$_} } children();

        return @left == ($one_stays ? 1 : 0);
    });

    all_there(2) unless $one_stays;

    return 1;
}

sub conf {
    open my $file, '<', dir() . '/nginx.conf' or die "open: $!\n";
    local $/;

    return scalar <$file>;
}
