# The recipes of doc/recipes.md that run commands, as they are there but for
# paths, times, and who sends the signal: the workers of this test are not of the
# master's user, so their commands ask the test for it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundDoc;
use BackgroundExec;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $dir = dir();

mkdir "$dir/$_" or die "mkdir: $!\n" for qw/ cache logs www signals /;
for_workers(map { "$dir/$_" } qw/ cache logs signals /);

put('www/blocklist.conf', "deny 192.0.2.1;\n");

for my $name (qw/ reload-if-changed rotate-logs /) {
    my ($script) = doc_text('doc/recipes.md') =~ /^`\/usr\/local\/bin\/$name`:\n\n```sh\n(.*?)^```/ms
        or die "no script \"$name\"\n";

    $script =~ s/kill -(\w+) "\$\(cat \/run\/nginx\.pid\)"/: > $dir\/signals\/$1/g
        or die "no signal in \"$name\"\n";
    $script =~ s/^if ! nginx -t; then$/if grep -q 999 "\$2"; then/m
        or die "no test of the configuration in \"$name\"\n"
        if $name eq 'reload-if-changed';
    put($name, $script);
    chmod 0755, "$dir/$name" or die "chmod: $!\n";
}

my %change = ('/var/cache/nginx' => "$dir/cache", '/var/log/nginx' => "$dir/logs",
              '/usr/local/bin' => $dir, 'listen 127.0.0.1:8088' => "listen unix:$dir/lists",
              'interval 1h jitter=5m' => 'interval 50ms', 'interval 1m' => 'interval 50ms; retry 50ms',
              'interval 1d' => 'interval 1h', 'proxy_pass http://127.0.0.1:8082' => "root $dir/www");

my $conf = join '', map { doc_recipe($_) } 'Refresh a block list', 'Rotate logs';

$conf =~ s/\Q$_\E/$change{$_}/g for sort { length $b <=> length $a } keys %change;

put('logs/access.log', "old lines\n");
put('logs/empty.log', '');
for_workers(glob "$dir/logs/*");

start($conf, '', 'worker_processes 1;');

sub signalled {
    my ($name) = @_;

    poll("SIG$name", sub { -e "$dir/signals/$name" });
    unlink "$dir/signals/$name" or die "unlink: $!\n";
    return 1;
}

ok(signalled('USR1'), 'nginx is to open its logs anew');
is(read_file("$dir/logs/access.log.1"), "old lines\n", 'a log is moved');
ok(!-e "$dir/logs/empty.log.1", 'an empty one is not');

ok(signalled('HUP'), 'a new list: nginx is to reload');
is(read_file("$dir/cache/blocklist.conf"), "deny 192.0.2.1;\n", 'the list');
ok(poll('its log', sub {
    join('', map { read_file($_) } glob "$dir/logs/blocklist.log*")
        =~ /reloaded with \Q$dir\E/;
}), 'its log');

next_cycle('blocklist_reload', 'completed') for 1 .. 2;
ok(!-e "$dir/signals/HUP", 'the same list: no reload');

replace('www/blocklist.conf', "deny 192.0.2.2;\n# more\n");
ok(signalled('HUP'), 'a changed one: a reload');

my $valid = read_file("$dir/cache/blocklist.conf");
is($valid, "deny 192.0.2.2;\n# more\n", 'what is included');

for (['other lines', "deny 192.0.2.3;\nload_module x.so;\n", qr/other lines/],
     ['two directives in a line', "deny 192.0.2.3; allow all;\n", qr/other lines/],
     ['one that is not valid', "deny 192.0.2.999;\n", qr/nginx -t fails/])
{
    my ($name, $list, $error) = @$_;

    replace('www/blocklist.conf', $list);
    ok(next_cycle('blocklist_reload', 'failed', $error), "$name: a failure");

    # the next cycle may be about to put the old one back

    ok(poll("$name: not included", sub {
        read_file("$dir/cache/blocklist.conf") eq $valid;
    }), "$name: not included");
    ok(!-e "$dir/signals/HUP", "$name: no reload");
}

stop();
done_testing();
