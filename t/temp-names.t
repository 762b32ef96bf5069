# Names of temporary files: those of killed processes go, and no others.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $dir = dir();

my @ours = qw/ 1_1 4194304_18446744073709551615 /;
my @others = ('', qw/ 1 1_ _1 1_1_1 a_1 1_b -1_1 /, "1_1\n", "1\n_1", ' 1_1',
              'x' x 230);

mkdir "$dir/$_" or die "mkdir: $!" for qw/ tree own /;

for my $folder (qw/ tree own /) {
    put("$folder/.ngx_http_background_$_.tmp", 'half') for @ours, @others;
    put("$folder/.ngx_http_background_1_1.tmp.css", 'x' x 100);
    for_workers("$dir/$folder", glob "$dir/$folder/.ngx*");
}

my @stay = sort '1_1.tmp.css', map { "$_.tmp" } @others;

start(<<"EOF_CONF", '', 'worker_processes 1;');
    background_threads 2;
    background_task digest {
        interval 20ms;
        retry 20ms;
        digest $dir/own manifest=$dir/own/SUMS;
    }
    background_task compress {
        interval 20ms;
        retry 20ms;
        compress $dir/tree suffix=.none gzip=1;
    }
EOF_CONF

next_cycle($_, 'completed') for qw/ digest compress /;

is(scalar(my @lines = split /^/, read_file("$dir/own/SUMS")), scalar @stay,
   'they have hashes');
is(logged(qr/removed "\.ngx_http_background_1_1\.tmp"/), 2, 'it is told');

stop('QUIT');

# with none of a cycle that is under way

is_deeply([names($_)], \@stay, "$_: others' stay") for qw/ tree own /;

done_testing();

# what is behind the names' common beginning

sub names {
    my ($folder) = @_;

    opendir my $handle, "$dir/$folder" or die "opendir: $!";

    return sort map { /^\.ngx_http_background_(.*)/s ? $1 : () }
                readdir $handle;
}
