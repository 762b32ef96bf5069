#!/usr/bin/env perl

# A parameter that is given twice is an error, in all directives, be its values
# the same or not.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundConf;
use Test::More;

mkdir conf_dir() . '/folder' or die "mkdir: $!\n";
put($_, '') for qw( a folder/a );

my $compress = 'compress folder suffix=.a';

# context, directive up to its parameters, and two values of each

my @parameters = (
    ['http', 'background_threads auto', qw/
        max_queue=1 max_queue=2 per_worker=1 per_worker=2
        priority=1 priority=2 quota=1% quota=2 /],
    ['http', 'background_threads 4', qw/ reserve=1 reserve=2 /],
    ['task', 'schedule @daily', qw/
        timezone=UTC timezone=GMT missed=run missed=skip /],
    ['empty', 'certificate a', qw/
        days=1 days=2 server_name=a server_name=b /],
    ['empty', 'connect 127.0.0.1:80', qw/
        count=1 count=2 timeout=1s timeout=2s /],
    ['empty', 'digest folder', qw/
        algorithm=md5 algorithm=sha1 limit_rate=1 limit_rate=2
        manifest=a manifest=b /],
    ['empty', 'verify folder/a', qw/
        extra=fail extra=ignore
        algorithm=md5 algorithm=sha1 limit_rate=1 limit_rate=2
        root=a root=b /],
    ['task', 'workers cluster', qw/
        redis=a redis=b lease=1s lease=2s lost=stop lost=run /],
    ['task', 'health', qw/
        fails=1 fails=2 passes=1 passes=2 start=healthy start=unhealthy /],
    ['location', 'background_run t', qw/
        wait=1s wait=2s queue=1 queue=2 busy=400 busy=500
        max_output=1 max_output=2 errors errors ignore_abort ignore_abort /],
    ['location', 'background_control run', qw/
        pause pause cancel cancel peers peers /],
    ['location', 'background_status', qw/
        failing=400 failing=500 brief brief /],
    ['location', 'background_status html', qw{ control=/a control=/b }],
    ['location', 'background_status json', qw/ failing=400 failing=500 /],
    ['empty', $compress, qw/ gzip=1 gzip=2 brotli=1 brotli=2 zstd=1 zstd=2 /],
    ['empty', "$compress gzip=1", qw/
        limit_rate=1 limit_rate=2 min_length=1 min_length=2 /],
    ['empty', 'compress folder gzip=1', qw/ suffix=.a suffix=.b /],

    # in a server

    (map { ['server', "background_task t { $_", qw/
        method=GET method=PUT body=a body=b status=200 status=201
        test=a test=b scheme=http scheme=https
        address=192.0.2.1 address=192.0.2.2 /] }
        'request /', 'requests a'),
    ['server', 'background_task t { request /', qw/ count=1 count=2 /],
    ['server', 'background_task t { requests a', qw{
        concurrency=1 concurrency=2 rate=1r/s rate=2r/s }],
    ['server', 'background_task t { request /', qw/
        save=a save=b max_size=1 max_size=2 /],
    ['server', 'background_task t { probe u /', qw/
        port=1 port=2 keep=1 keep=2 need=1 need=2 only=all only=down
        peers=1 peers=2 type=grpc type=grpc
        grpc_service=a grpc_service=b grpc_status=1 grpc_status=2 /],
    ['empty', 'exec /bin/true', qw/
        input=none input=input kill=1s kill=2s memory=1m memory=2m
        output=log output=output /],
);

for (@parameters) {
    my ($context, $directive, @values) = @$_;
    my ($name) = $directive =~ /(?:.*\{ )?(\S+)/;
    my $end = $directive =~ /\{/ ? '; }' : ';';

    while (my ($one, $two) = splice @values, 0, 2) {
        for my $again ($one, $two) {
            rejects($context, "$directive $one $again$end"
                => "duplicate parameter \"$again\" in \"$name\" directive");
        }
    }
}

# where there is one parameter only, nginx itself counts the arguments

rejects('empty', map { ("$_;" => sprintf
        'invalid number of arguments in "%s" directive', /(\S+)/) }
    'interval 1s jitter=1s jitter=2s', 'retry 1s max=1s max=2s',
    'simulate_io 1 delay=1s-2s delay=1s-2s', 'after t on=any on=any');

# an end of a task

for my $on ('', map { " on=$_" } qw/ success failure recovery any /) {
    rejects('http', "background_task a { simulate_io 1; }\n"
        . "background_task b { after a$on; simulate_io 1;\n"
        . 'after a' . ($on || ' on=success') . "; # here\n}"
        => 'duplicate end of background task "a" in "after" directive');
}

accepts('http', 'background_task a { simulate_io 1; } '
    . 'background_task b { simulate_io 1; after a; after a on=any; '
    . 'after a on=failure; after a on=recovery; }');

# what there may be several of

accepts('location', 'background_status task=t task=t;');
accepts('server', 'background_task t { request / header=a:1 header=b:1; }');

# the table has all parameters that directives know

my %known = map { s/=.*/=/sr => 1 } map { @$_[2 .. $#$_] } @parameters;

for my $file (glob "$FindBin::Bin/../src/*.[ch] $FindBin::Bin/../src/*/*.[ch]") {
    open my $source, '<', $file or die "open $file: $!\n";

    for (<$source>) {
        my ($name) = /\{ ngx_string\("([a-z_]+=)"\), 0,/ or next;

        next if $name =~ /^(?:jitter|max|on)=$/;

        ok($known{$name}, "$name is in the table");
    }
}

done_testing();
