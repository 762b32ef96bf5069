package BackgroundBrowser;

# A headless Chromium of the test's own.  Speaks its DevTools protocol over a
# pipe: needs no driver and no port.

use strict;
use warnings;

use BackgroundStatus ();
use File::Temp qw/ tempdir /;
use IO::Select;
use JSON::PP ();
use MIME::Base64 qw/ decode_base64 /;
use POSIX ();
use Time::HiRes qw/ sleep time /;

###############################################################################

my $json = JSON::PP->new->utf8;

# the path of one, or undef

sub binary {
    for my $name (qw/ chromium-headless-shell chromium google-chrome /) {
        for my $dir (split /:/, $ENV{PATH}) {
            return "$dir/$name" if -x "$dir/$name";
        }
    }

    return undef;
}

# It knows no host but 127.0.0.1.

sub new {
    my ($class) = @_;

    my $self = bless { test => $$, id => 0, buffer => '', events => [] },
                     $class;
    my $dir = tempdir('browser.XXXXXX', TMPDIR => 1, CLEANUP => 1);

    my ($in, $to) = POSIX::pipe() or die "pipe: $!\n";
    my ($from, $out) = POSIX::pipe() or die "pipe: $!\n";

    defined($self->{pid} = fork) or die "fork: $!\n";

    if ($self->{pid} == 0) {
        setpgrp;

        # it reads 3 and writes 4, which may be in use here

        POSIX::dup2($in, 13) && POSIX::dup2($out, 14) or POSIX::_exit(1);
        POSIX::dup2(13, 3) && POSIX::dup2(14, 4) or POSIX::_exit(1);
        POSIX::close($_) for 5 .. 31;

        open STDOUT, '>', "$dir/log" or POSIX::_exit(1);
        open STDERR, '>&', \*STDOUT or POSIX::_exit(1);

        exec binary(), qw/ --headless --no-sandbox --disable-gpu
            --disable-quic --disable-dev-shm-usage --disable-breakpad
            --no-first-run --disable-background-networking
            --disable-component-update --disable-sync --hide-scrollbars
            --remote-debugging-pipe /, "--user-data-dir=$dir/profile",
            '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
            'about:blank' or POSIX::_exit(1);
    }

    POSIX::close($in);
    POSIX::close($out);

    open $self->{to}, '>&=', $to or die "open: $!\n";
    open $self->{from}, '<&=', $from or die "open: $!\n";
    $self->{to}->autoflush(1);

    my $target = $self->call('Target.createTarget', url => 'about:blank');

    $self->{session} = $self->call('Target.attachToTarget', flatten => \1,
        targetId => $target->{targetId})->{sessionId};

    $self->call("$_.enable")
        for qw/ Page Runtime Log Network Accessibility /;

    return $self;
}

# the result of a method of the protocol

sub call {
    my ($self, $method, %params) = @_;

    my $id = ++$self->{id};
    my $message = { id => $id, method => $method, params => \%params };

    $message->{sessionId} = $self->{session} if $self->{session};

    local $SIG{PIPE} = 'IGNORE';
    print { $self->{to} } $json->encode($message), "\0";

    for ( ;; ) {
        my $answer = $self->receive();

        if (($answer->{id} || 0) == $id) {
            die "$method: $answer->{error}{message}\n" if $answer->{error};
            return $answer->{result};
        }

        push @{$self->{events}}, $answer;
    }
}

sub receive {
    my ($self) = @_;

    my ($end, $length) = time + $BackgroundStatus::deadline;

    while (($length = index $self->{buffer}, "\0") < 0) {
        die "the browser does not answer\n"
            unless IO::Select->new($self->{from})->can_read($end - time);

        sysread $self->{from}, $self->{buffer}, 1 << 20,
                length $self->{buffer} or die "the browser is gone\n";
    }

    my $message = substr $self->{buffer}, 0, $length + 1, '';
    chop $message;

    return $json->decode($message);
}

# the events of these methods since the last call for them

sub events {
    my ($self, $methods) = @_;

    $self->js('0');

    my @events = grep { $_->{method} =~ /^(?:$methods)$/ } @{$self->{events}};
    @{$self->{events}} = grep { $_->{method} !~ /^(?:$methods)$/ }
                              @{$self->{events}};

    return map { $_->{params} } @events;
}

# what the page's console has to complain of

sub complaints {
    my ($self) = @_;

    my @complaints;

    for my $p ($self->events('Runtime\.exceptionThrown|Log\.entryAdded'
                             . '|Runtime\.consoleAPICalled'))
    {
        my ($thrown, $entry) = @$p{qw/ exceptionDetails entry /};

        push @complaints, $thrown ? $thrown->{exception}{description}
                                        || $thrown->{text}
            : $entry ? join(' ', map { $_ || () }
                                     @$entry{qw/ level text url /})
            : "$p->{type}: " . join ' ', map { $_->{value} || '' }
                                             @{$p->{args}};
    }

    return @complaints;
}

sub visit {
    my ($self, $url) = @_;

    my $result = $self->call('Page.navigate', url => $url);
    die "$url: $result->{errorText}\n" if $result->{errorText};

    $self->wait_for("document.readyState == 'complete' && location == '$url'");
}

# the value of an expression, of a promise's when it has one

sub js {
    my ($self, $expression) = @_;

    my $result = $self->call('Runtime.evaluate', expression => $expression,
        awaitPromise => \1, returnByValue => \1);

    if (my $e = $result->{exceptionDetails}) {
        die "$expression: $e->{exception}{description}\n";
    }

    return $result->{result}{value};
}

# evaluates it until it is true, and returns that

sub wait_for {
    my ($self, $expression) = @_;

    my $end = time + $BackgroundStatus::deadline;

    while (time < $end) {
        my $value = eval { $self->js($expression) };
        return $value if $value;
        sleep 0.05;
    }

    my $text = $self->js('document.body.innerText');
    utf8::encode($text);

    die "timed out: $expression: $text\n";
}

sub size {
    my ($self, $width, $height, %more) = @_;

    $self->call('Emulation.setDeviceMetricsOverride', width => $width + 0,
        height => $height + 0, deviceScaleFactor => 1, mobile => \0, %more);
}

# media(FEATURE => VALUE...)

sub media {
    my ($self, %features) = @_;

    $self->call('Emulation.setEmulatedMedia', features => [
        map { { name => $_, value => $features{$_} } } sort keys %features
    ]);
}

sub key {
    my ($self, $key, $code) = @_;

    my %key = (key => $key, windowsVirtualKeyCode => $code || ord uc $key);
    $key{text} = $key eq 'Enter' ? "\r" : $key if $key =~ /^(?:.|Enter)$/;

    $self->call('Input.dispatchKeyEvent', type => 'keyDown', %key);
    delete $key{text};
    $self->call('Input.dispatchKeyEvent', type => 'keyUp', %key);
}

sub screenshot {
    my ($self, $name, %params) = @_;

    my $png = $self->call('Page.captureScreenshot', %params);

    open my $file, '>', $name or die "open $name: $!\n";
    binmode $file;
    print $file decode_base64($png->{data});
    close $file or die "close $name: $!\n";
}

sub DESTROY {
    my ($self) = @_;

    return unless $self->{pid} && $self->{test} == $$;

    local $?;
    kill 'KILL', -$self->{pid};
    waitpid $self->{pid}, 0;
}

1;
