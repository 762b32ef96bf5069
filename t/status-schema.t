#!/usr/bin/env perl

# examples/status.schema.json: real answers of every kind are valid by it, and
# such as the module never gives are not.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundPeer;
use BackgroundStatus;
use IO::Socket::UNIX;
use JSON::PP ();
use Test::More;

###############################################################################

my $python = '/usr/bin/python3';

plan skip_all => 'no jsonschema (Debian\'s package python3-jsonschema)'
    if system("$python -c 'from jsonschema import Draft202012Validator'"
              . ' 2> /dev/null');

my $dir = dir();

put('validate.py', <<'EOF');
import json, sys
from jsonschema import Draft202012Validator

schema = json.load(open(sys.argv[1]))
Draft202012Validator.check_schema(schema)
validator = Draft202012Validator(schema)

for name in sys.argv[2:]:
    error = next(validator.iter_errors(json.load(open(name))), None)
    print(error.message.replace("\n", " ")[:300] if error else "valid")
EOF

my $kinds = load_kind('crash') . "\n"
            . load_kind('late', 'ngx_http_background_module');
put('crash', 'always');

my ($closed, $held) = closed_port('127.0.0.1');
my ($other, $held2) = closed_port('127.0.0.1');

start(<<"EOF", <<'EOF2', "$kinds\nworker_processes 2; worker_rlimit_core 0;");
    late $dir/late;
    client_header_timeout 1h;
    background_threads 3;
    background_task waiting { interval 1h; simulate_io 2 delay=0-0; }
    background_task all {
        workers  all;
        interval 10ms;
        simulate_io 1 delay=0-0;
    }
    background_task running { timeout 1d; simulate_io 1 delay=1h-1h; }
    background_task progress { simulate_cpu 1h; }
    background_task retrying { retry 1h; timeout 1ms; simulate_io 1 delay=1h-1h; }
    background_task flaps {
        workers  all;
        interval 1h;
        retry    1h;
        timeout  1ms;
        simulate_io 1 delay=1h-1h;
    }
    background_task crashes { retry 20ms; crash $dir/crash; }
    upstream servers {
        zone servers 64k;
        server unix:$dir/socket;
        server 127.0.0.1:$closed;
        server 127.0.0.1:$other down;
    }
EOF
    background_task probe { interval 50ms; retry 50ms; probe servers /alive; }
    location = /alive   { internal; proxy_pass http://servers/here; }
    location = /here    { return 204; }
    location = /brief   { background_status brief; }
    location = /tokens  { background_status; server_tokens off; }
    location = /waiting { background_status task=waiting; }
    location = /several { background_status task=retrying task=all failing=503; }
    location = /page    { background_status html; }
EOF2

my (@names, $n);

# a crash may be what ends the answer

sub keep {
    my ($name, $body) = @_;

    my $file = "$dir/answer." . ++$n;
    put("answer.$n", $body);
    push @names, [$name, $file];
}

# a request without its last line, after a whole one that is answered: so nginx
# has read it

sub half_request {
    my $client = IO::Socket::UNIX->new(Type => SOCK_STREAM,
                                       Peer => "$dir/socket")
        or die "connect: $!\n";

    syswrite $client, "GET /waiting HTTP/1.1\r\nHost: test\r\n\r\n"
                      . "GET /status HTTP/1.0\r\n" or die "write: $!\n";

    my $answer = '';

    until ($answer =~ /\r\n\r\n\{.*\]\}\s*\z/s) {
        sysread $client, $answer, 65536, length $answer
            or die "half an answer\n";
    }

    return $client;
}

sub body {
    my ($uri, $headers) = @_;

    local $BackgroundStatus::quiet = 1;

    my $answer = eval {
        http("GET $uri HTTP/1.0\r\n" . ($headers || '') . "\r\n")
    } || return;

    return $answer =~ /\r\n\r\n(\{.*\]\}\s*)\z/s ? $1 : ();
}

# from the first answer on; a crash may leave a task to nobody

my %seen;
my @wanted = ('one waiting', 'one running', 'one retrying', 'one quarantined',
              'all waiting', 'all retrying',
              (map { "server $_" } qw/ up down disabled /),
              qw/ progress lease last last_failure /);

poll('all of these', sub {
    my $body = body('/status?history=1') or return;
    my %task = by_name(parse($body));
    my $new = 0;

    for (values %task) {
        for my $what ("$_->{workers} $_->{state}",
                      $_->{progress} ? 'progress' : (),
                      $_->{lease} ? 'lease' : (), $_->{last} ? 'last' : (),
                      $_->{last_failure} ? 'last_failure' : (),
                      map { "server $_->{state}" } @{$_->{peers} || []})
        {
            $new = 1 unless $seen{$what}++;
        }
    }

    keep('an answer on the way', $body) if $new || !$n;

    return $task{crashes}{state} eq 'quarantined'
           && $task{all}{cycles}{completed} > 60
           && !grep { !$seen{$_} } @wanted;
});

my %task = by_name(status('/status?history=1'));

is(@{$task{all}{history}}, 60, 'a whole history');

keep('all', body('/status'));
keep('history', body('/status?history=1'));
keep('brief', body('/brief'));
keep('brief with history', body('/brief?history=1'));
keep('no versions', body('/tokens?history=1'));
keep('one task', body('/waiting'));
keep('several', body('/several'));
keep('the page\'s', body('/page', "Accept: application/json\r\n"));

