# README.md and the pages of doc/: their configurations, what they say of
# directives, parameters and variables, their links.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundCall;
use BackgroundConf;
use BackgroundDoc;
use BackgroundKind;
use BackgroundSource;
use File::Basename qw/ basename /;
use File::Temp qw/ tempdir /;
use JSON::PP;
use Test::More;

my %source = source_directives();
my %page;           # of a directive
my %documented;

cmp_ok(scalar(() = doc_text('README.md') =~ /\n/g), '<=', 300,
       'README.md has at most 300 lines');

directives();
readme_table();
variables();
status_fields();
status_sample();
metrics();
kinds();
triggers();
installation();
configurations();
links();

done_testing();

###############################################################################

# what stands in "syntax", "default" and "context"

sub directives {
    for my $page (doc_pages()) {
        my $text = doc_text($page);

        while ($text =~ /^\*\*syntax:\*\*\ \*(.*)\*\n\n
                         (?:\*\*default:.*\n\n)?
                         \*\*context:\*\*\ \*(.*)\*\n/mgx) {
            my ($syntax, $context) = ($1, $2);

            $syntax =~ tr/\\//d;
            my ($name) = $syntax =~ /^(\w+)/;

            ok(!$documented{$name}, "$page: $name is documented once");
            $documented{$name} = {
                syntax => $syntax, context => $context,
                said => substr($text, pos $text) =~ s/^\*\*syntax:.*//msr,
            };
            $page{$name} = $page;
        }
    }

    # nginx's own

    is(delete($documented{include})->{context}, 'background_task', 'include');

    is(join(' ', sort keys %documented), join(' ', sort keys %source),
       'all directives are documented, and no others');

    for my $name (sort grep { $source{$_} } keys %documented) {
        is($documented{$name}{context}, $source{$name}{context},
           "$name: context");

        my %words = map { $_ => 1 } $documented{$name}{syntax} =~ s/^\w+//r
                                    =~ /(?<![\$\w])([a-z]\w*)/g;

        is(join(' ', sort keys %words), join(' ', @{$source{$name}{words}}),
           "$name: parameters");

        for my $word (@{$source{$name}{words}}) {
            ok($documented{$name}{said} =~ /`[^`\n]*\b$word\b[^`\n]*`/,
               "$page{$name}: $name: $word is described");
        }
    }
}

