# What tasks read and is missing when nginx starts: a warning, cycles that fail,
# and good ones once it is there.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $dir = dir();

my %kinds = (
    digest => "digest $dir/site",
    manifest => "digest $dir/site manifest=$dir/lists/SUMS",
    compress => "compress $dir/site suffix=.css gzip=1",
    current => "compress $dir/current suffix=.css gzip=1",
    root => "verify $dir/LIST root=$dir/site",
    list => "verify $dir/lists/LIST root=$dir/here",
    extra => "verify $dir/LIST root=$dir/site extra=fail",
);

mkdir "$dir/here" or die "mkdir: $!";
put('here/empty', '');
put('LIST', (my $list = 'd41d8cd98f00b204e9800998ecf8427e  empty'));
symlink "$dir/releases/1", "$dir/current" or die "symlink: $!";

my $often = 'interval 20ms; retry 20ms;';
my $tasks = join '', map { "background_task $_ { $often $kinds{$_}"
                           . (/root|list|extra/ ? ' algorithm=md5' : '')
                           . "; }\n" } sort keys %kinds;

start($tasks, <<"EOF_SERVER", 'worker_processes 1;');
        background_task requests { $often requests $dir/lists/URIS; }
EOF_SERVER

my %path = ((map { ($_ => "$dir/site") } qw/ digest manifest compress root extra /),
            current => "$dir/current", list => "$dir/lists/LIST",
            requests => "$dir/lists/URIS");

is(logged(qr/\[warn\].*"\Q$_\E" of "\w+" directive can't be read, its cycles will fail until it can \(2: No such/) > 0,
   1, "a warning of $_") for "$dir/site", "$dir/lists/", "$dir/current",
                             "$dir/lists/LIST", "$dir/lists/URIS";

for my $name (sort keys %path) {
    my $path = $name eq 'manifest' ? "(?:directory of )?\"\Q$dir\E/" : "\"\Q$path{$name}\E\"";

    next_cycle($name, 'failed', qr/open\(\).*$path.* failed \(2: /);
    pass("$name fails");
}

# a reload for another cause, while they are missing

my $generation = status()->{generation};
signal('HUP');
poll('the reload', sub { status_anyhow()->{generation} > $generation });

# then they are there

mkdir "$dir/$_" or die "mkdir: $!"
    for qw( releases releases/1 lists );
put('lists/LIST', $list);
put('lists/URIS', "/status\n");

{
    mkdir "$dir/new" or die "mkdir: $!";
    put('new/empty', '');
    for_workers("$dir/lists", "$dir/new", "$dir/releases/1");
    rename "$dir/new", "$dir/site" or die "rename: $!";
}

for my $name (sort keys %path) {
    next_cycle($name, 'completed');
    pass("$name is good");
}

# a file where a directory has to be

rename "$dir/site", "$dir/away" or die "rename: $!";
put('site', 'x');

next_cycle('manifest', 'failed',
           qr/"manifest=" needs a directory, "\Q$dir\E\/site" is none$/);
next_cycle('compress', 'failed', qr/failed \(20: /);
pass('a file instead of a directory');

stop();

# a list that workers can't read

SKIP: {
    skip 'needs root, for another user of workers', 3 if $>;

    mkdir "$dir/closed" or die "mkdir: $!";
    put('closed/LIST', $list);
    put('secret', $list);
    chmod 0600, "$dir/secret" or die "chmod: $!";
    chmod 0700, "$dir/closed" or die "chmod: $!";

    start("background_task secret { $often verify $dir/secret algorithm=md5; }\n"
          . "background_task closed { $often verify $dir/closed/LIST algorithm=md5; }\n"
          . "background_task open { interval 1h; verify $dir/LIST algorithm=md5; }\n",
          '', 'worker_processes 1;');

    my $by = qr/of "verify" directive can't be read by user "nobody" because of the mode/;

    is(logged(qr/\[warn\].*"\Q$dir\E\/secret" $by of "\Q$dir\E\/secret"/), 1,
       'a warning of the file');
    is(logged(qr/\[warn\].*"\Q$dir\E\/closed\/LIST" $by of "\Q$dir\E\/closed"/),
       1, 'a warning of the directory above');
    is(logged(qr/\[warn\].*"\Q$dir\E\/LIST" $by/), 0, 'none of one that is open');

    stop();
}

done_testing();
