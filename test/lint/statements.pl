# SPDX-License-Identifier: ISC
# Every kind of statement of the parse tree (src/tenant/tree.def) has a row in src/tenant/statements.def, and every row of
# that a line in doc/statements.md with its reason; nothing is left to a default.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;

my %row;
my $text = slurp('src/tenant/statements.def');
while ($text =~ /^STATEMENT\((\w+), (\w+), (\w+), "([^"]+)", [^\n]*\)$/mg) {
    report("statements.def names $1 once", "$1 twice") if $row{$1};
    $row{$1} = { rule => $2, refusal => $3, sql => $4 };
}
my %kind = map { $_ => 1 } slurp('src/tenant/tree.def') =~ /^(?:NODE|OPAQUE)\((\w+Stmt)\)/mg;
report(keys(%kind) . ' kinds of statements in tree.def', keys(%kind) > 100 ? () : 'too few were found');
report('each has a rule in statements.def', map { "$_ has none" } grep { !$row{$_} } sort keys %kind);
report('statements.def names nothing else', map { "$_ is no statement" } grep { !$kind{$_} } sort keys %row);
my $doc = slurp('doc/statements.md');
my @missing;
for my $k (sort keys %row) {
    my $r = $row{$k};
    my ($line) = $doc =~ /^\| ((?:[^|\n]*\W)?\Q$r->{sql}\E(?!\w)[^|\n]*\|[^\n]*)/m;
    push @missing, "$r->{sql}: no line" unless $line;
    push @missing, "$r->{sql}: refused as $r->{refusal}, the manual says: $line"
        if $line && $r->{rule} eq 'refused' && $line !~ /`\Q$r->{refusal}\E`/;
}
report('doc/statements.md has each with its reason', @missing);
finish();
