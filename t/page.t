#!/usr/bin/env perl

# The page in a browser: what it shows is what the JSON says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundPage;
use BackgroundStatus;
use Test::More;

###############################################################################

browser();

my $dir = dir();

put('file', '');
truncate "$dir/file", 100_000_000 or die "truncate: $!\n";

start_page(<<"EOF", <<'EOF', 'worker_processes 2;');
    background_threads 2;

    background_task waits { interval 1d; simulate_io 3 delay=200ms-300ms; }
    background_task everywhere { workers all; interval 1d; simulate_io 1 delay=50ms-90ms; }
    background_task burns { interval 1d; simulate_cpu 300ms; }
    background_task often { interval 50ms ; simulate_io 2 delay=0-0; }
    background_task hashes { interval 1d; digest $dir/file limit_rate=20k; }
    background_task fails { interval 1d; retry 1d; connect unix:$dir/nothing; }
EOF
    location = /some/where/else { background_status html brief failing=503; }
EOF

my %task;

# and the second thread that "hashes" has found nothing to do

poll('cycles are over', sub {
    my $status = status('/status?history=1');
    %task = by_name($status);

    return $status->{cpu}{running} == 1 && $status->{cpu}{queued} == 0
           && 5 == map { @{$_->{history}} }
                @task{qw/ waits everywhere burns fails /};
});

# a failing task is visible as such, and first

visit('/page');

wait_text('#verdict', qr/^1 of 6 tasks is failing$/, 'verdict');
is(seen('document.getElementById("top").dataset.verdict'), 'bad', 'its sign');
is(seen('document.title'), '(1) Background tasks', 'title');
is(js('[...document.querySelectorAll(".task [data-f=name]")]'
        . '.map((n) => n.textContent).join(" ")'),
    'fails waits everywhere burns often hashes', 'the failing task first');

my $shown = row('fails');

is($shown->{kind}, 'bad', 'failing');
is($shown->{badge}, 'failing', 'says so');
is($shown->{note}, '1 failure in a row', 'how often');
is($shown->{error}, $task{fails}{last_failure}{error}, 'its error, in full');
like($shown->{error}, qr{^connect "unix:$dir/nothing": .*\)$}, 'a real one');
like($shown->{failed}, qr/^Failed (?:just now|\d+ (?:s|min) ago):$/, 'its age');
like($shown->{next}, qr/^retry in (?:23 h 5\d min|1 d)$/, 'countdown');
is(bars('fails', 'lost'), 1, 'a failed cycle is marked in the chart');
is(bars('fails', 'took'), 0, 'and is no good one');

# the others

for my $name (qw/ waits everywhere burns /) {
    my $task = $task{$name};
    my $cycles = @{$task->{history}};

    $shown = row($name);

    is($shown->{badge}, $task->{state}, "$name: state");
    is($shown->{kind}, 'good', "$name: kind");
    is($shown->{error}, undef, "$name: no error");
    is($shown->{took}, span($task->{last}{wall_seconds}), "$name: duration");
    is($shown->{rhythm}, "$task->{workers} worker"
        . ($name eq 'everywhere' ? 's' : '') . ', every 1 d', "$name: rhythm");
    like($shown->{next}, qr/^in (?:23 h 5\d min|1 d)$/, "$name: countdown");
    like($shown->{ended}, qr/^(?:just now|\d+ (?:s|min) ago)$/, "$name: age");
    like($shown->{chart}, qr/^$cycles cycles?, 0 failed, /, "$name: chart");
    is(bars($name, 'took'), $cycles, "$name: bars");
    is($shown->{progress}, undef, "$name: no progress");
}

is(row('waits')->{rate}, per_second($task{waits}{last}, 'bytes') . 'B/s',
    'throughput in bytes');
is(row('waits')->{rateNote}, '3 ops', 'operations');
is(row('burns')->{rate}, per_second($task{burns}{last}, 'operations') . 'ops/s',
    'throughput in operations');

# a CPU job that runs, and the pool

wait_for('document.querySelector("progress[value]")?.value > 0');
$shown = row('hashes');
%task = by_name(status());

is(js('document.querySelectorAll("progress[value]").length'), 1,
    'one progress bar');
is(js('document.querySelector("progress[value]").max'), 100_000_000,
    'its total');
cmp_ok($shown->{progress}, '<=', $task{hashes}{progress}{done}, 'not ahead');
wait_for("document.querySelector('progress[value]').value"
    . " > $shown->{progress}");
pass('it grows');

is($shown->{badge}, 'running', 'running');
like($shown->{next}, qr/^\d+ % done$/, 'percentage');
like($shown->{note}, qr/^for \d+ (?:s|min)/, 'since when');

is(text('busy'), '1 of 2', 'threads');
is(js('document.querySelectorAll("#meter i").length'), 2, 'meter');
is(js('document.querySelectorAll("#meter .busy").length'), 1, 'busy ones');
is(text('queued'), 0, 'queued');
is(text('jobs'), status()->{cpu}{completed}, 'jobs done');

# it goes on by itself

wait_for('document.getElementById("tasks").innerHTML'
    . '.includes("\"60 cycles, 0 failed, ")');
is(bars('often', 'took'), 60, 'a bar for each of the last 60 cycles');

# by keyboard

js('document.querySelectorAll(".task [data-f=name]")[1].focus()');
browser()->key('Enter', 13);

is(js('document.activeElement.getAttribute("aria-expanded")'), 'true',
    'details are open');
like(js('document.querySelector(".details:not([hidden])").innerText'),
    qr/Cycles\n+1 good, 0 failed, 0 cancelled\n/, 'they are there');

browser()->key('/');
is(js('document.activeElement.id'), 'filter', '"/" goes to the filter');

clean('page');

# elsewhere, with code 503 and without texts of errors

visit('/some/where/else');
$shown = row('fails');

is($shown->{badge}, 'failing', 'failing, with code 503');
is($shown->{error}, '', 'no text of an error');
like($shown->{failed}, qr/^Failed (?:just now|\d+ (?:s|min) ago)$/, 'its age');

clean('elsewhere', qr/ 503 \(/);

stop();

done_testing();

###############################################################################

sub span {
    my ($s) = @_;

    # on a machine that is busy

    if ($s >= 59.95) {
        my ($m, $rest) = (int(($s + 0.5) / 60), int($s + 0.5) % 60);

        return "$m min" . ($m < 10 && $rest ? " $rest s" : '');
    }

    return sprintf '%.0f ms', $s * 1000 if $s < 0.9995;

    # of an exact half, toFixed() takes the larger one, sprintf() the even one

    my $digits = $s < 9.995 ? 2 : 1;

    $s += 0.001 if sprintf('%.50f', $s) =~ /\.\d{$digits}50*$/;

    return sprintf "%.${digits}f s", $s;
}

sub per_second {
    my ($last, $what) = @_;

    my $n = $last->{$what} / $last->{wall_seconds};
    my $unit = $n < 999.5 ? '' : 'k';

    $n /= 1000 if $unit;

    return sprintf($n < 9.95 && ($unit || $n != int $n) ? '%.1f %s' : '%.0f %s',
                   $n, $unit);
}
