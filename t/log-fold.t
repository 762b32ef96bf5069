#!/usr/bin/env perl

# The log: failures that repeat are folded, with a count, and lines of good
# cycles, too; what is new is told at once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

###############################################################################

my $dir = dir();

mkdir "$dir/files" or die "mkdir: $!\n";
chmod 0777, "$dir/files" or die "chmod: $!\n";
put('files/one', '');

start(<<"EOF");
    background_task fails {
        retry   1ms;
        timeout 1ms;
        simulate_io 3 delay=1h-1h;
    }
    background_task changes {
        interval 2ms;
        retry    2ms;
        digest files;
    }
    background_task good {
        interval 1ms;
        simulate_io 1 delay=0-0;
    }
EOF

# the first five are told, then one in five seconds, with the count

my (@lines, $sixth);

poll('a line with a count', sub {
    @lines = log_text() =~ /(.*task "fails": failed.*)\n/g;
    ($sixth) = grep { /more since/ } @lines;
});

my $failed = task('fails')->{cycles}{failed};

like($lines[$_], qr/task "fails": failed: simulate_io "3": timed out, 3 of 3 operations failed, retrying in 1ms$/,
     "line $_") for 0 .. 4;
folded('fails', @lines);

my ($more) = $sixth =~ /, retrying in 1ms \((\d+) more since the last line\)$/;

cmp_ok($more, '>', 0, 'the others are not');
cmp_ok($more, '<=', $failed - 6, 'and not more than there were');

# good cycles

poll('good cycles', sub {
    logged(qr/task "good": completed .*more since the last line\)$/m);
});

cmp_ok(logged(qr/task "good": completed/), '>=', 100, 'a hundred good cycles');
cmp_ok(logged(qr/task "good": completed/), '<=',
    101 + status()->{uptime_seconds}, 'then one a second');
like(log_text(), qr/task "good": completed 1 operations, .*, wall time: 0\.\d{3}s \(\d+ more since the last line\)$/m,
    'with the number of the others');

# another failure, and the end of it, are told at once; a newline in a name
# makes no line

my $name = "a\n[error] 1#1: forged";

put("files/$name", '');
chmod 0, "$dir/files/$name" or die "chmod: $!\n";

poll('another failure', sub { task('changes')->{cycles}{failed} > 10 });

folded('changes', log_text() =~ /(.*task "changes": failed: digest "files": open\(\) "\S*a\?\[error\] 1#1: forged" failed \(13: Permission denied\), retrying in 2ms.*)\n/g);

put('files/b', '');
chmod 0, "$dir/files/b" or die "chmod: $!\n";
unlink "$dir/files/$name" or die "unlink: $!\n";

poll('yet another one', sub {
    logged(qr/task "changes": failed: digest "files": open\(\) "\S*b" failed \(13: Permission denied\), retrying in 2ms(?: \(\d+ more since the last line\))?$/m)
        >= 5;
});

$failed = task('changes')->{cycles}{failed};
unlink "$dir/files/b" or die "unlink: $!\n";

poll('good again', sub {
    logged(qr/\[notice\].*task "changes": recovered after \d+ failed cycles$/m);
});

my ($n) = log_text() =~ /recovered after (\d+) failed/;

cmp_ok($n, '>=', $failed, 'all of them counted');
is($n, task('changes')->{cycles}{failed}, 'all of them');

# on and off and on: a row of failures is told, but not endlessly

for (1 .. 15) {
    my $task = task('changes');

    put('files/b', '');
    chmod 0, "$dir/files/b" or die "chmod: $!\n";
    poll("row $_", sub {
        task('changes')->{cycles}{failed} > $task->{cycles}{failed};
    });

    unlink "$dir/files/b" or die "unlink: $!\n";
    poll("its end $_", sub {
        task('changes')->{cycles}{consecutive_failures} == 0;
    });
}

# ten new texts or rows, each of five lines at the most, and one in five seconds
# for the others; a minute gives one more

my $uptime = status()->{uptime_seconds};
my $minutes = int($uptime / 60);
my $counts = logged(qr/task "changes": failed.*more since/);

cmp_ok(logged(qr/task "changes": failed/) - $counts, '<=', 5 * (10 + $minutes),
    'not endlessly');
cmp_ok($counts, '<=', $uptime / 4, 'nor the counts');
cmp_ok(logged(qr/task "changes": failed/), '>=', 10 + 5, 'but told');
cmp_ok(logged(qr/task "changes": recovered/), '<=', 10 + $minutes,
    'so is its end');
cmp_ok(logged(qr/task "changes": recovered/), '>=', 4, 'it is told, too');

# every line names its task, or is not of one

is(join('', grep { /background|digest|simulate|forged/
                   && !/background task "\w+": |background: / }
                 split /^/, log_text()), '', 'every line names its task');

stop();

done_testing();

# the first five lines of a text are told, then one in some seconds

sub folded {
    my ($name, @lines) = @_;

    cmp_ok(scalar @lines, '>=', 5, "$name: the first ones are told");
    is(scalar(grep { /more since/ } @lines[0 .. 4]), 0, "$name: each of them");
    is(scalar(grep {
        (seconds($lines[$_]) - seconds($lines[$_ - 1])) % 86400 < 4
    } 5 .. $#lines), 0, "$name: some seconds later");
}

# of the day, of a line

sub seconds {
    my ($h, $m, $s) = $_[0] =~ / (\d\d):(\d\d):(\d\d) /;

    return 3600 * $h + 60 * $m + $s;
}

sub task {
    my ($name) = @_;
    my %task = by_name(status());

    return $task{$name};
}
