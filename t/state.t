# background_state: last runs and pauses over the end of nginx.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundClock;
use BackgroundControl;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

plan(skip_all => clock_missing()) if clock_missing();

sub task {
    my %task = by_name(status("/status?history=1&task=$_[0]"));
    return $task{$_[0]};
}

sub order {
    my ($uri) = @_;

    return code("/control/$uri");
}

my $dir = dir();

mkdir "$dir/state" or die "mkdir: $!\n";
chmod 0777, "$dir/state" or die "chmod: $!\n";

my $http = <<"EOF";
    background_state $dir/state/tasks;

    background_task daily {
        schedule "0 12 * * *" timezone=UTC missed=run;
        simulate_io 1 delay=1ms-1ms;
    }
    background_task skips {
        schedule "0 12 * * *" timezone=UTC;
        simulate_io 1 delay=1ms-1ms;
    }
    background_task paused {
        schedule "* * * * *" timezone=UTC missed=run;
        simulate_io 1 delay=1ms-1ms;
    }
EOF

my $location = 'location /control/ { background_control run pause; }';

sub begin { clock_start($_[0], $http, $location, 'worker_processes 2;') }

# without a file nothing was missed

begin('2026-06-01 11:50:00');
poll('they wait', sub { !grep { !task($_)->{next} } qw/ daily skips / });
clock_set('2026-06-01 11:59:58');

# a new worker looks at the clock at once

signal('HUP');

for my $name (qw/ daily skips /) {
    poll("$name ran", sub { task($name)->{cycles}{completed} == 1 });
}

is(order('paused/pause'), 202, 'a pause');
poll('paused', sub { task('paused')->{paused} });

# the state is written at exit

stop('QUIT');

like(read_file("$dir/state/tasks"),
     qr/\Abackground_state 1\ndaily \d+ 0 \d+ \d+ 1\nskips .*\npaused .*\n\z/,
     'the file is there');
is(join(' ', map { s{.*/}{}r } glob "$dir/state/*"), 'tasks',
   'and nothing else');

# ended before, and started after it was due

begin('2026-06-03 15:00:00');
my $task = poll('it runs once', sub {
    my $task = task('daily');
    return $task->{cycles}{completed} && $task->{running} == 0 && $task;
});
is($task->{cycles}{completed}, 1, 'one cycle for what was missed');
is($task->{cycles}{missed}, 2, 'it is counted');
is($task->{causes}[-1]{cause}, 'missed', 'the cause');
is(task('skips')->{cycles}{completed}, 0, 'missed=skip: none');
like(task('skips')->{last}{finished}, qr/^2026-06-01T12:0/,
     'its last cycle is known');
ok(task('skips')->{last_success}, 'it was good');
ok(task('paused')->{paused}, 'the pause goes on');
is(task('paused')->{cycles}{completed}, 0, 'nothing was started');

# it is written before the cycle starts: what dies then is not repeated

my $blocks = qr/the file system blocks/;

poll('the file system goes on', sub { logged(qr/ is written again/) })
    if logged($blocks);

like(read_file("$dir/state/tasks"), qr/^daily 17804[0-9]+ /m, 'written');
my ($checked) = read_file("$dir/state/tasks") =~ /^daily (\d+)/m;
cmp_ok($checked, '>=', clock_utc('2026-06-03 15:00:00'), 'until now');

my @all = (master(), workers());
{
    local $SIG{CHLD} = 'DEFAULT';
    kill 'KILL', @all;
    poll('all are dead', sub {
        return !grep { (process_stat($_)->[0] // '-') =~ /[RSD]/ } @all;
    });
}

begin('2026-06-03 16:00:00');
poll('it waits', sub { task('daily')->{next} });
is(task('daily')->{cycles}{started}, 0, 'it does not run again');
stop();

# what a killed worker has left is removed, what a living one writes is not

my $dead = do { my $pid = fork // die; exit unless $pid; waitpid $pid, 0; $pid };

my @kept = ("tasks.$$.tmp", "tasks.$dead.tmp.gz", "other.$dead.tmp",
            'tasks..tmp', "tasks.-$dead.tmp", 'tasks.99999999999999999999.tmp');

put("state/$_", '') for @kept, "tasks.$dead.tmp";
my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';
like(`'$nginx' -t -p '$dir/' -c nginx.conf -e error.log 2>&1`,
     qr/test is successful/, 'nginx -t');
ok(-e "$dir/state/tasks.$dead.tmp", 'removes nothing');
begin('2026-06-03 16:30:00');
stop('QUIT');
is(join(' ', map { s{.*/}{}r } sort glob "$dir/state/*"),
   join(' ', sort 'tasks', @kept), 'the start removes the file of the dead');
unlink "$dir/state/$_" for @kept;

# a file that is not one

for my $bad ("", "x", "background_state 1\n" . 'daily ' x 1000 . "\n",
             "background_state 1\ndaily 99999999999999999999 0 0 0 0\n",
             "background_state 1\ndaily -1 0 0 0 0\ndaily 1 0 0 0 0",
             "background_state 1\ndaily 140737488355328 0 0 0 0\n",
             "background_state 1\n\0\0\0\n")
{
    put('state/tasks', $bad);
    begin('2026-06-03 17:00:00');
    poll('it starts', sub { task('daily')->{next} });
    is(task('daily')->{cycles}{started}, 0, 'a bad file: nothing is missed');
    is(logged(qr/\[warn\].*background_state: \d bad lines in "/), 1,
       'a warning');
    stop();
}

# a link, which a worker may have made

put('other', "background_state 1\ndaily 1 0 0 0 0\n");
unlink "$dir/state/tasks" or die "unlink: $!\n";
symlink "$dir/other", "$dir/state/tasks" or die "symlink: $!\n";
begin('2026-06-03 17:00:00');
poll('it starts', sub { task('daily')->{next} });
is(task('daily')->{cycles}{started}, 0, 'a link is not followed');
is(logged(qr/\[warn\].*background_state: open\(\) "\Q$dir\E\/state\/tasks" failed \(40: /),
   1, 'a warning');
stop('QUIT');
ok(!-l "$dir/state/tasks" && -s "$dir/state/tasks", 'it is replaced');
is(read_file("$dir/other"), "background_state 1\ndaily 1 0 0 0 0\n",
   'not its file');

# a folder that can't be written

unlink "$dir/state/tasks";
chmod 0755, "$dir/state";

SKIP: {
    skip 'needs root', 1 if $> != 0;

    begin('2026-06-03 18:00:00');
    poll('an error', sub {
        logged(qr/background_state: ".*" can't be written \(13: /)
    });
    pass('it is logged');
}

done_testing();
