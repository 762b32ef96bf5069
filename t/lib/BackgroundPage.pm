package BackgroundPage;

# The page of "background_status html" of the test's own nginx, in a browser.

use strict;
use warnings;

use BackgroundBrowser;
use BackgroundStatus;
use Exporter qw/ import /;
use JSON::PP ();
use Test::More;

our @EXPORT = qw/ start_page fake browser visit js seen wait_for wait_text text
                  row bars overlaps clean /;

###############################################################################

my $port = ($ENV{TEST_NGINX_PORT} || 19840) + 19;
my $json = JSON::PP->new->ascii->allow_nonref;
my $browser;

# what the page shows is of interest when it has no answer, too

our $stale;

# as start() of BackgroundStatus, with the page at "/page"

sub start_page {
    my ($http, $locations, $main) = map { defined $_ ? $_ : '' } @_[0 .. 2];

    start($http, "listen 127.0.0.1:$port;\n"
        . "location = /page { background_status html; }\n$locations", $main);
}

# Makes "/NAME" the page of a status that the test makes up; returns the
# locations for start_page().

sub fake {
    my ($name, $status) = @_;

    mkdir dir() . '/html';
    put("html/$name.json", $json->encode($status));

    return <<"EOF";
location = /$name {
    if (\$http_accept = application/json) { rewrite ^ /$name.json last; }
    background_status html;
}
location = /$name.json { types { } default_type application/json; }
EOF
}

sub browser {
    return $browser if $browser;

    plan(skip_all => 'there is no Chromium')
        unless BackgroundBrowser::binary();

    return $browser = BackgroundBrowser->new;
}

# opens the page, and waits until it shows tasks

sub visit {
    my ($path) = @_;

    browser()->visit("http://127.0.0.1:$port$path");
    wait_for('document.querySelector("#shown:not([hidden])") != null');
}

sub js { browser()->js(@_) }
sub wait_for { browser()->wait_for(@_) }

# The value of an expression when the page is up to date: on a slow machine the
# server may take longer to answer than the page has patience.

sub seen {
    my ($expression) = @_;

    return js($expression) if $stale;

    return poll('the page is up to date', sub {
        js("document.body.classList.contains('stale') ? null : [$expression]");
    })->[0];
}

# waits until a text of the page is such a one; tests that in the end it is

sub wait_text {
    my ($selector, $re, $name) = @_;
    my $text = '';

    eval {
        poll($name, sub {
            $text = js("document.querySelector('$selector').textContent");
            return $text =~ $re;
        });
    };

    like($text, $re, $name);
}

sub text { seen("document.getElementById('$_[0]').textContent") }

# what the page shows of a task, by the fields' names

sub row {
    my ($name) = @_;

    return seen(find($name) . <<'EOF');
.map((li) => {
    const row = {...li.dataset, hidden: li.hidden};
    for (const node of li.querySelectorAll('[data-f]')) {
        row[node.dataset.f] = node.parentNode.hidden ? null : node.textContent;
    }
    row.chart = li.querySelector('svg').getAttribute('aria-label');
    const p = li.querySelector('progress');
    row.progress = p.hidden ? null : p.hasAttribute('value') ? p.value : -1;
    return row;
})[0]
EOF
}

# how many bars of a kind a task's chart has

sub bars {
    my ($name, $kind) = @_;

    return seen(find($name) . ".map((li) => (li.querySelector('.$kind')"
        . ".getAttribute('d').match(/M/g) || []).length)[0]");
}

# which fields of a task are shown one upon another

sub overlaps {
    return js(<<'EOF');
(() => {
    const found = [];
    for (const dl of document.querySelectorAll('.cells')) {
        const boxes = [...dl.querySelectorAll('[data-f], dt, svg')]
            .filter((n) => n.checkVisibility() && n.textContent + n.tagName)
            .filter((n) => n.tagName === 'svg' || n.textContent)
            .filter((n) => n.parentNode.getBoundingClientRect().height > 1)
            .map((n) => {
                const range = document.createRange();
                range.selectNodeContents(n);
                return n.tagName === 'svg' ? [n, n.getBoundingClientRect()]
                                           : [n, range.getBoundingClientRect()];
            }).filter(([n, box]) => getComputedStyle(n).clipPath === 'none'
                                    && box.width);
        boxes.forEach(([n, a], i) => boxes.slice(i + 1).forEach(([m, b]) => {
            if (a.left < b.right - 1 && b.left < a.right - 1
                && a.top < b.bottom - 3 && b.top < a.bottom - 3)
            {
                found.push([n, m].map((n) => n.dataset.f || n.tagName)
                                 .join(' and '));
            }
        }));
    }
    return found.join(', ');
})()
EOF
}

sub find {
    return '[...document.querySelectorAll(".task")].filter((li) =>'
        . ' li.querySelector("[data-f=name]").textContent === '
        . $json->encode($_[0]) . ')';
}

# tests that the console has nothing to complain of but what is expected, and
# that no request left the page

sub clean {
    my ($name, $expected) = @_;

    is(join("\n", grep { !$expected || !/$expected/ }
                       browser()->complaints()), '', "$name: console");

    my %elsewhere = map { $_ => 1 }
        grep { !m{^http://127\.0\.0\.1:$port/[\w./%]*(?:\?history=1)?$}
               && !m{^data:image/svg\+xml,} }
        map { $_->{request}{url} }
        browser()->events('Network\.requestWillBeSent');

    is(join("\n", sort keys %elsewhere), '', "$name: no request elsewhere");
}

1;
