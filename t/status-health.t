#!/usr/bin/env perl

# A task is healthy until it has failed "fails" times in a row, and then again
# after "passes" good cycles in a row.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundStatus;
use Test::More;

###############################################################################

# a task fails as long as there is a file that it can't read

my $dir = dir();

mkdir "$dir/tree" or die "mkdir: $!\n";
put('tree/file', 'content');
chmod 0, "$dir/tree/file" or die "chmod: $!\n";

start(<<"EOF", <<'EOF2');
    background_task patient {
        interval 600ms;
        retry    600ms;
        health   fails=3 passes=2;
        digest   $dir/tree;
    }
    background_task default {
        interval 600ms;
        retry    600ms;
        digest   $dir/tree;
    }
EOF
    location = /patient { background_status task=patient failing=503; }
    location = /default { background_status task=default failing=503; }
EOF2

# [failures, good cycles, healthy, code], each once, in their order

my %seen = (patient => [], default => []);

sub look {
    for my $name (keys %seen) {
        my ($code, undef, $body) = get("/$name");
        my $task = parse($body)->{tasks}[0];
        my $cycles = $task->{cycles};

        my $now = join ' ', $cycles->{consecutive_failures},
            $cycles->{completed}, $task->{healthy} ? 'healthy' : 'unhealthy',
            $code, $task->{state};

        next if $task->{state} eq 'running';

        my $seen = $seen{$name};
        push @$seen, $now if !@$seen || $seen->[-1] ne $now;
    }
}

poll('failures', sub {
    look();
    2 == grep { /^4 / } map { @$_ } values %seen;
});

chmod 0644, "$dir/tree/file" or die "chmod: $!\n";

poll('good cycles', sub {
    look();
    2 == grep { /^0 3 / } map { @$_ } values %seen;
});

# before the first cycle, and after more failures than four

for (values %seen) {
    @$_ = grep { !/^(?:0 0|[5-9]|\d\d) / } @$_;
}

is_deeply($seen{patient}, [
    '1 0 healthy 200 retrying',
    '2 0 healthy 200 retrying',
    '3 0 unhealthy 503 retrying',
    '4 0 unhealthy 503 retrying',
    '0 1 unhealthy 503 waiting',
    '0 2 healthy 200 waiting',
    '0 3 healthy 200 waiting',
], 'health fails=3 passes=2');

is_deeply($seen{default}, [
    '1 0 unhealthy 503 retrying',
    '2 0 unhealthy 503 retrying',
    '3 0 unhealthy 503 retrying',
    '4 0 unhealthy 503 retrying',
    '0 1 healthy 200 waiting',
    '0 2 healthy 200 waiting',
    '0 3 healthy 200 waiting',
], 'by default');

# the error of a failure that is over is still told, but not as the last's

my $task = status()->{tasks}[0];

is($task->{last}{error}, undef, 'last: no error');
like($task->{last_failure}{error}, qr/ failed \(13: Permission denied\)$/,
    'last failure: error');
isnt($task->{last_failure}{finished}, $task->{last}{finished},
    'last failure: before the last');

stop();

done_testing();
