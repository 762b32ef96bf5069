#!/usr/bin/env perl

# What nginx itself logs of a task's requests: with the first failures, not
# with those that repeat.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundControl;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

###############################################################################

my $dir = dir();

# one that is logged as "crit", one as "error", and one by way of an internal
# redirect and a named location

my %tasks = (
    crit  => [qr/connect\(\) to unix:\S+ failed/, 'request /crit;'],
    error => [qr/open\(\) "\S+" failed/, 'request /error count=3;'],
    moved => [qr/connect\(\) to unix:\S+ failed/, 'request /moved;'],
);

start('', join("\n", map {
    "background_task $_ { retry 2ms; $tasks{$_}[1] }"
} sort keys %tasks) . <<"EOF");
    location = /crit  { proxy_pass http://unix:$dir/nobody; }
    location = /error { root $dir; }
    location = /moved { try_files /none \@named; }
    location \@named   { rewrite ^ /crit; }

    location = /client { root $dir; }
    location /control/ { background_control pause; }
EOF

poll('failures', sub {
    !grep { $_->{cycles}{failed} < 300 } @{status()->{tasks}};
});

for my $name (sort keys %tasks) {
    my $n = $name eq 'error' ? 3 : 1;
    my ($told, $own);

    is(logged(qr/background task "$name": failed: request "\/$name": unexpected status \d+, .*retrying in 2ms$/m),
        5, "$name: five lines of the task");

    # there is another one after some seconds

    poll("$name: nginx's own with these", sub {
        my $text = log_text();

        $told = () = $text =~ /background task "$name": failed/g;
        $own = () = $text =~ /$tasks{$name}[0].*background task: "$name"/g;

        return $own == $n * $told;
    });

    cmp_ok($told, '<', 100, "$name: and with no others");
}

# another failure has them again: the reason is new, then so are the details

my $before = logged(qr/background task: "error"/);

put('new', '');
chmod 0, "$dir/new" or die "chmod: $!\n";
rename "$dir/new", "$dir/error" or die "rename: $!\n";

poll('another failure', sub {
    logged(qr/background task "error": failed: request "\/error": unexpected status 403/) >= 5;
});

cmp_ok(logged(qr/open\(\) "\S+" failed \(13: .*background task: "error"/), '>=',
    3 * 4, 'details of another failure');

unlink "$dir/error" or die "unlink: $!\n";

poll('the former one again', sub {
    logged(qr/failed \(2: .*background task: "error"/) > $before;
});

# those of clients are logged as ever

for (1 .. 20) {
    get('/client');
}

is(logged(qr/open\(\) "\S+client" failed .*client: unix:/), 20,
    'lines on a client\'s requests');

# nothing more is written meanwhile

for my $name (sort keys %tasks) {
    poll("$name: an order", sub { code("/control/$name/pause") == 202 });
    poll("$name: paused", sub {
        my %task = by_name(status());
        return $task{$name}{paused} && !$task{$name}{running};
    });
}

put('error.log', join '', grep { !/\[crit\].*connect\(\) to unix/ }
                               split /^/, log_text());
stop();

done_testing();
