# nginx as a daemon, controlled by "nginx -s": tasks run in it as well.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $dir = dir();
my $daemon = 0;
my $killed = 0;

# the folder and its configuration

start(<<'EOF', '', 'worker_processes 2; debug_points abort;');
    background_threads 1;
    background_task waits { workers all; interval 20ms; simulate_io 2 delay=1ms-5ms; }
    background_task burns { simulate_cpu 1h; }
EOF
stop();

put('nginx.conf', slurp('nginx.conf') =~ s/daemon off/daemon on/r);

for my $signal (qw/ quit stop /) {
    unlink "$dir/error.log", "$dir/socket";

    is(nginx(), 0, "$signal: starts");

    poll("$signal: the daemon's pid", sub { $daemon = master() });

    my %task;

    poll("$signal: tasks run", sub {
        %task = eval { by_name(status()) };

        return $task{waits} && $task{waits}{cycles}{completed} > 3
               && $task{burns}{running} && workers() == 2;
    });

    my @old = workers();

    is(nginx('-s', 'reload'), 0, "$signal: reload");

    poll("$signal: new workers run the tasks", sub {
        my %old = map { $_ => 1 } @old;
        my @now = workers();
        my %t = by_name(status());

        return @now == 2 && !grep({ $old{$_} } @now)
               && $t{waits}{cycles}{completed} > $task{waits}{cycles}{completed}
               && $t{burns}{running};
    });

    is(nginx('-s', $signal), 0, "$signal: told");

    # where init does not wait for it, it stays as a zombie

    poll("$signal: is gone", sub { gone($daemon) });

    $daemon = 0;

    # at a stop nginx kills workers that take more than a second to exit, as
    # they may on a busy machine

    redo if $signal eq 'stop' && logged(qr/exited on signal 9$/m)
            && ++$killed < 5;

    # the worker that is told last may have had it, too

    like(logged(qr/background task "burns": cancelled/), qr/^[23]$/,
         "$signal: cancelled");
    is(logged(qr/background: thread pool shut down/), 4,
       "$signal: pools shut down");

    # a job that takes as long to stop is a warning

    is(join('', grep { /\[(?:warn|error|alert|crit|emerg)\]|Sanitizer/
                       && !/does not stop, the worker waits for it/ }
                     split /^/, log_text()), '', "$signal: no complaint");
}

done_testing();

END {
    my $status = $?;

    kill 'TERM', $daemon if $daemon;
    $? = $status;
}

sub nginx {
    system($ENV{TEST_NGINX_BINARY} || 'nginx', '-p', "$dir/",
           '-c', 'nginx.conf', '-e', 'error.log', @_);

    return $?;
}

sub slurp {
    open my $file, '<', "$dir/$_[0]" or die "open $dir/$_[0]: $!\n";
    local $/;

    return scalar <$file>;
}
