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

my @lines;

# a worker that had no CPU for so long tells a sixth one

my $told = poll('the sixth line', sub {
    @lines = log_text() =~ /(.*task "fails": failed.*)\n/g;
    return (grep { $lines[$_] =~ /more since/ } 0 .. $#lines)[0];
});

my $failed = task('fails')->{cycles}{failed};

cmp_ok($told, '>=', 5, 'the first ones are told');
like($lines[$_], qr/task "fails": failed: simulate_io "3": timed out, 3 of 3 operations failed, retrying in 1ms$/,
     "line $_") for 0 .. 4;

my ($more) = $lines[$told]
             =~ /, retrying in 1ms \((\d+) more since the last line\)$/;

cmp_ok($more, '>', 0, 'the others are not');
cmp_ok($more, '<=', $failed - $told - 1, 'and not more than there were');

my ($fifth, $sixth) = map { seconds($_) } @lines[$told - 1, $told];

cmp_ok(($sixth - $fifth) % 86400, '>=', 4, 'some seconds later');

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

$told = logged(qr/task "changes": failed: digest "files": open\(\) "\S*a\?\[error\] 1#1: forged" failed \(13: Permission denied\), retrying in 2ms$/m);
cmp_ok($told, '>=', 5, 'told');
cmp_ok($told, '<', 10, 'but not all');

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

my $minutes = int(status()->{uptime_seconds} / 60);
my $new = qr/task "changes": failed(?!.*more since)/;

cmp_ok(logged($new), '<=', 5 * (10 + $minutes), 'not endlessly');
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
