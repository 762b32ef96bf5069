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
        running => $state =~ /^(?:running|queued)$/ ? 1 : 0,
        running_seconds => $state =~ /^(?:running|queued)$/ ? 3725.5 : undef,
        queued => $state eq 'queued' ? 1 : 0,
        queued_seconds => $state eq 'queued' ? 125.5 : undef,
        timeout_seconds => 600, overdue => \0, interval_seconds => 90, retry_seconds => 0.25,
        cycles => { completed => 12345, failed => 1, cancelled => 2,
                    consecutive_failures => 0 },
        operations => { completed => 9, failed => 8, bytes => 7 },
        io_seconds => 75.2, cpu_seconds => 0, wall_seconds => 21.9,
        lease => { pid => 4711, worker => 3 }, last => \%last,
        last_success => $past, last_failure => undef,
        next => $state =~ /^(?:waiting|retrying)$/ ? $soon : undef,
        progress => undef, history => [],
        directives => ['digest "/srv/www"', "verify \"$evil\""],
        health => { fails => 2, passes => 1 }, %more
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
    task('again', 'running', %failed, healthy => \0, interval_seconds => 5),
    task('abandoned', 'abandoned', %failed, healthy => \0, next => undef,
         abandoned => 1),
    task('quarantined', 'quarantined', %failed, healthy => \0),
    task('ago', 'waiting', %failed),
    task('queued', 'queued'),
    task('some', 'running', workers => 'all', running => 4, queued => 3,
         queued_seconds => 5),
    task('short', 'waiting', retry_seconds => undef, last => { %last, wall_seconds => 0.099 }),
    task('lost', 'waiting', last => { %last, failed => 1 },
         last_failure => { finished => $past, error => 'one that is over' },
         history => [{ finished => $past, wall_seconds => 1.5, failed => 1,
                       error => 'of that cycle' },
                     { finished => $past, wall_seconds => 2, failed => 0 }]),
);

# as "brief" leaves it

my %brief = %{full($tasks[0])};
delete @brief{qw/ version nginx uptime_seconds pid /};

# a failure that a real file's name brings about

mkdir "$dir/tree" or die "mkdir: $!\n";
put("tree/$evil", '');
chmod 0, "$dir/tree/$evil" or die "chmod: $!\n";

start_page("background_task real { retry 1d; digest $dir/tree; }",
    fake('states', full(@tasks))
    . fake('warn', full(@tasks[0 .. 5, 7]))
    . fake('well', full(@tasks[0 .. 3], $tasks[12]))
    . fake('one', full($tasks[0]))
    . fake('brief', \%brief)
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
    run => 'run', 'running', 'for 1 h 2 min', '25 % done',
    many => 'run', 'running', 'for 1 h 2 min, 4 cycles', '–',
    ago => 'good', 'waiting', '17 failures in a row', 'in 2 min 30 s',
    queued => 'wait', 'queued', 'for 2 min 5 s', '–',
    some => 'run', 'running', 'for 1 h 2 min, 4 cycles, 3 queued', '–',
    short => 'good', 'waiting', '', 'in 2 min 30 s',
    lost => 'good', 'waiting', '', 'in 2 min 30 s',
);

my @order = map { $expected[$_ * 5] } 0 .. $#expected / 5;

is(js('[...document.querySelectorAll(".task [data-f=name]")]'
        . '.map((n) => n.textContent).join("\n")'), join("\n", @order),
    'failing ones first, then what is not as it should be');

while (my ($name, $kind, $badge, $note, $next) = splice @expected, 0, 5) {
    my $shown = row($name);

    is($shown->{kind}, $kind, "$name: kind");
    is($shown->{badge}, $badge, "$name: badge");
    like($shown->{note}, qr/^\Q$note\E$|^for 2 min \d+ s$/, "$name: note");
    like($shown->{next}, qr/^\Q$next\E$|2 min 2\d s$/, "$name: next");
    is($shown->{took}, { new => '–', short => '99 ms' }->{$name} // '1.50 s',
        "$name: last");
    is($shown->{ended}, $name eq 'new' ? 'none yet' : '2 h 4 min ago',
        "$name: its age");
}

is(row('run')->{rate}, '2.0 MB/s', 'throughput');
is(row('short')->{rate}, '–', 'none of a cycle that is too short');
is(row('lost')->{rate}, '–', 'none of one that has failed');
is(row('short')->{rateNote}, "2\x{202f}500 ops", 'but its operations');
is(row('lost')->{error}, undef, 'no error that good cycles have followed');
like(row('run')->{nextNote}, qr/^3 h 6 min left$/, 'what is left');
is(row('run')->{progress}, 250, 'progress');
is(row('many')->{progress}, -1, 'progress that is not known');
is(row('failing')->{error}, "$evil\n&lt;", 'an error with HTML in it is text');
is(row('failing')->{failed}, 'Failed 2 h 4 min ago:', 'its age');
is(row('late')->{error}, 'overdue: it was due', 'what it is late with');
is(row('late')->{failed}, 'Now:', 'now');
is(row('ago')->{failed}, 'Last failure 2 h 4 min ago:', 'one that is over');
is(row('failing')->{rhythm}, 'one worker, every 1 min 30 s', 'rhythm');