# nobody has a task: its worker exits, with an answer still to give, and those of
# the new configuration do not come to start any

poll('two workers have the tasks', sub {
    my @workers = workers();

    return @workers == 2
           && !grep { !logged(qr/\] $_#\d+: .*"all": started/) } @workers;
});

my @clients = map { half_request() } 1 .. 20;

put('late', '');
unlink "$dir/crash" or die "unlink: $!\n";
signal('HUP');

poll('the old workers have stopped their tasks', sub {
    logged(qr/"running": stopped/) && logged(qr/"all": stopped/) == 2;
});

poll('a task that is stopped', sub {
    my $client = shift @clients;

    syswrite $client, "\r\n" or die "write: $!\n";

    my ($body) = join('', <$client>) =~ /\r\n\r\n(\{.*)/s;
    my %task = by_name(parse($body));

    return 0 if $task{running}{state} ne 'stopped';

    keep('stopped', $body);
});

@clients = ();
unlink "$dir/late" or die "unlink: $!\n";

# nginx's master may be the last to know of the three deaths

poll('all deaths are logged', sub { logged(qr/exited on signal/) >= 3 });

put('error.log', join '', grep { !/exited on signal|quarantined/ }
                              split /^/, log_text());
stop();

# no task at all

start('');
keep('no task', body('/status'));
stop();

my @said = validate(map { $_->[1] } @names);

is($said[$_], 'valid', $names[$_][0]) for 0 .. $#names;

# one thing wrong at a time

my ($good) = map { read_json($_->[1]) } grep { $_->[0] eq 'history' } @names;
my ($brief) = map { read_json($_->[1]) } grep { $_->[0] eq 'brief' } @names;
my (@wrong, @files);

# one cycle says as much as sixty, but for one test

my ($long) = map { [@{$_->{history}}] } grep { $_->{name} eq 'all' }
             @{$good->{tasks}};
splice @{$_->{history}}, 1 for @{$good->{tasks}};

for my $key (grep { $_ ne 'pid' } sort keys %$good) {
    wrong("no $key", $good, sub { delete $_[0]{$key} });
    wrong("$key: of another type", $good, sub { $_[0]{$key} = [[]] });
}

for my $key (sort keys %{$good->{tasks}[0]}) {
    wrong("task: no $key", $good, sub { delete $_[0]{tasks}[0]{$key} })
        if $key !~ /^(?:history|causes|health|directives)$/;
    wrong("task: $key of another type", $good,
        sub { $_[0]{tasks}[0]{$key} = [[]] });
}

for my $part (qw/ cpu zone /) {
    for my $key (sort keys %{$good->{$part}}) {
        wrong("$part: no $key", $good, sub { delete $_[0]{$part}{$key} });
        wrong("$part: $key negative", $good, sub { $_[0]{$part}{$key} = -1 });
    }
}

for my $part (qw/ cycles operations last lease /) {
    for my $key (sort keys %{$good->{tasks}[0]{$part}}) {
        wrong("$part: no $key", $good,
            sub { delete $_[0]{tasks}[0]{$part}{$key} });
        wrong("$part: $key of another type", $good,
            sub { $_[0]{tasks}[0]{$part}{$key} = [] });
    }
}

wrong('another field', $good, sub { $_[0]{more} = 1 });
wrong('another field of a task', $good, sub { $_[0]{tasks}[0]{more} = 1 });
wrong('"ok" with an unhealthy task', $good, sub {
    $_[0]{status} = 'ok';
    $_[0]{message} = 'Server is running with background tasks';
});
wrong('"degraded", all healthy', $good, sub {
    $_->{healthy} = JSON::PP::true for @{$_[0]{tasks}};
});
wrong('a lease with "workers all"', $good, sub {
    $_[0]{tasks}[1]{lease} = { pid => 1, worker => 0 };
});
wrong('61 cycles', $good, sub {
    $_[0]{tasks}[1]{history} = [@$long, $long->[0]];
});
wrong('a time of another form', $good, sub { $_[0]{now} =~ s/\.\d+// });
wrong('brief with a pid', $brief, sub { $_[0]{pid} = 1 });
wrong('brief with an uptime', $brief, sub { $_[0]{uptime_seconds} = 1 });
wrong('brief with versions', $brief, sub {
    $_[0]{version} = '0.1.0';
    $_[0]{nginx} = '1.22.1';
});

@said = validate(@files);

isnt($said[$_], 'valid', "wrong: $wrong[$_]") for 0 .. $#wrong;

done_testing();

sub wrong {
    my ($name, $answer, $change) = @_;
    my $copy = JSON::PP->new->decode(JSON::PP->new->encode($answer));

    $change->($copy);
    push @wrong, $name;
    push @files, "$dir/wrong." . @wrong;
    put('wrong.' . @wrong, JSON::PP->new->encode($copy));
}

sub validate {
    my $schema = "$FindBin::Bin/../examples/status.schema.json";
    my @said = split /\n/,
        `$python '$dir/validate.py' '$schema' @_ 2>&1`;

    die "@said\n" if @said != @_;

    return @said;
}

sub read_json {
    my ($name) = @_;

    open my $file, '<', $name or die "open $name: $!\n";
    local $/;

    return JSON::PP->new->decode(scalar <$file>);
}
