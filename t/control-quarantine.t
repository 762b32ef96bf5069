# background_control: a task that is quarantined gets no orders until it is
# resumed, and is left alone again if its next cycle takes a worker down.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundControl;
use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $kind = load_kind('crash');
my $dir = dir();
my $file = "$dir/files/crash";

mkdir "$dir/files" or die "mkdir: $!\n";
chmod 0777, "$dir/files" or die "chmod: $!\n";

sub task {
    my %task = by_name(status_anyhow("/status?history=1&task=$_[0]"));

    return $task{$_[0]};
}

# a worker may die meanwhile, also after it has handled the order

sub order {
    my ($action) = @_;

    local $BackgroundStatus::quiet = 1;

    my $told = qr/background task "bad": $action by unix:/;
    my $before = logged($told);

    return poll("$action: an answer", sub {
        return eval { code("/control/bad/$action") }
               || (logged($told) > $before ? 202 : 0);
    });
}

sub quarantined {
    my ($failed) = @_;

    poll("quarantined after $failed", sub {
        my $task = task('bad');
        return $task->{state} eq 'quarantined'
               && $task->{cycles}{failed} == $failed;
    });
}

put('files/crash', 'always');
start("background_threads 1;\nbackground_task bad { interval 1h; retry 20ms; crash $file; }",
      'location /control/ { background_control run pause; }',
      "$kind\nworker_processes 2; worker_rlimit_core 0;");

quarantined(3);
pass('three workers died: it is quarantined');
is(order('run'), 409, 'it does not run by order');
is(order('pause'), 202, 'it can be paused');
is(order('resume'), 202, 'resume');

quarantined(4);
pass('the next cycle takes a worker down: it is quarantined at once');

unlink $file or die "unlink: $!\n";

is(task('bad')->{cycles}{completed}, 0, 'nothing runs before it is resumed');
is(order('resume'), 202, 'resume');
poll('it runs', sub { task('bad')->{cycles}{completed} == 1 });
is(task('bad')->{state}, 'waiting', 'it waits for the next cycle');
ok(task('bad')->{healthy}, 'it is healthy');
is(order('run'), 202, 'it runs by order');
poll('it runs again', sub { task('bad')->{cycles}{completed} == 2 });
is(task('bad')->{causes}[-1]{cause}, 'control', 'the cause');
is(logged(qr/\[alert\].*background task "bad": quarantined/), 2, 'two alerts');

# an order whose answer was lost with its worker was given again

cmp_ok(logged(qr/\[notice\].*background task "bad": resume by unix:/), '>=', 2,
       'who has resumed it is logged');

# a new row of three

put('files/crash', 'always');
is(order('run'), 202, 'it runs by order, and dies');
quarantined(7);

# nginx's master may be the last to know of the deaths

poll('all is logged', sub {
    return logged(qr/exited on signal/) == 7
           && logged(qr/\[alert\].*"bad": quarantined/) == 3;
});

is(logged(qr/\[alert\].*"bad": quarantined until the next reload, $_ worker processes in a row died in it/),
   $_ == 3 ? 2 : 1, "told: $_ in a row") for 3, 4;

put('error.log', join '', grep { !/exited on signal|: quarantined/ }
                               split /^/, log_text());

stop();
done_testing();
