# Jobs that are over while their thread goes on with others: their cycle ends
# with the last of them, whatever the thread does next.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundStatus;
use Test::More;

my @gates = qw/ one two three four five /;
my %gate = map { $_ => dir() . "/$_" } @gates;

put($_, '') for @gates;

# one thread, and each job keeps it until its gate opens

start(<<"EOF", '', load_kind('gate'));
    background_threads 1;
    background_task first { interval 1h; gate $gate{one} keep; }
    background_task pair { interval 1h; gate $gate{two} keep; gate $gate{three} keep; }
    background_task next { interval 1h; gate $gate{four} keep; }
    background_task last { interval 1h; gate $gate{five} keep; }
EOF

waits(4, 'all wait for the first');

opens('one');
waits(3, 'the next one has its thread');
over('a task with one job', 'first', 1);

opens('two');
waits(2, 'the second of a pair runs');
is(task('pair')->{cycles}{completed}, 0, 'a cycle is not over with one of two');

opens('three');
waits(1, 'a job of another task runs');
over('a task with two jobs', 'pair', 2);

opens('four');
waits(0, 'the last one runs');
over('the last but one', 'next', 1);

is(status()->{cpu}{completed}, 4, 'no job is missing while another one runs');

opens('five');
over('the last one', 'last', 1);

stop();
done_testing();

sub opens { unlink $gate{$_[0]} or die "unlink: $!\n" }

sub waits {
    my ($n, $name) = @_;

    ok(poll($name, sub {
        my $cpu = status()->{cpu};

        return $cpu->{running} == 1 && $cpu->{queued} == $n;
    }), $name);
}

sub over {
    my ($name, $task, $n) = @_;

    my $last = poll("$name is over", sub {
        my $task = task($task);

        return $task->{cycles}{completed} && $task->{last};
    });

    is($last->{operations}, $n, $name);
}

sub task {
    my ($name) = @_;

    my %task = by_name(status());

    return $task{$name};
}
