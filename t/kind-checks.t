#!/usr/bin/env perl

# What "nginx -t" says of kinds that others have built: for another version of
# the module, or with functions that don't go together.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundConf;
use BackgroundKind;
use Cwd qw/ abs_path /;
use Test::More;

my $dir = conf_dir();
my $root = abs_path("$FindBin::Bin/..");
my $load = load_kind('wrong');

# functions

my $either = 'it must have either "start" or "work"';
my $cancel = 'it must have "cancel" if it has "start"';

for (['work'], ['start cancel'], ['begin work'], ['begin work finish'],

     ['null', 'there is none'],
     ['', $either], ['cancel', $either], ['begin', $either],
     ['begin finish', $either], ['start cancel work', $either],
     ['start', $cancel], ['work cancel', $cancel],
     ['start cancel begin',
      'it must not have "begin" without "work"'],
     ['work finish', 'it must not have "finish" without "begin"'],
     ['start cancel finish', 'it must not have "finish" without "begin"'])
{
    my ($kind, $error) = @$_;

    said("background_task t { wrong $kind; }", $error
         && "invalid operation kind of \"wrong\" directive, $error",
         "\"$kind\"");
}

# places

for my $where ('%s', "server { listen unix:$dir/a; location / { %s } }",
               'background_task t { simulate_io 1; } %s')
{
    said(sprintf($where, 'misplaced;'),
         '"misplaced" directive adds an operation outside of a background '
         . 'task, its context must be NGX_HTTP_BACKGROUND_TASK_CONF', $where);
}

# arguments by a table

put('there', '');

my $table = 'in "table" directive';

for (['there 5'], ['there -1 time=1s size=1k flag word'],
     ['there word 5', 'invalid number "word" ' . $table
                      . ', it must be a number from -1 to 9'],
     ['there 10', "invalid number \"10\" $table, it must be a number from -1 to 9"],
     ['"" 5', "invalid path \"\" $table, it must be not empty"],
     ['there 5 time=x', "invalid time \"time=x\" $table, "
                        . 'it must be 0 or more, as in "30s"'],
     ['there 5 size=1x', "invalid size \"size=1x\" $table, "
                         . 'it must be 0 or more, as in "10m"'],
     ['there 5 flag flag', "duplicate parameter \"flag\" $table"],
     ['there 5 time=1 time=1', "duplicate parameter \"time=1\" $table"],
     ['there 5 word other', "unknown parameter \"other\" $table"])
{
    said("background_task t { table $_->[0]; }", $_->[1], "table $_->[0]");
}

# when the configuration is complete

my $in = sub { "server { listen unix:$dir/a; resolver_timeout 7s;\n$_[0] }" };

put('checked.conf', "\n\nchecked 7s; checked 8s;");

for (['after', 'background_task t { checked 7s; } resolver_timeout 7s;'],
     ['of a server', $in->('background_task t { checked 7s; }')],
     ['default', "server { listen unix:$dir/a; "
                . 'background_task t { checked 30s; } }'])
{
    said(@$_[1], undef, "checked, $_->[0]");
}

said($in->("background_task t {\nchecked 7s;\nchecked 8s; }"),
     'invalid time "8s" in "checked" directive, it must be '
     . '"resolver_timeout"', 'checked: another one', 'here');
said($in->('background_task t { include checked.conf; }'),
     'invalid time "8s" in "checked" directive, it must be '
     . '"resolver_timeout"', 'checked: in another file', 'checked.conf:3');

# a kind from before there was a number

my $old = load_kind('old');

my ($code, $said) = nginx_t("$old\nevents {\n}\n");

like($said, qr/\[emerg\] dlopen\(\) .*undefined symbol: ngx_http_background_add_operation/,
     'a kind from before there was a number');

# triggers

said('background_task t { half; }', 'invalid trigger of "half" directive, it '
     . 'must have "start" and "stop"', 'half a trigger');
said('untied;', '"untied" directive adds a trigger outside of a background '
     . 'task, its context must be NGX_HTTP_BACKGROUND_TASK_CONF',
     'a trigger without a task');

