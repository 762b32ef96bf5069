# A worker that can't have what tasks need serves requests all the same, and
# runs no tasks.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $kind = load_kind('limits');
my %task;

for (['files', 'eventfd']) {
    my ($resource, $function) = @$_;

    start(<<"EOF", '', "$kind\nworker_processes 2;");
        limits $resource;
        background_threads 2;
        background_task waits { simulate_io 1 delay=1h-1h; }
        background_task burns { interval 10ms; simulate_cpu 1ms; }
EOF

    # all workers have tried

    poll("$resource: both", sub {
        return logged(qr/\[alert\].*background: no tasks run in this worker process$/m)
               >= 2;
    });

    is((get('/status'))[0], 200, "$resource: requests");
    is(@{[workers()]}, 2, "$resource: workers");
    cmp_ok(logged(qr/\[alert\].*$function\(\) failed \(/), '>=', 2,
           "$resource: why");

    %task = by_name(status());

    is_deeply([map { $_->{lease} } values %task], [undef, undef],
              "$resource: no tasks");

    # they exit, and the next ones have it all

    my $limits = "limits $resource;";

    put('nginx.conf', read_file(dir() . '/nginx.conf') =~ s/$limits//r);
    signal('HUP');

    poll("$resource: tasks", sub {
        %task = by_name(status_anyhow());

        return $task{waits}{lease} && $task{burns}{cycles}{completed};
    });

    is(logged(qr/fatal code/), 0, "$resource: no worker was lost");

    put('error.log', join '',
        grep { !/$function\(\) failed|no tasks run/ } split /^/, log_text());

    stop();
}

done_testing();
