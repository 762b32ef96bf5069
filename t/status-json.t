#!/usr/bin/env perl

# The status is JSON in UTF-8 whatever a file's name is: here files that can't
# be read, so that their names get into error texts.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundStatus;
use File::Path qw/ make_path /;
use IPC::Open2;
use Test::More;

###############################################################################

my $dir = dir();

my %names = (
    'quotes' => q{a"b'c\\d\\\\e"},
    'control-characters' => join('', map { chr } 1 .. 31, 127),
    'json' => '","x":[{\\u0000<script>',
    'format' => '%s%V%n%*d$a',

    # what is UTF-8 stays as it is: the first and last of each length
    'two-bytes' => "\xc2\x80 \xc3\xa9 \xdf\xbf",
    'three-bytes' => "\xe0\xa0\x80 \xe2\x82\xac \xed\x9f\xbf \xee\x80\x80 "
        . "\xef\xbf\xbd \xef\xbf\xbf \xef\xbb\xbf \xe2\x80\xa8 \xef\xb7\x90",
    'four-bytes' => "\xf0\x90\x80\x80 \xf0\x9f\x92\xa9 \xf4\x8f\xbf\xbf",

    # what is not becomes U+FFFD
    'never' => "\xff \xfe \xc0 \xc1 \xf5 \xf8 \xfc",
    'never-as-lead' => "\xf5\x80\x80\x80 \xf8\x88\x80\x80\x80 "
        . "\xfc\x84\x80\x80\x80\x80 \xff\x80\x80\x80 \xf9\x9f\x92\xa9",
    'lone-continuation' => "\x80 \xbf \x80\x80\x80\x80",
    'overlong-two' => "\xc0\xaf \xc1\xbf",
    'overlong-three' => "\xe0\x80\xaf \xe0\x9f\xbf",
    'overlong-four' => "\xf0\x80\x80\xaf \xf0\x8f\xbf\xbf",
    'surrogates' => "\xed\xa0\x80 \xed\xbf\xbf \xed\xa0\xbd\xed\xb2\xa9",
    'too-large' => "\xf4\x90\x80\x80 \xf7\xbf\xbf\xbf",
    'truncated' => "\xc3 \xe2\x82 \xe2 \xf0\x9f\x92 \xf0\x9f \xf0",
    'truncated-at-end' => "\xf0\x9f\x92",
    'lead-after-lead' => "\xc3\xc3\xa9 \xe2\xe2\x82\xac \xe2\x82\xc3\xa9 "
        . "\xf0\x9f\xf0\x9f\x92\xa9",
    'lead-as-continuation' => "\xc3\xff \xc3\xc3 \xe2\xc2\xa9 \xe2\x82\xff "
        . "\xf0\xff\xff\xff \xf0\x9f\x92\xe9",
    'latin-1' => "caf\xe9 na\xefve \xc4\xd6\xdc",
);

# "digest "PATH": ...", cut after 512 bytes: the length of PATH's first part
# moves characters of three and four bytes over the cut

my %paths = map { $_ => "$dir/$_" } keys %names;

for my $i (0 .. 3) {
    my $start = "$dir/" . 'p' x (140 + $i);

    $paths{"cut-3-$i"} = $start . ('/' . "\xe2\x82\xac" x 80) x 2;
    $paths{"cut-4-$i"} = $start . ('/' . "\xf0\x9f\x92\xa9" x 60) x 2;
    $names{"cut-3-$i"} = $names{"cut-4-$i"} = 'x';
}

# a name in the configuration, too

$paths{configured} = qq{$dir/a"b\\c\n\x01\xff\xe2\x82};
$names{configured} = 'x';

my $tasks = '';

for (sort keys %names) {
    my $file = "$paths{$_}/$names{$_}";

    make_path($paths{$_});
    open my $fh, '>', $file or die "open $_: $!\n";
    chmod 0, $file or die "chmod $_: $!\n";

    my $path = $paths{$_};
    $path =~ s/(["\\])/\\$1/g;

    $tasks .= "background_task $_ { retry 1h; digest \"$path\"; }\n";
}

# names of tasks stay as they are

my @good = ('a.b-c_d', '.', '-', '_', '0', '...', 'x' x 64);

$tasks .= "background_task $_ { simulate_io 1 delay=0-0; }\n" for @good;

start($tasks);

my $body = poll('all digests have failed', sub {
    my $body = (get('/status'))[2];

    (() = $body =~ /"last_failure":\{/g) == keys %names && $body;
});

my $status = eval { parse($body) };
is($@, '', 'valid JSON');

if (!$status) {
    diag($_) for grep { utf8_text($_) ne utf8_text($_, '?') } split /^/, $body;
    stop();
    done_testing();
    exit 1;
}

my %tasks = by_name($status);

for (sort keys %names) {
    my $expected = qq{digest "$paths{$_}": open() "$paths{$_}/$names{$_}" }
        . 'failed (13: Permission denied)';

    # control characters of an error are replaced, others are escaped

    $expected =~ s/[\x00-\x1f\x7f]/?/g;

    is(length $expected > 512, /^cut/ || '', "$_: length");

    my $is = $tasks{$_}{last}{error};

    is(visible($is), visible(utf8_text(substr $expected, 0, 512)), $_);
    is($tasks{$_}{last_failure}{error}, $is, "$_: last failure");
}

is(join(' ', map { $_->{name} } grep { $_->{healthy} } @{$status->{tasks}}),
    "@good", 'names of tasks');

SKIP: {
    skip 'no python3', 1 if system 'python3 -c "" 2> /dev/null';

    # other than Cpanel::JSON::XS it tells two fields of one name

    my $pid = open2(my $out, my $in, 'python3', '-c', <<'EOF');
import json, sys

def unique(pairs):
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)

def refuse(constant):
    raise ValueError(constant)

text = sys.stdin.buffer.read().decode('utf-8', 'strict')
json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
print('valid')
EOF

    print $in $body;
    close $in;

    is(join('', <$out>), "valid\n", 'valid for Python');
    waitpid $pid, 0;
}

stop();

done_testing();

###############################################################################

# how many U+FFFD stand for how many bytes is left open

sub visible {
    my ($text) = @_;

    return 'undefined' unless defined $text;

    $text =~ s/\x{fffd}+/\x{fffd}/g;
    $text =~ s/([^ -~])/sprintf '{%x}', ord $1/ge;

    return $text;
}
