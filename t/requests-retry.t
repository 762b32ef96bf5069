# After a failed cycle of "requests", "retry" asks for what failed alone; for the
# whole list when that is due, has changed, or is not known.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundLife;
use BackgroundStatus;
use BackgroundUpstream;
use Test::More;
use Time::HiRes qw/ sleep /;
use Time::Local qw/ timegm /;

my $dir = dir();

upstream('hung');

put('one', join '', map { $_ == 77 ? "/none\n" : "/ok/$_\n" } 1 .. 200);
put('gate', "/ok/1\n/gate/1\n/ok/2\n/gate/2\n/ok/3\n");
put('many', join '', "/ok/1\n", map { "/gate/$_\n" } 1 .. 1100);
put('hold', "/ok/1\n/ok/2\n/ok/3\n/hold\n/ok/4\n");
put('good', "/ok/1\n/ok/2\n");
put('moved', "/ok/1\n/moved\n");
put('forms', join '', "/ok/1\n", '/' . 'x' x 10_000 . "\n", "no-slash\n",
    "/gate/\xc3\xbc <\n", "\@named\n", "/ok/2\n");
put('repeated', "/ok/1\n/none\n/none\n");

start(<<'EOF_HTTP', <<"EOF_SERVER");
    log_format seen '$background_task $msec $request_uri';
EOF_HTTP
        background_task one { interval 1h; retry 50ms; requests one; }
        background_task gate { interval 1h; retry 50ms; requests gate; }
        background_task many { interval 1h; retry 50ms;
            requests many concurrency=100; }
        background_task hold { interval 1h; retry 50ms; timeout 6s;
            requests hold concurrency=2; }
        background_task other { interval 1h; retry 50ms;
            requests good; requests one; request /none; }
        background_task forms { interval 1h; retry 50ms; requests forms; }
        background_task repeated { interval 1h; retry 50ms; requests repeated; }
        background_task due { interval 500ms; retry 50ms; requests one; }
        background_task doubled { interval 300ms; retry 10ms max=1h;
            requests repeated; }
        background_task moved { interval 1h; retry 1h; requests moved; }
        background_task moves { interval 1h; requests moved status=200-399; }
        background_task move { interval 1h; request /moved; }

        access_log seen.log seen;
        log_subrequest on;
        location /ok/ { return 204; }
        location /none { return 404; }
        location /gate/ {
            if (!-f $dir/open) { return 503; }
            return 204;
        }
        location /hold { proxy_pass http://unix:$dir/hung; }
        location /moved { return 301 /elsewhere; }
        location \@named { return 500; }
EOF_SERVER

my %task;

poll('all have failed again and again', sub {
    %task = by_name(status());

    return $task{moves}{last} && $task{move}{last} && $task{moved}{last}
           && $task{hold}{cycles}{failed} > 1
           && !grep { $task{$_}{cycles}{failed} < 4 }
               qw/ one gate many other forms repeated due doubled /;
});

is($task{one}{last}{error}, 'requests "one": "/none": unexpected status 404',
   'one of 200');
is($task{one}{last}{message}, 'retry of the 1 that failed', 'and it alone');
is(times_of('one', '/ok/1'), 1, 'the others were requested once');
is(times_of('one', '/ok/200'), 1, 'to the last');

is($task{gate}{last}{error}, 'requests "gate": "/gate/1": unexpected status '
   . '503, "/gate/2": unexpected status 503', 'two of five');
is(times_of('gate', "/ok/$_"), 1, "/ok/$_ once") for 1 .. 3;

is($task{many}{last}{message}, 'retry of the 1000 that failed',
   'a thousand are remembered');
is(times_of('many', '/ok/1'), 1, 'others were requested once');
is(times_of('many', '/gate/1100'), 1, 'as was what failed beyond');

is($task{hold}{last}{error}, 'requests "hold": timed out', 'no answer');
is(times_of('hold', "/ok/$_"), 1, "/ok/$_ once") for 1 .. 4;

like($task{other}{last}{error}, qr{^requests "one": "/none": unexpected},
     'several operations');
is(times_of('other', "/ok/$_"), $_ < 3 ? 2 : 1, "/ok/$_ in each list once")
    for 1 .. 3;

is($task{forms}{last}{error}, 'requests "forms": line 2 is longer than 8192 '
   . 'bytes, "no-slash": invalid URI, "/gate/' . "\x{fc}" . ' <": unexpected '
   . 'status 503, "@named": unexpected status 500', 'lines of all forms');
is(times_of('forms', "/ok/$_"), 1, "/ok/$_ once") for 1 .. 2;

is($task{repeated}{last}{message}, 'retry of the 2 that failed',
   'what is twice in the list');

# a redirect

is($task{moved}{last}{error}, 'requests "moved": "/moved": unexpected status '
   . '301', 'a redirect warms nothing');
is($task{$_}{last}{error}, undef, "$_: no error") for qw/ moves move /;

# the whole list is due each "interval", whatever the pause of "retry"

poll('the whole list each interval', sub { times_of('due', '/ok/1') > 2 });

my @at = map { (split)[1] } grep { m{^due \S+ /ok/1$} } lines();

cmp_ok($at[$_] - $at[$_ - 1], '>=', 0.499, 'not sooner') for 1 .. 2;

poll('a longer pause is not for the list',
     sub { times_of('doubled', '/ok/1') > 10 });

# once they are good; others that may have failed are requested, too

sleep 1;
put('open', '');

poll('good again', sub {
    %task = by_name(status());
    return $task{gate}{cycles}{completed} && $task{many}{cycles}{completed};
});

is(times_of('gate', "/ok/$_"), 1, "/ok/$_ was not requested") for 1 .. 3;

# the gate may have opened between the two in the cycle before

like($task{gate}{last}{operations}, qr/^[12]$/, 'but the two');
is($task{gate}{last}{error}, undef, 'no error');
cmp_ok($task{many}{last}{operations}, '>', 1101, 'what failed, and then all');
is(times_of('many', '/ok/1'), 2, 'the whole list');

# a good "retry" does not put the list off

my ($next, $finished) = map { seconds($_) }
    $task{gate}{next}, $task{gate}{last}{finished};

cmp_ok($next - $finished, '<', 3599.9, 'the whole list is due as it was');

# another list, another worker

my $before = times_of('one', '/ok/1');

replace('one', join '', map { $_ == 77 ? "/none\n" : "/ok/$_\n" } 1 .. 201);

poll('a changed list', sub { times_of('one', '/ok/201') });
poll('and it is retried', sub {
    %task = by_name(status());
    return ($task{one}{last}{message} // '') eq 'retry of the 1 that failed';
});

is(times_of('one', '/ok/1'), $before + 1, 'as a whole, once');

my @workers = workers();

reconfigure('requests moved status', 'requests good status');

poll('another worker', sub { times_of('one', '/ok/1') == $before + 2 });
poll('and it is retried', sub {
    %task = by_name(status_anyhow());
    return ($task{one}{last}{message} // '') eq 'retry of the 1 that failed';
});

is(times_of('one', '/ok/1'), $before + 2, 'as a whole, once');

stop();
done_testing();

sub seconds {
    my ($y, $mon, $d, $h, $m, $s)
        = $_[0] =~ /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):([\d.]+)Z$/
        or die "no time: $_[0]\n";

    return timegm(0, $m, $h, $d, $mon - 1, $y) + $s;
}

sub lines { split /\n/, read_text("$dir/seen.log") }

sub times_of {
    my ($task, $uri) = @_;

    return scalar grep { m{^\Q$task\E \S+ \Q$uri\E$} } lines();
}
