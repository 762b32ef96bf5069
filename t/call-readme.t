# The functions that doc/call.md shows, built and run as it says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundDoc;
use BackgroundLife;
use BackgroundPost;
use BackgroundStatus;
use Test::More;

my $dir = dir();

put('lines.c', doc_block('c', 'CALL(count_lines)'));
put('first.c', doc_block('c', 'CALL(first_line)'));
put('usage.cc', doc_block('cpp', 'CALL(disk_usage)'));

build_library("$dir/lines.so", "$dir/lines.c")
    or plan skip_all => 'no C compiler';
build_library("$dir/first.so", "$dir/first.c");
my $cpp = build_library("$dir/usage.so", "$dir/usage.cc");

cmp_ok(scalar(my @lines = split /\n/, doc_block('c', 'CALL(count_lines)')),
       '<=', 20, 'no more than 20 lines of C');

put('text', "one\ntwo\nthree\n");
mkdir "$dir/tree" or die "mkdir: $!\n";
mkdir "$dir/tree/sub" or die "mkdir: $!\n";
put('tree/a', 'x' x 1000);
put('tree/sub/b', 'x' x 24);

# with the paths of this test

my $http = doc_block('nginx', 'disk_usage');
$http =~ s{/usr/local/lib}{$dir}g;
$http =~ s{/etc/services}{$dir/text};
$http =~ s{/srv /var/www}{$dir/tree};
$http =~ s/.*usage\.so.*\n// unless $cpp;

start($http . "background_task none { call $dir/lines.so count_lines /none; }"
      . "background_task first { interval off; call $dir/first.so first_line; }"
      . "background_task timed { interval 1h; call $dir/first.so first_line; }"
      . ($cpp && !$ENV{BACKGROUND_ASAN}
              ? "background_task throws { call $dir/usage.so disk_usage /none; }"
              : ''), 'location /first { background_run first; }');

my %task;

poll('all are over', sub {
    %task = by_name(status());

    return !grep { !$_->{last} && $_->{name} ne 'first' } values %task;
});

is($task{lines}{last}{bytes}, 14, 'C: bytes');
is($task{lines}{last}{operations}, 1, 'C: one operation');
is(logged(qr{"lines": count_lines\(\): $dir/text has 3 lines}), 1, 'C: message');
is($task{none}{last}{error},
   "call \"$dir/lines.so\": count_lines(): can't open /none", 'C: failure');

is($task{timed}{last}{error}, undef, 'C: no input');

my $answer = post('/first', "one\ntwo\n");

like($answer, qr{^HTTP/1.1 200 .*\r\n\r\none\z}s, 'C: output');
like($answer, qr{\r\nContent-Type: text/plain\r\n}, 'C: its type');
like($answer, qr{\r\nX-Task: first\r\n}, 'C: its header');
like(post('/first', 'one'), qr{^HTTP/1.1 400 }, 'C: its status');

SKIP: {
    skip 'no C++ compiler', 2 unless $cpp;

    is($task{usage}{last}{bytes}, 1024, 'C++: bytes');
    # which looks for the run-time library of C++ when nginx starts
    skip 'exceptions do not work with AddressSanitizer', 1
        if $ENV{BACKGROUND_ASAN};

    like($task{throws}{last}{error},
         qr{^call "$dir/usage.so": disk_usage\(\): .*No such file}, 'C++: failure');
}

stop();
done_testing();
