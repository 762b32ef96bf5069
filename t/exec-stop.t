# "exec": what was started is gone when its command ends, at a time-out, a
# reload, a stop, after kill -9 of the worker and of the helper.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundExec;
use BackgroundLife;
use BackgroundStatus;
use Test::More;
use Time::HiRes qw/ sleep time /;

my $dir = dir();
my $n = 0;

# "deaf" ignores SIGTERM, as its child does; the child of "away" has left the
# process group

family(holds => 'sub { exit }', '', '');
family(deaf => '"IGNORE"', '', '');
family(away => '"IGNORE"', 'POSIX::setsid();', '');
family(ends => '"IGNORE"', '', 'exit 0;');

mkdir "$dir/pids" or die "mkdir: $!\n";
chmod 0777, "$dir/pids" or die "chmod: $!\n";

start(<<"EOF", '', 'worker_processes 1;');
    background_threads 4;
    background_task ends { interval 1h; exec $dir/ends $dir/pids; }
EOF

poll('it is over', sub { task()->{cycles}{completed} });
all_gone('the end of the command');

run('deaf', 'timeout 200ms;', 'kill=100ms');
poll('it is over', sub { task()->{cycles}{failed} });
is(task()->{last}{error}, "exec \"$dir/deaf\": timed out", 'a time-out');
all_gone('SIGKILL after SIGTERM');

# longer than the cycle waits for its job

run('deaf', 'timeout 200ms;', 'kill=3s');
poll('it is over', sub { task()->{cycles}{failed} });
is(task()->{last}{error}, "exec \"$dir/deaf\": timed out", 'abandoned');
all_gone('the job comes home');

for my $name (qw/ holds deaf /) {
    run($name, '', 'kill=300ms');

    my @other = (a_worker(), helpers());

    reconfigure("exec $dir/$name", "exec /bin/true $dir/$name");
    all_gone("$name: a reload", @other);
}

for my $name (qw/ holds deaf away /) {
    run($name, '', '');

    my @other = (a_worker(), helpers());

    signal('KILL', $other[0]);
    all_gone("$name: kill -9 of the worker", @other);
}

# of the helper: its command fails, in words, and there is another one

run('holds', 'retry 10ms;', '');

my ($helper) = helpers();
my @before = numbers();

signal('KILL', $helper);
poll('it fails', sub { task()->{cycles}{failed} });
is(task()->{last}{error}, "exec \"$dir/holds\": the helper process has "
   . 'ended', 'its command fails');
poll('another one', sub { helpers() && commands() });
isnt((helpers())[0], $helper, 'it is started anew');
poll('the rest', sub { !alive($helper, @before) });
is(logged(qr/\[alert\].* helper process $helper for commands has ended/), 1,
   'an alert');

# of a helper that is stopped: it is killed, as its commands then are

run('deaf', '', 'kill=300ms');

{
    my @other = (a_worker(), helpers());

    signal('STOP', $other[1]);
    reconfigure("exec $dir/deaf", "exec /bin/true $dir/deaf");
    all_gone('a helper that hangs', @other);
    is(logged(qr/\[alert\].* helper process $other[1] for commands hangs, it is killed/),
       1, 'an alert');
}

# a command that no signal of the helper reaches: other commands go on

SKIP: {
    skip 'needs root', 2 if $> != 0;

    put('other', <<'EOF');
$< = $> = 0;
$SIG{TERM} = 'IGNORE';
my ($dir) = $ARGV[0] =~ /(.+)/;
open my $file, '>', "$dir/.$$" or die;
print $file "$$\n";
close $file;
rename "$dir/.$$", "$dir/$$" or die;
sleep 1000 while 1;
EOF
    system("cp -L $^X $dir/perl && chmod 4755 $dir/perl") == 0 or die "cp\n";

    run('perl', 'timeout 2s;', 'kill=100ms', "$dir/other");

    my ($pid) = numbers();

    skip 'set-user-ID has no effect', 2 if (stat "/proc/$pid")[4] != 0;

    my ($helper) = helpers();

    poll('it is abandoned', sub { task()->{abandoned} });

    my $until = time + 12;
    sleep 0.1 while time < $until;

    ok(alive($helper), 'the helper goes on');
    is(logged(qr/process $helper for commands hangs/), 0, 'no alert');

    kill 'KILL', $pid;
    poll('it has ended', sub { !task()->{abandoned} });
    unlink glob "$dir/pids/*";
}

