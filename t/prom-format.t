#!/usr/bin/env perl

# background_status prometheus: the metrics, in both formats, and their values.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundStatus;
use Test::More;

###############################################################################

my %types = (
    (map { ("nginx_background_$_" => 'gauge') }
        qw/ info cpu_limit threads jobs_running jobs_queued task_running
            task_queued task_queued_seconds
            task_healthy task_quarantined task_paused task_overdue cluster_leader
            task_interval_seconds
            task_consecutive_failures last_cycle_timestamp_seconds
            last_success_timestamp_seconds /),
    (map { ("nginx_background_$_" => 'counter') }
        qw/ jobs_total job_seconds_total cycles_total
            cycles_missed_total cycles_coalesced_total operations_total
            bytes_total io_seconds_total cpu_seconds_total /),
    nginx_background_cycle_duration_seconds => 'histogram',
);

my @bounds = qw/ 0.005 0.025 0.1 0.5 1.0 5.0 15.0 60.0 300.0 1800.0 +Inf /;

start(<<'EOF', <<'EOF2', 'worker_processes 2;');
    background_task good {
        interval 1h;
        workers  all;
        simulate_io 3 delay=40ms-40ms;
    }
    background_task b.a-d_1 {
        retry   1h;
        timeout 30ms;
        simulate_io 4 delay=1h-1h;
    }
    background_task cpu {
        interval 1h;
        simulate_cpu 20ms;
    }
    background_task off {
        interval off;
        simulate_io 1;
    }
    background_task never {
        interval 3d;
        timeout  1d;
        simulate_io 1 delay=1h-1h;
    }
EOF
    location = /metrics { background_status prometheus; }
    location = /bad     { background_status prometheus task=b.a-d_1
                                            failing=503 brief; }
    location = /well    { background_status prometheus task=good failing=503; }
EOF2

my $status;

poll('cycles', sub {
    my %task = by_name($status = status());

    $task{good}{cycles}{completed} == 2 && $task{'b.a-d_1'}{cycles}{failed}
        && $task{cpu}{cycles}{completed} && $status->{cpu}{completed};
});

my ($code, $headers, $text) = get('/metrics');
my %task = by_name(status());

is($code, 200, 'code');
like($headers, qr/^Content-Type: text\/plain; version=0\.0\.4; charset=utf-8\r$/m,
    'type of the text format');
like($headers, qr/^Cache-Control: no-store\r?$/m, 'not stored');
like($headers, qr/^Vary: Accept\r?$/m, 'varies');
like($headers, qr/^Content-Length: ${ \length $text }\r?$/m, 'length');

my ($type, $value) = text($text);

is_deeply($type, \%types, 'families and their types');

is($value->{qq/nginx_background_info{version="$status->{version}",/
            . qq/nginx="$status->{nginx}"}/}, 1, 'info');
is($value->{nginx_background_cpu_limit}, $status->{cpu}{limit}, 'CPU limit');
is($value->{nginx_background_threads}, $status->{cpu}{threads}, 'threads');
cmp_ok($value->{nginx_background_jobs_total}, '>=', 1, 'jobs');
like($value->{nginx_background_job_seconds_total}, qr/^0\.\d{6}$/,
    'CPU time in microseconds');
cmp_ok($value->{nginx_background_job_seconds_total}, '>=', 0.02, 'CPU time');

is($value->{'nginx_background_task_healthy{task="off"}'}, 1,
    'a task without an interval');
ok(!exists $value->{'nginx_background_task_interval_seconds{task="off"}'},
    'it has none here, either');

