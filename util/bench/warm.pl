# "requests": the 10,000 URIs of a list, beside curl and wget, which send them
# over loopback to the same location of the same nginx.

package Bench::warm;

use strict;
use warnings;

use Bench;
use IO::Socket::INET;

my $uris = 10_000;
my $processes = cpus();

my $port = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
           ->sockport;

put('file', 'x' x 4096);
put('uris', join '', map { "/file?n=$_\n" } 1 .. $uris);
put('urls', join '', map { "http://127.0.0.1:$port/file?n=$_\n" } 1 .. $uris);

sub begin {
    my ($task) = @_;

    start(http => 'keepalive_requests 1000000000;',
          server => "listen 127.0.0.1:$port;\n"
                    . 'location = /file { root ' . dir() . "; }\n"
                    . "location = /status { background_status; }\n" . $task);
}

# URIs a second, and the CPU time of all processes, in seconds

sub background {
    begin('background_task warm { interval 1h; timeout 1h; '
          . 'requests ' . dir() . '/uris concurrency=32; }');

    my $last = first_cycle();
    my $cpu = cpu((processes())[1]);

    stop();

    die "$last->{operations} URIs\n" if $last->{operations} != $uris;

    return ($uris / $last->{wall_seconds}, $cpu);
}

sub tool {
    my (@command) = @_;

    begin('');

    my $before = cpu(processes());
    my @times = times;
    my $start = time;

    run('sh', '-c', @command);

    my $took = time - $start;
    my @now = times;
    my $cpu = cpu(processes()) - $before;

    stop();

    return ($uris / $took, $cpu + $now[2] + $now[3] - $times[2] - $times[3]);
}

my @units = ('URIs/s', 'CPU s');
my $urls = dir() . '/urls';

{
    rounds => 5,
    notes => ["xargs starts $processes processes at a time, with 100 URIs each"],
    things => [
        ['requests', \@units, \&background],
        ['xargs -P curl', \@units, sub {
            tool("xargs -a $urls -P $processes -n 100 curl -sf > /dev/null");
        }],
        ['wget', \@units, sub { tool("wget -q -O /dev/null -i $urls") }],
    ],
    rows => [
        ['URIs/s', 'requests', 'xargs -P curl', '>= 1'],
        ['URIs/s', 'requests', 'wget', '>= 1'],
        ['CPU s', 'requests', 'xargs -P curl'],
        ['CPU s', 'requests', 'wget'],
    ],
};
