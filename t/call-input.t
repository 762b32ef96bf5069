# Input and output of functions that "call" runs in cycles which requests start,
# libraries of both versions of the interface, and functions that may be parked.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundKind;
use BackgroundLife;
use BackgroundPost;
use BackgroundStatus;
use Test::More;

my $dir = dir();
my $calls = root() . '/t/calls';

build_library("$dir/output.so", "$calls/output.c", '-std=c99 -pedantic')
    or plan skip_all => 'no C compiler';
my $cpp = build_library("$dir/upper.so", "$calls/output.cc",
                        '-std=c++11 -pedantic');

build_library("$dir/$_->[0].so", "$calls/hold.c", $_->[1])
    for ['one', '-DABI_1'], ['two', ''], ['parks', '-DPARKS'];

my $kind = load_kind('arrive');

my %function = (
    reverse => 'output.so reverse', obey => 'output.so obey',
    one => "one.so hold $dir/one", two => "two.so hold $dir/two",
    parks => "parks.so hold $dir/parks",
    $cpp ? (upper => 'upper.so upper') : (),
);

start(join('', "background_threads 1;\n",
           map({ "background_task $_ { interval off; call $function{$_}; }\n" }
               sort keys %function),
           map { "background_task alone_$_->[0] { interval 1h; retry 1h;"
                 . " call output.so alone $_->[1]; }\n" }
               ['good', 'X-Good'], ['bad', 'Date']),
      join('', "client_body_buffer_size 1k; client_max_body_size 10m;\n",
           map { "location /$_ { arrive $_; }\n" } sort keys %function),
      "$kind\nworker_processes 1;");

sub task {
    my %tasks = by_name(status());

    return $tasks{$_[0]};
}

# orders for "obey"

sub header { "h$_[0]\x1f$_[1]" }

sub obey { post('/obey', join '', map { "$_\x1e" } @_) }

# the error of a failed cycle, when it is recorded

my $failed = 0;

sub error_of {
    my ($answer) = @_;

    is(code($answer), 500, 'it fails');

    my $count = ++$failed;

    return poll('recorded', sub {
        my $obey = task('obey');
        return $obey->{cycles}{failed} == $count && $obey->{last};
    });
}

# input in memory, in a file, none

is(body(post('/reverse', 'hello')), 'olleh', 'from memory');
is(body(post('/reverse', "a\0b\n")), "\nb\0a", 'any bytes');

my $long = join '', map { chr(97 + $_ % 26) } 1 .. 300_000;

is(body(post('/reverse', $long)), scalar reverse($long), 'from a file');
is(body(post('/reverse', '')), '', 'none');

is(logged(qr/reverse\(\): $_/), 1, $_)
    for 'input of 5 bytes, fence 0', 'input of 4 bytes, fence 0',
        'input of 300000 bytes, fence 0', 'no input of 0 bytes, fence 0';

# output, its type, status, and headers

my $answer = obey('s418', 'ttext/x-pot; charset=utf-8', header('X-One', 'first'),
                  header('x-TWO', "\tb, c; \xe9"), header('X-One', 'second'),
                  header("!#\$%&'*+-.^_`|~09azAZ", ''), 'p3', 'p4');

is(code($answer), 418, 'status');
like($answer, qr/\r\nContent-Type: text\/x-pot; charset=utf-8\r/, 'type');
like($answer, qr/\r\nX-One: first\r\nx-TWO: \tb, c; \xe9\r\nX-One: second\r/,
     'headers');