# a command ends, and then the helper is told to end it: its end is reported

script('words', 'echo my words >&2; echo $$ > $1/.$$; mv $1/.$$ $1/$$
until [ -e ' . $dir . '/gate ]; do sleep 0.02; done');

my ($words, $timeout) = ('', 1);

for (1 .. 20) {
    unlink "$dir/gate";
    run('words', "timeout ${timeout}s; health fails=9;", 'kill=1h');

    my ($pid) = numbers();
    my ($stopped) = helpers();
    my $stat;

    # there is no zombie if the time-out came first

    signal('STOP', $stopped);
    put('gate', '');
    poll('it has ended', sub {
        $stat = read_file("/proc/$pid/stat");
        return $stat eq '' || $stat =~ /\) Z /;
    });
    poll('its time is over', sub {
        my $task = task();
        return !$task->{running} || $task->{running_seconds} > $timeout + 0.1;
    });
    signal('CONT', $stopped);

    my $cycles = poll('it is over', sub {
        my $cycles = task()->{cycles};
        ($cycles->{completed} || $cycles->{failed}) && $cycles;
    });

    unlink glob "$dir/pids/*";

    # the helper went on before the time-out, or after the job was abandoned

    $words = task()->{last}{error} // '';
    last if $stat ne '' && $cycles->{failed} && $words !~ /timed out/;
    $timeout++;
}

is($words, "exec \"$dir/words\": my words", 'a report after a signal');

# at a stop nginx does not wait for kill=

run('deaf', '', 'kill=1h');

my @other = (a_worker(), helpers());
my $master = master();

# the master, which kills a worker that takes more than a second, waits for it

signal('STOP', $master);
poll('the master stands still', sub { process_stat($master)->[0] eq 'T' });
signal('TERM', $other[0]);
poll('the worker has ended', sub { gone($other[0]) });
signal('TERM', $master);
signal('CONT', $master);
all_gone('a stop', @other);
poll('it tells', sub { logged(qr/worker process $other[0] exited/) });
is(logged(qr/worker process $other[0] exited with code 0/), 1,
   'the worker has ended by itself') unless $ENV{BACKGROUND_ASAN};

done_testing();

###############################################################################

# a command that writes its number, and that of its child, into a file

sub family {
    my ($name, $term, $child, $then) = @_;

    put($name, <<"EOF");
#!/usr/bin/perl
use POSIX ();
\$SIG{TERM} = $term;
pipe my \$in, my \$out;
defined(my \$pid = fork) or die;
if (\$pid == 0) { $child close \$in; close \$out; sleep 1000 while 1 }
close \$out;
<\$in>;
open my \$file, '>', "\$ARGV[0]/.\$\$" or die;
print \$file "\$\$ \$pid\\n";
close \$file;
rename "\$ARGV[0]/.\$\$", "\$ARGV[0]/\$\$" or die;
$then
sleep 1000 while 1;
EOF

    chmod 0755, "$dir/$name" or die "chmod: $!\n";
}

# a reload with no task but a new one, whose command runs when it returns

sub run {
    my ($name, $more, $params, $first) = @_;

    $first //= '';
    $n++;

    my $conf = BackgroundLife::slurp('nginx.conf');
    my $retry = $more =~ /retry/ ? '' : 'retry 1h;';

    $conf =~ s/background_task .*/background_task t$n { interval 1h; $retry $more exec $dir\/$name $first $dir\/pids $params; }/
        or die "no task\n";
    put('nginx.conf', $conf);

    my @old = (a_worker(), helpers());

    signal('HUP');
    poll('the old worker is gone', sub { !alive(@old) });
    poll("$name runs", sub { numbers() || task()->{cycles}{failed} });

    # on a slow machine its time may be over before it has begun

    if (!numbers()) {
        $more =~ s/timeout (\d+)ms/'timeout ' . 2 * $1 . 'ms'/e;
        run($name, $more, $params, $first);
    }
}

# of commands and their children

sub numbers { map { split ' ', read_file($_) } glob "$dir/pids/*" }

# what the last command has started, and others

sub all_gone {
    my ($what, @others) = @_;

    my @all = numbers();

    cmp_ok(scalar(@all), '>=', 2, "$what: there were some");
    ok(poll("$what: all are gone", sub { !alive(@all, @others) }),
       "$what: all are gone");

    unlink glob "$dir/pids/*";
}

# the one that there is

sub task { status_anyhow()->{tasks}[0] }
