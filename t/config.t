# "config" tells what it needs, where nginx's configure does not have it; a build
# that waits for another one says so; all sources compile without a warning.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundKind;
use Cwd qw/ abs_path /;
use File::Temp qw/ tempdir /;
use IPC::Open2 qw/ open2 /;
use Test::More;

my $root = abs_path("$FindBin::Bin/..");

# what configure has set when it comes to a module's "config"

my %good = (
    NGX_PLATFORM => 'Linux:6.1.0:x86_64',
    USE_THREADS => 'YES',
    NDK_INCS => '/ndk/objs',
    ngx_ptr_size => 8,
);

for my $case ([NGX_PLATFORM => 'FreeBSD:14.0-RELEASE:amd64',
               'needs Linux, this is "FreeBSD:14.0-RELEASE:amd64".'],
              [ngx_ptr_size => 4, 'needs a 64-bit platform.'],
              [USE_THREADS => 'NO',
               'needs thread support: add --with-threads.'],
              [NDK_INCS => '',
               'needs ngx_devel_kit: add --add-module=PATH or '
               . '--add-dynamic-module=PATH of it before this module.'])
{
    my ($name, $value, $error) = @$case;
    my %vars = (%good, $name => $value);
    my $vars = join ' ', map { "$_='$vars{$_}'" } sort keys %vars;

    my $said = qx/cd '$root' && env -i PATH="\$PATH" $vars sh .\/config 2>&1/;

    is($? >> 8, 1, "$name=\"$value\": fails");
    is($said =~ s/\n//gr, "./config: error: ngx_http_background_module $error",
       'and says why');
}

# each header that a module's sources include is one that they depend on

my $dir = tempdir('config.XXXXXX', TMPDIR => 1, CLEANUP => 1);

mkdir "$dir/auto" or die "mkdir: $!\n";

write_file("$dir/auto/feature", "ngx_found=yes\n");
write_file("$dir/auto/module", 'echo "$ngx_module_name:" '
                               . '$ngx_module_deps : $ngx_module_srcs' . "\n");

my $vars = join ' ', map { "$_='$good{$_}'" } sort keys %good;
my @modules = split /\n/, qx/cd '$dir' && env -i PATH="\$PATH" $vars ngx_addon_dir='$root' sh '$root\/config'/;

is(@modules, 6, 'modules');

for (@modules) {
    my ($names, $deps, $sources) = split / *: */;
    my %missing = map { $_ => 1 } map { headers($_) } split ' ', $sources;

    delete @missing{split ' ', $deps};

    is(join(' ', sort keys %missing), '', "headers of " . ($names =~ s{ .*}{}r));
}

# a clone is in a folder whose name is like that of a module

write_file("$dir/Makefile", join '', map { "modules:\t/a/ngx_http_background/$_\n" }
           qw/ ndk_http_module.so ngx_http_background_module.so
               ngx_http_background_call_module.so /);

is(qx(bash -c '. "$root/util/common.sh"; own_modules "$dir/Makefile"'),
   join('', map { "/a/ngx_http_background/ngx_http_background_$_.so\n" }
            qw/ module call_module /), 'modules to be made');

# who waits for another build is told so

mkdir "$dir/util" or die "mkdir: $!\n";
write_file("$dir/util/common.sh", read_file("$root/util/common.sh"));

my $lock = ". '$dir/util/common.sh'; lock_build; echo locked";

my $holder = open2(my $held, my $release, 'bash', '-c',
                   "$lock; read -r _; unlock_build; read -r _");

is(scalar <$held>, "locked\n", 'nobody else builds');

open my $waiting, '-|', "bash -c \"$lock\" 2>&1" or die "bash: $!\n";

is(scalar <$waiting>, "waiting for another build in $dir/build\n",
   'somebody else builds');

$release->autoflush(1);
print $release "\n";

is(scalar <$waiting>, "locked\n", 'no more');
close $_ for $waiting, $release;
waitpid $holder, 0;

is(qx/grep -l flock '$root'\/util\/*.sh/, "$root/util/common.sh\n",
   'no script of its own waits silently');

# The modules were built with warnings as errors; here the compiler that has not
# built them, if it is there.  nginx's handlers have parameters that not each of
# them uses.

my $flags = '-O2 -Wall -Wextra -Wno-unused-parameter -Werror';

my $makefile = read_file((built())[1] . '/Makefile');
my @sources = split /\n/, qx/find '$root\/src' -name '*.c' | sort/;

write_file("$dir/all.h", '#include <ngx_http_background.h>');

for my $cc (grep { system("$_ --version > /dev/null 2>&1") == 0
                   && $makefile !~ /^CC =\s*\Q$_\E$/m }
            qw/ gcc clang /)
{
    # headers of nginx take the most time, and are the same for all sources

    my $precompiled = "$dir/all.h." . ($cc eq 'gcc' ? 'gch' : 'pch');

    is(compile($cc, "$flags -x c-header -o '$precompiled'", "$dir/all.h"), '',
       "$cc: headers");

    my @said = split /^/, check($cc, "$flags -include '$dir/all.h'");

    for my $source (@sources) {
        is(join('', grep { /^\Q$source\E:/ } @said), '',
           "$cc: " . $source =~ s{.*/}{}r);
    }

    is(join('', @said), '', "$cc: nothing else");
}

done_testing();

# What a compiler says of all sources.  A start of clang takes longer than a
# source: its compiler proper, whose arguments the driver tells, takes them all.

sub check {
    my ($cc, $flags) = @_;

    return compile($cc, "$flags -fsyntax-only", @sources) if $cc ne 'clang';

    my ($line) = grep { / "-cc1" / }
                 split /\n/, compile($cc, "-### $flags -fsyntax-only",
                                     $sources[0])
        or die "clang -### has no -cc1\n";

    ok($line =~ s/ "\Q$sources[0]\E"$//, "$cc: the last argument is the source");

    # the driver has quoted the line for a shell

    my $said = qx/cd '${\(built())[0]}' && $line ${\join ' ', map { qq('$_') } @sources} 2>&1/;

    return $? == 0 ? $said : $said || "exit code $?\n";
}

# those of the module itself, and what these include

sub headers {
    my ($file, $seen) = @_;

    $seen ||= {};

    open my $source, '<', $file or die "open $file: $!\n";

    for (<$source>) {
        my ($name) = /^#include [<"](ngx_http_background\S*\.h)[>"]/ or next;
        my ($path) = grep { -e } map { "$root/src/$_$name" }
                                     '', 'core/', 'requests/', 'files/', 'jobs/', 'status/'
            or next;

        headers($path, $seen) unless $seen->{$path}++;
    }

    return keys %$seen;
}
