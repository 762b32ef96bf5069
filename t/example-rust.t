# The example of "call" in Rust: input, output, failure, cancelling.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundPost;
use BackgroundStatus;
use JSON::PP ();
use Test::More;

my $dir = dir();
my $rustc = $ENV{RUSTC} || 'rustc';

plan skip_all => 'no Rust compiler'
    if system("command -v '$rustc' > /dev/null 2>&1") != 0;

system("'$rustc' --edition=2021 -O -D warnings --crate-type=cdylib"
       . " -o '$dir/words.so' '${\root()}/examples/rust/words.rs'") == 0
    or die "words.so was not built\n";

my @conf = (<<"EOF", <<'EOF_LOCATIONS', 'worker_processes 1;');
    background_threads 1 priority=0 quota=100%;
    background_task words { interval off;
                            call $dir/words.so words \$arg_number; }
    background_task first { interval off; call $dir/words.so words 1; }
EOF
    client_body_buffer_size 1k;
    client_max_body_size    100m;

    location /words { background_run words errors; }
    location /first { background_run first; }
EOF_LOCATIONS

start(@conf);

sub words { JSON::PP->new->utf8->decode(body(post(@_))) }

my $answer = post('/words?number=2', "to be, or not to be");

is(code($answer), 200, 'counted');
is(body($answer), '[{"word": "be", "count": 2}, {"word": "to", "count": 2}]'
   . "\n", 'words');
is(field($answer, 'Content-Type'), 'application/json', 'type');
is(field($answer, 'X-Task'), 'words', 'field');

is(words('/first', "a b b \xc3\xa4\n")->[0]{count}, 2, 'one');
is(scalar @{words('/words?number=9', '')}, 0, 'no input');
is(words('/first', "na\xc3\xafve")->[0]{word}, "na\xefve", 'UTF-8');
is(code(post('/first', "\xff")), 400, 'no UTF-8');

is(words('/first', 'word ' x 100_000)->[0]{count}, 100_000, 'from a file');

is(body(post('/words?number=x%25s', 'a')), '{"error": "call \"' . $dir
   . '/words.so\": words(): \"x%25s\" is no number"}' . "\n", 'a failure');

stop();

# a client goes: a thread with little of a CPU has not counted its words until
# then

$conf[0] =~ s/100%/1%/;
start(@conf);

is(leave('first', '/first', join ' ', 1 .. 1_000_000), 1, 'cancelled');

stop();
done_testing();
