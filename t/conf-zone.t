#!/usr/bin/env perl

# background_zone: what "nginx -t" says, and that a zone of the size it asks
# for is really enough.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundConf;
use POSIX ();
use Test::More;

###############################################################################

my $page = POSIX::sysconf(POSIX::_SC_PAGESIZE()) / 1024;
my $min = 8 * $page;

accepts('http',
    'background_zone 128k;',
    'background_zone 163840; background_task t { simulate_io 1; }',
    'background_zone 2M; background_task t { simulate_io 1; }',
    'background_task t { simulate_io 1; } background_zone 2m;',
);

rejects('http',
    (map { ("background_zone $_;"
            => "invalid size \"$_\" in \"background_zone\" directive, "
            . "it must be ${min}k or more") }
        '0', '0k', '-1', '-1m', 'x', 'k', '1k', $min - 1 . 'k', '1.5m', '1g',
        '1mb', '99999999999999999999', '99999999999999999999m'),

    'background_zone "";'
        => 'invalid size "" in "background_zone" directive, '
        . "it must be ${min}k or more",
    'background_zone;'
        => 'invalid number of arguments in "background_zone" directive',
    'background_zone 1m 1m;'
        => 'invalid number of arguments in "background_zone" directive',
    "background_zone 1m;\nbackground_zone 1m; # here"
        => '"background_zone" directive is duplicate',
);

for my $context (qw/ all server location task /) {
    rejects($context,
        'background_zone 1m;'
            => '"background_zone" directive is not allowed here',
    );
}

# too small

my $dir = conf_dir();

for my $case ([1, 'one', 1], [1, 'all', 8], [7, 'one', 1], [40, 'all', 3],
              [500, 'one', 2], [501, 'all', 1])
{
    my ($tasks, $workers, $processes) = @$case;

    my $name = "$tasks tasks of $workers, $processes workers";

    my ($code, $said) = zone($case, 'background_zone ' . $min . 'k;');

    my $bytes = $min * 1024;

    like($said, qr/^nginx: \[emerg\] background_zone of $bytes bytes is too /m,
        "$name: too small");
    like($said, qr/ for $tasks tasks, it needs at least \d+k in .*:\d+$/m,
        "$name: how much it needs");

    my ($needs, $line) = $said =~ /at least (\d+)k in \S+:(\d+)/;

    is($code, 1, "$name: exit code");
    is($line && line($line), "background_zone ${min}k;\n", "$name: line");

    $needs ||= 1024;

    ($code) = zone($case, "background_zone ${needs}k;");
    is($code, 0, "$name: ${needs}k are enough");

    my $less = $needs - 2 * $page;
    ($code, $said) = zone($case, "background_zone ${less}k;");
    like("$said\[$code]", qr/ least ${needs}k in .*\[1]$/s,
        "$name: ${less}k are not");
}

# by default

my ($code) = zone([190, 'one', 1], '');
is($code, 0, 'default: 190 tasks');

($code, my $said) = zone([300, 'one', 1], '');
is($code, 1, 'default: 300 tasks, exit code');
like($said, qr/background_zone of 1048576 bytes is too small for 300 tasks, it/,
    'default: 300 tasks');

done_testing();

###############################################################################

sub zone {
    my ($case, $directive) = @_;
    my ($tasks, $workers, $processes) = @$case;

    my $text = join '', map {
        "background_task t$_ { workers $workers; simulate_io 1; }\n"
    } 1 .. $tasks;

    return nginx_t("worker_processes $processes;\nevents {\n}\nhttp {\n"
                   . "$directive\n$text}\n");
}

sub line {
    my ($n) = @_;

    open my $file, '<', "$dir/nginx.conf" or die "open: $!\n";
    my @lines = <$file>;

    return $lines[$n - 1];
}
