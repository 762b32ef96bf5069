# "request": how many a second, beside clients that send them over loopback to
# the same location of the same nginx.

package Bench::request;

use strict;
use warnings;

use Bench;
use IO::Socket::INET;

my $seconds = 2;
my $connections = 32;
my $count = 40_000;
my $of_curl = 10_000;

my $port = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
           ->sockport;

put('file', 'x' x 4096);

sub begin {
    my ($task) = @_;

    start(http => 'keepalive_requests 1000000000;',
          server => "listen 127.0.0.1:$port;\n"
                    . 'location = /file { root ' . dir() . "; }\n"
                    . "location = /status { background_status; }\n" . $task);
}

# in a second, and the CPU of nginx that each took, in microseconds

sub requests {
    begin("background_task many { interval 1h; timeout 1h; "
          . "request /file count=$count; }");

    my $last = first_cycle();
    my @cpu = map { cpu($_) } (processes())[1];

    stop();

    return ($count / $last->{wall_seconds}, 1e6 * $cpu[0] / $count);
}

sub wrk {
    begin('');

    my $before = cpu(processes());
    my $said = run('wrk', '-t1', "-c$connections", "-d${seconds}s",
                   "http://127.0.0.1:$port/file");
    my $cpu = cpu(processes()) - $before;

    stop();

    die "wrk: $said\n" if $said =~ /Non-2xx|Socket errors/;

    my ($n, $rate) =
        $said =~ m{^\s*(\d+) requests in .*Requests/sec:\s+([\d.]+)}ms
        or die "wrk: $said\n";

    return ($rate, 1e6 * $cpu / $n);
}

# on a connection that stays open

sub curl {
    begin('');

    my ($start, $before) = (time, cpu(processes()));

    run('curl', '-sf', '-o', '/dev/null',
        "http://127.0.0.1:$port/file?[1-$of_curl]");

    my $cpu = cpu(processes()) - $before;
    my $rate = $of_curl / (time - $start);

    stop();

    return ($rate, 1e6 * $cpu / $of_curl);
}

my @units = ('requests/s', 'CPU us');

{
    rounds => 5,
    things => [
        ['request', \@units, \&requests],
        ['wrk', \@units, \&wrk],
        ['curl', \@units, \&curl],
    ],
    rows => [
        ['requests/s', 'request', 'wrk', '>= 1.5'],
        ['requests/s', 'request', 'curl'],
        ['CPU us', 'request', 'wrk'],
    ],
};