for my $name (qw/ good b.a-d_1 never /) {
    my $task = $task{$name};
    my $of = sub { $value->{"nginx_background_$_[0]\{task=\"$name\"$_[1]}"} };
    my %results = (success => 'completed', failure => 'failed');

    is($of->('cycles_total', ",result=\"$_\""),
        $task->{cycles}{$results{$_} || $_}, "$name: cycles, $_")
        for qw/ success failure cancelled /;

    is($of->('operations_total', ",result=\"$_\""),
        $task->{operations}{$results{$_}}, "$name: operations, $_")
        for qw/ success failure /;

    is($of->('bytes_total', ''), $task->{operations}{bytes}, "$name: bytes");
    cmp_ok($of->('io_seconds_total', ''), '==', $task->{io_seconds},
        "$name: I/O time");
    cmp_ok($of->('cpu_seconds_total', ''), '==', 0, "$name: CPU time");
    is($of->('task_running', ''), $task->{running}, "$name: running");
    is($of->('task_healthy', ''), $task->{healthy} + 0, "$name: healthy");
    is($of->('task_quarantined', ''), 0, "$name: quarantined");
    is($of->('task_overdue', ''), 0, "$name: overdue");
    is($of->('task_paused', ''), 0, "$name: paused");
    is($of->("cycles_${_}_total", ''), $task->{cycles}{$_}, "$name: $_")
        for qw/ missed coalesced /;
    cmp_ok($of->('task_interval_seconds', ''), '==',
        $task->{interval_seconds}, "$name: interval");
    is($of->('task_consecutive_failures', ''),
        $task->{cycles}{consecutive_failures}, "$name: failures in a row");

    is($of->('last_cycle_timestamp_seconds', ''),
        seconds($task->{last} && $task->{last}{finished}),
        "$name: the last cycle's time");
    is($of->('last_success_timestamp_seconds', ''),
        seconds($task->{last_success}), "$name: the last good one's time");

    my $n = $task->{cycles}{completed} + $task->{cycles}{failed};
    my @buckets = map { $of->('cycle_duration_seconds_bucket', ",le=\"$_\"") }
                  @bounds;

    is(scalar(grep { defined } @buckets), 11, "$name: buckets");
    is_deeply(\@buckets, [sort { $a <=> $b } @buckets],
        "$name: buckets are cumulative");
    is($buckets[0], 0, "$name: none as short as 5 ms");
    is($buckets[-1], $n, "$name: the last bucket has all cycles");
    is($of->('cycle_duration_seconds_count', ''), $n, "$name: count");
    cmp_ok($of->('cycle_duration_seconds_sum', ''), '==',
        $task->{wall_seconds}, "$name: sum");
}

is(scalar(grep { !/task="off"/ } keys %$value),
    7 + 4 * (3 + 2 + 2 + 3 + 9 + 2 + 13) - 3,
    'nothing else but these');

# selection and verdict

