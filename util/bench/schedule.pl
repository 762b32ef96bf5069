# 1,000 tasks that are due in the same minute, beside Debian's cron with as many
# lines: CPU time of the minute before, and how long after its minute each one
# starts.

package Bench::schedule;

use strict;
use warnings;

use Bench;
use POSIX qw/ ceil /;

my $n = 1000;
my $cron = cron();

# Both wait at the same time, and each has a CPU of its own if there are two.
# cron looks at its lines at the begin of each minute, and nginx at its tasks
# once a minute: there is a whole minute before the one that is due.

sub due {
    my $due = (int((time + 5) / 60) + 2) * 60;

    nginx($due);
    my $crond = $cron && crond($due);

    sleep 2;

    my ($start, @cpu) = (time, map { cpu(@$_) } processes_of($crond));
    my $last = $due - 1 - $start;

    sleep $last;

    my $took = time - $start;
    my @after = map { cpu(@$_) } processes_of($crond);

    my @idle = map { 100 * ($after[$_] - $cpu[$_]) / $took } 0 .. $#cpu;

    my @late = (p99($due, nginx_starts()));
    push @late, p99($due, cron_starts()) if $crond;

    stop();
    finish($crond) if $crond;

    return map { ($idle[$_], $late[$_]) } 0 .. $#idle;
}

sub processes_of {
    my ($crond) = @_;

    return ([processes()], $crond ? [$crond->{pid}] : ());
}

# in milliseconds

sub p99 {
    my ($due, @starts) = @_;

    my @sorted = sort { $a <=> $b } @starts;

    return 1000 * ($sorted[ceil(0.99 * @sorted) - 1] - $due);
}

sub nginx {
    my ($due) = @_;

    my ($minute, $hour) = (gmtime $due)[1, 2];

    start(main => 'worker_processes 2;',
          http => "background_zone 20m;\n" . join('', map {
              "background_task t$_ { schedule \"$minute $hour * * *\" "
              . "timezone=UTC; simulate_io 1 delay=1ms-1ms; }\n" } 1 .. $n),
          server => 'location = /status { background_status; }',
          cpu => 0);
}

sub nginx_starts {
    return @{poll('all cycles', sub {
        my @started = map { $_->{last}{started} // () }
                      @{status()->{tasks}};

        return @started == $n && [map { seconds($_) } @started];
    })};
}

sub seconds {
    my ($day, $h, $m, $s) = $_[0] =~ /^(\S+)T(\d+):(\d+):([\d.]+)/
        or die "not a time: $_[0]\n";
    my ($year, $month, $date) = split /-/, $day;

    require Time::Local;

    return Time::Local::timegm(0, $m, $h, $date, $month - 1, $year) + $s;
}

# The package is unpacked, not installed: no service starts.  Its own mounts hide
# the lines of the system.  "date" notes when it starts.

sub cron {
    return undef if $> != 0;

    my $dir = dir();

    system("cd $dir && apt-get -qq download cron > cron.log 2>&1"
           . " && dpkg-deb -x cron_*.deb cron >> cron.log 2>&1"
           . " && unshare -m mount -t tmpfs none /var/spool") == 0
        or return undef;

    return "$dir/cron/usr/sbin/cron";
}

sub crond {
    my ($due) = @_;

    my $dir = dir();
    my ($minute, $hour) = (localtime $due)[1, 2];

    put('starts', '');
    put('crontab', "$minute $hour * * * date +\\%s.\\%N >> $dir/starts\n" x $n);
    put('cron.sh', <<"EOF");
mount -t tmpfs none /var/spool && mount -t tmpfs none /run || exit
mkdir -p /var/spool/cron/crontabs && chmod 1730 /var/spool/cron/crontabs
cp $dir/crontab /var/spool/cron/crontabs/root
chmod 600 /var/spool/cron/crontabs/root
[ ! -e /etc/crontab ] || mount --bind /dev/null /etc/crontab || exit
[ ! -d /etc/cron.d ] || mount -t tmpfs none /etc/cron.d || exit
exec taskset -c ${\(cpus() > 1 ? 1 : 0)} $cron -f
EOF

    return program('unshare', '-m', 'sh', "$dir/cron.sh");
}

sub cron_starts {
    return @{poll('all lines of cron', sub {
        my @starts = split ' ', slurp(dir() . '/starts');

        return @starts == $n && \@starts;
    })};
}

my @units = ('CPU, %', 'p99 late, ms');

{
    rounds => 1,
    notes => [$cron ? 'cron: a shell and date for each line, its late times'
                      . ' are those of date'
                    : 'cron could not be unpacked, or not run by itself',
              'systemd timers: not measured, they need systemd as the first'
              . ' process'],
    things => [['both', [(map { "$_, nginx" } @units),
                         $cron ? (map { "$_, cron" } @units) : ()], \&due]],
    rows => [
        ['CPU, %, nginx', 'both', undef, '<= 0.2'],
        ['p99 late, ms, nginx', 'both', undef, '<= 50'],
        $cron ? (['CPU, %, cron', 'both'], ['p99 late, ms, cron', 'both']) : (),
    ],
};
