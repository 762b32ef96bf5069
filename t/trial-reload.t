# A cycle on trial starts although an old worker has died in a cycle that no
# worker of the configuration has: after fewer workers are configured, and after
# what started that cycle is removed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $kind = load_kind('gate');
my $gate = dir() . '/gate';

put('gate', '');

sub task {
    my %task = by_name(status_of_any());
    return $task{bad};
}

sub running {
    my ($n, $name) = @_;

    ok(poll("$name: $n cycles", sub { task()->{running} == $n }), $name);
}

sub quarantined {
    my ($name) = @_;

    ok(poll($name, sub { task()->{state} eq 'quarantined' }), $name);
}

sub killed {
    my ($pid) = @_;

    signal('KILL', $pid);
    poll('it is gone', sub { gone($pid) });
}

# reloads, while the worker stands still; returns the new one

sub reload_but {
    my ($pid, @change) = @_;
    my %old = map { $_ => 1 } workers();

    signal('STOP', $pid);
    poll('it is stopped', sub { process_stat($pid)->[0] eq 'T' });

    reconfigure(@change);

    return poll('a new worker', sub {
        my @new = grep { !$old{$_} } active_workers();
        return @new == 1 && $new[0];
    });
}

# a trial after a reload; it may end

sub tried {
    my ($name) = @_;

    signal('HUP');
    running(1, $name);

    unlink $gate or die "unlink: $!\n";
    ok(poll("$name: completed", sub { task()->{cycles}{completed} }),
       "$name: completed");

    put('error.log', join '', grep { !/exited on signal 9|: quarantined/ }
                                   split /^/, log_text());
    stop();
}

###############################################################################

# the second of two workers

start("background_task bad { workers all; interval 1h; retry 10ms; gate $gate; }",
      '', "$kind\nworker_processes 2; worker_rlimit_core 0;");

running(2, 'in both workers');

my %pid;

poll('both tell their numbers', sub {
    my $status = status();

    $pid{$status->{worker}} = $status->{pid};
    return keys %pid == 2;
});

for my $n (1 .. 3) {
    killed((grep { $_ != $pid{1} } workers())[0]);
    poll("crash $n: another worker", sub { workers() == 2 });
    running(2, "crash $n") if $n < 3;
}

quarantined('three crashes');

my $new = reload_but($pid{1}, 'worker_processes 2', 'worker_processes 1');

running(2, 'the trial, and the old worker');
killed($pid{1});
killed($new);
quarantined('another crash');
tried('the trial after fewer workers');

###############################################################################

# a request

put('gate', '');

start("background_task bad { interval off; retry 10ms; gate $gate; }",
      'location = /bad { background_run bad; }',
      "$kind\nworker_processes 1; worker_rlimit_core 0;");

my ($worker, @clients);

sub ask {
    my ($name) = @_;

    $worker = a_worker();
    push @clients, BackgroundStatus::connection() || die "connect: $!\n";
    print {$clients[-1]} "POST /bad HTTP/1.1\r\nHost: test\r\n"
                         . "Content-Length: 0\r\n\r\n";
    $clients[-1]->flush;

    running(1, $name);
}

for my $n (1 .. 3) {
    ask("request $n");
    killed($worker);
    poll("request $n: another worker", sub { workers() == 1 });
    poll("request $n: failed", sub { task()->{cycles}{failed} == $n });
}

quarantined('three requests');

my $last = a_worker();

signal('HUP');
poll('one new worker', sub {
    my @now = workers();
    return @now == 1 && $now[0] != $last;
});

ask('a request on trial');
reload_but($worker, 'location = /bad { background_run bad; }', '');
reconfigure('interval off;', 'interval 10ms;');
poll('no request any more', sub { status_of_any()->{generation} == 4 });
killed($worker);
quarantined('it has died on trial');
tried('the trial after a request');

done_testing();
