# "background_secret": a variable of what is in a file that workers cannot read.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundConf qw/ accepts rejects nginx_t conf_dir /;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $dir = dir();
my $conf = conf_dir();

put('key', "s3cr3t-words\n");
chmod 0600, "$dir/key" or die "chmod: $!\n";

# free() writes to the first bytes of what it frees

put('long', 'x' x 2000 . "l0ng-w0rds\n");

start("background_secret hook $dir/key; background_threads 1;"
      . join('', map { "background_secret long_$_ $dir/long;" } 1 .. 16), <<'EOF', 'worker_processes 1;');
        background_task hook {
            interval 20ms;
            request  /hook?$background_task "header=X-Key:Bearer $background_secret_hook";
        }
        location = /hook {
            set $good 0;
            if ($http_x_key ~ "^Bearer s3.r3t-words$") { set $good 1; }
            if ($http_x_key = "Bearer other") { set $good 2; }
            add_header X-Good $good;
            if ($good = 0) { return 403; }
            if ($good = 2) { return 404; }
            return 204;
        }
EOF

ok(next_cycle('hook', 'completed'), 'requests have it');

unlike(join("\n", map { (get($_))[2] } '/status', '/status?history=1'), qr/s3cr3t/,
       'the status does not');
unlike(log_text(), qr/s3cr3t/, 'nor the log');

my $dump = `'$ENV{TEST_NGINX_BINARY}' -T -p '$dir/' -c nginx.conf 2>&1`;

like($dump, qr/background_secret hook/, 'nginx -T');
unlike($dump, qr/s3cr3t/, 'nor nginx -T');

my $has = in_memory(master(), 'l0ng-w0rds');

# a reload reads it anew

put('key', "other\r\n");
put('long', "short\n");
signal('HUP');
ok(next_cycle('hook', 'failed', qr/404/), 'a reload');

SKIP: {
    skip 'no memory of other processes', 2 unless defined $has;

    is($has, 1, 'the master process has it');
    is(in_memory(master(), 'l0ng-w0rds'), 0, 'and has overwritten the old one');
}

stop();

# what "nginx -t" says

sub file {
    open my $file, '>', "$conf/$_[0]" or die "open: $!\n";
    print $file $_[1];
    close $file or die "close: $!\n";
}

file('a', 'x' x 4096);
file('b', 'x' x 4097);
file('c', "\n");
mkdir "$conf/d" or die "mkdir: $!\n";

accepts('http', "background_secret a_1 $conf/a; background_secret b $conf/a;");

rejects('http',
    "background_secret a;" => 'invalid number of arguments in '
        . '"background_secret" directive',
    (map { ("background_secret \"$_\" $conf/a;" => "invalid name \"$_\" in "
            . '"background_secret" directive, it must be of "a-z", "0-9", and '
            . '"_"') } '', 'A', 'a-b', 'a.b'),
    "background_secret a $conf/none;" => "open() \"$conf/none\" failed (2: No "
        . 'such file or directory)',
    "background_secret a $conf/b;" => "\"$conf/b\" is longer than 4096 bytes",
    "background_secret a $conf/c;" => "\"$conf/c\" is empty",
    "background_secret a $conf/d;" => "\"$conf/d\" is not a regular file",
    "background_secret a $conf/a; background_secret a $conf/a;"
        => 'the duplicate "background_secret_a" variable',
);

done_testing();

# whether the process has the text in its memory, undef: nobody may look; what
# a sanitizer keeps for itself is larger than memory

sub in_memory {
    my ($pid, $text) = @_;

    open my $mem, '<:raw', "/proc/$pid/mem" or return undef;

    for (split /\n/, slurp_file("/proc/$pid/maps")) {
        /^(\w+)-(\w+) rw/ or next;

        no warnings 'portable';
        my ($from, $to) = (hex $1, hex $2);

        next if $to - $from > 256 * 1024 * 1024;

        sysseek $mem, $from, 0 or next;
        sysread $mem, my $data, $to - $from or next;

        return 1 if index($data, $text) >= 0;
    }

    return 0;
}

sub slurp_file {
    open my $file, '<', $_[0] or die "open $_[0]: $!\n";
    local $/;

    return scalar <$file>;
}
