#!/usr/bin/env perl

# set_background and $background_ok_NAME: what nginx accepts and refuses.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundConf;
use Test::More;

###############################################################################

my $listen = 'listen unix:' . conf_dir() . '/1;';
my @fields = qw/ state ok cycles failures consecutive_failures operations bytes
                 last_error last_wall_seconds age_seconds /;
my $accepted = join(', ', map { "\"$_\"" } @fields[0 .. 8])
               . " or \"$fields[9]\"";

for my $context (qw/ location server /) {
    accepts($context eq 'server' ? 'server' : 'location',
        map { ($context eq 'server' ? 'background_task t { simulate_io 1; } '
                                    : '') . $_ }
        (map { "set_background \$v t $_;" } @fields),
        'set_background $v $host state;',
        'set_background $v "t$host" state; set_background $v t ok;',
        'if ($host) { set_background $v t state; }',
        'set $v 1; set_background $v t state; if ($v) { return 204; }');
}

# tasks that come later, in another server

accepts('http',
    "server { $listen set_background \$v a ok; }\n"
        . 'background_task a { simulate_io 1; }',
    "server { $listen location / { set_background \$v a.b-c ok; } }"
        . 'server { background_task a.b-c { simulate_io 1; } }',
    'log_format x "$background_ok_a $background_status";'
        . 'background_task a { simulate_io 1; }',
    'map $background_ok_a $x { default 1; }'
        . 'server { background_task A { simulate_io 1; } }',
    'log_format x $background_status;',
    'map $host $background_ok_mine { default 1; } '
        . 'log_format x $background_ok_mine;',
    "server { $listen set \$background_ok_mine 1; }"
        . 'log_format x $background_ok_mine;',
    "server { $listen " . 'return 200 "${background_ok_a}b $background_ok_a."; }'
        . 'background_task a { simulate_io 1; }',
);

# texts; the variable's own have no line, as nginx's own

rejects('location',
    (map { ("set_background \$v t $_;"
            => "invalid field \"$_\" in \"set_background\" directive, "
               . "it must be $accepted") }
        qw/ x State ok1 last /),
    'set_background $v t "";'
        => 'invalid field "" in "set_background" directive, '
           . "it must be $accepted",
    'set_background $v x state;'
        => 'unknown background task "x" in "set_background" directive',
    "set_background \$v t state;\nset_background \$v T state; # here"
        => 'unknown background task "T" in "set_background" directive',
    'set_background $v "" state;'
        => 'unknown background task "" in "set_background" directive',
    "if (\$host) {\nset_background \$v tt state; # here\n}"
        => 'unknown background task "tt" in "set_background" directive',
    'set_background v t state;' => 'invalid variable name "v"',
    'set_background $v t;'
        => 'invalid number of arguments in "set_background" directive',
    'set_background $v t state ok;'
        => 'invalid number of arguments in "set_background" directive',
);

for my $context (qw/ all http task /) {
    rejects($context, 'set_background $v t state;'
        => '"set_background" directive is not allowed here');
}

for ('return 200 $background_ok_x;', 'add_header X $background_ok_;',
     'return 200 $background_ok_a.b;', 'if ($background_ok_tt) { return 204; }')
{
    my ($variable) = /(background_ok_\w*)/;
    my ($code, $said) = nginx_t(in('location', $_));

    is($code, 1, $_);
    like($said, qr/^nginx: \[emerg\] unknown background task in "\$$variable" variable, "\$background_ok_" must be followed by a task's name$/m,
        "$_: the reason");
}

my ($code, $said) = nginx_t(in('http',
    'log_format x $background_ok_ab;' . join ' ',
    map { "background_task $_ { simulate_io 1; }" } qw/ aB Ab /));

is($code, 1, 'two tasks of that name');
like($said, qr/^nginx: \[emerg\] ambiguous "\$background_ok_ab" variable, names of background tasks differ in case only: use "set_background"$/m,
    'the reason');

done_testing();

sub in { BackgroundConf::in(@_) }
