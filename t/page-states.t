#!/usr/bin/env perl

# The page in a browser: every state, by the server's clock, and no text of a
# status is ever more than text.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundPage;
use BackgroundStatus;
use Test::More;

###############################################################################

browser();

my $dir = dir();
my $evil = q{<img src=x onerror="document.title='evil'">};

# far from what any clock says

my $now = '2001-02-03T04:05:06.000Z';
my $soon = '2001-02-03T04:07:36.000Z';
my $past = '2001-02-03T02:01:06.000Z';

my %last = (
    started => $past, finished => $past, operations => 2500, failed => 0,
    bytes => 3_000_000, io_seconds => 1, cpu_seconds => 0, wall_seconds => 1.5,
);

sub task {
    my ($name, $state, %more) = @_;

    return {
        name => $name, workers => 'one', state => $state, healthy => \1,
        running => $state eq 'running' ? 1 : 0, running_seconds =>
            $state eq 'running' ? 3725.5 : undef,
        overdue => \0, interval_seconds => 90, retry_seconds => 0.25,
        cycles => { completed => 12345, failed => 1, cancelled => 2,
                    consecutive_failures => 0 },
        operations => { completed => 9, failed => 8, bytes => 7 },
        io_seconds => 75.2, cpu_seconds => 0, wall_seconds => 21.9,
        lease => { pid => 4711, worker => 3 }, last => \%last,
        last_success => $past, last_failure => undef,
        next => $state =~ /^(?:waiting|retrying)$/ ? $soon : undef,
        progress => undef, history => [], %more
    };
}

sub full {
    return {
        status => 'ok', message => $evil, version => '0.1.0', nginx => $evil,
        now => $now, uptime_seconds => 200_000, generation => 3, pid => 4711,
        worker => 0, zone => { size => 1000, free => 250 },
        cpu => { limit => 8, source => $evil, threads => 7, quota => 0.35,
                 running => 5, queued => 1234, completed => 1_234_567,
                 seconds => 4000 },
        tasks => [@_]
    };
}

my %failed = (last_failure => { finished => $past, error => "$evil\n&lt;" },
    cycles => { completed => 0, failed => 17, cancelled => 0,
                consecutive_failures => 17 });

my @tasks = (
    task($evil, 'waiting'),
    task('new', 'waiting', last => undef, last_success => undef),
    task('run', 'running', progress => { done => 250, total => 1000 }),
    task('many', 'running', workers => 'all', running => 4),
    task('stopped', 'stopped', lease => undef),
    task('overdue', 'waiting', overdue => \1),
    task('late', 'waiting', %failed, overdue => \1, healthy => \0,
         error => 'overdue: it was due'),
    task('retrying', 'retrying', %failed),
    task('failing', 'retrying', %failed, healthy => \0),
    task('again', 'running', %failed, healthy => \0),
    task('abandoned', 'abandoned', %failed, healthy => \0, next => undef,
         abandoned => 1),
    task('quarantined', 'quarantined', %failed, healthy => \0),
    task('ago', 'waiting', %failed),
);

# a failure that a real file's name brings about

mkdir "$dir/tree" or die "mkdir: $!\n";
put("tree/$evil", '');
chmod 0, "$dir/tree/$evil" or die "chmod: $!\n";

start_page("background_task real { retry 1d; digest $dir/tree; }",
    fake('states', full(@tasks))
    . fake('warn', full(@tasks[0 .. 5, 7]))
    . fake('well', full(@tasks[0 .. 3], $tasks[12]))
    . fake('one', full($tasks[0]))
    . fake('none', full()));

visit('/states');

# what is shown of each: kind, badge, note, next, its note, last, its age

my @expected = (
    late => 'bad', 'overdue', 'waiting, 17 failures in a row', 'in 2 min 30 s',
    failing => 'bad', 'failing', '17 failures in a row', 'retry in 2 min 30 s',
    again => 'bad', 'failing', 'running, for 1 h 2 min, 17 failures in a row',
        '–',
    abandoned => 'bad', 'failing', 'abandoned, 17 failures in a row', '–',
    quarantined => 'bad', 'quarantined', '17 failures in a row', '–',
    stopped => 'warn', 'stopped', '', '–',
    overdue => 'warn', 'overdue', 'waiting', 'in 2 min 30 s',
    retrying => 'warn', 'retrying', '17 failures in a row',
        'retry in 2 min 30 s',
    $evil => 'good', 'waiting', '', 'in 2 min 30 s',
    new => 'good', 'waiting', '', 'in 2 min 30 s',
    run => 'run', 'running', 'for 1 h 2 min', '25 %',
    many => 'run', 'running', 'for 1 h 2 min, 4 workers', '–',
    ago => 'good', 'waiting', '17 failures in a row', 'in 2 min 30 s',
);

