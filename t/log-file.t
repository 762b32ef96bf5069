# "log": the lines of a task, of its operations and commands are in a file of
# their own, which "nginx -s reopen" opens anew.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundExec;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $dir = dir();

script(says => 'echo "a line"; echo "words" >&2; exit 3');

start(<<"EOF", '', 'worker_processes 1;');
    background_task own { log own.log; interval 10ms; retry 10ms; exec says; }
    background_task errors { log errors.log error; interval 10ms; retry 10ms; exec says; }
    background_task good { log good.log; interval 1h; simulate_cpu 1ms; }
    background_task other { interval 10ms; retry 10ms; exec says; }
EOF

my $failed = qr/\[error\] \S+ background task "own": failed: exec "says": words/;
my $said = qr/\[info\] \S+ background task "own": exec "\Q$dir\E\/says": a line\n/;

poll('own', sub { text('own.log') =~ $failed && text('own.log') =~ $said });
poll('errors', sub { text('errors.log') =~ /task "errors": failed: / });
poll('good', sub { text('good.log') =~ /\[info\] .*"good": completed 1 / });
poll('other', sub { log_text() =~ /task "other": failed: / });

unlike(log_text(), qr/background task "(?:own|errors|good)": (?!started|stopped)/,
       'not in the error log');
unlike(text('own.log'), qr/"(?!own|says|\Q$dir\E)\w+": /, 'no other task');
unlike(text('errors.log'), qr/\[(?:info|notice)\]/, 'the level');

# rotation

rename "$dir/own.log", "$dir/own.log.1" or die "rename: $!\n";

my $worker = a_worker();

signal('USR1');
poll('the new file', sub { text('own.log') =~ $said });

my $size = -s "$dir/own.log.1";
my $lines = () = text('own.log') =~ /$said/g;

poll('more lines', sub { my $n = () = text('own.log') =~ /$said/g; $n > $lines + 2 });
is(-s "$dir/own.log.1", $size, 'nothing more in the old one');
is(a_worker(), $worker, 'the worker is the same');

is((stat "$dir/own.log")[4], $> == 0 ? (getpwnam 'nobody')[2] : $>,
   'the new file is of the user of workers');

stop();
done_testing();

sub text { read_file("$dir/$_[0]") }
