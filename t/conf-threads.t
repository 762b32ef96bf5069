#!/usr/bin/env perl

# background_threads: what nginx accepts and refuses.

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
    'background_threads 1 reserve=0;',
    'background_threads 1024 reserve=1023;',
    'background_threads 2 reserve=1; background_task a { simulate_cpu 1ms; }',
    'background_threads auto reserve=1023;',
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

    invalid(['', qw/ -1 1024 auto x 99999999999999999999 /],
        'a number from 0 to 1023', 'background_threads auto reserve=%s;'),

    invalid([qw/ 2 3 1023 /], 'less than the 2 threads',
        'background_threads 2 reserve=%s;'),
    'background_threads reserve=1 2;'
        => 'invalid value "reserve=1" in "background_threads" directive, '
        . 'it must be a number from 1 to 1024',

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

# as many as this machine has

my (undef, $said) = nginx_t(<<'EOF_CONF');
events { }
http {
    background_threads auto reserve=1023;
    background_task t { simulate_cpu 1ms; }
}
EOF_CONF

my ($auto) = $said =~ /as "auto" is (\d+) here/;

warns('http', 'background_threads auto reserve=1023; '
              . 'background_task a { simulate_cpu 1ms; }'
    => sprintf '"reserve=1023" in "background_threads" directive is %d, '
               . 'as "auto" is %d here', $auto - 1, $auto);

for my $context (qw/ all server location task /) {
    rejects($context,
        'background_threads 2;'
            => '"background_threads" directive is not allowed here',
    );
}

done_testing();
