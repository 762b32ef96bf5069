# Examples that show the status, or run a task, say for whom; what "Access" of
# doc/operating.md says of defaults.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundControl;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $root = "$FindBin::Bin/..";
my %text = map { ($_ => read_file("$root/$_")) } 'README.md',
    'nginx.conf.example', map { s/^\Q$root\E\///r } grep { -f }
    glob "$root/examples/* $root/examples/*/* $root/doc/*.md";

my $shows = qr/\bbackground_(?:status|run|control)\b/;
my $n = 0;

for my $name (sort keys %text) {
    my ($seen, $all) = (0, 0);

    while ($text{$name} =~ /^( *)location (.*?) \{\n(.*?)^\1\}/msg) {
        my ($location, $block) = ($2, $3);
        my $times = () = $block =~ /$shows/g or next;

        $seen += $times;
        like($block, qr/^ *allow +\S+;.*^ *deny +all;/ms, "$name: $location");
    }

    # in samples, whatever the form of the location

    my @samples = $name =~ /\.md$/ ? $text{$name} =~ /^```nginx\n(.*?)^```$/msg
                                   : $text{$name};

    $all += () = s/#.*//gr =~ /$shows[^;{}|]*;/g for @samples;
    is($seen, $all, "$name: each of $all is in such a location") if $all;
    $n += $seen;
}

cmp_ok($n, '>=', 10, 'the examples are found');

# defaults: every client, and the list of "compress" where its folder is served

my $dir = dir();

mkdir $_ or die "mkdir: $!" for "$dir/site", "$dir/lists";
put('site/a.css', 'a' x 1000);
chmod 0640, "$dir/site/a.css" or die "chmod: $!";
for_workers("$dir/site", "$dir/site/a.css", "$dir/lists");

# the umask of a daemon

my $mask = umask 0;

start(<<"EOF_HTTP", <<"EOF_LOCATIONS", 'worker_processes 1;');
    background_state $dir/lists/state;
    background_task c { interval 1h; compress $dir/site suffix=.css gzip=1; }
    background_task d { interval 1h; digest $dir/site/a.css; }
    background_task m { interval 1h;
                        digest $dir/site manifest=$dir/lists/SUMS; }
EOF_HTTP
    background_task saves { interval 1h; request /status save=$dir/lists/saved; }
    location /site/   { root $dir; }
    location /closed/ { alias $dir/site/;
                        location ~ /\\.ngx_http_background_ { return 404; } }
    location /control/ { background_control pause; }
    location = /denied { background_status; deny all; }
EOF_LOCATIONS

umask $mask;

poll('cycles', sub { !grep { !$_->{last} } @{status()->{tasks}} });

is((get('/denied'))[0], 403, 'a status that is denied');
is((get('/site/.ngx_http_background_compress'))[0], 200, 'the list is served');
is((get('/closed/.ngx_http_background_compress'))[0], 404, 'unless it is closed');

sub mode { sprintf '%o', (stat "$dir/$_[0]")[2] & 07777 }

is(mode('site/.ngx_http_background_compress'), '600', 'its mode');
is(mode('site/a.css.gz'), '640', 'that of a compressed file is its source\'s');
is(mode('lists/SUMS'), '644', 'that of a list of "manifest="');
is(code('/control/c/pause'), 202, 'a pause');
poll('is written', sub { -e "$dir/lists/state" });
is(mode('lists/state'), '600', 'that of "background_state"');
is(mode('lists/saved'), '644', 'that of a file of "save="');

stop();
done_testing();
