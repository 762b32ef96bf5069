# "certificate": certificates of files and of TLS servers that are about to
# expire, and the metric.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundConf qw/ accepts rejects warns conf_dir /;
use BackgroundLife;
use BackgroundPeer qw/ closed_port /;
use BackgroundStatus;
use IO::Socket::INET;
use Test::More;

plan skip_all => 'no openssl' if system('command -v openssl >/dev/null') != 0;

my $dir = dir();
my @servers;

# made by a CA of its own, as only "openssl ca" knows both dates

mkdir "$dir/ca" or die "mkdir: $!\n";
put('ca/index.txt', '');
put('ca/serial', "01\n");
put('ca.conf', <<"EOF");
[ca]
default_ca = ca
[ca]
database = $dir/ca/index.txt
new_certs_dir = $dir/ca
serial = $dir/ca/serial
default_md = sha256
policy = policy
unique_subject = no
[policy]
commonName = supplied
EOF

my $hour = 3600;
my $day = 24 * $hour;
my $now = time;

command("openssl req -x509 -newkey ed25519 -nodes -subj /CN=ca -days 100 "
        . "-keyout $dir/ca.key -out $dir/ca.pem");

make('good', -$day, 100 * $day);
make('near', -$day, 15 * $day - $hour);
make('soon', -$day, 13 * $day);
make('past', -2 * $day, -$day);
make('later', $day, 100 * $day);
make('odd', -$day, 100 * $day, 'a"b\\\\c');

# without a subject: as many issuers make them, and of bytes that are no name

nameless('name', 5, 'email:a@x.test,DNS:x.test,DNS:y.test');
nameless('ipv4', 5, 'IP:192.0.2.1');
nameless('ipv6', 5, 'IP:2001:db8::1');
nameless('bytes', 5, 'DNS:a\\"b\\\\c' . "\x01" . 'd' x 200);
nameless('nobody', 5);

put('chain.pem', join '', map { read_file("$dir/$_.pem") } qw/ good soon /);
put('nameless.pem', join '', map { read_file("$dir/$_.pem") } qw/ nobody good /);
put('text.pem', "no certificate\n");
put('broken.pem', "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
put('empty.pem', '');
put('encrypted.pem', "-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n"
    . "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\nAAAA\n"
    . "-----END CERTIFICATE-----\n");
mkdir "$dir/folder.pem" or die "mkdir: $!\n";

my $two = tls_server(qw/ soon good.test good /);
my $silent = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5)
    or die "listen: $!\n";
my $plain = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5)
    or die "listen: $!\n";
my ($refuses, $keep) = closed_port('127.0.0.1');
my ($mute, $talks) = ($silent->sockport, $plain->sockport);

defined(my $peer = fork) or die "fork: $!\n";

if ($peer == 0) {
    while (my $client = $plain->accept) {
        sysread $client, my $hello, 4096;
        syswrite $client, "220 no TLS here\r\n" x 10;
    }

    POSIX::_exit(0);
}

push @servers, $peer;

my %tasks = (
    good => "certificate $dir/good.pem;",
    near => "certificate $dir/near.pem;",
    near_days => "certificate $dir/near.pem days=15;",
    soon => "certificate $dir/soon.pem;",
    soon_days => "certificate $dir/soon.pem days=12;",
    past => "certificate $dir/past.pem days=0;",
    later => "certificate $dir/later.pem;",
    chain => "certificate $dir/chain.pem;",
    odd => "certificate $dir/odd.pem;",
    (map { $_ => "certificate $dir/$_.pem days=0;" }
        qw/ name ipv4 ipv6 bytes nobody nameless /),
    three_nameless => "certificate $dir/good.pem $dir/nobody.pem "
                      . "$dir/near.pem;",
    text => "certificate $dir/text.pem;",
    encrypted => "certificate $dir/encrypted.pem;",
    broken => "certificate $dir/broken.pem;",
    empty => "certificate $dir/empty.pem;",
    folder => "certificate $dir/folder.pem;",
    none => "certificate $dir/none.pem;",
    three => "certificate $dir/good.pem $dir/soon.pem $dir/near.pem;",
    server => "certificate 127.0.0.1:$two days=12;",
    server_soon => "certificate 127.0.0.1:$two;",
    server_name => "certificate 127.0.0.1:$two server_name=good.test;",
    by_name => "certificate localhost:$two days=12;",
    refused => "certificate 127.0.0.1:$refuses;",
    plain => "certificate 127.0.0.1:$talks;",

    # a resolver that has no answer takes its time

    unknown => "timeout 1h; certificate no-such-name.invalid:443;",
    timeout => "timeout 200ms; certificate 127.0.0.1:$mute;",
);

