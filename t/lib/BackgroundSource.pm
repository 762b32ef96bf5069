package BackgroundSource;

# Directives, parameters and variables, as the source has them.

use strict;
use warnings;

use Exporter qw/ import /;
use File::Basename qw/ dirname /;

our @EXPORT = qw/ source_directives source_metrics
                  source_variables source_strings /;

my $root = dirname(dirname(dirname(__FILE__)));
my $text = '';

for (sort glob "$root/src/*.h $root/src/*/*.h $root/src/*/*.c") {
    open my $file, '<', $_ or die "open $_: $!\n";
    local $/;
    $text .= <$file> =~ s{/\*.*?\*/}{}gsr;
}

my %macro = $text =~ /^\#define\s+(\w+)(?:\([^)]*\))?[ ]*\\\n
                      ((?:.*\\\n)*.*\n)/mgx;

# of each function its arguments and its body

my %function;

while ($text =~ /^(ngx_\w+)\(([^;{)]*)\)\n\{\n(.*?)^\}/msg) {
    $function{$1} = [$2, $3];
}

# of each table of parameters the names, and the functions that read values

my %params;

while ($text =~ /\bngx_http_background_param_t\s+(\w+)\[\]\s*=\s*
                 \{(.*?)^\};/msgx) {
    my ($name, $table) = ($1, $2);

    $table =~ s/\b([A-Z_]+)\b/$macro{$1} || ''/ge;

    while ($table =~ /\{\s*ngx_string\("(\w+)=?"\),\s*\d,\s*(\w+)/sg) {
        push @{$params{$name}}, [$1, $2];
    }
}

my @formats = $text =~ /\bngx_http_background_format_t\s+\w+\s*=\s*
                        \{\s*ngx_string\("(\w+)"\)/msgx;

# who reads the parameters of "workers cluster"

my ($cluster) = $text =~ /\bngx_http_background_cluster_t\s+\w+\s*=\s*
                          \{\s*(\w+)/x;

# source_directives(): NAME => { context => ..., words => [...] }, the words are
# parameters and values that the directive knows

sub source_directives {
    my %directive;

    while ($text =~ /\bngx_command_t\s+\w+\[\]\s*=\s*\{(.*?)^\};/msg) {
        my $table = $1;

        while ($table =~ /\{\s*ngx_string\("(\w+)"\),\s*(.*?),\s*(ngx_\w+),/sg) {
            my %words;

            words($3, \%words, {});
            $directive{$1} = { context => context($2),
                               words => [sort keys %words] };
        }
    }

    return %directive;
}

# the words that a function, and those that it calls, look for

sub words {
    my ($name, $words, $seen) = @_;

    return if $seen->{$name}++ || !$function{$name};

    my ($arguments, $body) = @{$function{$name}};

    return unless $arguments =~ /\bngx_conf_t\b|\bngx_str_t \*value\b/;

    $words->{$_}++ for $body =~ /\bngx_strn?cmp\([^";]*"([a-z_]+)=?"/g;

    words($cluster, $words, $seen)
        if $cluster && $body =~ /\bcluster->conf\(/;

    if ($body =~ /\bngx_http_background_formats\b/) {
        $words->{$_}++ for @formats;
    }

    for my $used ($body =~ /\b(ngx_http_background_\w+)/g) {
        for my $param (@{$params{$used} || []}) {
            $words->{$param->[0]}++;
            words($param->[1], $words, $seen);
        }

        words($used, $words, $seen);
    }
}

# as nginx's documentation writes the flags of a command

sub context {
    my ($flags) = @_;

    my %is = map { $_ => 1 } $flags =~ /\bNGX_HTTP_(\w+)_CONF\b/g;

    return join ', ',
        $is{MAIN} ? 'http' : (), $is{SRV} ? 'server' : (),
        $is{LOC} ? 'location' : (),
        $is{SIF} && $is{LIF} ? 'if' : $is{SIF} ? 'if in server'
            : $is{LIF} ? 'if in location' : (),
        $is{BACKGROUND_TASK} ? 'background_task' : ();
}

# names of variables; of those with a prefix, the prefix

sub source_variables {
    my $rest = $text =~ s/\bngx_command_t\s+\w+\[\]\s*=\s*\{.*?^\};//msgr;
    my %name = map { $_ => 1 }
        $rest =~ /\bngx_string\("(background_\w+)"\)/g,
        $rest =~ /^\#define\s+NGX_HTTP_BACKGROUND_OK\s+"(\w+)"/mg;

    return sort keys %name;
}

# names of metrics

sub source_metrics {
    my %name = map { $_ => 1 }
        $text =~ /_metrics_family\(\w+,\s*(?:\w+,\s*)?
                  (?:[\w>-]+\ \?\ ""\ :\ )?"(\w+)"/gx,
        $text =~ /^    \{ "(\w+)", "/mg;

    return sort keys %name;
}

# the strings of a table of the source

sub source_strings {
    my ($table) = @_;

    my ($body) = $text =~ /\b\Q$table\E\[\]\s*=\s*\{(.*?)^\};/ms
        or die "no table \"$table\"\n";

    return $body =~ /\bngx_string\("(\w+)"\)/g;
}

1;
