#!/usr/bin/env perl

# The page in a browser: on screens of any width, light and dark, for
# assistive technology, and without JavaScript.

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
my $long = 'x' x 64;

put('file', '');
truncate "$dir/file", 100_000_000 or die "truncate: $!\n";

start_page(<<"EOF");
    background_task good { interval 1d; simulate_io 1 delay=0-0; }
    background_task bad { retry 1d; connect unix:$dir/nothing; }
    background_task $long {
        retry 1d; connect unix:$dir/@{['y' x (90 - length $dir)]};
    }
    background_task nearly {
        retry 1d; health fails=2; connect unix:$dir/nothing;
    }
    background_task hashes { interval 1d; digest $dir/file limit_rate=20k; }
EOF

poll('each task has a cycle behind it', sub {
    4 == grep { $_->{last} } @{status()->{tasks}};
});

# every width

visit('/page');

js('document.querySelectorAll("[data-f=name]").forEach((n, i) =>'
    . ' i % 2 && n.click())');

for my $width (320, 390, 641, 820, 1081, 1280, 2560) {
    browser()->size($width, 900);
    wait_for("innerWidth === $width");
    is(js('document.documentElement.scrollWidth'), $width,
        "$width pixels: nothing sticks out");
    is(overlaps(), '', "$width pixels: no text on another");
}

browser()->size(1280, 900);

# every text has a contrast of 4.5 at least (WCAG 2, AA), in both schemes

my %page;

for my $scheme (qw/ light dark /) {
    browser()->media('prefers-color-scheme' => $scheme);
    wait_for("matchMedia('(prefers-color-scheme: $scheme)').matches");
    $page{$scheme} = js('getComputedStyle(document.body).backgroundColor');
    is(js(contrast()), '', "$scheme: contrast");
}

isnt($page{dark}, $page{light}, 'two schemes');

my $animations = 'document.getAnimations().length';

wait_for("$animations > 0");
browser()->media('prefers-reduced-motion' => 'reduce');
wait_for("matchMedia('(prefers-reduced-motion: reduce)').matches");
is(js($animations), 0, 'nothing moves where that is not wanted');

# what assistive technology is told

my (%names, @unnamed);

for my $node (@{browser()->call('Accessibility.getFullAXTree')->{nodes}}) {
    next if $node->{ignored};

    my ($role, $name) = map { $_->{value} // '' } @$node{qw/ role name /};

    push @{$names{$role}}, $name;
    push @unnamed, $role if $name eq ''
        && $role =~ /^(?:button|searchbox|image|img|progressbar|region)$/;
}

is("@unnamed", '', 'all have names');
is(scalar @{$names{$_} || []}, 1, "one $_") for qw/ banner main /;
is(join(', ', sort @{$names{region}}), join(', ', sort 'Verdict',
    'Thread pool', 'Tasks', 'Last cycles of good', "Last cycles of $long"),
    'regions');
is(join(', ', grep { !/^(?:Configuration|All cycles|Last cycle)$/ }
                  @{$names{heading}}),
    "Background tasks, Tasks, bad, $long, nearly, good, hashes", 'headings');
is(scalar @{$names{listitem}}, 5, 'a list of the tasks');
is(join(', ', @{$names{searchbox}}), 'Filter by name or error', 'search');
is(join(', ', @{$names{progressbar}}), 'Progress of hashes', 'progress');
is(js('[...document.querySelectorAll("[aria-live], [role=status],'
    . ' [role=alert]")].filter((n) => !n.closest("[hidden]"))'
    . '.map((n) => n.id).join()'), 'verdict',
    'only the verdict is said by itself');

# by keyboard, all there is, with a focus that is to be seen

js('document.activeElement.blur()');

my $reached = '';

for (1 .. 30) {
    browser()->key('Tab', 9);
    last if js('document.activeElement === document.body');

    $reached .= js('document.activeElement.id || document.activeElement'
        . '.className || document.activeElement.textContent');
    $reached .= ' without a focus'
        if js('getComputedStyle(document.activeElement).outlineStyle')
           ne 'solid';
    $reached .= "\n";
}

unlike($reached, qr/without a focus/, 'a focus that is to be seen');
is($reached, join('', map { "$_\n" } 'filter', 'All 5', 'Failing 2',
    'Late 0', 'Running 1', 'bad', $long, 'log', 'nearly', 'good', 'log', 'hashes'),
    'all are reached, in order');

clean('page');

# without JavaScript

browser()->call('Emulation.setScriptExecutionDisabled', value => \1);
browser()->visit(js('location.href'));
like(js('document.body.innerText'), qr/\ABackground tasks\s+This page needs/,
    'without JavaScript');

stop();

done_testing();

###############################################################################

sub contrast {
    return <<'EOF';
(() => {
    const rgb = (s) => s.match(/[\d.]+/g).map(Number);
    const luminance = (c) => c.slice(0, 3).map((v) => v / 255)
        .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = (n) => {
        for ( ; n; n = n.parentElement) {
            const c = rgb(getComputedStyle(n).backgroundColor);
            if (c.length === 3 || c[3] === 1) { return c; }
        }
        return [255, 255, 255];
    };
    const found = [];
    const texts = document.createTreeWalker(document.body, 4);
    for (let t; (t = texts.nextNode()); ) {
        const n = t.parentElement;
        if (!t.data.trim() || !n.checkVisibility()) { continue; }
        const [a, b] = [luminance(rgb(getComputedStyle(n).color)),
                        luminance(behind(n))].sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < 4.5) { found.push(t.data + ' ' + ratio.toFixed(2)); }
    }
    return found.join(', ');
})()
EOF
}
