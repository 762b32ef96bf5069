# "background_redis": what is known of the servers belongs to their names,
# whatever a reload changes, and whether it fails.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundRedis;
use IO::Socket::INET;
use Test::More;

plan skip_all => 'no redis-server' unless redis_program();

my $dir = redis_dir();

# what the running configuration has: two servers, of which one is missing

redis('b');
host('n', conf('a', 'b'), 'worker_processes 1;');

poll('errors', sub { connects('a') > 1 });

redis('a');

poll('both are connected', sub { connected('a') && connected('b') });

my %errors = map { $_ => [errors($_)] } 'a', 'b';
my $text = link_of('a')->{error};

cmp_ok(connects('a'), '>', 1, 'errors of connections');
is(connects('b'), 0, 'the other server has none');

reload(conf('a', 'b'), 'worker_processes 2;');
unchanged('another number of workers');
is(link_of('a')->{error}, $text, 'the last error');

reload(conf('b', 'a'), 'worker_processes 2;');
unchanged('another order');
like(metrics(), qr/up\{redis="b"\}.*up\{redis="a"\}/s, 'which the metrics have');

reload(conf('b', 'a', 'c'), 'worker_processes 2;');
unchanged('one more');
is(join(' ', errors('c')), join(' ', errors('b')), 'which has no errors');

# a name that comes back has none of another's errors

reload(conf('b', 'x'), 'worker_processes 2;');
is(connects('x'), 0, 'a new name');
is(join(' ', names()), 'b x', 'the names');

# reloads that fail when the shared memory is prepared already

my $taken = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')
    or die "listen: $!\n";
my $listen = 'server { listen 127.0.0.1:' . $taken->sockport . '; }';
my $config = read_file('n/nginx.conf');
my $failed = qr/\[emerg\] .*still could not bind\(\)/;

for my $n (1 .. 3) {
    my ($one, $two) = map { "$_$n" } 'one', 'two';

    write_file('n/nginx.conf', $config =~ s/(redis[ =])(b|x)\b/$1 . ($2 eq 'b' ? $one : $two)/ger
                                       =~ s/(?=\bbackground_redis \w)/$listen /r);
    host_signal('n', 'HUP');
    poll("reload $n fails", sub { (() = host_log('n') =~ /$failed/g) == $n });

    is(join(' ', names()), 'b x', "$n: the names stay");
    is(join(' ', errors('b')), "@{$errors{b}}", "$n: as the counters do");
}

poll("$_: connected", sub { connected($_) }) for 'b', 'x';

write_file('n/nginx.conf', $config);
reload();
is(join(' ', names()), 'b x', 'a reload that does not fail');

host_stop('n');

done_testing();

sub conf {
    my (@names) = @_;

    my %socket = (x => 'a', c => 'b');

    return join '', (map {
            "background_redis $_ { server unix:$dir/" . ($socket{$_} // $_)
            . ".sock; timeout 60s; }\n" } @names),
        map { "background_task t_$_ { workers cluster redis=$_ lease=200s; "
              . "interval 1h; simulate_io 1; }\n" } @names;
}

# no worker of before answers any more

sub reload {
    my @old = host_workers('n');

    host_reload('n', @_);

    poll('the old workers have exited', sub {
        my %now = map { $_ => 1 } host_workers('n');
        return !grep { $now{$_} } @old;
    });
}

sub metrics { host_get('n', '/metrics') }

sub errors {
    my ($name) = @_;

    return metrics() =~ /redis_errors_total\{redis="$name",reason="\w+"\} (\d+)$/mg;
}

sub connects {
    my ($name) = @_;

    return (metrics() =~ /redis_errors_total\{redis="$name",reason="connect"\} (\d+)$/m)[0];
}

sub connected {
    my $link = link_of($_[0]);

    return $link->{workers} && $link->{connected} == $link->{workers};
}

sub names { metrics() =~ /redis_up\{redis="(\w+)"\}/g }

sub link_of {
    my ($name) = @_;

    return (grep { $_->{name} eq $name } @{host_status('n')->{redis}})[0];
}

sub unchanged {
    my ($what) = @_;

    is(join(' ', errors($_)), "@{$errors{$_}}", "$what: $_") for 'a', 'b';
}
