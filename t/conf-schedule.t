#!/usr/bin/env perl

# workers, interval, retry, timeout, health: what nginx accepts and refuses.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundConf;
use Test::More;

###############################################################################

# every directive is known, with none and with too many arguments

rejects('task', map { ("$_;" => sprintf
        'invalid number of arguments in "%s" directive', /(\S+)/) }
    'workers', 'workers one all',
    'interval', 'interval 1s jitter=1s jitter=1s',
    'retry', 'retry 1s max=2s max=2s',
    'timeout', 'timeout 1s 2s',
    'health', 'health fails=1 passes=1 start=healthy fails=1');

rejects('task', map { ("$_;\n$_; # here" => sprintf
        '"%s" directive is duplicate', /(\S+)/) }
    'workers one', 'workers all', 'interval 1s', 'retry 1s', 'timeout 1s',
    'health fails=2');

rejects('task', "workers one;\nworkers all; # here"
    => '"workers" directive is duplicate');

# a second task starts anew

accepts('http', 'background_task a { interval 1s; workers all; retry 1s;'
    . ' timeout 1s; health fails=2; simulate_io 1; } '
    . 'background_task b { interval 1s; workers all; retry 1s; timeout 1s;'
    . ' health fails=2; simulate_io 1; }');

# workers

accepts('task', 'workers one;', 'workers all;', 'workers "all";');

rejects('task', map { ("workers $_;"
        => sprintf 'invalid value "%s" in "workers" directive, '
            . 'it must be "one", "all" or "cluster"', $_ eq '""' ? '' : $_) }
    '""', qw/ two 1 0 -1 One on onee/);

# times

my $year = 365 * 24 * 60 * 60;

accepts('task', map { ("interval $_;", "interval 1s jitter=$_;", "retry $_;",
                       "retry 1ms max=$_;", "timeout $_;") }
    '1ms', '1', '1s', '1m', '2h', '1d', '1w', '365d', "${year}s",
    "${year}000ms", '1h30m');
accepts('task', 'interval "1h 30m";', 'retry 1s "max=1h 30m";');

my @bad = ('""', qw/ 0 0s 0ms -1 -1s x 1x 1.5s 366d 1y 1s1m 1ms1ms s ms 1S
                     18446744073709551616 99999999999999999999s /,
           "${year}001ms", $year + 1);

for my $directive ('interval %s', 'interval 1s jitter=%s', 'retry %s',
                   'retry 1s max=%s', 'timeout %s')
{
    rejects('task', map {
        my $value = $_ eq '""' && $directive =~ /=/ ? '' : $_;
        my $text = sprintf $directive, $value;
        my ($name, $last) = $text =~ /^(\S+).* (\S+)$/ or die;

        $last = '' if $last eq '""';

        ("$text;" => "invalid time \"$last\" in \"$name\" directive, "
            . 'it must be from 1ms to 365d')
    } @bad);
}

rejects('task', map { my ($name, $last) = /^(\S+) 1s (\S+)/;
        ("$_;" => "unknown parameter \"$last\" in \"$name\" directive") }
    'interval 1s 2s', 'interval 1s max=2s', 'interval 1s jitter',
    'interval 1s Jitter=1s', 'retry 1s 2s', 'retry 1s jitter=2s',
    'retry 1s max');

rejects('task',
    'interval jitter=1s;' => 'invalid time "jitter=1s" in "interval" '
        . 'directive, it must be from 1ms to 365d',
    'interval jitter=1s 1s;' => 'invalid time "jitter=1s" in "interval" '
        . 'directive, it must be from 1ms to 365d',
);

# retry max= is at least the first

accepts('task', 'retry 5s max=5s;', 'retry 5s max=5001ms;',
        'retry 1000ms max=1s;');

rejects('task',
    'retry 5s max=4999ms;' => 'invalid value "max=4999ms" in "retry" '
        . 'directive, it must not be less than "5s"',
    'retry 1h max=1m;' => 'invalid value "max=1m" in "retry" directive, '
        . 'it must not be less than "1h"',
);

# health

accepts('task', 'health fails=1;', 'health passes=1;',
        'health passes=2147483647 fails=2147483647;',
        'health start=healthy;', 'health start=unhealthy;',
        'health fails=2 start=unhealthy passes=2;',
        'interval off; health start=healthy;');

rejects('task', map { ("health $_;" => "invalid value \"$_\" in \"health\" "
        . 'directive, it must be a number from 1 to 2147483647') }
    map { ("fails=$_", "passes=$_") }
        '', qw/ 0 -1 x 1x 1.5 2147483648 99999999999999999999 /);

