package BackgroundKind;

# What only tests have, built as the module under test was.

use strict;
use warnings;

use Cwd qw/ abs_path /;
use Exporter qw/ import /;
use File::Basename qw/ dirname /;
use File::Temp qw/ tempdir /;
use Text::ParseWords qw/ shellwords /;

our @EXPORT = qw/ built compile configure load_kind read_file write_file /;

# no dot, see BackgroundStatus

my $dir = tempdir('kind_XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir or die "chmod: $!\n";

# where those of a run of the suite are, each of which is built once

my $built = $ENV{BACKGROUND_TESTS};

# The "load_module" line of NAME.c in a folder of the sources, by default
# t/kinds, whose module is NAME_module, or NAME if it ends so; it is put
# before another module of that name, and compiled with more flags.

sub load_kind {
    my ($name, $before, $flags, $folder) = @_;

    $folder //= 't/kinds';

    my $module = $name =~ /_module$/ ? $name : "${name}_module";
    my $order = $before ? qq{"$module", "$before", } : '';
    my $root = abs_path(dirname(__FILE__) . '/../..');
    my $file = "ngx_http_background_test_$name.so";
    my $known = $built && !$before && !$flags ? "$built/$file" : '';

    return "load_module $known;" if $known && -e $known;

    # what nginx's configure puts into a source of its own, which would take as
    # long to compile

    write_file("$dir/$name.c", <<"EOF_C");
#include "$root/$folder/$name.c"

ngx_module_t *ngx_modules[] = { &$module, NULL };
char *ngx_module_names[] = { "$module", NULL };
char *ngx_module_order[] = { ${order}NULL };
EOF_C

    my $so = "$dir/$file";

    my $said = compile(undef, "-fPIC -shared -o '$so' " . ($flags // ''),
                       "$dir/$name.c");

    die "$name was not built:\n$said" if $said ne '';

    # not where a test has file systems of its own

    $so = $known if $known && rename $so, $known;

    return "load_module $so;";
}

# what a compiler says, by default the one of the module under test, which gets
# the same flags and some more

sub compile {
    my ($cc, $flags, @sources) = @_;

    my ($source, $objs) = built();
    my $makefile = read_file("$objs/Makefile") =~ s/\\\n/ /gr;
    my %make = map { $makefile =~ /^$_ =\s*(.*)/m ? ($_ => $1) : () }
               qw/ CC CFLAGS ALL_INCS /;

    # a warning of one compiler's is an error of the other one's

    $make{CFLAGS} =~ s/(?<!\S)-W\S+//g if defined $cc;
    $cc = $make{CC} unless defined $cc;
    @sources = map { "'$_'" } @sources;

    my $said = qx/cd '$source' && $cc $make{CFLAGS} $make{ALL_INCS} $flags @sources 2>&1/;

    return $said if $? == 0 || $said ne '';
    return "exit code $?\n";
}

# a command that configures, with some more arguments, as the module under test
# was, but for modules

sub configure {
    my (@more) = @_;

    my ($source, $objs) = built();
    my ($configured) = read_file("$objs/ngx_auto_config.h")
                       =~ /^#define NGX_CONFIGURE "(.*)"$/m
        or die "$objs/ngx_auto_config.h has no NGX_CONFIGURE\n";

    my @arguments = grep { /^--with-(?:compat|threads|debug|cc|ld|pcre)/ }
                    shellwords($configured =~ s/\\(.)/$1/gr);

    my ($script) = grep { -f "$source/$_" } qw/ configure auto\/configure /
        or die "$source has no configure\n";

    return "cd '$source' && bash $script "
           . join ' ', map { "'" . s/'/'\\''/gr . "'" } @arguments, @more;
}

# the folders of nginx's source and of the module's objects; the second one is
# in the first one unless util/build.sh and the like have noted something else

sub built {
    my ($built) = grep { /ngx_http_background_module\.so$/ }
                  split ' ', $ENV{TEST_NGINX_LOAD_MODULES} || ''
        or die "TEST_NGINX_LOAD_MODULES has no ngx_http_background_module\n";

    my $objs = dirname($built);
    my ($source) = -f "$objs/inputs" ? split /\n/, read_file("$objs/inputs")
                                     : dirname($objs);

    return ($source, $objs);
}

sub read_file {
    my ($name) = @_;

    open my $file, '<', $name or die "open $name: $!\n";
    local $/;

    return scalar <$file>;
}

sub write_file {
    my ($name, $text) = @_;

    open my $file, '>', $name or die "open $name: $!\n";
    print $file $text;
    close $file or die "close $name: $!\n";
}

1;
