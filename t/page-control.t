# The page in a browser: buttons that give orders, where "control=" says where
# they go; what the server refuses is said.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundPage;
use BackgroundServer;
use BackgroundStatus;
use JSON::PP ();
use Test::More;

browser();

my %address = map { $_ => server($_) } qw/ a b /;

start_page(<<"EOF_HTTP", <<'EOF_SERVER', 'worker_processes 2;');
    upstream app {
        zone app 64k;
        server $address{a} max_fails=0;
        server $address{b} max_fails=0;
    }
EOF_HTTP
    background_task app { interval 1h; probe app timeout=30s; }
    background_task idle { interval off; simulate_io 1 delay=1ms-1ms; }
    background_task long {
        interval off;
        timeout 3h;
        simulate_io 1 delay=2h-2h;
    }
    location / { proxy_pass http://app; proxy_next_upstream off; }
    location = /all { background_status html control=/control; }
    location = /some { background_status html control=/run/; }
    location = /other { background_status html control=/nowhere; }
    location /control/ { background_control run pause cancel peers; }
    location /run { background_control run task=long; }
    location "/odd&\"<" { background_control run; }
    location = /odd { background_status html "control=/odd&\"<"; }
EOF_SERVER

my $json = JSON::PP->new->ascii->allow_nonref;

sub task {
    my %task = by_name(status());

    return $task{$_[0]};
}

# an expression about a task's list item, "li"

sub in_task {
    my ($name, $expression) = @_;

    return js('((li) => ' . $expression . ')([...document.querySelectorAll('
              . '".task")].find((li) => li.row.name === '
              . $json->encode($name) . '))');
}

sub opens {
    in_task($_, 'li.querySelector("[data-f=name]").click()') for @_;
}

sub buttons {
    return in_task($_[0], '[...li.querySelectorAll(".orders button")]'
        . '.filter((b) => b.checkVisibility()).map((b) => b.textContent)'
        . '.join(" ")');
}

sub order {
    my ($name, $order) = @_;

    in_task($name, "li.querySelector('[data-order=$order]').click()");
}

sub says_order {
    my ($name, $re, $what) = @_;
    my $text = '';

    eval {
        poll($what, sub {
            $text = in_task($name,
                'li.querySelector("[data-f=order]").textContent');
            $text =~ $re;
        });
    };

    like($text, $re, $what);
}

sub has_buttons {
    my ($name, $buttons) = @_;

    poll("$name: $buttons", sub { buttons($name) eq $buttons });
    is(buttons($name), $buttons, "$name: $buttons");
}

poll('servers', sub { state_of('app', 'b') eq 'up' });

# without "control="

visit('/page');
opens(qw/ app idle /);
wait_text('[aria-label="Servers of app"]', qr/\Q$address{a}\E/, 'details');
is(buttons('idle'), '', 'no buttons');
is(js('document.querySelectorAll(".details button").length'), 0,
   'nor of servers');
is((get('/page'))[2] =~ /<html[^>]*data-/ ? 1 : 0, 0, 'no attributes');

# with it

visit('/all');
is(buttons('idle'), '', 'details are closed: no buttons');
opens(qw/ app idle long /);
has_buttons('idle', 'Run Pause Cancel');

order('idle', 'run');
says_order('idle', qr/^idle: run was ordered$/, 'run');
poll('it ran', sub { task('idle')->{cycles}{completed} == 1 });

order('idle', 'pause');
says_order('idle', qr/pause was ordered/, 'pause');
has_buttons('idle', 'Run Resume Cancel');
is(task('idle')->{state}, 'paused', 'it is paused');

order('idle', 'resume');
says_order('idle', qr/resume was ordered/, 'resume');
has_buttons('idle', 'Run Pause Cancel');

order('long', 'run');
says_order('long', qr/run was ordered/, 'a long cycle');
poll('it runs', sub { task('long')->{running} });
order('long', 'run');
says_order('long', qr/^long: run failed: the server answers 409, not possible/,
           'an order that is refused');
order('long', 'cancel');
says_order('long', qr/cancel was ordered/, 'cancel');
poll('cancelled', sub { task('long')->{cycles}{cancelled} == 1 });
poll('the details say so', sub {
    in_task('long', 'li.querySelector(".details").textContent')
        =~ /1 cancelled/;
});

# an answer that comes after that of a later order

js(<<'EOF_JS');
(() => {
    const real = self.fetch;

    self.fetch = async (...args) => {
        const answer = await real(...args);

        if (/run$/.test(args[0])) {
            const value = await answer.json();

            await new Promise((resolve) => { self.release = resolve; });

            answer.json = async () => value;
            setTimeout(() => { self.released = true; });
        }

        return answer;
    };
})()
EOF_JS
order('idle', 'run');
order('idle', 'pause');
says_order('idle', qr/pause was ordered/, 'a later order');
poll('the earlier one is answered', sub { js('!!self.release') });
js('void self.release()');
poll('which the page has seen', sub { js('!!self.released') });
says_order('idle', qr/pause was ordered/, 'the later one is what is said');
order('idle', 'resume');
says_order('idle', qr/resume was ordered/, 'resume again');
poll('and the earlier one has run', sub {
    task('idle')->{cycles}{completed} == 2
});

# servers

my $lever = qq([aria-label="Order for $address{a} of app"]);

wait_text($lever, qr/^Down$/, 'a server can be taken down');
js("document.querySelector('$lever').focus();"
   . "document.querySelector('$lever').click()");
wait_text($lever, qr/^Up$/, 'it can be taken up');
is(js("document.activeElement.matches('$lever')"), JSON::PP::true,
   'the button keeps the focus');
says_order('app', qr/^\Q$address{a}\E: down was ordered$/, 'which is said');
wait_text('[aria-label="Servers of app"]', qr/\Q$address{a}\Edisabled/,
          'its state');
poll('only the other one', sub { answers('/') eq 'b' });
js("document.querySelector('$lever').click()");
wait_text($lever, qr/^Down$/, 'it is up');
poll('both', sub { answers('/') eq 'a b' });

# orders of others, between two cycles of the task

for my $order (['down', qr/\Q$address{b}\Edisabled/],
               ['up', qr/\Q$address{b}\Eup/])
{
    my ($action, $re) = @$order;

    http("POST /control/peers/app/$address{b}/$action HTTP/1.1\r\n"
         . "Host: test\r\nConnection: close\r\nX-Background: 1\r\n"
         . "Content-Length: 0\r\n\r\n") =~ m{^HTTP/1.1 202 } or die 'no order';
    wait_text('[aria-label="Servers of app"]', $re, "$action by another client");
}

# "Drain" is there where nginx has it

my ($major, $minor, $patch) = status()->{nginx} =~ /^(\d+)\.(\d+)\.(\d+)/;
my $drains = $major * 1e6 + $minor * 1e3 + $patch >= 1029006;
my $drain = qq([aria-label="Drain $address{a} of app"]);

is(js("document.querySelectorAll('$drain').length"), $drains ? 1 : 0, 'Drain');

if ($drains) {
    js("document.querySelector('$drain').click()");
    wait_text($lever, qr/^Up$/, 'it is drained');
    says_order('app', qr/^\Q$address{a}\E: drain was ordered$/, 'which is said');
    poll('only the other one', sub { answers('/') eq 'b' });
    js("document.querySelector('$lever').click()");
    wait_text($lever, qr/^Down$/, 'it is up');
    poll('both', sub { answers('/') eq 'a b' });
}

is(logged(qr/\[notice\].*(?:idle": run|idle": pause|idle": resume|long": run|long": cancel|: down|: up) by 127\.0\.0\.1/),
   $drains ? 11 : 10, 'who has ordered it is logged');

# only what the location allows

visit('/some');
opens(qw/ app idle /);
has_buttons('idle', 'Run');
is(js('document.querySelectorAll(".details button").length'), 0,
   'no buttons of servers');
order('idle', 'run');
says_order('idle', qr/run failed: the server answers 404, not allowed here/,
           'a task that is not allowed');
is(task('idle')->{cycles}{completed}, 2, 'it did not run');

# a location that is not here, as behind another server

visit('/other');
opens('idle');
has_buttons('idle', 'Run Pause Cancel');

# the URI ends no attribute

like((get('/odd'))[2],
     qr{<html lang="en" data-control="/odd&amp;&quot;&lt;" data-actions="run ">\n},
     'odd characters');

clean('all', qr/status of 40[49]/);
stop();
done_testing();
