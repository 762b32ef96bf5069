#!/usr/bin/env perl

# With the argument history=1 each task has its last 60 cycles, oldest first.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundStatus;
use Test::More;

###############################################################################

my $dir = dir();
my $long = 'x' x 300;

start(<<"EOF", <<'EOF2');
    background_task new { interval 1h jitter=365d; simulate_io 1; }
    background_task good { interval 1h; simulate_io 2 delay=10ms-10ms; }
    background_task bad {
        retry   1h;
        timeout 5ms;
        simulate_io 3 delay=1h-1h;
        simulate_io 1 delay=0-0;
    }
    background_task often { interval 1ms; simulate_io 1 delay=0-0; }
    background_task flips {
        retry  10ms;
        health fails=3 passes=2;
        connect unix:$dir/file;
        simulate_io 1 delay=0-0;
    }
    background_task long { retry 1h; digest $dir/$long; }
EOF
    location = /often { background_status task=often; }
    location = /brief { background_status brief; }
EOF2

my %tasks;

poll('a task has more than 60 cycles', sub {
    %tasks = by_name(status('/status?history=1'));

    $tasks{good}{last} && $tasks{bad}{last} && $tasks{long}{last}
        && $tasks{flips}{cycles}{failed} > 130
        && $tasks{often}{cycles}{completed} > 130;
});

is_deeply($tasks{new}{history}, [], 'no cycle yet');

for (qw/ good bad /) {
    my $last = $tasks{$_}{last};

    is_deeply($tasks{$_}{history}, [{
        finished => $last->{finished}, wall_seconds => $last->{wall_seconds},
        failed => $last->{failed},
        $_ eq 'bad' ? (error => $last->{error}) : (),
    }], "$_: a cycle");
}

is($tasks{bad}{history}[0]{failed}, 3, 'bad: failed');
is($tasks{bad}{history}[0]{error}, $tasks{bad}{last}{error}, 'bad: error');
cmp_ok($tasks{good}{history}[0]{wall_seconds}, '>=', 0.01, 'good: seconds');

my $history = $tasks{often}{history};
my @times = map { $_->{finished} } @$history;

is(@$history, 60, 'often: 60 cycles');
is_deeply(\@times, [sort @times], 'often: oldest first');
is($times[-1], $tasks{often}{last}{finished}, 'often: up to the last');
is(join(' ', grep { !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/ } @times), '',
    'often: times');
is(join(' ', map { sort keys %$_ } @$history),
    join(' ', ('failed finished wall_seconds') x 60), 'often: fields');

# what is configured

is_deeply($tasks{flips}{directives}, ["connect \"unix:$dir/file\"",
    'simulate_io "1"'], 'directives');
is_deeply($tasks{flips}{health}, { fails => 3, passes => 2 }, 'health');

# the error of each cycle: with the first one there are four texts

my @errors = (111, 2, 111);
my %before;

for my $n (@errors) {
    if ($n == 2) {
        unlink "$dir/file" or die "unlink: $!\n";

    } else {
        put('new', '');
        chmod 0777, "$dir/new" or die "chmod: $!\n";
        rename "$dir/new", "$dir/file" or die "rename: $!\n";
    }

    poll("error $n", sub {
        %tasks = by_name(status('/status?history=1'));
        return ($tasks{flips}{last}{error} =~ /\($n: /);
    });

    my $history = $tasks{flips}{history};

    is(@$history, 60, "error $n: 60 cycles");
    is($history->[-1]{error}, $tasks{flips}{last}{error}, "error $n: the last");

    # those that are still there

    my %errors = map { $_->{finished} => $_->{error} } @$history;
    my @others = grep { exists $errors{$_} && $errors{$_} ne $before{$_} }
                      keys %before;

    is("@others", '', "error $n: those before are the same");
    %before = map { $_->{finished} => $_->{error} } @$history;
}

is(length($tasks{long}{history}[0]{error}), 200, 'long: cut');
is(index($tasks{long}{last}{error}, $tasks{long}{history}[0]{error}), 0,
    'long: the beginning');

%tasks = by_name(status('/brief?history=1'));

is($tasks{flips}{directives}, undef, 'brief: no directives');
is(join(' ', map { sort keys %$_ } @{$tasks{flips}{history}}),
    join(' ', ('failed finished wall_seconds') x 60), 'brief: no errors');

# only with that very argument

my @arguments = ('', '?history', '?history=', '?history=0', '?history=11',
                 '?history=01', '?xhistory=1', '?history=1x', '?history=%31');

for (@arguments) {
    is(status("/often$_")->{tasks}[0]{history}, undef, "no history: \"$_\"");
}

for ('?history=1', '?a=b&history=1', '?history=1&a=b') {
    is(@{status("/often$_")->{tasks}[0]{history}}, 60, "history: \"$_\"");
}

stop();

done_testing();