like($answer, qr/\r\n!#\$%&'\*\+-\.\^_`\|~09azAZ: \r/, 'any token');
is(body($answer), 'xxxxxxx', 'output');

is(code(obey("s$_")), $_, "status $_") for 200, 599;

$answer = obey('s500', 's201', 'ttext/a', 'ttext/b');

is(code($answer), 201, 'the last status counts');
like($answer, qr/\r\nContent-Type: text\/b\r/, 'the last type');

# what is refused

is(error_of(obey("s$_", 'p1'))->{error},
   "call \"output.so\": obey(): invalid status $_", "status $_")
    for 199, 600, 100, 0, -1, -2147483648;

is(error_of(obey(header($_, 'x')))->{error},
   'call "output.so": obey(): invalid header "' . s/[\r\n\t]/ /gr . '"',
   s/[\r\n\t]/ /gr)
    for 'Content-Length', 'content-length', 'Transfer-Encoding', 'Connection',
        'Keep-Alive', 'Proxy-Connection', 'Upgrade', 'Trailer', 'TE', 'Date',
        'Server', 'Content-Type', '', 'X A', 'X:', "X\r", "X\nY", "X\t", 'X(';

is(error_of(obey(header('X-A', "a${_}b")))->{error},
   'call "output.so": obey(): invalid header "X-A"',
   sprintf 'character %d in a value', ord)
    for "\r", "\n", "\x01", "\x1d", "\x7f";

is(error_of(obey("ttext/a\r\nX: b"))->{error},
   'call "output.so": obey(): invalid type "text/a  X: b"', 'lines in a type');

my $last = error_of(obey('s100', header('Date', 'x'), 's700'));

is($last->{error}, 'call "output.so": obey(): invalid status 100', 'the first');
is($last->{failed}, 3, 'all are counted');

# how much there may be

my @fields = map { header('X', 'v' x 1019) } 1 .. 32;

is(() = obey(@fields) =~ /\r\nX: v{1019}(?=\r)/g, 32, '32k of headers');
is(error_of(obey(@fields, $_->[1]))->{error},
   "call \"output.so\": obey(): no room for $_->[0]", "and a $_->[0]")
    for ['header "Y"', header('Y', '')], ['type "t"', 'tt'];

is(length body(obey('p1000000')), 1_000_000, 'as much as the trigger wants');

$last = error_of(obey('p999999', 'p2', 'p1'));

is($last->{error}, 'call "output.so": obey(): too much output', 'more');
is($last->{failed}, 1, 'it is counted once');
is($last->{message}, 'obey: 2 refused', 'and no more is taken');

# output that nobody waits for

my ($good, $bad);

poll('both are over', sub {
    ($good, $bad) = map { task("alone_$_") } 'good', 'bad';

    return $good->{last} && $bad->{last};
});

is($good->{last}{error}, undef, 'it is dropped');
is($bad->{last}{error}, 'call "output.so": alone(): invalid header "Date"',
   'but not what is invalid');

# C++

SKIP: {
    skip 'no C++ compiler', 4 unless $cpp;

    $answer = post('/upper', 'hello');

    is(code($answer), 202, 'C++: status');
    like($answer, qr/\r\nContent-Type: text\/x-upper\r/, 'C++: type');
    like($answer, qr/\r\nX-Length: 5\r/, 'C++: header');
    is(body($answer), 'HELLO', 'C++: output');
}

# A function that is not to be parked keeps the only slot while another job
# waits, though it asks.

for my $name ('one', 'two') {
    my $before = logged(qr/obey\(\): obey: 0 refused/);
    my $held = begin("/$name", "for $name");

    poll("$name runs", sub { task($name)->{running} });

    my $waits = begin('/obey', "p1\x1e");

    poll('another one waits', sub { task('obey')->{waiting} });

    put($name, '');

    is(code(rest($held)), 200, "$name is over");
    is(body(rest($waits)), 'x', 'the other one is');

    my ($log) = log_text() =~ /hold\(\): $name is over\n(.*)/s;

    is(() = $log =~ /obey\(\): obey: 0 refused/g, 1, 'after it');
    is(logged(qr/obey\(\): obey: 0 refused/), $before + 1, 'only');
}

# one that may be parked lets others run

my $parked = begin('/parks', '');

poll('it runs', sub { task('parks')->{running} });

is(body(post('/obey', "p$_\x1e")), 'x' x $_, 'another one runs') for 1 .. 3;

ok(task('parks')->{running}, 'meanwhile');
put('parks', '');
is(code(rest($parked)), 200, 'and it goes on');

stop();
done_testing();
