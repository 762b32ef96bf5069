# "compress": lists that are refused; nothing that they name is removed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundControl;
use BackgroundLife;
use BackgroundStatus;
use POSIX ();
use Test::More;

plan skip_all => 'only root gives files away' unless $> == 0;

my $dir = dir();
my $tree = "$dir/tree";
my $list = "$tree/.ngx_http_background_compress";
my $header = "# ngx_http_background_compress 1\n";

mkdir $tree;
put('tree/a.css', 'text ' x 1000);
put('tree/gone.css.gz', 'made of a source that is gone');
utime 1e9, 1e9, "$tree/gone.css.gz" or die "utime: $!";
for_workers($tree, glob "$tree/*");

my $forged = $header . "+ 29 1000000000.000000000 gone.css.gz\n";

put('list', $forged);

start(<<"EOF_CONF", 'location /control/ { background_control pause; }', 'worker_processes 1;');
    background_threads 2;
    background_task c {
        interval 50ms;
        retry 50ms;
        compress $tree suffix=.css gzip=1;
    }
EOF_CONF

next_cycle('c', 'completed');

refused('of another user', qr/"\Q$list\E" belongs to another user than the worker/, sub {
    put('tree/.ngx_http_background_compress', $forged);
    chmod 0666, $list or die "chmod: $!";
});

for_workers("$dir/list");

refused('a link', qr/open\(\) "\Q$list\E" failed \(40: /, sub {
    symlink "$dir/list", $list or die "symlink: $!";
});

refused('a pipe', qr/"\Q$list\E" is no regular file/, sub {
    POSIX::mkfifo($list, 0600) or die "mkfifo: $!";
    for_workers($list);
});

refused('too large', qr/"\Q$list\E" is larger than 256 MB/, sub {
    put('tree/.ngx_http_background_compress', $forged);
    truncate $list, 256 * 1024 * 1024 + 1 or die "truncate: $!";
    for_workers($list);
});

refused('another form', qr/"\Q$list\E" is no list of this module/, sub {
    put('tree/.ngx_http_background_compress', $forged =~ s/ 1\n/ 3\n/r);
    for_workers($list);
});

refused('of one line', qr/"\Q$list\E" is no list of this module/, sub {
    put('tree/.ngx_http_background_compress', 'x' x 200_000);
    for_workers($list);
});

# the same lines in a list that is taken

another(sub {
    put('tree/.ngx_http_background_compress', $forged);
    for_workers($list);
});
next_cycle('c', 'completed');
ok(!-e "$tree/gone.css.gz", 'a list of the worker removes it');

stop();
done_testing();

# puts another list in the place of that one, at once

sub another {
    my ($make) = @_;

    between_cycles('c', sub {
        rename $list, "$dir/old" if -e $list || -l $list;
        $make->();
    });
}

sub refused {
    my ($name, $error, $make) = @_;

    another($make);

    my @list = lstat $list;
    my $task = next_cycle('c', 'failed', $error);

    is($task->{last}{failed}, 1, "$name: one failure");
    ok(-e "$tree/gone.css.gz", "$name: nothing is removed");
    is_deeply([(lstat $list)[1, 4, 7]], [@list[1, 4, 7]], "$name: it stays");
}