start(join('', "background_threads 4;\n", map { "background_task $_ "
           . "{ interval 1h; retry 1h; $tasks{$_} }\n" } sort keys %tasks),
      'location = /metrics { background_status prometheus; }',
      'worker_processes 1;');

my %task;

poll('all are over', sub {
    %task = by_name(status());
    return !grep { !$_->{last} } values %task;
});

sub error_of { $task{$_[0]}{last}{error} // 'none' }

my $date = qr/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/;

is(error_of($_), 'none', "$_: no error")
    for qw/ good near soon_days server server_name by_name /;

for (['near_days', 'near', 'near.pem', 'expires at'],
     ['soon', 'soon', 'soon.pem', 'expires at'],
     ['past', 'past', 'past.pem', 'has expired at'],
     ['later', 'later', 'later.pem', 'is not valid before'],
     ['chain', 'soon', 'chain.pem', 'expires at'])
{
    my ($task, $subject, $file, $what) = @$_;

    like(error_of($task), qr/^certificate "\Q$dir\E\/$file": \Q$dir\E\/$file: certificate of "$subject\.test" $what $date/,
         "$task: $what");
}

is($task{three}{last}{operations} . $task{three}{last}{failed}, '31',
   'three files, of which one is bad');

like(error_of('server_soon'), qr/: certificate of "soon\.test" expires at $date/,
     'a server');
like(error_of('text'), qr/PEM_read_bio_X509\(\) "\Q$dir\E\/text.pem" failed \(no start line\)/, 'no certificate');
like(error_of('empty'), qr/failed \(no start line\)/, 'an empty file');
like(error_of('broken'), qr/PEM_read_bio_X509\(\) .* failed/, 'a broken one');
like(error_of('encrypted'), qr/failed \(bad password read\)/, 'an encrypted one');
like(error_of('folder'), qr/is not a file of certificates/, 'a folder');
like(error_of('none'), qr/open\(\) "\Q$dir\E\/none\.pem" failed \(2: No such file/, 'no file');
like(error_of('refused'), qr/connect\(\) to 127\.0\.0\.1:$refuses failed \(111: Connection refused\)/, 'refused');
like(error_of('plain'), qr/SSL_connect\(\) to 127\.0\.0\.1:$talks failed \(wrong version number\)/, 'no TLS');
like(error_of('unknown'), qr/getaddrinfo\(\) "no-such-name\.invalid" failed/, 'no such name');
like(error_of('timeout'), qr/timed out$/, 'no answer');

is($task{chain}{last}{message}, 'soon.test', 'the message');

# the first that expires, of the task

my $metrics = (get('/metrics'))[2];
my %expiry = $metrics =~ /^nginx_background_certificate_expiry_timestamp_seconds\{task="(\w+)",subject="[^"]*"\} (\d+)$/mg;

is($expiry{good}, $now + 100 * $day, 'the metric');
is($expiry{chain}, $now + 13 * $day, 'of the first in a file');
is($expiry{three}, $now + 13 * $day, 'of the first of three files');
is($expiry{server_name}, $now + 100 * $day, 'of a server');
is($expiry{past}, $now - $day, 'of one that has expired');
like($metrics, qr/\{task="server",subject="soon\.test"\}/, 'the subject');
like($metrics, qr/\{task="odd",subject="a\?b\?c\.test"\} \d+$/m,
     'a subject with a quote and a backslash ends no label');
is($task{odd}{last}{message}, 'a"b\\c.test', 'the status has it');
ok(!exists $expiry{none}, 'none without a certificate');

# a certificate whose subject is empty

for my $task (qw/ name ipv4 ipv6 bytes nobody nameless three_nameless /) {
    cmp_ok(abs(($expiry{$task} // 0) - $now - 5 * $day), '<', $hour,
           "$task: the metric");
}

is($task{name}{last}{message}, 'x.test', 'its first name');
is($task{ipv4}{last}{message}, '192.0.2.1', 'or address');
is($task{ipv6}{last}{message}, '2001:db8::1', 'of any family');
is($task{bytes}{last}{message}, 'a"b\\c?' . 'd' x 121,
   'printable, and not too long');
like($metrics, qr/\{task="bytes",subject="a\?b\?c\?d+"\} \d+$/m,
     'it ends no label');
like($metrics, qr/\{task="$_",subject=""\} \d+$/m, "$_: nothing is known")
    for qw/ nobody nameless three_nameless /;
like(error_of('three_nameless'), qr/certificate of "" expires at $date/,
     'an error');

poll('no descriptor is left', sub {
    !grep { /\.pem$/ } map { readlink($_) // '' } map { glob "/proc/$_/fd/*" } workers();
});

kill 'KILL', @servers;
stop();

# what "nginx -t" says

accepts('empty', "certificate $dir/good.pem;",
        "certificate 127.0.0.1:443 [::1]:443 a.test:443 $dir/good.pem days=0 "
        . 'server_name=a;', "certificate $dir/good.pem days=3650;");

rejects('empty',
    'certificate;' => 'invalid number of arguments in "certificate" directive',
    'certificate days=3;' => 'no file or server in "certificate" directive',
    'certificate a:0;' => 'invalid server "a:0" in "certificate" directive, it '
        . 'must be a file, or "HOST:PORT"',
    'certificate a:b;' => 'invalid server "a:b" in "certificate" directive, it '
        . 'must be a file, or "HOST:PORT"',
    'certificate a:443 days=-1;' => 'invalid days "days=-1" in "certificate" '
        . 'directive, it must be a number from 0 to 3650',
    'certificate a:443 days=1 days=2;' => 'duplicate parameter "days=2" in '
        . '"certificate" directive',
);

done_testing();

END {
    my $status = $?;
    kill 'KILL', @servers if @servers;
    $? = $status;
}

sub command {
    my ($command) = @_;

    system("$command > $dir/openssl.log 2>&1") == 0
        or die "$command failed: " . read_file("$dir/openssl.log");
}

sub make {
    my ($name, $from, $to, $subject) = @_;

    $subject //= $name;

    my ($start, $end) = map { my @t = gmtime($now + $_);
        sprintf '%04d%02d%02d%02d%02d%02dZ', $t[5] + 1900, $t[4] + 1,
                @t[3, 2, 1, 0] } $from, $to;

    command("openssl req -newkey ed25519 -nodes -subj '/CN=$subject.test' "
            . "-keyout $dir/$name.key -out $dir/$name.csr");
    command("openssl ca -batch -config $dir/ca.conf -cert $dir/ca.pem "
            . "-keyfile $dir/ca.key -startdate $start -enddate $end -notext "
            . "-in $dir/$name.csr -out $dir/$name.pem");
}

sub nameless {
    my ($name, $days, $alternatives) = @_;

    put('nameless.conf', "[req]\ndistinguished_name = dn\nprompt = no\n[dn]\n"
        . "[v3]\n" . ($alternatives ? "subjectAltName = $alternatives\n"
                                    : "basicConstraints = CA:false\n"));

    command("openssl req -x509 -newkey ed25519 -nodes -subj / -days $days "
            . "-config $dir/nameless.conf -extensions v3 "
            . "-keyout $dir/$name.key -out $dir/$name.pem");
}

# with another certificate for that name

sub tls_server {
    my ($cert, $name, $other) = @_;

    my $port = $ENV{TEST_NGINX_PORT} || 20000;

    defined(my $pid = fork) or die "fork: $!\n";

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$dir/s_server.log";
        open STDERR, '>&', \*STDOUT;
        exec 'openssl', 's_server', '-accept', "127.0.0.1:$port", '-www',
            '-cert', "$dir/$cert.pem", '-key', "$dir/$cert.key",
            '-servername', $name, '-cert2', "$dir/$other.pem",
            '-key2', "$dir/$other.key" or POSIX::_exit(1);
    }

    push @servers, $pid;

    poll('the server listens', sub {
        IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
    });

    return $port;
}
