package BackgroundClock;

# A wall clock that the test sets, for its nginx alone: libfaketime.

use strict;
use warnings;

use BackgroundPreload;
use BackgroundStatus;
use Exporter qw/ import /;
use POSIX ();
use Time::HiRes qw/ time /;
use Time::Local qw/ timegm /;

our @EXPORT = qw/ clock_missing clock_start clock_set clock_utc clock_now /;

my ($library) = glob '/usr/lib/*/faketime/libfaketimeMT.so.1';
my $offset = 0;

# why it can't be done, or nothing

sub clock_missing {
    return 'needs libfaketime' unless $library;
    return 'needs tzdata' unless -e '/usr/share/zoneinfo/Europe/Berlin';
    return;
}

# start() of an nginx whose clock shows that time, with more preloaded libraries

sub clock_start {
    my ($time, $http, $locations, $main, @preload) = @_;

    clock_set($time);

    my %env = (
        FAKETIME_TIMESTAMP_FILE => dir() . '/clock',
        FAKETIME_NO_CACHE => 1,
        FAKETIME_DONT_FAKE_MONOTONIC => 1,
        FAKETIME_DONT_RESET => 1,
        NO_FAKE_STAT => 1,
    );

    local @ENV{keys %env} = values %env;
    local $ENV{LD_PRELOAD} = preloaded($library, @preload);

    start($http, $locations,
          join("\n", $main // '', map { "env $_;" } keys %env));
}

# from now on it shows that time, and goes on

sub clock_set {
    my ($time) = @_;

    $offset = clock_utc($time) - time;

    replace('clock', sprintf "%+.3f\n", $offset);
}

sub clock_now { time + $offset }

# "2026-03-29 00:59:58", with a "T" or a "Z" or without, or a number

sub clock_utc {
    my ($time) = @_;

    return $time if $time =~ /^[\d.]+$/;

    my ($y, $m, $d, $h, $min, $s)
        = $time =~ /^(\d+)-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)/
        or die "not a time: $time\n";

    return timegm($s, $min, $h, $d, $m - 1, $y);
}

1;