my @order = map { $expected[$_ * 5] } 0 .. $#expected / 5;

is(js('[...document.querySelectorAll(".task [data-f=name]")]'
        . '.map((n) => n.textContent).join("\n")'), join("\n", @order),
    'failing ones first, then what is not as it should be');

while (my ($name, $kind, $badge, $note, $next) = splice @expected, 0, 5) {
    my $shown = row($name);

    is($shown->{kind}, $kind, "$name: kind");
    is($shown->{badge}, $badge, "$name: badge");
    is($shown->{note}, $note, "$name: note");
    like($shown->{next}, qr/^\Q$next\E$|2 min 2\d s$/, "$name: next");
    is($shown->{took}, $name eq 'new' ? '–' : '1.50 s', "$name: last");
    is($shown->{ended}, $name eq 'new' ? 'none yet' : '2 h 4 min ago',
        "$name: its age");
}

is(row('run')->{rate}, '2.0 MB/s', 'throughput');
like(row('run')->{nextNote}, qr/^3 h 6 min left$/, 'what is left');
is(row('run')->{progress}, 250, 'progress');
is(row('many')->{progress}, -1, 'progress that is not known');
is(row('failing')->{error}, "$evil\n&lt;", 'an error with HTML in it is text');
is(row('failing')->{failed}, 'Failed 2 h 4 min ago:', 'its age');
is(row('late')->{error}, 'overdue: it was due', 'what it is late with');
is(row('late')->{failed}, 'Now:', 'now');
is(row('ago')->{failed}, 'Last failure 2 h 4 min ago:', 'one that is over');
is(row('again')->{rhythm}, 'one worker, every 1 min 30 s', 'rhythm');

is(text('verdict'), '5 of 13 tasks are failing', 'verdict');
like(text('fresh'), qr/^1 overdue, 1 retrying, 1 stopped\. Updated \d+ s ago/,
    'and what else is not as it should be');
is(text('busy'), '5 of 7', 'threads');
is(text('queued'), "1\x{202f}234", 'queued');
is(text('jobs'), "1\x{202f}234\x{202f}567", 'jobs');
is(text('cpu'), '1 h 6 min', 'CPU time');
is(text('limit'), 'limit 8 CPUs, 35 % each', 'CPU limit');
like(text('foot'), qr/^nginx \Q$evil\E .* up 2 d 7 h .* zone 75 % used$/,
    'of the server');

# time goes on

my $next = row('failing')->{next};
wait_for("document.querySelector('[data-f=next]').textContent !== '$next'");
pass('the countdown counts');

# the same in the details

js('document.querySelectorAll("[data-f=name]").forEach((n) => n.click())');
is(js('document.querySelectorAll(".details:not([hidden])").length'), 13,
    'details');
is(js('document.querySelectorAll("img").length'), 0, 'no element of a text');
isnt(js('document.title'), 'evil', 'no script of a text');

# by texts and kinds

js('document.querySelectorAll("[data-f=name]").forEach((n) => n.click())');

for (['quaran' => 'quarantined'], ['ONERROR' =>
    'failing again abandoned quarantined retrying ' . $evil . ' ago'], ['none of' => ''])
{
    my ($filter, $names) = @$_;

    filter($filter);
    is(visible(), $names, "filter \"$filter\"");
}

is(js('document.getElementById("none").checkVisibility()'), 1, 'nothing fits');
filter('');

for ([bad => 'late failing again abandoned quarantined'], [run => 'again run many']) {
    my ($only, $names) = @$_;

    js("document.querySelector('[data-only=$only]').click()");
    is(visible(), $names, "only $only");
}

clean('states');

# other verdicts

for ([well => 'good', 'All 5 tasks are well'],
    [warn => 'warn', 'No task is failing'], [one => 'good', 'The task is well'],
    [none => 'none', 'There are no tasks'])
{
    my ($name, $sign, $verdict) = @$_;

    visit("/$name");
    is(text('verdict'), $verdict, "$name: verdict");
    is(js('document.getElementById("top").dataset.verdict'), $sign,
        "$name: sign");
}

# a real one

poll('the digest fails', sub { status()->{tasks}[0]{last_failure} });
visit('/page');

like(row('real')->{error}, qr{^digest .*\Q$evil\E"? failed \(13:},
    'a real one');
is(row('real')->{error}, status()->{tasks}[0]{last_failure}{error}, 'in full');
is(js('document.querySelectorAll("img").length'), 0, 'no element of it');

clean('all');
stop();

done_testing();

###############################################################################

sub filter {
    my ($text) = @_;

    js("document.getElementById('filter').value = '$text';"
        . "document.getElementById('filter').dispatchEvent("
        . "new Event('input'))");
}

sub visible {
    return js('[...document.querySelectorAll(".task:not([hidden])'
        . ' [data-f=name]")].map((n) => n.textContent).join(" ")');
}
