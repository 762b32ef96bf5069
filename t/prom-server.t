#!/usr/bin/env perl

# A Prometheus scrapes both formats, and answers queries.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundStatus;
use HTTP::Tiny;
use JSON::PP ();
use POSIX qw/ WNOHANG /;
use Test::More;
use Time::HiRes qw/ sleep time /;

###############################################################################

plan skip_all => 'no prometheus (Debian\'s package of that name)'
    if system('prometheus --version > /dev/null 2>&1');

my $dir = dir();
my $port = $ENV{TEST_NGINX_PORT} || 1984;
my $api = 'http://127.0.0.1:' . ($port + 1) . '/api/v1';
my $rules = "$FindBin::Bin/../examples/alerts.yml";

# Prometheus always asks for OpenMetrics: one of the two has its "Accept"
# taken away

start(<<'EOF', <<"EOF2", 'worker_processes 2;');
    log_format type $sent_http_content_type;

    background_task io {
        workers  all;
        interval 50ms;
        simulate_io 2 delay=150ms-200ms;
    }
    background_task bad {
        retry   50ms;
        timeout 10ms;
        simulate_io 1 delay=1h-1h;
    }
    background_task cpu {
        interval 50ms;
        simulate_cpu 10ms;
    }
EOF
    listen 127.0.0.1:$port;

    location = /open {
        access_log types.log type;
        background_status prometheus;
    }

    location = /text {
        proxy_set_header Accept "";
        proxy_pass http://unix:$dir/socket:/open;
    }
EOF2

# the example, as it is but for paths and the port

mkdir "$dir/$_" or die "mkdir: $!\n" for qw{ example example/logs };

my $example = slurp_file("$FindBin::Bin/../nginx.conf.example");
my $load = join '', map { "load_module $_;\n" }
    split ' ', $ENV{TEST_NGINX_LOAD_MODULES} || '';

$example =~ s/^load_module \S+;\n//mg;
$example =~ s/127\.0\.0\.1:8080/'127.0.0.1:' . ($port + 2)/e
    or die "no address in the example\n";
put('example/nginx.conf', "${load}daemon off;\n$example");

my @children = (run('example.out', $ENV{TEST_NGINX_BINARY} || 'nginx',
                    '-p', "$dir/example/", '-c', 'nginx.conf',
                    '-e', 'logs/error.log'));

put('prometheus.yml', <<"EOF");
global:
  scrape_interval: 1s
  scrape_timeout: 1s
  evaluation_interval: 250ms
rule_files:
- $rules
scrape_configs:
- job_name: open
  metrics_path: /open
  static_configs:
  - targets: ['127.0.0.1:$port']
- job_name: text
  metrics_path: /text
  static_configs:
  - targets: ['127.0.0.1:$port']
- job_name: example
  static_configs:
  - targets: ['127.0.0.1:${\ ($port + 2) }']
EOF

my $prometheus = run('prometheus.log', 'prometheus',
    "--config.file=$dir/prometheus.yml", "--storage.tsdb.path=$dir/data",
    '--web.listen-address=127.0.0.1:' . ($port + 1));

push @children, $prometheus;

my $test = $$;

END {
    if (@children && $$ == $test) {
        my $status = $?;

        stop_children();
        $? = $status;
    }
}

