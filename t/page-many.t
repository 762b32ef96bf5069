#!/usr/bin/env perl

# The page in a browser: 500 tasks.

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

start_page(join "\n", 'background_zone 4m;', map {
    "background_task task-$_ { interval 1s jitter=1s; retry 1d; "
        . ($_ % 100 ? 'simulate_io 1 delay=1s-2s;' : "connect unix:$dir/nothing;") . ' }'
} 1 .. 500);

poll('each task has a cycle behind it', sub {
    500 == (() = (get('/status'))[2] =~ /"last":\{/g);
});

visit('/page');
is(text('verdict'), '5 of 500 tasks are failing', 'verdict');
is(js('document.querySelectorAll(".task").length'), 500, 'all are there');

js('document.querySelector("[data-only=bad]").click()');
is(shown(), join(' ', map { "task-${_}00" } 1 .. 5), 'failing ones');
js('document.querySelector("[data-only=all]").click()');

js('document.getElementById("filter").focus()');
browser()->key($_) for qw/ - 4 9 /;
is(shown(), join(' ', 'task-49', map { "task-49$_" } 0 .. 9), 'by name');
js('document.getElementById("filter").value = ""');
browser()->key('x');
browser()->key('Backspace', 8);

# an update changes what has changed: no task comes, goes or moves

js(<<'EOF');
document.querySelectorAll('.task').forEach((li, i) => { li.mark = i; });
window.moved = 0;
new MutationObserver((list) => { moved += list.length; })
    .observe(document.getElementById('tasks'), { childList: true });
window.longest = 0;
new PerformanceObserver((list) => {
    longest = Math.max(longest, ...list.getEntries().map((e) => e.duration));
}).observe({ type: 'longtask' });
EOF

my $before = js(counts());
wait_for(counts() . " !== '$before'");
wait_for('document.querySelector("[data-state=running]") != null');

is(js('moved'), 0, 'nothing was moved');
is(js('[...document.querySelectorAll(".task")].every((li, i) =>'
        . ' li.mark === i)'), 1, 'the same elements');
is(js('document.activeElement.id'), 'filter', 'the focus stays');

note(sprintf 'the longest pause of the page: %d ms', js('longest'));

clean('page');
stop();

done_testing();

###############################################################################

sub shown {
    return js('[...document.querySelectorAll(".task:not([hidden])'
        . ' [data-f=name]")].map((n) => n.textContent).join(" ")');
}

sub counts {
    return '[...document.querySelectorAll(".task svg")]'
        . '.map((n) => n.getAttribute("aria-label")).join()';
}
