package BackgroundExec;

# Commands of "exec", and what is left of them.

use strict;
use warnings;

use BackgroundLife;
use BackgroundStatus;
use Exporter qw/ import /;

our @EXPORT = qw/ script said helpers commands descendants descriptors pipes
                  alive /;

# a script of the shell, in the test's folder

sub script {
    my ($name, $text) = @_;

    put($name, "#!/bin/sh\n$text\n");
    chmod 0755, dir() . "/$name" or die "chmod: $!\n";
}

# the lines of a task's commands in the log

sub said {
    my ($task) = @_;

    return log_text() =~ /background task "$task": exec "[^"]*": (.*)\n/g;
}

# the helper processes of workers, by title

sub helpers {
    return grep { read_file("/proc/$_/cmdline") =~ /exec helper/ }
           map { children($_) } workers();
}

# their commands

sub commands { map { children($_) } helpers() }

# all processes below one

sub descendants {
    my ($pid) = @_;

    return map { ($_, descendants($_)) } children($pid);
}

# what a process has open, in order

sub descriptors {
    my ($pid) = @_;

    return map { (readlink($_) // '') =~ s/^socket:.*/socket:/r }
           glob "/proc/$pid/fd/*";
}

# pipes of a worker, but for those that nginx was started with

sub pipes {
    my %master = map { $_ => 1 } descriptors(master());

    return grep { /^pipe:/ && !$master{$_} } descriptors($_[0]);
}

# those of the processes that are there, zombies too

sub alive { grep { -e "/proc/$_" } @_ }

1;
