# kill -9 of workers while commands run that have children of
# their own: none survives, and the tasks go on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundExec;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $dir = dir();
my $rounds = $ENV{BACKGROUND_STORM} || 10;

# the child is in a session of its own

put('pair', <<'EOF');
#!/usr/bin/perl
use POSIX ();
$SIG{TERM} = 'IGNORE';
defined(my $pid = fork) or die;
POSIX::setsid() if $pid == 0;
select undef, undef, undef, 0.05 until -e $ARGV[0];
EOF

chmod 0755, "$dir/pair" or die "chmod: $!\n";

start(<<"EOF", '', 'worker_processes 2;');
    background_threads 8;
    background_task a { workers all; interval 1ms; retry 1ms; exec $dir/pair $dir/end; exec $dir/pair $dir/end; }
    background_task b { workers all; interval 1ms; retry 1ms; exec $dir/pair $dir/end; }
EOF

my $left = 0;

for my $round (1 .. $rounds) {
    # the helper, a command and its child at least: other operations of the
    # cycle may have ended while "end" was there

    my @workers = poll('workers with commands', sub {
        my @w = workers();
        @w == 2 && !(grep { descendants($_) < 3 } @w) && \@w;
    })->@*;

    my $worker = $workers[$round % 2];
    my @all = ($worker, descendants($worker));

    signal("KILL", $worker);

    $left++ unless poll('all are gone', sub { !alive(@all) });

    # a good cycle, as workers that die in a row are the task's fault

    my %before = completed();
    put('end', '');
    poll('a good cycle of each', sub {
        my %now = completed();
        return !grep { $now{$_} == $before{$_} } keys %now;
    });
    unlink "$dir/end" or die "unlink: $!\n";
}

is($left, 0, "$rounds rounds: none survives");

my @all = map { ($_, descendants($_)) } workers();
signal('QUIT');
ok(poll('all are gone', sub { !alive(@all) }), 'nor a stop');

done_testing();

sub completed {
    return map { $_->{name} => $_->{cycles}{completed} }
           @{status_anyhow()->{tasks}};
}
