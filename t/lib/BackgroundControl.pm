package BackgroundControl;

# Orders to "background_control", as a client that may give them.

use strict;
use warnings;

use BackgroundStatus;
use Exporter qw/ import /;

our @EXPORT = qw/ request code between_cycles /;

# the code and the body of the answer; "method" and header fields may differ,
# undef leaves a field out

sub request {
    my ($uri, %with) = @_;

    my $method = delete $with{method} || 'POST';
    my %headers = ('X-Background' => 1, %with);
    my $fields = join '', map { "$_: $headers{$_}\r\n" }
                          grep { defined $headers{$_} } sort keys %headers;

    my ($head, $body) = split /\r\n\r\n/,
        http("$method $uri HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
             . "Content-Length: 0\r\n$fields\r\n"), 2;
    my ($code) = ($head // '') =~ /^HTTP\/1\.1 (\d+)/;

    return ($code, $body);
}

sub code { (request(@_))[0] // 0 }

# Calls the function while no cycle of the task is under way: what a cycle writes
# at its end does not replace what the function changes.  "pause" is allowed in
# "location /control/".

sub between_cycles {
    my ($name, $function) = @_;

    poll("$name: an order", sub { code("/control/$name/pause") == 202 });
    poll("$name: no cycle", sub {
        my %task = by_name(status());
        my $task = $task{$name};

        return $task->{paused} && !grep { $task->{$_} } qw/ running queued
                                                            waiting /;
    });

    $function->();

    poll("$name: an order", sub { code("/control/$name/resume") == 202 });
}

1;