($code, undef, $text) = get('/bad');
is($code, 503, 'failing=');
is_deeply([sort(uniq($text =~ /task="([^"]*)"/g))], ['b.a-d_1'], 'task=');
is_deeply((text($text))[0], \%types, 'all families of one task');
is((get('/well'))[0], 200, 'the other one is well');
like(http("HEAD /bad HTTP/1.0\r\n\r\n"),
    qr/^HTTP\/1\.1 503 .*\r\n\r\n\z/s, 'HEAD');
is((split ' ', http("POST /metrics HTTP/1.0\r\n\r\n"))[1], 405, 'POST');

# the formats by "Accept"

my $open = 'application/openmetrics-text';

for ([0, ''],
     [0, '*/*'],
     [0, 'text/plain'],
     [0, 'text/html,application/xhtml+xml,*/*;q=0.8'],
     [1, $open],
     [1, "$open; version=1.0.0; charset=utf-8"],
     [1, 'Application/OpenMetrics-Text ;version=1.0.0'],
     [0, "$open;version=0.0.1"],
     [0, "$open;version=2.0.0"],
     [0, "$open;q=0"],
     [0, "$open;q=x"],
     [0, "$open;q=5"],
     [0, "${open}s"],
     [0, "application/*"],
     [1, "$open;version=1.0.0,$open;version=0.0.1;q=0.75,"
         . 'text/plain;version=0.0.4;q=0.5,*/*;q=0.1'],
     [1, "$open;version=1.0.0;escaping=allow-utf-8;q=0.6,"
         . 'text/plain;version=1.0.0;q=0.5,*/*;q=0.2'],
     [0, "text/plain;version=0.0.4;q=0.5,$open;version=1.0.0;q=0.4"],
     [1, "text/plain;version=0.0.4;q=0.5,,\t$open\t;\t\tq=0.6;"],
     [1, "text/plain; q=0.1\r\nAccept: $open; q=0.2"],
     [1, "$open;nothing;=;;version=1.0.0"])
{
    my ($is_open, $accept) = @$_;
    my $answer = http("GET /metrics HTTP/1.0\r\nAccept: $accept\r\n\r\n");

    like($answer, $is_open
        ? qr/^Content-Type: $open; version=1\.0\.0; charset=utf-8\r$/m
        : qr/^Content-Type: text\/plain; version=0\.0\.4; charset=utf-8\r$/m,
        'Accept: ' . $accept =~ s/\r\n/ | /r);
    $is_open ? like($answer, qr/\n# EOF\n\z/, 'its end')
             : unlike($answer, qr/EOF/, 'its end');
}

# the same in OpenMetrics: other families, the same names of samples

(my $openmetrics =
    http("GET /metrics HTTP/1.0\r\nAccept: $open\r\n\r\n"))
    =~ s/.*?\r\n\r\n//s;

my %open_types;

for (keys %types) {
    my $name = $types{$_} eq 'counter' ? s/_total$//r : $_;
    $open_types{$name} = $types{$_};
}

delete $open_types{nginx_background_info};
$open_types{nginx_background} = 'info';

my ($open_type, $open_value) = text($openmetrics);

is_deeply($open_type, \%open_types, 'OpenMetrics: families and their types');
is_deeply([sort keys %$open_value], [sort keys %$value],
    'OpenMetrics: the same samples');

# what others say

put('text', (get('/metrics'))[2]);
put('openmetrics', $openmetrics);

SKIP: {
    skip 'no promtool (of Debian\'s package prometheus)', 1
        if system('promtool --version > /dev/null 2>&1');

    is(`promtool check metrics < '${ \dir() }/text' 2>&1` . "[$?]", '[0]',
        'promtool check metrics');
}

SKIP: {
    my $python = '/usr/bin/python3';

    skip 'no python3-prometheus-client', 1
        if system("$python -c 'import prometheus_client' 2> /dev/null");

    put('parse.py', <<'EOF');
import sys
from prometheus_client.openmetrics import parser

n = 0
for family in parser.text_string_to_metric_families(sys.stdin.read()):
    n += len(family.samples)
print(n)
EOF

    is(`$python '${ \dir() }/parse.py' < '${ \dir() }/openmetrics' 2>&1`,
        (keys %$open_value) . "\n", 'a parser of OpenMetrics');
}

stop();

done_testing();

# the families' types, and the samples' values; dies of what is out of order

sub text {
    my ($text) = @_;
    my (%type, %help, %value, $family);

    for (split /\n/, $text) {
        if (/^# HELP (\S+) [^\s"\\][^"\\]*\.$/) {
            $family = $1;
            die "$_: twice\n" if $help{$family}++;

        } elsif (/^# TYPE (\S+) (\S+)$/) {
            die "$_: without help\n" if $1 ne $family;
            $type{$1} = $2;

        } elsif (/^((\w+)(?:\{(?:\w+="[^"\\]*"(?:,(?!\})|(?=\})))+\})?) (\S+)$/)
        {
            my ($sample, $name, $value) = ($1, $2, $3);

            die "$_: out of its family\n"
                if $name !~ /^$family(?:_total|_info|_bucket|_sum|_count)?$/;
            die "$_: twice\n" if exists $value{$sample};
            $value{$sample} = $value;

        } elsif ($_ ne '# EOF') {
            die "$_: not understood\n";
        }
    }

    return (\%type, \%value);
}

sub seconds {
    my ($time) = @_;

    return undef unless $time;

    my @time = $time =~ /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)(\.\d{3})Z$/
        or die "$time: not a time\n";

    require Time::Local;

    return Time::Local::timegm(@time[5, 4, 3, 2], $time[1] - 1, $time[0])
           . $time[6];
}

sub uniq {
    my %seen;

    return grep { !$seen{$_}++ } @_;
}
