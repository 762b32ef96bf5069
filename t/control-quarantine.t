# "resume" of background_control ends a quarantine as a reload does: there is one
# cycle, and another death in it quarantines the task again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundControl;
use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $dir = dir();
my $kind = load_kind('crash');
my %task;

mkdir "$dir/files" or die "mkdir: $!\n";
chmod 0777, "$dir/files" or die "chmod: $!\n";
put('files/crash', 'always');

start("background_task bad { interval 20ms; retry 20ms; crash $dir/files/crash; }",
      'location /control/ { background_control pause; }',
      "$kind\nworker_processes 2; worker_rlimit_core 0;");

quarantined(3);
resume();
quarantined(4);

unlink "$dir/files/crash" or die "unlink: $!\n";
resume();
poll('it runs', sub { tasks(); $task{bad}{cycles}{completed} > 2 });
ok($task{bad}{healthy}, 'it is healthy');
is($task{bad}{cycles}{failed}, 4, 'nothing else has failed');

# a new row of three

put('files/crash', 'always');
quarantined(7);

is(logged(qr/\[alert\].*"bad": quarantined until the next reload, $_ worker processes in a row died in it/),
   $_ == 3 ? 2 : 1, "told: $_ in a row") for 3, 4;

put('error.log', join '', grep { !/exited on signal|: quarantined/ }
                               split /^/, log_text());

stop();
done_testing();

sub tasks { %task = by_name(status_anyhow()) }

# a worker that dies may have the request

sub resume {
    poll('an order', sub {
        my $code = eval { code('/control/bad/resume') } // 0;
        return $code == 202;
    });
}

sub quarantined {
    my ($failed) = @_;

    poll("quarantined after $failed", sub {
        tasks();
        return $task{bad}{cycles}{failed} == $failed
               && $task{bad}{state} eq 'quarantined';
    });
    pass("quarantined after $failed");
}