# another version

$load = load_kind('wrong', undef, other('ngx_http_background.h',
                                        'NGX_HTTP_BACKGROUND_ABI'));

said('background_task t { wrong work; }', qr/^the module of "wrong" directive was built for another version of ngx_http_background_module, ABI 0000000000000001 instead of 0002[0-9a-f]{12}$/,
     'another ABI');

$load = load_kind('arrive', undef, other('ngx_http_background.h',
                                         'NGX_HTTP_BACKGROUND_TRIGGER_ABI'));

my $abi = 'ABI 0000000000000001 instead of 0001[0-9a-f]{12}';

said('background_task t { noted; }', qr/^the module of "noted" directive was built for another version of ngx_http_background_module, $abi$/,
     'another ABI of a trigger');
said('background_task t { answer; } server { location / { arrive t; } }',
     qr/^a module that starts cycles of background task "t" was built for another version of ngx_http_background_module, $abi/,
     'another ABI of what starts cycles');

# "compress", which uses more of the module, loaded in place of the built one

$load = 'load_module ' . compress() . ';';
@BackgroundConf::without = 'ngx_http_background_compress_module';

mkdir "$dir/folder" or die "mkdir: $!\n";

said('background_task t { compress folder gzip=1 suffix=.a; }',
     qr/^the module of "compress" directive was built for another version of ngx_http_background_module, ABI 0000000000000001 instead of 0001[0-9a-f]{12}$/,
     'another ABI of compress');

done_testing();

# a text or a pattern, or nothing: it is accepted

sub said {
    my ($text, $error, $name, $place) = @_;

    my ($code, $said) = nginx_t("$load\nevents {\n}\nhttp {\n$text\n}\n");

    if (!defined $error) {
        is($code, 0, "$name: accepted") or diag($said);
        return;
    }

    $place //= 'nginx.conf:\d+';
    $place = 'nginx.conf:' . line_of('checked 8s') if $place eq 'here';

    my ($emerg) = $said =~ /\[emerg\] (.*) in \S+$place$/m;

    if (ref $error) {
        like($emerg // $said, $error, $name);
    } else {
        is($emerg // $said, $error, $name);
    }
}

# the line of nginx.conf that has it

sub line_of {
    my ($text) = @_;

    open my $file, '<', "$dir/nginx.conf" or die "open: $!\n";
    my $n = grep { /\Q$text\E/ .. 0 } <$file>;

    return $. + 1 - $n;
}

# flags for a source that sees another value of a header's macro

sub other {
    my ($header, $macro, @undef) = @_;

    put("$macro.h", join '', map { "$_\n" }
        '#include <ngx_config.h>', '#include <ngx_core.h>',
        "#include \"$header\"", (map { "#undef $_" } @undef, $macro),
        "#define $macro  1");

    return "-include '$dir/$macro.h'";
}

sub compress {
    my $name = 'ngx_http_background_compress_module';

    put('modules.c', <<"C_EOF");
#include <ngx_config.h>
#include <ngx_core.h>

extern ngx_module_t  $name;

ngx_module_t *ngx_modules[] = { &$name, NULL };
char *ngx_module_names[] = { "$name", NULL };
char *ngx_module_order[] = { NULL };
C_EOF

    my $flags = other("$root/src/files/ngx_http_background_tree.h",
                      'NGX_HTTP_BACKGROUND_TREE_ABI',
                      map { "NGX_HTTP_BACKGROUND_$_" } qw/ GZIP BROTLI ZSTD /);

    my $objs = (built())[1];

    my $said = compile(undef, "-fPIC -shared -o '$dir/other.so' $flags",
                       (map { "$root/src/files/ngx_http_background_$_.c" }
                        qw/ compress_module codec /),
                       (map { "$objs/addon/files/ngx_http_background_$_.o" }
                        qw/ compress_check compress_list compress_table /),
                       "$dir/modules.c");

    die "compress was not built:\n$said" if $said ne '';

    return "$dir/other.so";
}
