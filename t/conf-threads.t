#!/usr/bin/env perl

# background_threads: what "nginx -t" says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundConf;
use Test::More;

###############################################################################

accepts('http',
    'background_threads auto;',
    'background_threads 1;',
    'background_threads 1024;',
    'background_threads auto per_worker=1;',
    'background_threads 2 per_worker=1024 quota=1%;',
    'background_threads 2 max_queue=1 priority=-20 quota=1%;',
    'background_threads auto priority=idle;',
    'background_threads auto quota=100 priority=19 max_queue=2147483647;',
    'background_threads 2; background_task a { simulate_cpu 1ms; }',
    'background_task a { simulate_cpu 1ms; } background_threads 2;',
);

sub invalid {
    my ($values, $expected, $template) = @_;

    map { sprintf($template, $_) => sprintf
        'invalid value "%s" in "background_threads" directive, it must be %s',
        $template =~ /(\S*%s)/ && sprintf($1, $_), $expected } @$values;
}

rejects('http',
    invalid([qw/ 0 -1 1025 2x on 1.5 +1 99999999999999999999 /],
        'a number from 1 to 1024', 'background_threads %s;'),

    'background_threads "";'
        => 'invalid value "" in "background_threads" directive, it must be '
        . 'a number from 1 to 1024',

    invalid(['', qw/ 0 -1 2147483648 9223372036854775808 x /],
        'a number from 1 to 2147483647',
        'background_threads auto max_queue=%s;'),

    invalid(['', qw/ 0 -1 1025 auto x /],
        'a number from 1 to 1024',
        'background_threads auto per_worker=%s;'),

    invalid(['', qw/ -21 20 - --1 x 1x idl idle1 IDLE -99999999999999999999 /],
        'a number from -20 to 19, or "idle"',
        'background_threads auto priority=%s;'),

    invalid(['', qw/ 0 0% -1% 101 101% % 50%% x /],
        'a number from 1 to 100',
        'background_threads auto quota=%s;'),

    'background_threads;'
        => 'invalid number of arguments in "background_threads" directive',
    'background_threads auto foo=1;'
        => 'unknown parameter "foo=1" in "background_threads" directive',
    'background_threads auto max_queue;'
        => 'unknown parameter "max_queue" in "background_threads" directive',
    'background_threads 2 auto;'
        => 'unknown parameter "auto" in "background_threads" directive',
    'background_threads max_queue=5;'
        => 'invalid value "max_queue=5" in "background_threads" directive, '
        . 'it must be a number from 1 to 1024',
    "background_threads 2;\nbackground_threads 2; # here"
        => '"background_threads" directive is duplicate',
    "background_threads auto;\nbackground_threads auto; # here"
        => '"background_threads" directive is duplicate',
);

for my $context (qw/ all server location task /) {
    rejects($context,
        'background_threads 2;'
            => '"background_threads" directive is not allowed here',
    );
}

done_testing();
