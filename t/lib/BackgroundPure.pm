package BackgroundPure;

# Programs of the tests that need no nginx: what is pure C, on made-up trees.

use strict;
use warnings;

use Cwd qw/ abs_path /;
use Exporter qw/ import /;
use File::Basename qw/ dirname /;
use File::Temp qw/ tempdir /;

our @EXPORT = qw/ pure /;

# The path of t/NAME.c's program, built with src/core's file of that name and
# others, or an empty list, with the reason in TAP.
# Environment: CC, BACKGROUND_ASAN (compile with sanitizers).

sub pure {
    my ($name, @others) = @_;

    my $t = abs_path(dirname(__FILE__) . '/..');
    my $dir = tempdir("$name.XXXXXX", TMPDIR => 1, CLEANUP => 1);
    my $cc = $ENV{CC} || 'cc';
    my @sources = map { "'$_'" } "$t/$name.c",
        map { "$t/../src/core/ngx_http_background_$_.c" } $name, 'cgroup',
        @others;

    my $flags = '-g -Wall -Wextra -Werror';
    $flags .= ' -O1 -fsanitize=address,undefined'
              . ' -fno-sanitize-recover=undefined' if $ENV{BACKGROUND_ASAN};

    my $out = `$cc $flags -I'$t/../src/core' -o '$dir/$name' @sources 2>&1`;

    return "$dir/$name" if $? == 0;

    $out = "can't run $cc" unless length $out;
    $out =~ s/^/# /mg;
    print "1..1\nnot ok 1 - $name compiles\n$out\n";

    return;
}

1;
