# Requests to a real FastCGI server.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundStatus;
use BackgroundUpstream;
use IO::Socket::UNIX;
use POSIX ();
use Test::More;

my ($fpm) = reverse sort glob '/usr/sbin/php-fpm*';

plan skip_all => 'no php-fpm' unless $fpm;

my $dir = dir();

put('page.php', <<'EOF_PHP');
<?php
if ($_GET['big'] ?? 0) { echo str_repeat('x', $_GET['big']); exit; }
if ($_GET['code'] ?? 0) { http_response_code($_GET['code']); exit; }
if ($_GET['sleep'] ?? 0) { sleep($_GET['sleep']); }
file_put_contents($_SERVER['DOCUMENT_ROOT'] . '/seen',
    $_SERVER['REQUEST_METHOD'] . ' ' . $_SERVER['HTTP_X_TASK'] . ' '
    . $_SERVER['REMOTE_ADDR'] . ' ' . file_get_contents('php://input') . "\n",
    FILE_APPEND);
echo "ok";
EOF_PHP

put('seen', '');
chmod 0666, "$dir/seen" or die "chmod: $!\n";

my $user = $> == 0 ? "user = nobody\ngroup = "
                     . getgrgid((getpwnam 'nobody')[3]) : '';

put('fpm.conf', <<"EOF_FPM");
[global]
error_log = $dir/fpm.log
[www]
$user
listen = $dir/fpm
listen.mode = 0666
pm = static
pm.max_children = 2
EOF_FPM

defined(my $pid = fork) or die "fork: $!\n";

if ($pid == 0) {
    open STDERR, '>', "$dir/fpm.out" or POSIX::_exit(1);
    exec $fpm, '-n', '-F', '-y', "$dir/fpm.conf" or POSIX::_exit(1);
}

END {
    if ($pid) {
        my $status = $?;

        kill 'TERM', $pid;
        waitpid $pid, 0;
        $? = $status;
    }
}

poll('php-fpm listens', sub { IO::Socket::UNIX->new(Peer => "$dir/fpm") });

start('', <<"EOF_SERVER");
        background_task get {
            interval 1h;
            request /page.php header=X-Task:\$background_task;
        }
        background_task post {
            interval 1h;
            request /page.php body=text header=X-Task:\$background_task;
        }
        background_task big { interval 1h; request /page.php?big=3000000; }
        background_task code { retry 1h; request /page.php?code=503; }
        background_task late {
            retry 1h;
            timeout 300ms;
            request /page.php?sleep=3600;
        }

        location ~ \\.php\$ {
            fastcgi_pass unix:$dir/fpm;
            fastcgi_param SCRIPT_FILENAME $dir\$fastcgi_script_name;
            fastcgi_param DOCUMENT_ROOT $dir;
            fastcgi_param REQUEST_METHOD \$request_method;
            fastcgi_param QUERY_STRING \$query_string;
            fastcgi_param CONTENT_LENGTH \$content_length;
            fastcgi_param REMOTE_ADDR \$remote_addr;
        }
EOF_SERVER

my %task;

poll('all are over', sub {
    %task = by_name(status());

    return !grep { !$_->{last} } values %task;
});

is($task{$_}{last}{error}, undef, $_) for qw/ get post big /;
is($task{code}{last}{error}, 'request "/page.php?code=503": unexpected status '
   . '503', 'code');
is($task{late}{last}{error}, 'request "/page.php?sleep=3600": timed out',
   'late');
cmp_ok($task{big}{last}{bytes}, '>', 3_000_000, 'bytes');
is(join('', sort grep { /get|post/ } split /^/, read_text("$dir/seen")),
   "GET get unix: \nPOST post unix: text\n", 'what came');

stop();
done_testing();
