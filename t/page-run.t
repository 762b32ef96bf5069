#!/usr/bin/env perl

# The page in a browser: jobs a second and how many wait, of a task whose cycles
# come from requests.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundLife;
use BackgroundPage;
use BackgroundPost;
use BackgroundStatus;
use JSON::PP ();
use Test::More;

###############################################################################

browser();

my $dir = dir();
my $calls = root() . '/t/calls';

build_library("$dir/$_.so", "$calls/$_.c", '')
    or plan skip_all => 'no C compiler'
    for qw/ output hold /;

# the second page is what a status was before, until the test changes it

start_page(<<"EOF", <<'EOF_LOCATIONS' . fake('later', {}));
    background_threads 1;
    background_task hold   { interval off; call hold.so hold $dir/gate; }
    background_task both   { interval 1d; call output.so reverse; }
    background_task beside { interval 1d; simulate_io 1; }
EOF
    location /hold { background_run hold; }
    location /both { background_run both; }
EOF_LOCATIONS

sub shows {
    my ($name, $field, $text) = @_;

    poll("$name: $text", sub { (row($name)->{$field} // '') eq $text });
}

sub task {
    my ($status, $name) = @_;

    my %tasks = by_name($status);

    return $tasks{$name};
}

poll('both have ended', sub {
    my $status = status();
    return !grep { !task($status, $_)->{last} } qw/ both beside /;
});

is(task(status(), $_->[0])->{arrives} ? 1 : 0, $_->[1], "$_->[0]: arrives")
    for ['hold', 1], ['both', 1], ['beside', 0];

my @clients = map { begin('/hold', '') } 1 .. 3;

poll('two wait', sub { task(status_anyhow(), 'hold')->{waiting} == 2 });

visit('/page');
shows('hold', rateNote => '2 waiting');
shows('both', rateNote => '0 waiting');
is(row('beside')->{rateNote}, '1 op', 'one whose cycles time starts');

put('gate', '');
rest($_) for @clients;

# an answer, and the next one with ten seconds more, and 250 jobs; then one of a
# server that has started anew

my $status = status();

sub later {
    my ($seconds, $jobs) = @_;

    $status->{now} = sprintf '2001-02-03T04:05:%06.3fZ', $seconds;
    @{task($status, 'hold')->{cycles}}{qw/ completed failed cancelled /} =
        ($jobs, 20, 3);
    task($status, 'hold')->{waiting} = 1234;

    replace('html/later.json', JSON::PP->new->encode($status));
}

later(10, 1000);
visit('/later');
shows('hold', rateNote => "1\x{202f}234 waiting");
is(row('hold')->{rate}, '–', 'one answer is no rate');

later(20, 1250);
shows('hold', rate => '25 jobs/s');

later(40, 1255);
shows('hold', rate => '0.3 jobs/s');

later(50, 7);
shows('hold', rate => '–');

later(50.5, 1007);
shows('hold', rate => '2.0 k jobs/s');

clean('all');
stop();

done_testing();