sub readme_table {
    my $text = doc_text('README.md');

    for my $name (sort keys %source) {
        ok($text =~ /^\| \[$name\]\(\Q$page{$name}\E(?:#$name)?\) \| /m,
           "README.md: the table has $name");
    }
}

sub variables {
    my $text = join '', map { doc_text($_) } doc_pages();
    my @names = source_variables();

    ok($text =~ /^\| `\$$_/m, "\$$_ is documented") for @names;

    my %known = map { $_ => 1 } $text =~ /\$(background_\w+)/g;

    for my $name (sort keys %known) {
        ok((grep { /_$/ ? $name =~ /^$_/ : $name eq $_ } @names),
           "\$$name is a variable");
    }

    ok($text =~ /^\| .*`$_`.* \| /m, "set_background: $_ is documented")
        for source_strings('ngx_http_background_fields');
}

# fields of the JSON, by its schema

sub status_fields {
    open my $file, '<', root() . '/examples/status.schema.json' or die "open: $!\n";
    my $schema = decode_json(do { local $/; <$file> });
    my ($text) = doc_text('doc/status.md') =~ /^## JSON\n(.*?)^## /ms;
    my $all = join "\n", $text =~ /^\| .*$/mg;

    my %fields = map { $_ => 1 } map { fields($_) }
                 $schema, $schema->{'$defs'}{task};

    for my $field (sort keys %fields) {
        ok($all =~ /`[^`\n]*\b$field\b[^`\n]*`/, "doc/status.md: $field");
    }
}

# the answer in doc/status.md has the fields that the schema requires, and no
# others

sub status_sample {
    open my $file, '<', root() . '/examples/status.schema.json'
        or die "open: $!\n";
    my $schema = decode_json(do { local $/; <$file> });
    my $sample = decode_json(doc_text('doc/status.md') =~ /^```json\n(.*?)^```/ms);

    sample('status', $sample, $schema);
    sample("task $_->{name}", $_, $schema->{'$defs'}{task})
        for @{$sample->{tasks}};
}

sub sample {
    my ($name, $value, $schema) = @_;

    my $properties = $schema->{properties} or return;

    is(join(' ', grep { !exists $value->{$_} } @{$schema->{required}}), '',
       "doc/status.md: $name: all that is required");
    is(join(' ', grep { !$properties->{$_} } sort keys %$value), '',
       "doc/status.md: $name: nothing else");

    sample("$name.$_", $value->{$_}, $properties->{$_})
        for grep { ref $value->{$_} eq 'HASH' } sort keys %$value;
}

# names of an object, and of objects in it

sub fields {
    my ($object) = @_;

    my $properties = $object->{properties} || {};

    return map { $_, fields($properties->{$_}) } keys %$properties;
}

sub metrics {
    my %known = map { $_ => 1 } doc_text('doc/status.md')
                                =~ /`nginx_background_(\w+)`/g;

    is(join(' ', sort map { s/_total$//r } keys %known),
       join(' ', source_metrics()), 'all metrics are documented, and no others');
}

# the C of doc/kinds.md is that of examples/kind

sub kinds {
    my $source = read_file(root() . '/examples/kind/'
                           . 'ngx_http_background_example_module.c');

    # a directive of the table is left out

    $source =~ s/^    ngx_http_background_command\("pause".*?\)\),\n//ms;

    for my $block (doc_text('doc/kinds.md') =~ /^```c\n(.*?)\n```$/msg) {
        ok(index($source, $block) != -1, 'doc/kinds.md: examples/kind has '
           . $block =~ s/\n.*//sr);
    }
}

# the C of doc/triggers.md is compiled as the bodies of two functions

sub triggers {
    my ($find, $start, @others) =
        doc_text('doc/triggers.md') =~ /^```c\n(.*?)^```$/msg;

    is(scalar @others, 0, 'doc/triggers.md: two pieces of C');

    my $source = tempdir(CLEANUP => 1) . '/trigger.c';

    write_file($source, <<"EOF_C");
#include <ngx_http_background.h>

typedef struct {
    ngx_http_background_task_t  *task;
} my_conf_t;

void my_handler(ngx_http_background_cycle_t *cycle, void *data);
void my_find(ngx_conf_t *cf, my_conf_t *mcf, ngx_str_t name);
ngx_int_t my_start(ngx_http_request_t *r, my_conf_t *mcf, ngx_str_t body);

void
my_find(ngx_conf_t *cf, my_conf_t *mcf, ngx_str_t name)
{
$find}

ngx_int_t
my_start(ngx_http_request_t *r, my_conf_t *mcf, ngx_str_t body)
{
    ngx_int_t                     rc;
    ngx_http_background_start_t   start;
    ngx_http_background_cycle_t  *cycle;

$start
    return rc;
}
EOF_C

    is(compile(undef, '-fsyntax-only', $source), '',
       'doc/triggers.md: its C compiles');
}

# the commands that make Debian's file of modules, and what nginx says of it

# the file of modules, with and without those that need not be built

sub installation {
    my ($commands, $stream) = doc_text('README.md')
                              =~ /^(printf 'load_module .*?\.conf)$/msg;

    ok($stream, 'README.md: the modules are loaded') or return;

    my $dir = conf_dir();
    my @modules = split ' ', $ENV{TEST_NGINX_LOAD_MODULES};
    my %module = map { basename($_) => $_ } @modules;
    my @own = grep { /^ngx_http_background/ } sort keys %module;

    for my $folder ("$dir/modules", "$dir/modules-enabled") {
        mkdir $folder or die "mkdir $folder: $!\n";
    }

    symlink $module{$_}, "$dir/modules/$_" or die "symlink: $!\n" for @own;

    s{/etc/nginx}{$dir} for $commands, $stream;

    local @BackgroundConf::without = map { s/\.so$//r } keys %module;

    put('modules-enabled/10-mod-http-ndk.conf',
        "load_module $module{'ndk_http_module.so'};\n");

    put('modules-enabled/50-mod-stream.conf',
        "load_module $module{'ngx_stream_module.so'};\n")
        if $module{'ngx_stream_module.so'};

    installed($commands, grep { !/_stream_/ } @own);

    if ($module{'ngx_http_background_stream_module.so'}) {
        is(system('sh', '-c', $stream), 0, 'README.md: stream: the command');
        loaded('README.md: stream');
        unlink "$dir/modules-enabled/61-mod-http-background-stream.conf"
            or die "unlink: $!\n";
    }

    for my $absent (qw/ redis stream /) {
        unlink "$dir/modules/ngx_http_background_${absent}_module.so";
    }

    installed($commands, grep { !/_(?:redis|stream)_/ } @own);
}

sub installed {
    my ($commands, @wanted) = @_;

    my $dir = conf_dir();
    my $name = 'README.md: ' . @wanted . ' modules';

    is(system('sh', '-c', "cd $dir/modules; $commands"), 0, "$name: the command");

    my @names = read_file("$dir/modules-enabled/60-mod-http-background.conf")
                =~ /^load_module modules\/(\S+);$/mg;

    is($names[0], 'ngx_http_background_module.so', "$name: the first one");
    is(join(' ', sort @names), join(' ', @wanted), "$name: all of them");
    loaded($name);
}

sub loaded {
    my ($name) = @_;

    my ($code, $said) = nginx_t("include modules-enabled/*.conf;\n"
                                . "events {\n}\nhttp {\n"
                                . "background_task t { simulate_io 1; }\n}\n");

    is($code, 0, "$name: nginx loads them") or diag($said);
}

# Each configuration goes through "nginx -t", in the context of its first
# directive, or of all its directives if it has none of its own.

sub configurations {
    my %context = (
        (map { $_ => 'main' } qw/ error_log events http load_module stream user /),
        (map { $_ => 'http' } qw/ include map proxy_cache_path resolver server
                                  upstream /),
        (map { $_ => 'server' } qw/ location /),
        (map { $_ => (split /,/, $source{$_}{context})[0] } keys %source),
        (map { $_ => 'background_task' } qw/ pause disk_space /),
    );

    # of examples/kind, and functions of libraries that the pages call

    my $modules = load_kind('ngx_http_background_example_module', undef,
                            undef, 'examples/kind');
    my $dir = conf_dir();

    mkdir $_ or die "mkdir $_: $!\n" for "$dir/logs", "$dir/cache";

    put('webhook.key', "words\n");

    system('openssl req -x509 -newkey ed25519 -nodes -subj /CN=ca.test'
           . " -keyout $dir/ca.key -out $dir/ca.crt 2>/dev/null") == 0
        or die "openssl: no certificate\n";

    my $n = 0;

    for my $page (doc_pages()) {
        for my $block (doc_text($page) =~ /^```nginx\n(.*?)^```$/msg) {
            my ($first) = $block =~ /^\s*(\w+)/;
            my $context = $context{$first};
            my $name = "$page: " . ($block =~ s/\s+/ /gr =~ s/^(.{60}).*/$1/r);

            $n++;
            ok($context, "$name: \"$first\" has a context") or next;

            my $said = test($block, $context, $modules);

            unlike($said, qr/\[(?:emerg|alert|crit|error)\]/, $name);
            like($said, qr/test is successful/, "$name: is tested");
        }
    }

    cmp_ok($n, '>', 15, 'the configurations are found');

    like(test("digest /usr/bin nothing=1;\n", 'background_task', ''),
         qr/\[emerg\]/, 'a wrong one fails');
}

sub test {
    my ($block, $context, $modules) = @_;

    my $dir = conf_dir();
    my %functions = map { $_ => 1 } $block =~ /\bcall \S+\.so (\w+)/g;

    if (%functions) {
        put('functions.c', join '', "#include <ngx_http_background_call.h>\n",
            map { "NGX_HTTP_BACKGROUND_CALL($_) { (void) call; return 0; }\n" }
            sort keys %functions);

        build_library("$dir/functions.so", "$dir/functions.c");
    }

    # files, ports and modules of this test

    $block =~ s/\bcall \S+\.so/call $dir\/functions.so/g;
    $block =~ s/^(\s*listen) [^;]*;/$1 unix:$dir\/socket;/mg;
    $block =~ s/^load_module modules\/\w+\.so;.*\n//mg;
    $block =~ s/\/var\/cache\/nginx/$dir\/cache/g;
    $block =~ s/\/var\/log\/nginx/$dir\/logs/g;
    $block =~ s/\/etc\/nginx\/(webhook\.key|redis\.password)/$dir\/webhook.key/g;
    $block =~ s/\/etc\/ssl\/certs\/ca-certificates\.crt/$dir\/ca.crt/g;

    my $server = "server {\nlisten unix:$dir/socket;\n%s\n}\n";
    my %around = (
        main            => '%s',
        http            => "http {\n%s\n}\n",
        server          => "http {\n$server}\n",
        location        => "http {\n" . sprintf($server, "location / {\n%s\n}")
                           . "}\n",
        background_task => "http {\n"
                           . sprintf($server, "background_task t {\n%s\n}")
                           . "}\n",
    );

    my $conf = sprintf $around{$context}, $block;

    $conf = "events {\n}\n$conf" unless $conf =~ /^events\b/m;
    $conf .= "http {\n}\n" unless $conf =~ /^http\b/m;

    return (nginx_t("$modules\n$conf"))[1];
}

# relative links lead to files, their anchors to headings

sub links {
    my %anchors;

    for my $page (doc_pages(), 'CONTRIBUTING.md') {
        my $text = doc_text($page) =~ s/^```.*?^```$//msgr;

        $anchors{$page} = { map { anchor($_) => 1 } $text =~ /^#+ (.*)$/mg };
    }

    for my $page (sort keys %anchors) {
        my $text = doc_text($page) =~ s/^```.*?^```$//msgr;
        my ($folder) = $page =~ /^(.*\/)?/;
        $folder //= '';

        for my $link ($text =~ /\]\(([^)\s]+)\)/g) {
            next if $link =~ /^https?:/;

            my ($file, $anchor) = split /#/, $link, 2;
            my $target = $file eq '' ? $page : $folder . $file;

            1 while $target =~ s/(?:^|(?<=\/))[^\/.]+\/\.\.\///;

            ok(-e root() . "/$target", "$page: $link: the file");
            ok($anchors{$target}{$anchor}, "$page: $link: the heading")
                if defined $anchor;
        }
    }
}

sub anchor {
    my ($heading) = @_;

    return lc($heading) =~ s/[^\w\- ]//gr =~ tr/ /-/r;
}
