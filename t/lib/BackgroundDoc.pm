package BackgroundDoc;

# The documentation: README.md and the pages of doc/.

use strict;
use warnings;

use Exporter qw/ import /;
use File::Basename qw/ basename dirname /;

our @EXPORT = qw/ doc_pages doc_text doc_block doc_recipe /;

my $root = dirname(dirname(dirname(__FILE__)));
my %text;

# names of the pages, relative to the root of the source

sub doc_pages {
    return 'README.md', map { 'doc/' . basename($_) } sort glob "$root/doc/*.md";
}

sub doc_text {
    my ($name) = @_;

    return $text{$name} //= do {
        open my $file, '<', "$root/$name" or die "open $name: $!\n";
        local $/;
        <$file>;
    };
}

# the block in the language given that has a text in it

sub doc_block {
    my ($language, $text) = @_;

    my ($block) = grep { /\Q$text\E/ }
                  map { doc_text($_) =~ /^```$language\n(.*?)^```$/msg }
                  doc_pages()
        or die "no page has $language with \"$text\"\n";

    return $block;
}

# the first configuration below a heading

sub doc_recipe {
    my ($heading) = @_;

    for (map { doc_text($_) } doc_pages()) {
        return $1 if /^#+ \Q$heading\E\n(?:(?!^#+ ).)*?^```nginx\n(.*?)^```$/ms;
    }

    die "no page has a configuration below \"$heading\"\n";
}

1;
