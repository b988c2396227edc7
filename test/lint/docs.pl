# SPDX-License-Identifier: ISC
# Every key, statistic, metric, console command, refusal and close reason that a table (src/*/*.def) lists
# is named in doc/*.md, between back quotes or as a word of its own.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;

my $doc = join "\n", map { slurp($_) } sources(qr/\.md$/, 'doc'), grep { -f srcdir() . "/$_" } 'README.md';
my (%missing, %count);
for my $file (sources(qr/\.def$/, 'src')) {
    my $text = slurp($file);
    my $kind = $file =~ s{^src/}{}r;
    # Which argument is the name that users meet, by the kind of row.
    while ($text =~ /^[ \t]*((?:KEY|STAT|METRIC|COMMAND|SHOW|REFUSAL|ALERT)(?:_[A-Z]+)?)\s*\(((?:[^()"]|"(?:[^"\\]|\\.)*")*)/mg)
    {
        my ($row, $arguments) = ($1, $2);
        my @names = $arguments =~ /"((?:[^"\\]|\\.)*)"|([^\s,()"]+)/g;
        my @flat = grep { defined && length } @names;
        next unless @flat;
        my $name = $flat[0];
        next if $name =~ /^\\/ || $name eq '...' || $name =~ /^__/;
        $count{$kind}++;
        my $found = $doc =~ /(?<![\w-])\Q$name\E(?![\w-])/i;
        $found ||= $doc =~ /(?<![\w-])\Q@{[lc($name) =~ s{_}{ }gr]}\E(?![\w-])/i
            if $row =~ /^(COMMAND|SHOW)/;
        $found ||= $doc =~ /\b[a-z]+_\Q$name\E\b/ if $row =~ /^(STAT|METRIC)/;
        push @{ $missing{$kind} }, "$row $name" unless $found;
    }
}
for my $kind (sort keys %count) {
    report("doc/ names all $count{$kind} rows of $kind", @{ $missing{$kind} // [] });
}
# Metrics that are named in code only.
my (%metric, @undocumented);
for my $file (sources(qr/\.(c|h|def)$/, 'src/metrics')) {
    my $text = slurp($file);
    $metric{$1} //= $file while $text =~ /"(pgbulkhead_[a-z0-9_]+)/g;
}
for (sort keys %metric) {
    push @undocumented, "$_ ($metric{$_})" unless $doc =~ /\b\Q$_\E/;
}
report('doc/ names all ' . keys(%metric) . ' metrics that src/metrics spells out', @undocumented);
finish();
