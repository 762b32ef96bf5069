# RLIMIT_NPROC of a user who is not root: workers make fewer threads, so that
# all of them are there, after a reload, too.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCopies;
use File::Temp qw/ tempdir /;

BEGIN {
    my $folder = tempdir(TMPDIR => 1, CLEANUP => 1);
    chmod 0755, $folder or die "chmod: $!\n";

    $ENV{BACKGROUND_NGINX} = $ENV{TEST_NGINX_BINARY} || 'nginx';
    $ENV{TEST_NGINX_BINARY} = copied($folder, "$FindBin::Bin/lib/with-ulimit.sh");
    copy_modules($folder);
    $ENV{BACKGROUND_ULIMIT} = '-u 60';
}

use BackgroundLife;
use BackgroundStatus;
use Test::More;

plan skip_all => 'ThreadSanitizer has a thread in each process'
    if $ENV{TSAN_OPTIONS};

# a user of whom there are no other processes

my $uid = 1_000_000 + $$;

# else files would be where nobody removes them
chown $uid, -1, $ENV{TMPDIR} if $ENV{BACKGROUND_TESTS};
chown $uid, -1, dir();

($(, $)) = ($uid, "$uid $uid");
($<, $>) = ($uid, $uid);

plan skip_all => 'setuid(2) is not permitted' if $< != $uid;

# twice 8 workers with 2 threads, and 6 helpers, are 54; the master and this
# test are there, too

start('background_threads 7; '
      . 'background_task t { interval 1h; simulate_cpu 1ms; }', '',
      'worker_processes 8;');

my @old = whole('at the start');

signal('HUP');

poll('other workers', sub {
    my %pid = map { $_ => 1 } workers();
    return keys %pid == 8 && !grep { $pid{$_} } @old;
});

whole('after a reload');

is(logged(qr/background: 2 instead of 11 threads for each of 8 workers: a reload would need 198 tasks, "RLIMIT_NPROC" is 60, and others use 2/),
   2, 'told at the start and at the reload');
is(logged(qr/could be made|failed/), 0, 'nothing failed');

stop();
done_testing();

sub whole {
    my @workers;

    poll("all workers with 2 threads $_[0]", sub {
        @workers = workers();
        return @workers == 8 && @workers == grep { threads($_) == 2 } @workers;
    });

    return @workers;
}