rejects('task',
    'health 3;' => 'unknown parameter "3" in "health" directive',
    'health fails;' => 'unknown parameter "fails" in "health" directive',
    'health fails=1 foo=1;'
        => 'unknown parameter "foo=1" in "health" directive',
    'health "";' => 'unknown parameter "" in "health" directive',
    'health start=healthy start=unhealthy;'
        => 'duplicate parameter "start=unhealthy" in "health" directive',
    map { ("health start=$_;" => "invalid value \"start=$_\" in \"health\" "
           . 'directive, it must be "healthy" or "unhealthy"') }
        '', qw/ on Unhealthy unhealthyy 1 /
);

# no cycle would ever make it healthy

rejects('http',
    map { ("background_task a { $_ simulate_io 1;\n} # here" =>
           '"start=unhealthy" needs an "interval" that is not "off" in '
           . 'background task "a"') }
        'interval off; health start=unhealthy;',
        'health start=unhealthy; interval off;'
);

# schedules; what is wrong with the text itself is tested by t/schedule.c

accepts('task',
    'schedule "0 3 * * *";', 'schedule @daily;', 'interval off; schedule @daily;',
    'schedule "0 3 * * mon-fri"; schedule "0 5 * * sat,sun";',
    'schedule "0 3 * * *" timezone=UTC jitter=1s missed=run;',
    'schedule "0 3 * * *" missed=skip jitter=1d timezone=UTC;',
    'schedule "0 3 29 2 *"; health start=unhealthy;');

rejects('task', map { ("$_;" =>
        'invalid number of arguments in "schedule" directive') }
    'schedule', 'schedule 0 3 * * *');

rejects('task',
    'schedule "0 24 * * *";' => 'invalid value "0 24 * * *" in "schedule" '
        . 'directive, hour must be from 0 to 23',
    'schedule "0 0 30 2 *";' => 'invalid value "0 0 30 2 *" in "schedule" '
        . 'directive, no month of it has such a day',
    'schedule "";' => 'invalid value "" in "schedule" directive, it must have '
        . 'five fields: minute, hour, day, month, and weekday',
    'schedule 0 missed=run;' => 'invalid value "0" in "schedule" directive, it '
        . 'must have five fields: minute, hour, day, month, and weekday',
    'schedule @daily missed=always;' => 'invalid value "missed=always" in '
        . '"schedule" directive, it must be "skip" or "run"',
    'schedule @daily timezone=Europe/Atlantis;' => 'invalid time zone '
        . '"Europe/Atlantis" in "schedule" directive, there is no such time '
        . 'zone',
    'schedule @daily timezone=;' => 'invalid time zone "timezone=" in '
        . '"schedule" directive, it must be a name as "Europe/Berlin"',
    'schedule @daily jitter=1ms;' => 'invalid time "jitter=1ms" in "schedule" '
        . 'directive, it must be from 1s to 1d');

rejects('http', map { ("background_task a { $_ simulate_io 1;\n} # here" =>
        'both "interval" and "schedule" in background task "a"') }
    'interval 1s; schedule @daily;', 'schedule @daily; interval 1s;');

# after, lock

accepts('http',
    'background_task a { simulate_io 1; } background_task b { after a; '
    . 'after a on=failure; after c on=recovery; lock x; simulate_io 1; } '
    . 'background_task c { schedule @daily; after a on=any; lock x; '
    . 'simulate_io 1; }',
    'background_task a { interval off; simulate_io 1; } '
    . 'background_task b { interval off; after a on=success; simulate_io 1; }');

rejects('task',
    'after none; # here' => 'unknown background task "none" in "after" '
        . 'directive',
    'after t; # here' => 'background task "t" comes after itself by "after" '
        . 'directive',
    'after a on=always;' => 'invalid value "on=always" in "after" directive, '
        . 'it must be "success", "failure", "recovery", or "any"',
    'after;' => 'invalid number of arguments in "after" directive',
    'lock;' => 'invalid number of arguments in "lock" directive',
    'lock "";' => 'invalid name "" in "lock" directive, it must be 1-64 '
        . 'characters',
    "lock a;\nlock b; # here" => '"lock" directive is duplicate');

rejects('http',
    "background_task a { after c; simulate_io 1; }\n"
    . "background_task b { simulate_io 1; after a; # here\n }\n"
    . "background_task c { simulate_io 1; after b; }"
    => 'background task "a" comes after itself by "after" directive',
    "background_task a { simulate_io 1; }\n"
    . "background_task b { interval 1s; after a; simulate_io 1;\n} # here"
    => 'both "interval" and "after" in background task "b"');

done_testing();
