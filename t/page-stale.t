#!/usr/bin/env perl

# The page in a browser, when the server can't be reached: it says so, and
# comes back by itself.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundPage;
use BackgroundStatus;
use Test::More;

###############################################################################

browser();

$BackgroundPage::stale = 1;

my $fresh = '#fresh span';
my $tasks = <<'EOF';
    background_task waits { interval 1d; simulate_io 1 delay=0-0; }
    background_task often { interval 100ms; simulate_io 1 delay=0-0; }
EOF

start_page($tasks);
visit('/page');

wait_text($fresh, qr/^Updated \d s ago$/, 'fresh');
wait_for('!document.body.classList.contains("stale")'
    . ' && document.getElementById("verdict").textContent'
    . '    === "All 2 tasks are well"'
    . ' && document.getElementById("retry").hidden');
pass('well, and no button');

stop();
wait_text($fresh,
    qr/^The server can't be reached\. \d+ s ago: All 2 tasks are well\. (?:Next|Try)/,
    'says what it was');

is(stale(), 1, 'stale');
is(text('verdict'), 'No answer from the server', 'says so');
is(js('document.getElementById("top").dataset.verdict'), 'none', 'no verdict');
is(js('document.title'), '? Background tasks', 'title');
is(js('getComputedStyle(document.getElementById("list")).filter'),
    'grayscale(1)', 'looks old');
is(js('document.getElementById("retry").checkVisibility()'), 1, 'a button');

# waits longer and longer

my ($before) = fresh() =~ /(\d+) s ago/;
wait_text($fresh, qr/Next try in [3-8] s/, 'a longer pause');
my $after = poll('its age grows', sub {
    my ($now) = fresh() =~ /(\d+) s ago/;

    return defined $now && $now > $before && $now;
});
cmp_ok($after, '>', $before, 'its age grows');
is(row('waits')->{next}, '–', 'what comes next is not known');

# one with other statistics: a history of before is not shown

start_page($tasks);
wait_text('#verdict', qr/^All 2 tasks are well$/, 'well again');
is(js('document.title'), 'Background tasks', 'title');
poll('a cycle', sub { status()->{tasks}[0]{last} });
wait_for('document.getElementById("tasks").innerHTML'
    . '.includes("\"1 cycle, 0 failed, ")');
is(bars('waits', 'took'), 1, 'the new history');

# an answer that is no status, and the button

reconfigure('location = /page { background_status html; }',
    'location = /page { return 502; }');
wait_text($fresh, qr/^The server answers 502 without JSON\. /, 'another answer');
is(stale(), 1, 'stale');

reconfigure('location = /page { return 502; }',
    'location = /page { background_status html; }');
poll('the new configuration', sub { (get('/page'))[0] == 200 });
js('document.getElementById("retry").click()');
wait_for('!document.body.classList.contains("stale")');
pass('asked by the button');

# nothing is asked while nobody looks

js('document.hidden || Object.defineProperty(document, "hidden",'
    . ' { value: true, configurable: true });'
    . 'document.dispatchEvent(new Event("visibilitychange"))');
browser()->events('Network\.requestWillBeSent');

my $cycles = status()->{tasks}[1]{cycles}{completed};
poll('30 cycles', sub {
    status()->{tasks}[1]{cycles}{completed} > $cycles + 30;
});
is(scalar(browser()->events('Network\.requestWillBeSent')), 0,
    'no request while hidden');

js('delete document.hidden;'
    . 'document.dispatchEvent(new Event("visibilitychange"))');
wait_for('document.querySelector("#fresh span").textContent'
    . ' === "Updated 0 s ago" && !document.body.classList.contains("stale")');
pass('fresh again');

clean('stale', qr/ERR_CONNECTION_(?:REFUSED|RESET)|ERR_EMPTY_RESPONSE| 502 \(/);
stop();

done_testing();

###############################################################################

sub stale { js('document.body.classList.contains("stale") ? 1 : 0') }

sub fresh { js('document.querySelector("#fresh span").textContent') }
