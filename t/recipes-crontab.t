# The crontab of doc/recipes.md and its tasks, as they are there but for paths:
# each line has its task, with the same fields, which runs the same command.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundClock;
use BackgroundControl;
use BackgroundDoc;
use BackgroundExec;
use BackgroundLife;
use BackgroundStatus;
use BackgroundUpstream;
use Test::More;

plan skip_all => 'needs tzdata' unless -e '/usr/share/zoneinfo/Europe/Berlin';

my $dir = dir();

mkdir "$dir/$_" or die "mkdir: $!\n" for qw/ bin ran state /;
for_workers(map { "$dir/$_" } qw/ ran state /);

second_nginx(<<"EOF_SECOND");
    log_format told '\$request_method \$request_body';

    server {
        listen unix:$dir/second.sock;

        location / {
            access_log $dir/told.log told;
            proxy_pass http://unix:$dir/second.sock:/empty;
        }
        location /empty { return 200; }
    }
EOF_SECOND

script("bin/$_", <<"EOF_SCRIPT")
echo "\$* \$LANG" >> $dir/ran/$_
[ ! -e $dir/fails ] || { echo "$_ is bad" >&2; exit 1; }
EOF_SCRIPT
    for qw/ backup sync-orders rotate-reports vacuum analyze warm-up /;

my ($crontab) = doc_text('doc/recipes.md')
    =~ /^The lines of this crontab\n\n```\n(.*?)^```/ms or die "no crontab\n";

my $conf = doc_recipe('From cron, supercronic and systemd timers');

my %change = (
    '/usr/local/bin' => "$dir/bin",
    '/var/lib/nginx/background' => "$dir/state/tasks",
    'listen 127.0.0.1:8088' => "listen unix:$dir/recipe",
    'http://127.0.0.1:8082' => "http://unix:$dir/second.sock:",
);

$conf =~ s/\Q$_\E/$change{$_}/g or die "no \"$_\" in the recipe\n"
    for keys %change;

# on a Saturday evening, when nothing is due for hours

my @start = ($conf, 'location /control/ { background_control run; }',
             'worker_processes 2;');

clock_missing() ? start(@start) : clock_start('2026-06-06 20:00:00', @start);

sub task {
    my %task = by_name(status("/status?history=1&task=$_[0]"));
    return $task{$_[0]};
}

sub ended {
    my ($name, $result, $n) = @_;

    return poll("$name: $n are $result", sub {
        my $task = task($name);
        return $task->{cycles}{$result} >= $n && $task->{running} == 0 && $task;
    });
}

# the times of all lines

my %line = map { /^((?:\S+ ){4}\S+|\@\w+) +.*?\b(\w+-\w+|backup|vacuum)/
                 ? ($2 =~ tr/-/_/r => $1) : () } split /\n/, $crontab;

is(join(' ', sort keys %line),
   'backup rotate_reports sync_orders vacuum warm_up', 'the lines');

is(delete $line{warm_up}, '@reboot', 'one that starts with the machine');

for my $name (sort keys %line) {
    is(join('|', @{task($name)->{schedules}}), $line{$name}, "$name: its times");
    is(task($name)->{timezone}, 'Europe/Berlin', "$name: their zone");
    ok(poll("$name: due", sub { task($name)->{next} }), "$name: it is due");
}

# it starts with nginx, and not at a reload

ended('warm_up', 'completed', 1);
is(read_file("$dir/ran/warm-up"), " C.UTF-8\n", 'warm_up: its command');

my %old = map { $_ => 1 } workers();
signal('HUP');
poll('other workers', sub {
    my @now = grep { !$old{$_} } workers();
    my $lease = task('warm_up')->{lease};
    return @now == 2 && $lease && !$old{$lease->{pid}};
});
is(task('warm_up')->{cycles}{started}, 1, 'warm_up: not at a reload');

# the commands

for my $name (sort keys %line) {
    poll("$name: ordered", sub { code("/control/$name/run") == 202 });
    ended($name, 'completed', 1);
    like(read_file("$dir/ran/" . $name =~ tr/_/-/r),
         $name eq 'backup' ? qr{^/srv/www C\.UTF-8$}m : qr{^ C\.UTF-8$}m,
         "$name: its command");
}

my $task = ended('analyze', 'completed', 1);
is($task->{causes}[0]{cause}, 'after', 'a && b');
is(task('mail')->{cycles}{started}, 0, 'all are good: no mail');

# failures; the one that may be due meanwhile, without that clock, comes first, as
# the last of two causes at the same time is told

put('fails', '');

for my $name ('sync_orders', grep { $_ ne 'sync_orders' } sort keys %line) {
    poll("$name: ordered", sub { code("/control/$name/run") == 202 });
    ended($name, 'failed', 1);

    my $file = $name =~ tr/_/-/r;

    ok(poll("$name: a mail", sub {
        read_file("$dir/told.log")
            =~ m{^POST $name: exec [^\n]*$file\b[^\n]*: $file is bad$}m;
    }), "$name: a mail");
}

is(task('analyze')->{cycles}{failed}, 0, 'a && b: not after a failure');

stop();
stop_second();

done_testing();
