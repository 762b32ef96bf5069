package BackgroundKind;

# Operation kinds that only tests have, built beside the module under test.

use strict;
use warnings;

use Cwd qw/ abs_path /;
use Exporter qw/ import /;
use File::Basename qw/ dirname /;
use File::Temp qw/ tempdir /;

our @EXPORT = qw/ compile load_kind /;

my $dir = tempdir('kind.XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir or die "chmod: $!\n";

# The "load_module" line of NAME.c in a folder of the sources, by default
# t/kinds, whose module is NAME_module; it is put before another module of that
# name.

sub load_kind {
    my ($name, $before, $folder) = @_;

    $folder = 't/kinds' unless defined $folder;

    my $order = $before ? qq{"${name}_module", "$before", } : '';
    my $root = abs_path(dirname(__FILE__) . '/../..');

    write_file("$dir/${name}_modules.c", <<"EOF_C");
#include <ngx_config.h>
#include <ngx_core.h>

extern ngx_module_t  ${name}_module;

ngx_module_t *ngx_modules[] = { &${name}_module, NULL };
char *ngx_module_names[] = { "${name}_module", NULL };
char *ngx_module_order[] = { ${order}NULL };
EOF_C

    my $so = "$dir/ngx_http_background_test_$name.so";

    my $said = compile(undef, "-fPIC -shared -o '$so'",
                       "$root/$folder/$name.c", "$dir/${name}_modules.c");

    die "$name was not built:\n$said" if $said ne '';

    return "load_module $so;";
}

# what a compiler says, by default the one of the module under test, which gets
# the same flags and some more

sub compile {
    my ($cc, $flags, @sources) = @_;

    my ($built) = grep { /ngx_http_background_module\.so$/ }
                  split ' ', $ENV{TEST_NGINX_LOAD_MODULES} || ''
        or die "TEST_NGINX_LOAD_MODULES has no ngx_http_background_module\n";

    my $objs = dirname($built);
    my ($source) = split /\n/, read_file("$objs/inputs");
    my $makefile = read_file("$objs/Makefile") =~ s/\\\n/ /gr;
    my %make = map { $makefile =~ /^$_ =\s*(.*)/m ? ($_ => $1) : () }
               qw/ CC CFLAGS ALL_INCS /;

    $cc = $make{CC} unless defined $cc;
    @sources = map { "'$_'" } @sources;

    my $said = qx/cd '$source' && $cc $make{CFLAGS} $make{ALL_INCS} $flags @sources 2>&1/;

    return $said if $? == 0 || $said ne '';
    return "exit code $?\n";
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
