#!/usr/bin/env perl

# Variables and set_background: in map, if, add_header, return and log_format.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundStatus;
use Test::More;
use Time::HiRes qw/ time /;

###############################################################################

my $dir = dir();
my $name = "a\nX-Forged: 1\x7f\xe9";

mkdir "$dir/files" or die "mkdir: $!\n";
put("files/$name", '');
chmod 0, "$dir/files/$name" or die "chmod: $!\n";

my $started = time;

# the log format and the map come before the tasks that they name

start(<<'EOF', <<'EOF2');
    log_format ok '$uri $background_status $background_ok_good $background_ok_bad $set';

    map $background_ok_bad $bad {
        1       well;
        0       unwell;
        default unknown;
    }

    map $background_status$background_ok_never $both {
        ok1       "all is well";
        degraded1 "not all is well";
        default   unknown;
    }

    map $host $background_ok_mapped { default mine; }

    background_task good    { interval 1h; simulate_io 3 delay=10ms-10ms; }
    background_task bad     { retry 1h; digest files; }
    background_task never   { timeout 1d; simulate_io 1 delay=1h-1h; }
    background_task Dot.ted { retry 1h; timeout 1ms; simulate_io 2 delay=1h-1h; }
    background_task Twice   { interval 1h; simulate_io 1 delay=0-0; }
    background_task twice-  { interval 1h; simulate_io 1 delay=0-0; }
EOF
    set $set "";
    set $task "";

    location = /status-2 {
        background_status task=good;
        add_header Ok "$background_status,$background_ok_good,$background_ok_twice";
        add_header Mapped "$bad,$both,$background_ok_mapped";
        access_log ok.log ok;
    }

    location = /if {
        if ($background_ok_bad) { return 200 "bad is well"; }
        if ($background_status = degraded) { return 200 "degraded"; }
        return 200 "all is well";
    }

    location = /set-user {
        set $background_ok_user 7;
        return 200 $background_ok_user;
    }

    location = /field {
        set_background $state   $arg_task state;
        set_background $ok      $arg_task ok;
        set_background $cycles  $arg_task cycles;
        set_background $fails   $arg_task failures;
        set_background $row     $arg_task consecutive_failures;
        set_background $ops     $arg_task operations;
        set_background $bytes   $arg_task bytes;
        set_background $error   $arg_task last_error;
        set_background $wall    $arg_task last_wall_seconds;
        set_background $age     $arg_task age_seconds;
        return 200 "$state|$ok|$cycles|$fails|$row|$ops|$bytes|$wall|$age|$error";
    }

    location = /literal {
        set_background $state Dot.ted state;
        set_background $ok twice- ok;
        set_background $part "Dot.$arg_rest" ok;
        if ($arg_if) { set_background $state good state; }
        if ($ok = 1) { return 200 "$state, ok, part <$part>"; }
        return 200 "$state, not ok";
    }

    location = /header {
        set_background $error bad last_error;
        add_header Error $error;
        add_header After x;
        return 204;
    }

    location /logged {
        set_background $set bad state;
        access_log ok.log ok;
        return 204;
    }

    set_background $server good cycles;

    location = /server { return 200 "server $server"; }

    location = /none { return 200 "ok $background_ok_good"; }
EOF2

# while no cycle has ended a task is well, and has values

poll('the first cycle', sub {
    my %task = by_name(status());
    $task{never}{running};
});

is(get_body('/field?task=never'), 'running|1|0|0|0|0|0|||',
    'before the first cycle');

my %task;

poll('cycles', sub {
    %task = by_name(status());
    !grep { !$_->{last} && $_->{name} ne 'never' } values %task;
});

my ($code, $headers) = get('/status-2');

is($code, 200, 'a status page');
like($headers, qr/^Ok: degraded,1,1\r$/m, 'add_header');
like($headers, qr/^Mapped: unwell,not all is well,mine\r?$/m, 'map');
is(get_body('/if'), 'degraded', 'if');
is(get_body('/set-user'), 7, 'a variable of the user, of such a name');
is(get_body('/server'), 'server 1', 'in a server');
is(get_body('/none'), 'ok 1', 'in return');

get('/logged');
poll('the log', sub { slurp('ok.log') =~ /logged/ });
is(slurp('ok.log'), "/status-2 degraded 1 0 \n/logged degraded 1 0 retrying\n",
    'log_format');

# each field

for my $name (qw/ good bad Dot.ted Twice twice- never /) {
    my $t = $task{$name};
    my @field = split /\|/, get_body("/field?task=$name"), -1;
    my $age = splice @field, 8, 1;
    my $error = pop @field;

    is("@field", join(' ', $t->{state}, $t->{healthy} + 0,
        $t->{cycles}{completed}, $t->{cycles}{failed},
        $t->{cycles}{consecutive_failures}, $t->{operations}{completed},
        $t->{operations}{bytes},
        $t->{last} ? sprintf '%.3f', $t->{last}{wall_seconds} : ''),
        "$name: fields");

    if ($t->{last_success}) {
        like($age, qr/^\d+\.\d{3}$/, "$name: age");
        cmp_ok($age, '<=', time - $started, "$name: not before the start");

    } else {
        is($age, '', "$name: no age");
    }

    my $expected = $t->{last} && $t->{last}{error} || '';
    $expected =~ s/[\x00-\x1f\x7f]/?/g;

    is(utf8_text($error), $expected, "$name: error");
}

# what is not there

is(get_body("/field?task=$_"), '|||||||||', "no task \"$_\"")
    for '', 'x', 'goo', 'good2', 'GOOD', 'dot.ted', '%00', 'n' x 3000;

is(get_body('/literal'), 'retrying, ok, part <>', 'a literal');
is(get_body('/literal?if=1'), 'waiting, ok, part <>', 'in if');
is(get_body('/literal?rest=ted'), 'retrying, ok, part <0>',
    'a name of two parts');

# a line of its own in a header

(undef, $headers) = get('/header');

like($headers, qr/^Error: digest "files": open\(\) ".*files\/a\?X-Forged: 1\?\xe9" failed \(13: Permission denied\)\r$/m,
    'an error in a header');
unlike($headers, qr/^X-Forged/m, 'stays one');
like($headers, qr/^After: x\r?$/m, 'the next one is whole');

stop();

done_testing();

sub get_body { (get($_[0]))[2] }

sub slurp {
    my ($name) = @_;

    open my $file, '<', "$dir/$name" or return '';
    local $/;

    return scalar(<$file>) // '';
}