# what to do

is(js('[...document.querySelectorAll("[data-f=hint]")].filter((n) =>'
    . ' n.checkVisibility()).map((n) => n.closest(".task").row.name).join()'),
    'quarantined', 'a hint where a task is quarantined');
like(js('rows.get("quarantined").f.hint.textContent'),
    qr/error log.*nginx -s reload/s, 'it helps');

is(text('verdict'), '5 of 17 tasks are failing', 'verdict');
like(text('fresh'), qr/^1 overdue, 1 retrying, 1 stopped\. Updated \d+ s ago/,
    'and what else is not as it should be');
is(text('busy'), '5 of 7', 'threads');
is(text('queued'), "1\x{202f}234", 'queued');
is(text('jobs'), "1\x{202f}234\x{202f}567", 'jobs');
is(text('cpu'), '1 h 6 min', 'CPU time');
is(text('limit'), 'limit 8 CPUs, 35 % each', 'CPU limit');
like(text('foot'), qr/^nginx \Q$evil\E .* up 2 d 7 h .* zone 75 % used$/,
    'of the server');

visit('/brief');
like(text('foot'), qr/^configuration 3 .* answered by worker 0 .* zone 75 % used$/,
    'of the server, without what "brief" leaves out');
visit('/states');

# time goes on

my $next = row($order[0])->{next};
wait_for("document.querySelector('[data-f=next]').textContent !== '$next'");
pass('the countdown counts');

# the same in the details

js('document.querySelectorAll("[data-f=name]").forEach((n) => n.click())');
is(js('document.querySelectorAll(".details:not([hidden])").length'), 17,
    'details');

my %fact = %{facts('lost')};

is($fact{'Configuration Runs'}, "digest \"/srv/www\"\nverify \"$evil\"",
    'what it runs');
is($fact{'Configuration Time-out'}, '10 min', 'its time-out');
is($fact{'Configuration Retry'}, 'after 250 ms', 'its retry');
is(facts('short')->{'Configuration Retry'}, 'none', 'or none');
is($fact{'Configuration Unhealthy after'}, '2 failures in a row', 'its health');
is($fact{'Configuration Healthy after'}, '1 good cycle', 'the other way round');
is($fact{'All cycles Duration'}, '21.9 s in total', 'totals');
like($fact{'Last cycle Started'}, qr{^\d+/\d+/01,? \d\d:\d\d:\d\d$}, 'a date');
is($fact{'Last cycle Operations'}, "2\x{202f}499 good, 1 failed",
    'operations of the last cycle');
like($fact{'Last cycle Last failure'}, qr{^\d+/\d+/01.*\none that is over$}s,
    'a failure that is over');

is_deeply([map { [@$_[1 .. 3]] } @{cycles('lost')}],
    [['2.00 s', '–', ''], ['1.50 s', '1', 'of that cycle']], 'single cycles');
like(cycles('lost')->[0][0], qr{^\d+/\d+/01,? \d\d:\d\d:\d\d$}, 'their dates');

# at any width, with all of this

for my $width (320, 390, 641, 800, 1081, 1280) {
    browser()->size($width, 6000);
    wait_for("innerWidth === $width");
    is(js('document.documentElement.scrollWidth'), $width,
        "$width pixels: nothing sticks out");
    is(overlaps(), '', "$width pixels: no text on another");
}

browser()->size(1280, 900);
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

for ([bad => 'late failing again abandoned quarantined'],
    [late => 'late overdue'], [run => 'again run many some'])
{
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
    is(seen('document.getElementById("top").dataset.verdict'), $sign,
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

# what the details of a task say, by the part and the name

sub facts {
    return js('[...' . details($_[0]) . <<'EOF');
.querySelectorAll('.facts div')].reduce((facts, div) => {
    const part = div.closest('section').firstChild.textContent;
    facts[part + ' ' + div.children[0].textContent] =
        div.children[1].textContent;
    return facts;
}, {})
EOF
}

sub cycles {
    return js('[...' . details($_[0]) . '.querySelectorAll("tbody tr")]'
        . '.map((tr) => [...tr.children].map((td) => td.textContent))');
}

sub details { "rows.get('$_[0]').details" }
