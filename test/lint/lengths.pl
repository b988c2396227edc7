# SPDX-License-Identifier: ISC
# Files stay below 1000 lines, functions below 150, lines within 100 columns (140 where a string literal, such as SQL,
# reaches over the edge, and in tables of tests); each C file begins with its licence and says what it holds; no goto
# but to one clean-up label.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;

my (@files, @functions, @columns, @heads, @gotos, @tabs, $count);
for my $file (sources(qr/\.(c|h|def)$/, 'src', 'test')) {
    my $text = slurp($file);
    my @lines = split /\n/, $text, -1;
    pop @lines if @lines && $lines[-1] eq '';
    push @files, "$file: " . @lines . ' lines' if @lines >= 1000;
    my $n = 0;
    my @bare = split /\n/, bare($text);
    for (@lines) {
        $n++;
        push @tabs, "$file:$n" if /\t|\s$/;
        next if $file =~ /\.def$/; # a table's row is one line
        my $width = length(do { my $t = $_; utf8::decode($t); $t });
        next if $width <= 100;
        # With strings blanked, a literal over the edge leaves blanks and its closing quote.
        my $over = substr($bare[$n - 1], 100);
        push @columns, "$file:$n: $width columns"
            if $width > 140 || !($over =~ /^\s*"/ || $file =~ /^test/ && /"/) || /^\s*\/?\*/;
    }
    push @heads, "$file: line 1 is not the SPDX line"
        unless $text =~ m{\A/\* SPDX-License-Identifier: ISC \*/\n};
    push @heads, "$file: no comment on what it holds"
        unless $text =~ m{\A/\*[^\n]*\*/\n/\*};
    next unless $file =~ /\.[ch]$/;
    my @code = split /\n/, bare($text);
    for my $f (functions($text)) {
        my ($name, $first, $last) = @$f;
        $count++;
        my $length = $last - $first + 1;
        push @functions, "$file:$first: $name has $length lines" if $length >= 150;
        my %labels;
        /\bgoto\s+(\w+)/ and $labels{$1} = 1 for @code[$first - 1 .. $last - 1];
        push @gotos, "$file:$first: $name jumps to " . join(' and ', sort keys %labels)
            if keys %labels > 1;
    }
}
report('files are shorter than 1000 lines', @files);
report('functions are shorter than 150 lines', @functions);
report('lines fit', @columns);
report('no tabs, no blanks at the end of a line', @tabs);
report('each file has its licence and its purpose on top', @heads);
report('goto has one target in a function', @gotos);
report('functions were seen', $count ? () : 'none at all');
finish();
