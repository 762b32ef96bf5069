# The example that reads images by libtesseract.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundLife;
use BackgroundPost;
use BackgroundStatus;
use Test::More;

my $dir = dir();

for (['tesseract/capi.h', 'libtesseract-dev'],
     ['leptonica/allheaders.h', 'libleptonica-dev'])
{
    plan skip_all => "no $_->[1]: there is no <$_->[0]>"
        if system("echo '#include <$_->[0]>' | cc -E - > /dev/null 2>&1") != 0;
}

plan skip_all => 'no tesseract-ocr-eng: tesseract has no "eng"'
    if `tesseract --list-langs 2> /dev/null` !~ /^eng$/m;

build_library("$dir/ocr.so", root() . '/examples/ocr/ocr.c',
              '-ltesseract -lleptonica');

system("cc -o '$dir/image' '${\root()}/t/calls/image.c' -lleptonica") == 0
    or die "image was not built\n";

mkdir "$dir/spool" or die "mkdir: $!\n";
chmod 0777, "$dir/spool" or die "chmod: $!\n";

sub image {
    my ($name, $text) = @_;

    system("$dir/image", "$dir/spool/.new.png", $text) == 0
        or die "no image was made\n";
    rename "$dir/spool/.new.png", "$dir/spool/$name" or die "rename: $!\n";
}

sub text {
    open my $file, '<', "$dir/spool/$_[0].txt" or return '';
    local $/;

    return scalar(<$file>) // '';
}

image('a.png', 'Event loops never block');
image('b.png', 'Threads may');
put('spool/notes', 'no image');

start(<<"EOF", <<'EOF_LOCATIONS', 'daemon on; worker_processes 1;');
    background_threads 1;
    background_task ocr { interval 100ms; call $dir/ocr.so ocr $dir/spool; }
    background_task klingon { retry 1h; call $dir/ocr.so ocr $dir/spool tlh; }
    background_task read { interval off; timeout 60s;
                           call $dir/ocr.so ocr_image \$arg_lang; }
EOF
    location = /ocr { client_max_body_size 20m; background_run read wait=60s; }
EOF_LOCATIONS

my %task;

poll('both are read', sub {
    %task = by_name(status());

    return $task{klingon}{last} && $task{ocr}{operations}{completed} >= 2;
});

like(text('a.png'), qr/^Event loops never block\s*$/, 'an image');
like(text('b.png'), qr/^Threads may\s*$/, 'another one');
ok(!-e "$dir/spool/notes.txt", 'no image');
is($task{klingon}{last}{error},
   "call \"$dir/ocr.so\": ocr(): no language \"tlh\"", 'a failure');

image('c.png', 'It comes later');

poll('the third is read', sub { text('c.png') });

like(text('c.png'), qr/^It comes later\s*$/, 'a later one');

my $worker = a_worker();

cmp_ok(scalar(my @threads = threads($worker)), '<=', 1 + 4,
       'no threads but that of the pool');

put('spool/d.png', 'no image');

poll('a failure', sub {
    %task = by_name(status());

    return $task{ocr}{last}{error};
});

is($task{ocr}{last}{error}, "call \"$dir/ocr.so\": ocr(): "
   . "\"$dir/spool/d.png\" is no image", 'what is no image is named');
is($task{ocr}{operations}{completed}, 3, 'three images');

# a daemon's umask is 0

is(sprintf('%04o', 07777 & (stat "$dir/spool/a.png.txt")[2] // 0), '0644',
   'texts are writable by their owner only');

# an image that a request brings

sub ocr {
    my ($uri, $name) = @_;

    open my $file, '<:raw', "$dir/spool/$name" or die "open: $!\n";
    local $/;

    return post($uri, scalar <$file>);
}

my $answer = ocr('/ocr', 'a.png');

like($answer, qr{^HTTP/1.1 200 .*Event loops never block\s*\z}s, 'its text');
like($answer, qr{\r\nContent-Type: text/plain; charset=utf-8\r}, 'its type');
like(ocr('/ocr?lang=eng', 'b.png'), qr{^HTTP/1.1 200 .*Threads may\s*\z}s,
     'in a language');
like(ocr('/ocr', 'd.png'), qr{^HTTP/1.1 415 .*no image\n\z}s, 'no image');
like(ocr("/ocr?lang=$_", 'a.png'), qr{^HTTP/1.1 400 .*no such language\n\z}s,
     "no language: $_") for 'tlh', '../../eng', 'eng/x';

stop();
done_testing();
