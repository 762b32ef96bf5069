package BackgroundKind;

# Operation kinds that only tests have, built beside the module under test.

use strict;
use warnings;

use Exporter qw/ import /;
use File::Basename qw/ dirname /;
use File::Temp qw/ tempdir /;

our @EXPORT = qw/ load_kind /;

my $dir = tempdir('kind.XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir or die "chmod: $!\n";

# The "load_module" line of t/kinds/NAME.c, whose module is NAME_module.

sub load_kind {
    my ($name) = @_;

    my ($built) = grep { /ngx_http_background_module\.so$/ }
                  split ' ', $ENV{TEST_NGINX_LOAD_MODULES} || ''
        or die "TEST_NGINX_LOAD_MODULES has no ngx_http_background_module\n";

    my $objs = dirname($built);
    my ($source) = split /\n/, read_file("$objs/inputs");
    my $makefile = read_file("$objs/Makefile") =~ s/\\\n/ /gr;
    my %make = map { $makefile =~ /^$_ =\s*(.*)/m ? ($_ => $1) : () }
               qw/ CC CFLAGS ALL_INCS /;

    my $root = dirname(dirname(dirname(__FILE__)));
    $root = qx/cd '$root' && pwd/;
    chomp $root;

    write_file("$dir/${name}_modules.c", <<"EOF_C");
#include <ngx_config.h>
#include <ngx_core.h>

extern ngx_module_t  ${name}_module;

ngx_module_t *ngx_modules[] = { &${name}_module, NULL };
char *ngx_module_names[] = { "${name}_module", NULL };
char *ngx_module_order[] = { NULL };
EOF_C

    my $so = "$dir/ngx_http_background_test_$name.so";

    system("cd '$source' && $make{CC} $make{CFLAGS} $make{ALL_INCS} -fPIC"
           . " -shared -o '$so' '$root/t/kinds/$name.c'"
           . " '$dir/${name}_modules.c'") == 0
        or die "$name was not built\n";

    return "load_module $so;";
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
