package BackgroundPost;

# Requests with a body, and what is answered.

use strict;
use warnings;

use BackgroundStatus;
use Exporter qw/ import /;

our @EXPORT = qw/ request ask post post_anyhow begin leave rest code body
                  field /;

sub request {
    my ($method, $uri, $body, @fields) = @_;

    return "$method $uri HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
           . join('', map { "$_\r\n" } @fields)
           . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
}

# ask(METHOD, URI, BODY, FIELD...), the fields as "Name: value"; post_anyhow()
# also where there may be no answer: then it is empty

sub ask { http(request(@_)) }
sub post { ask('POST', @_) }

sub post_anyhow {
    local $BackgroundStatus::quiet = 1;
    return eval { post(@_) } // '';
}

# a request that is not answered yet, and its answer

sub begin { BackgroundStatus::send_request(request('POST', @_)) }

# a client goes while its cycle of the task runs, once more if that has ended
# before; returns how many cycles were cancelled

sub leave {
    my ($name, @request) = @_;

    my $task = sub {
        my %tasks = by_name(status());
        return $tasks{$name};
    };

    return poll("$name: cancelled", sub {
        my $completed = $task->()->{cycles}{completed};
        my $client = begin(@request);

        poll("$name: runs", sub {
            my $now = $task->();
            return $now->{running} && !$now->{waiting}
                   || $now->{cycles}{completed} > $completed;
        });

        close $client;
        poll("$name: stops", sub { !$task->()->{running} });

        return $task->()->{cycles}{cancelled};
    });
}

sub rest {
    my ($socket) = @_;

    local $SIG{ALRM} = sub { die "no answer\n" };
    alarm $BackgroundStatus::deadline;

    local $/;
    my $answer = <$socket> // '';

    alarm 0;
    return $answer;
}

# of an answer

sub code { ($_[0] =~ m{^HTTP/1\.1 (\d+)})[0] // 'none' }
sub body { (split /\r\n\r\n/, $_[0], 2)[1] }
sub field { ($_[0] =~ /\r\n\Q$_[1]\E: ([^\r]*)/)[0] }

1;
