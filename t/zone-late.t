# Workers that come to start only after more than one reload: the tasks of their
# configuration keep their place in the zone, and give it up with them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use BackgroundLife;
use BackgroundStatus;
use Test::More;

my $kind = load_kind('late', 'ngx_http_background_module');
my $late = dir() . '/late';

# of such tasks the zone has room for $n, not for twice as many

my $n = 120;

start(<<"EOF", '', "$kind\nworker_processes 1;");
    late $late;
    background_zone 1m;
    background_task stays { interval 10ms; simulate_io 1 delay=1ms-1ms; }
    # tasks
EOF

poll('a cycle', sub { status()->{tasks}[0]{cycles}{completed} });

my @first = others();

# two configurations whose workers are late

put('late', '');

tasks('old');
poll('workers of the second configuration', sub { others(@first) == 1 });

my @second = others(@first);

tasks();
poll('workers of the third configuration', sub {
    return others(@first, @second) == 1;
});

poll('the first are gone', sub { !grep { kill 0, $_ } @first });

# the second ones will use their tasks

tasks('new');
poll('no room', sub {
    logged(qr/background_zone has no room for \d+ tasks beside those of workers that are still shutting down in /);
});

unlink $late or die "unlink: $!\n";

poll('only a worker of the third configuration', sub {
    return !(grep { kill 0, $_ } @second) && others(@first) == 1;
});

my $completed = status()->{tasks}[0]{cycles}{completed};

is(status()->{generation}, 3, 'the refused configuration is not in use');
is(scalar(@{status()->{tasks}}), 1, 'one task');

poll('it goes on', sub {
    return status()->{tasks}[0]{cycles}{completed} > $completed;
});

is(logged(qr/background task "old\d+": started/), 0,
   'what is over before it began runs nothing');

put('error.log', join '', grep { !/has no room/ } split /^/, log_text());

# now there is room, and again

for my $name ('new', '', 'more') {
    my ($generation, @old) = (status()->{generation}, children());

    tasks($name);

    poll('other workers', sub {
        return status_anyhow()->{generation} == $generation + 1
               && others(@old) == 1 && children() == 1;
    });

    is(scalar(@{status()->{tasks}}), $name ? $n + 1 : 1,
       $name ? "$name tasks have room" : 'one task');
}

stop();
done_testing();

sub tasks {
    my ($name) = @_;

    my $conf = read_file(dir() . '/nginx.conf');
    my $tasks = $name ? join '', map {
        "background_task $name$_ { interval 1h; simulate_io 1 delay=1ms-1ms; }\n"
    } 1 .. $n : '';

    $conf =~ s/# tasks\n(?:background_task.*\n)*/# tasks\n$tasks/
        or die "no tasks in nginx.conf\n";

    put('nginx.conf', $conf);
    signal('HUP');
}

# one that is late has no title of a worker yet

sub others {
    my %known = map { $_ => 1 } @_;

    return grep { !$known{$_} } children();
}
