#!/usr/bin/env perl

# background_task: names, duplicates, where a block may stand and what in it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundConf;
use Test::More;

###############################################################################

my $long = 'x' x 64;

accepts('http',
    'background_task a { simulate_io 1; }',
    "background_task $long { simulate_io 1; }",
    'background_task Az.09_- { simulate_io 1; }',
    'background_task . { simulate_io 1; }',
    'background_task 0 { simulate_io 1; }',
    'background_task "quoted" { simulate_io 1; }',
    'background_task a { simulate_io 1; } background_task A { simulate_io 1; }',
    'background_task a { simulate_io 1; } background_task ab { simulate_io 1; }',
    'background_task ab { simulate_io 1; } background_task a { simulate_io 1; }',
    'background_task a { simulate_io 1; simulate_io 1; simulate_cpu 1ms; }',
    "background_task a { simulate_io 1; }\nserver { listen unix:"
        . conf_dir() . "/1; background_task b { simulate_io 1; }\n"
        . "background_task c { digest /etc/hosts; } }",
);

# bytes that no name may have, too many, and none

rejects('http',
    map { ("background_task \"$_\" { simulate_io 1; }" => invalid($_)) }
        '', "${long}x", 'x' x 900, 'a b', 'a/b', '$a', '*', 'a:', 'a@', '[', '`',
        '{', '~', "\x7f", "a\x01", "\xc3\xa9", "\xff", "a\rb",
);

rejects('http',
    'background_task;'
        => 'directive "background_task" has no opening "{"',
    'background_task a;'
        => 'directive "background_task" has no opening "{"',
    'background_task { simulate_io 1; }'
        => 'invalid number of arguments in "background_task" directive',
    'background_task a b { simulate_io 1; }'
        => 'invalid number of arguments in "background_task" directive',
    "background_task a { simulate_io 1; }\n"
        . 'background_task a { simulate_io 1; } # here'
        => 'duplicate background task "a"',
);

# unique in the whole configuration

my ($one, $two) = map { "server {\nlisten unix:" . conf_dir() . "/$_;\n"
                        . "background_task a { simulate_io $_; } # $_\n}\n" }
                      1, 2;

(my $here = $two) =~ s/# 2/# here/;

rejects('http',
    "$one$here" => 'duplicate background task "a"',
    "background_task a { simulate_io 1; }\n$here"
        => 'duplicate background task "a"',
    "$one\nbackground_task a { simulate_io 1; } # here"
        => 'duplicate background task "a"',
);

# no operation: the line is the end of the block

rejects('http',
    'background_task a { }'
        => 'no operations in background task "a"',
    "background_task a {\ninterval 1s;\nworkers all;\n} # here"
        => 'no operations in background task "a"',
    "background_task a { simulate_io 1; }\nbackground_task b {\n} # here"
        => 'no operations in background task "b"',
);

# where it may not stand

rejects('location',
    'background_task a { simulate_io 1; }'
        => '"background_task" directive is not allowed here',
    'if ($host) { background_task a { simulate_io 1; } }'
        => '"background_task" directive is not allowed here',
);

rejects('server',
    'if ($host) { background_task a { simulate_io 1; } }'
        => '"background_task" directive is not allowed here',
);

for my $context (qw/ all task /) {
    rejects($context,
        'background_task a { simulate_io 1; }'
            => '"background_task" directive is not allowed here',
    );
}

# what belongs in a task, outside

for my $context (qw/ all http server location /) {
    rejects($context, map { ("$_;" => sprintf
            '"%s" directive is not allowed here', /(\S+)/) }
        'workers one', 'interval 1s', 'retry 1s', 'timeout 1s', 'health fails=1',
        'simulate_io 1', 'simulate_cpu 1s', 'digest /etc/hosts');
}

# and what does not, inside: directives of http, of its contexts, of nginx

rejects('task', map { (/;|\{/ ? $_ : "$_;" => sprintf
        '"%s" directive is not allowed here', /(\S+)/) }
    'background_status', 'root /', 'listen 80', 'return 204',
    'proxy_pass http://127.0.0.1', 'access_log off', 'set $a b', 'allow all',
    'if ($host) { return 204; }', 'location / { }', 'server { }',
    'types { }', 'map $host $a { }', 'upstream u { server 127.0.0.1; }',
    'error_log stderr', 'daemon off', 'worker_processes 1', 'user nobody',
    'load_module x', 'env A', 'worker_connections 1', 'thread_pool a threads=1',
    'events { }', 'http { }');

rejects('task',
    'nonsense 1;' => 'unknown directive "nonsense"',
    'nonsense { }' => 'unknown directive "nonsense"',
    'Interval 1s;' => 'unknown directive "Interval"',
    'interval { }' => 'directive "interval" is not terminated by ";"',
    'simulate_io 1 { }' => 'directive "simulate_io" is not terminated by ";"',
    "simulate_io 1\n} # here"
        => 'unexpected "}"',
);

# "log", which makes its file

my $levels = 'debug info notice warn error crit alert emerg';

accepts('task', 'log own.log;', map { "log own.log $_;" } split ' ', $levels);

rejects('task',
    'log;' => 'invalid number of arguments in "log" directive',
    'log own.log info warn;' => 'invalid number of arguments in "log" directive',
    'log own.log loud;' => 'invalid log level "loud"',
    'log a.log; log b.log;' => '"log" directive is duplicate',
);

# the contexts are themselves again after a block

accepts('http',
    'background_task a { simulate_io 1; } server_tokens off;',
    'server { background_task a { simulate_io 1; } listen unix:'
        . conf_dir() . '/1; location / { root /; } }',
);

done_testing();

###############################################################################

sub invalid {
    my ($name) = @_;

    return "invalid name \"$name\" in \"background_task\" directive, "
        . 'it must be 1-64 of "A-Z", "a-z", "0-9", "_", ".", and "-"';
}
