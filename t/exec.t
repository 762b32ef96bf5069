# "exec": how a command ends, its output, and what it starts with.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundExec;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $dir = dir();
my $once = 'interval 1h; retry 1h;';

script(good => 'echo one; echo; printf "two\tx"; echo "on err" >&2');
script(fails => 'echo "first words" >&2; echo "last words" >&2; exit 3');
script(silent => 'echo "on stdout"; exit 3');
script(crash => 'ulimit -c 0; kill -SEGV $$');
script(args => 'for i; do echo "[$i]"; done');
script(env => 'env | grep -v -e "^_=" -e "^PWD=" -e "^SHLVL=" | sort;
               echo "in $(pwd), mask $(umask)"');
script(fds => 'ls /proc/self/fd | tr "\n" " "; echo;
               echo "stdin is $(readlink /proc/$$/fd/0)";
               ps -o pgid=,sid=,tty= -p $$ | { read -r g s t;
                   [ $g = $$ ] && echo "own group"; echo "tty $t"; }');
script(class => 'echo "nice $(nice), $(ionice)"');
script(signals => 'exec cat /proc/self/status');
script(hold => q{exec perl -e '$| = 1; $SIG{TERM} = sub { print "told\n"; exit };
                               print "started\n"; sleep 1 while 1'});
script(words => 'echo "my words" >&2; exec sleep 100');
script(group => q{exec perl -e '$| = 1; if (my $pid = fork) {
                                    $SIG{TERM} = "IGNORE"; waitpid $pid, 0; exit }
                                $SIG{TERM} = sub { print "child told\n"; exit };
                                sleep 1 while 1'});
script(memory => 'ulimit -v; perl -e "\$x = q(x) x 500000000; print length \$x"');
script(long => 'head -c 5000 /dev/zero | tr "\0" x; echo; printf "%s" end');

put('no_script', 'echo "no interpreter"');
chmod 0755, "$dir/no_script" or die "chmod: $!\n";

# the umask of a daemon is 0

my $mask = umask 0;

start(<<"EOF2", '', 'worker_processes 1; env SECRET=1;');
    background_threads 4;
    background_task good { $once exec good; }
    background_task fails { $once exec fails; }
    background_task silent { $once exec silent; }
    background_task crash { $once exec crash; }
    background_task none { $once exec none; }
    background_task no_script { $once exec no_script; }
    background_task folder { $once exec /usr; }
    background_task args { $once exec args a "b c" "" -x é; }
    background_task env { $once exec env env=A:1:2 env=_b2:; }
    background_task path { $once exec env env=PATH:/bin:/usr/bin; }
    background_task fds { $once exec fds; }
    background_task class { $once exec class; }
    background_task signals { $once exec signals; }
    background_task hold { retry 10ms; timeout 500ms; exec hold; }
    background_task group { retry 10ms; timeout 500ms; exec group; }
    background_task words { retry 10ms; timeout 500ms; exec words; }
    background_task memory { $once exec memory memory=100m; }
    background_task long { $once exec long; }
EOF2

umask $mask;

my %task;

poll('all are over', sub {
    %task = by_name(status());

    return !grep { !$_->{last} } values %task;
});

sub task_now { my %now = by_name(status()); return $now{$_[0]} }
sub error_of { $task{$_[0]}{last}{error} }

sub fails {
    my ($task, $error, $what) = @_;

    is(error_of($task), "exec \"" . ($task eq 'folder' ? '/usr' : $task)
       . "\": $error", $what);
    is($task{$task}{cycles}{failed}, 1, "$task: a failed cycle");
    is($task{$task}{last}{failed}, 1, "$task: a failed operation");
}

is(error_of('good'), undef, 'exit code 0');
is($task{good}{cycles}{completed}, 1, 'a good cycle');
is($task{good}{last}{operations}, 1, 'one operation');
is($task{good}{last}{message}, 'two x', 'its last line');
is(join('|', said('good')), 'one|on err|two x', 'lines are logged')
    or diag(join '|', said('good'));

fails('fails', 'last words', 'the last line of stderr');
fails('silent', 'exited with code 3', 'an exit code');
fails('crash', 'killed by signal 11', 'a signal');

SKIP: {
    skip 'ThreadSanitizer makes fork() of vfork()', 9 if $ENV{TSAN_OPTIONS};

    fails('none', 'execve() failed (2: No such file or directory)', 'no file');
    fails('no_script', 'execve() failed (8: Exec format error)', 'no program');
    fails('folder', 'execve() failed (13: Permission denied)', 'a folder');
}

is(join('|', said('args')), '[a]|[b c]|[]|[-x]|[é]', 'arguments');

is(join('|', said('env')), 'A=1:2|BACKGROUND_TASK=env|PATH=/usr/local/sbin:'
   . '/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin|_b2=|in /, mask 0022',
   'the environment, and nothing else');
like(join('|', said('path')), qr/\|PATH=\/bin:\/usr\/bin\|/, 'PATH');

is(join('|', said('fds')),
   '0 1 2 3|stdin is /dev/null|own group|tty ?',
   'descriptors, of which ls has one itself, and no terminal');
is(join('|', said('class')), 'nice 10, idle', "the pool's nice and I/O class");
is(join('|', map { /^(Sig(?:Blk|Ign|Cgt):)\s+0*(\d+)/ } said('signals')),
   'SigBlk:|0|SigIgn:|0|SigCgt:|0', 'signals');

# a command may not have had the time to begin, then the next cycle has

ok(poll('told', sub { join('|', said('hold')) =~ /started\|told/ }),
   'a time-out: it is told to stop');
is(task_now('hold')->{last}{error}, 'exec "hold": timed out', 'and fails');
ok(poll('words', sub {
    task_now('words')->{last}{error} eq 'exec "words": my words';
}), 'what it said before');

ok(poll('the child', sub { join('|', said('group')) =~ /child told/ }),
   'its child is told, too');

is((said('memory'))[0], 100 * 1024, 'memory=');
isnt(error_of('memory'), undef, 'more than that');
like(log_text(), qr/ exec "$dir\/long": x{1024}\n/, 'a long line is cut');
is((said('long'))[-1], 'end', 'a last line without its end');

# nothing is left: processes, descriptors

my $conf = BackgroundLife::slurp('nginx.conf') =~ s/^\s*background_task (?:hold|words|group) .*\n//mgr;
my @before = workers();

put('nginx.conf', $conf);
signal('HUP');
poll('no command is left', sub { !alive(@before) && helpers() && !commands() });

my $worker = a_worker();

is(scalar(helpers()), 1, 'one helper');
poll('no descriptor of a command', sub { !pipes($worker) });

my ($helper) = helpers();
my $only = join ' ', ('/dev/null') x 3, 'anon_inode:[signalfd]', 'socket:';

# it has its title before it has closed what it does not need

ok(poll("the helper's descriptors", sub {
    return join(' ', sort { $a cmp $b } descriptors($helper)) eq $only;
}), "the helper's descriptors");

stop();

poll('the helper is gone', sub { !-e "/proc/$helper" });

done_testing();
