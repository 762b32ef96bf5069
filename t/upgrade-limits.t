# What keeps the file of both instances from being there, or from having a task:
# tasks run, and that is told.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

BEGIN {
    $ENV{BACKGROUND_NGINX} = $ENV{TEST_NGINX_BINARY} || 'nginx';
    $ENV{TEST_NGINX_BINARY} = "$FindBin::Bin/lib/with-ulimit.sh";
    $ENV{BACKGROUND_ULIMIT} = '-c unlimited';
}

use BackgroundLife;
use BackgroundStatus;
use Test::More;

###############################################################################

my $conf = 'background_task one { interval 50ms; simulate_io 1 delay=0-0; }';

# all names are taken but one

start($conf, '', 'worker_processes 1;');
cycles(1);

my $names = 65536;
my @numbers = 2 .. $names + 1;
my $table = table();
my @entries = grep { unpack 'Q', substr $table, 16 * $_, 8 } @numbers;

is(@entries, 1, 'one name');
is(unpack('Q', substr $table, 16 * $entries[0] + 8, 8) & 0xffffffff, 1,
   'the first worker has it');

fill($entries[0]);
reconfigure($conf, "$conf background_task two { interval 50ms; simulate_io 1 delay=0-0; }");

poll('both run in the new worker', sub {
    my %task = by_name(status_anyhow());
    return $task{two} && $task{two}{cycles}{completed} > 5
           && $task{one}{lease} && $task{one}{lease}{worker} == 0
           && logged(qr/"one": started/) == 2;
});

is(logged(qr/\[warn\].*"two": too many names of tasks since nginx was started, the task runs in both instances while nginx's binary is upgraded/),
   1, 'two: told once');
is(logged(qr/"one": too many/), 0, 'one: has its name');
is(logged(qr/exited on signal/), 0, 'nobody died');

stop();

# the limit of the file size

$ENV{BACKGROUND_ULIMIT} = '-f 100000';

start($conf);
cycles(5);

is(logged(qr/\[warn\].*the limit of the file size, RLIMIT_FSIZE, is less than \d+ bytes/),
   1, 'the limit is told');
is(logged(qr/\[warn\].*tasks will run in both instances while nginx's binary is upgraded/),
   1, 'and what follows');
is(logged(qr/exited on signal/), 0, 'nobody died');

stop();

done_testing();

###############################################################################

sub cycles {
    my ($n) = @_;

    poll('cycles', sub {
        my %task = by_name(status());
        return $task{one}{cycles}{completed} >= $n;
    });
}

# of the file's entries; the first two are something else

sub table {
    open my $file, '<:raw', memfd() or die "open: $!\n";
    sysread $file, my $table, 16 * ($names + 2);

    return $table;
}

sub fill {
    my ($but) = @_;

    open my $file, '+<:raw', memfd() or die "open: $!\n";

    for my $n (grep { $_ != $but } @numbers) {
        sysseek $file, 16 * $n, 0;
        syswrite $file, pack 'Q', $n;
    }
}

sub memfd {
    return (grep { (readlink // '') =~ /memfd:ngx_http_background/ }
            glob '/proc/' . master() . '/fd/*')[0];
}