for my $job (qw/ open text /) {
    ask("$job: scraped", qq/up{job="$job"} == 1/);

    cmp_ok(ask("$job: cycles",
               qq/nginx_background_cycles_total{job="$job",task="io",/
               . 'result="success"} > 10'), '<=',
        status_of('io')->{cycles}{completed}, "$job: not more than there were");

    ask("$job: rate of failures", qq/rate(nginx_background_cycles_total{/
        . qq/job="$job",task="bad",result="failure"}[10s]) > 0/);

    cmp_ok(ask("$job: quantile", 'histogram_quantile(0.9, rate('
               . qq/nginx_background_cycle_duration_seconds_bucket{job="$job",/
               . 'task="io"}[10s])) > 0'), '>', 0.1,
        "$job: of cycles of 0.15 s at least");

    my $mean = ask("$job: mean CPU time of a job",
        qq/nginx_background_job_seconds_total{job="$job"} \/ /
        . "nginx_background_jobs_total > 0");

    cmp_ok($mean, '>=', 0.01, "$job: what a job takes");
    cmp_ok($mean, '<', 1, "$job: sensible");

    is(ask("$job: CPU limit", qq/nginx_background_cpu_limit{job="$job"}/),
        status()->{cpu}{limit}, "$job: as in the JSON");

    is(ask("$job: health", qq/nginx_background_task_healthy{job="$job",/
           . 'task="bad"}'), 0, "$job: a task that is not healthy");
}

# series of one job that the other one doesn't have

my $series = '{__name__=~"nginx_background_.+",job=';

for ('open text', 'text open') {
    my ($one, $other) = split;

    is(ask("$one has what $other has", qq/count($series"$one"})/
           . qq/ - count($series"$one"} and ignoring (job) $series"$other"})/
           . ' == 0'), 0, "$one has what $other has");
}

my %types = map { $_ => 1 } split /\n/, slurp('types.log');

is_deeply([sort keys %types],
    ['application/openmetrics-text; version=1.0.0; charset=utf-8',
     'text/plain; version=0.0.4; charset=utf-8'], 'both formats');

# the example's rules work on these metrics

my $groups;

poll('the rules are evaluated', sub {
    $groups = api('/rules')->{groups};
    $groups && !grep { $_->{lastError} || $_->{health} ne 'ok' }
                     map { @{$_->{rules}} } @$groups;
});

cmp_ok(scalar(map { @{$_->{rules}} } @$groups), '>=', 5, 'rules');

my ($alert) = poll('an alert', sub {
    grep { $_->{labels}{task} eq 'bad' } grep { $_->{labels}{task} }
        @{api('/alerts')->{alerts}};
});

ok($alert, 'an alert of the failing task');

# the example

cmp_ok(ask('the example', 'nginx_background_cycles_total{job="example",'
           . 'task="io_cycle",result="success"} > 0'), '>=', 1, 'the example');
is(ask('its versions', 'nginx_background_info{job="example",version="'
       . status()->{version} . '"}'), 1, 'its versions');

stop_children();
stop();

done_testing();

# the value of a query, once it has one

sub ask {
    my ($name, $query) = @_;
    my $result;

    poll($name, sub {
        $result = api('/query', { query => $query })->{result};
        $result && @$result;
    });

    return $result->[0]{value}[1];
}

sub api {
    my ($path, $args) = @_;

    my $http = HTTP::Tiny->new(timeout => 10);
    my $answer = $http->get("$api$path?" . $http->www_form_urlencode($args || {}));

    die slurp('prometheus.log') if waitpid $prometheus, WNOHANG;
    return {} if $answer->{status} == 599 || $answer->{status} == 503;
    die "$path: $answer->{content}\n" unless $answer->{success};

    return JSON::PP->new->decode($answer->{content})->{data};
}

sub status_of {
    my ($name) = @_;
    my %task = by_name(status());

    return $task{$name};
}

sub run {
    my ($out, @command) = @_;
    my $pid = fork;

    defined $pid or die "fork: $!\n";

    if ($pid == 0) {
        setpgrp;
        open STDOUT, '>', "$dir/$out" or POSIX::_exit(1);
        open STDERR, '>&', \*STDOUT or POSIX::_exit(1);
        exec @command or POSIX::_exit(1);
    }

    return $pid;
}

sub stop_children {
    for (splice @children) {
        kill 'KILL', -$_;
        waitpid $_, 0;
    }
}

sub slurp { slurp_file("$dir/$_[0]") }

sub slurp_file {
    my ($name) = @_;

    open my $file, '<', $name or return '';
    local $/;

    return scalar(<$file>) // '';
}
