# The recipes of doc/recipes.md that run at fixed times and after other tasks,
# as they are there but for paths and times.  background_control starts what is
# not due while the test runs.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundControl;
use BackgroundDoc;
use BackgroundExec;
use BackgroundLife;
use BackgroundStatus;
use BackgroundUpstream;
use Test::More;

my $dir = dir();

mkdir "$dir/$_" or die "mkdir: $!\n"
    for qw/ acme backups bin logs signals site /;
for_workers(map { "$dir/$_" } qw/ acme backups logs signals /);

# what the webhook and the ping are told

second_nginx(<<"EOF_SECOND");
    log_format told '\$request_method \$request_uri \$content_type \$request_body';

    server {
        listen unix:$dir/second.sock;

        location /hooks/ {
            access_log $dir/told.log told;
            proxy_pass http://unix:$dir/second.sock:/empty;
        }
        location /ping/ {
            if (-f $dir/lost) { return 503; }
            access_log $dir/told.log told;
            return 200;
        }
        location /empty { return 200; }
    }
EOF_SECOND

my $berlin = (gmtime)[2] < 12 ? 15 : 3;
my $local = ((localtime)[2] + 6) % 24;

my %change = (
    'schedule "30 3 * * *"' => "schedule \"30 $berlin * * *\"",
    'schedule "17 3,15 * * *"' => "schedule \"17 $local * * *\"",
    '/usr/local/bin' => "$dir/bin",
    '/srv/www' => "$dir/site",
    '/var/backups/www' => "$dir/backups",
    '/var/lib/nginx/acme' => "$dir/acme",
    '/var/log/nginx' => "$dir/logs",
    'listen 127.0.0.1:8088' => "listen unix:$dir/recipe",
    'http://127.0.0.1:8082' => "http://unix:$dir/second.sock:",
    'retry    10m max=1h' => 'retry    100ms',
    'retry   30s max=10m' => 'retry   50ms',
    'retry    10m max=2h' => 'retry    100ms',
);

sub changed {
    my ($text) = @_;

    $text =~ s/\Q$_\E/$change{$_}/g
        for sort { length $b <=> length $a } keys %change;

    return $text;
}

sub recipe_script {
    my ($name, %with) = @_;

    my ($text) = doc_text('doc/recipes.md')
        =~ /^`\/usr\/local\/bin\/$name`[^\n]*:\n\n```sh\n(.*?)^```/ms
        or die "no script \"$name\"\n";

    $text =~ s/\Q$_\E/$with{$_}/g or die "no \"$_\" in \"$name\"\n"
        for keys %with;

    put("bin/$name", $text);
    chmod 0755, "$dir/bin/$name" or die "chmod: $!\n";
}

recipe_script('backup');

# the workers of this test are not of the master's user, and it has no ACME
# client

recipe_script('renew-certificates',
              'kill -0 "$pid"' => "[ -e $dir/signals ]",
              'nginx -t' => "echo tested",
              'kill -HUP "$pid"' => ": > $dir/signals/HUP",
              '/run/nginx.pid' => "$dir/nginx.pid",
              'certbot renew' => "$dir/bin/acme renew");

script('bin/acme', <<'EOF_ACME');
[ ! -e "${0%/bin/acme}/site/refused" ] || { echo "refused" >&2; exit 1; }
[ -e "${0%/bin/acme}/site/renewed" ] || exit 0
for hook; do :; done
sh -c "$hook"
EOF_ACME

my ($renew) = doc_recipe('Renew certificates')
              =~ /^(background_task renew \{.*?^\})/ms or die "no task\n";

put('site/index.html', "a page\n");

my $conf = changed(doc_recipe('Back up each night') . $renew);

start($conf, 'location /control/ { background_control run; }',
      'worker_processes 2;');

sub task {
    my %task = by_name(status("/status?history=1&task=$_[0]"));
    return $task{$_[0]};
}

# each in turn, as 409 is the answer while a cycle is under way

sub run {
    my ($name) = @_;

    poll("$name: ordered", sub { code("/control/$name/run") == 202 });
}

sub told {
    my ($n) = @_;

    return poll("told $n times", sub {
        my @told = split /\n/, read_file("$dir/told.log");
        @told >= $n && \@told;
    });
}

sub completed {
    my ($name, $n) = @_;

    return poll("$name: $n cycles", sub {
        my $task = task($name);
        $task->{cycles}{completed} >= $n && $task->{running} == 0 && $task;
    });
}

# when they are due

like(task('backup')->{timezone}, qr{^Europe/Berlin$}, 'backup: the time zone');

my $next = poll('backup: due', sub { task('backup')->{next} });
my ($hour, $minute) = $next =~ /T(\d\d):(\d\d):/;

ok($hour == $berlin - 1 || $hour == $berlin - 2, "backup: $next");
cmp_ok($minute, '>=', 30, 'backup: after half past');
cmp_ok($minute, '<=', 40, 'backup: jitter');
is(task('backup')->{cycles}{started}, 0, 'nothing runs before');

# a good night

run('backup');
completed('backup', 1);

my $told = told(1);

like($told->[0], qr{^GET /ping/backup }, 'a good backup: a ping');
is(completed('backup_ping', 1)->{causes}[0]{cause}, 'after', 'the cause');

my ($archive) = glob "$dir/backups/*.tar.gz";

like($archive, qr{/\d{4}-\d\d-\d\d\.tar\.gz$}, 'the archive');
like(qx{tar -tzf $archive}, qr{^\./index\.html$}m, 'has the files');
is(join('', glob "$dir/backups/*.part"), '', 'and is whole');

# a bad one, with tries

rename "$dir/site", "$dir/gone" or die "rename: $!\n";
run('backup');
poll('several failures', sub { task('backup')->{cycles}{failed} >= 3 });

$told = told(2);
like($told->[1], qr{^POST /hooks/backup text/plain backup: failure exec .*/bin/backup: 3: cd: can't cd to },
     'a failure: the webhook');
completed('backup_webhook', 1);

is(task('backup_webhook')->{cycles}{started}, 1, 'once for all of them');
is(task('backup_ping')->{cycles}{started}, 1, 'and no ping');

# it is good again; the ping is tried until it is taken

put('lost', '');
rename "$dir/gone", "$dir/site" or die "rename: $!\n";
completed('backup', 2);
poll('the ping fails', sub { task('backup_ping')->{cycles}{failed} >= 2 });
unlink "$dir/lost" or die "unlink: $!\n";
completed('backup_ping', 2);
completed('backup_webhook', 2);

my @posts = @{poll('the webhook, again', sub {
    my @found = grep { /^POST/ } @{told(1)};
    @found >= 2 && \@found;
})};

is(scalar @posts, 2, 'the webhook, again');
like($posts[1], qr{^POST /hooks/backup text/plain backup: success}, 'recovery');

like(join('', map { read_file($_) } glob "$dir/logs/backup.log*"),
     qr/task "backup": .*can't cd to /, 'the log of the task');

# certificates

run('renew');
completed('renew', 1);
ok(!-e "$dir/signals/HUP", 'nothing is new: no reload');

put('site/refused', '');
run('renew');
poll('it fails', sub { task('renew')->{cycles}{failed} >= 2 });
like(task('renew')->{last}{error} // '', qr/refused$/, 'why');
ok(!-e "$dir/signals/HUP", 'a failure: no reload');

put('site/renewed', '');
unlink "$dir/site/refused" or die "unlink: $!\n";
completed('renew', 2);
ok(-e "$dir/signals/HUP", 'nginx is to reload');
ok(!-e "$dir/acme/renewed", 'once');

stop();
stop_second();

done_testing();
