#!/usr/bin/env perl

# Compiles t/cpu_limit.c and runs its tests of the CPU limit on made-up trees.
# Environment: CC, BACKGROUND_ASAN (compile with sanitizers).

use strict;
use warnings;

use Cwd qw/ abs_path /;
use File::Basename qw/ dirname /;
use File::Temp qw/ tempdir /;

###############################################################################

my $t = dirname(abs_path(__FILE__));
my $dir = tempdir('cpu_limit_pure.XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $cc = $ENV{CC} || 'cc';

my $flags = '-g -Wall -Wextra -Werror';
$flags .= ' -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined'
    if $ENV{BACKGROUND_ASAN};

my $out = `$cc $flags -I'$t/../src/core' -o '$dir/cpu_limit' '$t/cpu_limit.c' \\
    '$t/../src/core/ngx_http_background_cpu_limit.c' \\
    '$t/../src/core/ngx_http_background_cpu_usage.c' \\
    '$t/../src/core/ngx_http_background_cgroup.c' 2>&1`;

if ($? != 0) {
    $out = "can't run $cc" unless length $out;
    $out =~ s/^/# /mg;
    print "1..1\nnot ok 1 - cpu_limit compiles\n$out\n";
    exit 1;
}

system("$dir/cpu_limit");

exit($? & 127 ? 128 + ($? & 127) : $? >> 8);

###############################################################################
