#!/usr/bin/env perl

# "include" inside a task: a file, a glob, files in files; errors name the
# included file.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundConf;
use Test::More;

###############################################################################

my $dir = conf_dir();

put('schedule.inc', "interval 7s;\nretry 3s;\n");
put('one.op', "simulate_io 1;\n");
put('two.op', "simulate_io 1;\ndigest /etc/hosts;\nsimulate_cpu 1s;\n");
put('nested.inc', "include schedule.inc;\ninclude *.op;\n");
put('nothing.inc', "# nothing\n");
put('bad.inc', "timeout 1s;\n\nsimulate_io 0;\n");
put('foreign.inc', "timeout 1s;\nroot /;\n");
put('deep.inc', "include schedule.inc;\ninclude bad.inc;\n");
put('task.inc', "background_task a {\n    simulate_io 1;\n}\n");
put('block.inc', "simulate_io 1;\n}\n");

accepts('empty',
    'include one.op;',
    "include $dir/one.op;",
    'include *.op;',
    'include schedule.inc; include one.op;',
    'include one.op; include none*.op;',
    'include one.op; include one.op; include nothing.inc;',
    'include nested.inc;',
);

accepts('http', 'include task.inc;');
accepts('server', 'include task.inc;');

# the files count as if they stood there

rejects('empty', map { ("include $_;\n} # here\nserver { listen unix:$dir/1;"
        => 'no operations in background task "t"') }
    'nothing.inc', 'none*.op', 'schedule.inc');

rejects('empty',
    "include nested.inc;\ninterval 1s; # here"
        => '"interval" directive is duplicate',
    'include none.op;' => qq{open() "$dir/none.op" failed }
        . '(2: No such file or directory)',
);

# errors in an included file

my $bad = 'invalid count "0" in "simulate_io" directive, '
    . 'it must be a number from 1 to 1000000';

rejects_at('empty', @$_) for
    ['include bad.inc;' => $bad, 'bad.inc:3'],
    ['include [ab]*.inc;' => $bad, 'bad.inc:3'],
    ['include deep.inc;' => $bad, 'bad.inc:3'],
    ['include foreign.inc;'
        => '"root" directive is not allowed here', 'foreign.inc:2'],
    ['include task.inc;'
        => '"background_task" directive is not allowed here', 'task.inc:1'],
    ["interval 1s;\ninclude schedule.inc;"
        => '"interval" directive is duplicate', 'schedule.inc:1'],
    ['include block.inc;' => 'unexpected "}"', 'block.inc:2'];

rejects_at('http', @$_) for
    ["include task.inc;\ninclude task.inc;"
        => 'duplicate background task "a"', 'task.inc:1'],
    ['include one.op;'
        => '"simulate_io" directive is not allowed here', 'one.op:1'];

rejects_at('location', 'include task.inc;'
    => '"background_task" directive is not allowed here', 'task.inc:1');

done_testing();
