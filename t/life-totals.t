# What the zone holds of a task survives reloads, by the task's name: with
# tasks added, removed, reordered, with fewer and more workers, and with a
# configuration that is refused.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $first = 'background_task first { interval 1h; simulate_io 3 delay=1ms-1ms; }';
my $second = 'background_task second { workers all; interval 1h; simulate_io 2 delay=1ms-1ms; }';
my $bad = 'background_task bad { workers all; retry 1h; digest /proc/self/mem; }';
my $third = 'background_task third { interval 1h; simulate_io 1 delay=1ms-1ms; }';

start("$first $second $bad", '', 'worker_processes 3;');

my $generation = 1;
my ($tasks, %before);

poll('a cycle of each', sub {
    my %task = by_name(status());

    return $task{first}{cycles}{completed} == 1
           && $task{second}{cycles}{completed} == 3
           && $task{bad}{cycles}{failed} == 3;
});

%before = facts();

# the same again; then in another order, with one more in between

reload($first => $first, 3);
is_deeply({ facts() }, \%before, 'the same tasks');

reload("$first $second $bad" => "$bad $third $second $first", 3);

poll('a cycle of the new one', sub {
    return facts('third')->{cycles}{completed} == 1;
});

is(join(' ', map { $_->{name} } @{status()->{tasks}}),
   'bad third second first', 'order');

$before{third} = facts('third');
is_deeply({ facts() }, \%before, 'one added, others reordered');

# one removed: the rest stays; when it comes back it is new

reload($second => '', 3);

delete $before{second};
is_deeply({ facts() }, \%before, 'one removed');

reload($third => "$third $second", 3);

poll('a cycle of the one that came back', sub {
    my $cycles = facts('second')->{cycles};

    return $cycles->{completed} >= 3
           && $cycles->{started} == $cycles->{completed};
});

my $again = facts('second');

cmp_ok($again->{cycles}{completed}, '<=', 6, 'no cycle twice');
is($again->{operations}{completed}, 2 * $again->{cycles}{completed},
   'operations match cycles');

$before{second} = $again;

# workers fewer and more: what those did that are no more counts

reload('worker_processes 3;' => 'worker_processes 1;', 1);
is_deeply({ facts() }, \%before, 'fewer workers');

reload('worker_processes 1;' => 'worker_processes 4;', 4);

# the fourth worker is new to the tasks of all workers

$before{second}{cycles}{completed}++;
$before{second}{cycles}{started}++;
$before{second}{operations}{completed} += 2;
$before{bad}{cycles}{failed}++;
$before{bad}{cycles}{started}++;
$before{bad}{operations}{failed}++;

poll('cycles of the fourth worker', sub {
    my %now = facts();

    return $now{second}{cycles}{completed}
               == $before{second}{cycles}{completed}
           && $now{bad}{cycles}{failed} == $before{bad}{cycles}{failed};
});

my %now = facts();

# its last cycle is the newest, its bytes are random

for (qw/ second bad /) {
    $before{$_}{last} = $now{$_}{last};
    $before{$_}{operations}{bytes} = $now{$_}{operations}{bytes};
}

is_deeply(\%now, \%before, 'more workers');

# refused: nothing changes

my @workers = workers();

put('nginx.conf', conf() =~ s/\Q$first\E/$first background_task worse { }/r);
signal('HUP');

poll('refused', sub {
    logged(qr/no operations in background task "worse"/);
});

is(join(' ', workers()), "@workers", 'the same workers');
is(status()->{generation}, $generation, 'the same configuration');
is_deeply({ facts() }, \%before, 'the same numbers');

put('error.log', join '', grep { !/no operations in/ } split /^/, log_text());

stop();
done_testing();

sub conf {
    open my $file, '<', dir() . '/nginx.conf' or die "open: $!\n";
    local $/;

    return <$file>;
}

# what a reload must not change

sub facts {
    my ($name) = @_;

    my %facts = map { my $t = $_;
                      $t->{name} => { map { $_ => $t->{$_} }
                                          qw/ cycles operations last healthy / }
                    } @{status()->{tasks}};

    return defined $name ? $facts{$name} : %facts;
}

# changes the configuration, and waits until so many new workers alone are
# there, and have their tasks

sub reload {
    my ($from, $to, $n) = @_;

    my %old = map { $_ => 1 } workers();

    reconfigure($from, $to);
    $generation++;

    poll('new workers', sub {
        my @now = workers();
        my $s = status();

        return @now == $n && !(grep { $old{$_} } @now)
               && $s->{generation} == $generation
               && $s->{tasks}[0]{state} ne 'stopped';
    });

    # all have started all their tasks

    poll('tasks started', sub {
        my $text = log_text();

        for my $pid (workers()) {
            return 0 if conf() =~ /workers all/
                        && $text !~ /\] $pid#\d+: background task "(?:second|bad)": started/;
        }

        return !grep { $_->{workers} eq 'one' && !$_->{lease} }
                     @{status()->{tasks}};
    });
}
