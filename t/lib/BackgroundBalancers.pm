package BackgroundBalancers;

# What balancers of an upstream do: who answers which client.  The test says how
# to find that out: $who->(UPSTREAM, KEY) returns the name of the server.

use strict;
use warnings;

use BackgroundStatus;
use Exporter qw/ import /;
use Test::More;

our @EXPORT = qw/ share keys_of others_stay served all_checked /;

our $who;
our %any;      # upstreams that may choose one of several servers only

# how many requests of 30 each one gets

sub share {
    my ($name) = @_;

    my %n;
    $n{$who->($name, $_)}++ for 1 .. 30;

    return \%n;
}

# who gets those of which key

sub keys_of {
    my ($name) = @_;

    return join ' ', map { "$_:" . $who->($name, $_) } 1 .. 20;
}

# keys that were not those of the server that has gone are where they were

sub others_stay {
    my ($name, $keys, $gone) = @_;

    my %old = map { split /:/ } split ' ', $keys;
    my %new = map { split /:/ } split ' ', keys_of($name);

    is(join(' ', grep { $old{$_} ne $gone && $old{$_} ne $new{$_} }
                      sort keys %old),
       '', "$name: keys of others stay");
}

# all of these have requests, and nobody else

sub served {
    my ($name, $servers, $what) = @_;

    my %seen;
    my $n = 0;

    poll("$name: $servers", sub {
        $seen{$who->($name, $n++ % 200 + 1)} = 1 for 1 .. 10;
        return $any{$name} || !grep { !$seen{$_} } split ' ', $servers;
    });

    @seen{split ' ', $servers} = () if $any{$name};
    is(join(' ', sort keys %seen), $servers, $what);
}

# two cycles of each task

sub all_checked {
    my $ended = sub {
        my %task = by_name(status());

        return map { $_ => $task{$_}{cycles}{completed}
                           + $task{$_}{cycles}{failed} } keys %task;
    };

    my %n = $ended->();

    poll('two cycles of each', sub {
        my %now = $ended->();
        return !grep { $now{$_} < $n{$_} + 2 } keys %n;
    });
}

1;
