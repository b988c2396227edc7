# SPDX-License-Identifier: ISC
# Reads contrib/prometheus: rules as written (the files keep to one shape, which this checks), and the metrics an expression names.
package Bulkhead::Rules;
use strict;
use warnings;
use Exporter 'import';
use Bulkhead::Util qw(slurp);

our @EXPORT_OK = qw(top rule_files rules metrics_in rule_of_def key_default);

sub top { return $ENV{top_srcdir} // '.' }
sub rule_files { return map { "contrib/prometheus/$_.yml" } qw(recording alerts alerts-dbhost) }

sub _plain {
    my ($t) = @_;
    return $t unless $t =~ /\A'(.*)'\z/s;
    return $1 =~ s/''/'/gr;
}

# The rules of a file, in order: hashes with alert or record, expr, for, severity, summary, description, runbook_url, line.
sub rules {
    my ($file) = @_;
    my (@rules, $in_expr, $n);
    for (split /\n/, slurp(top() . "/$file")) {
        $n++;
        next if /^\s*(?:#.*)?$/ || /^groups:$/ || /^  - name: [\w-]+$/ || /^    rules:$/ || /^        (?:labels|annotations):$/;
        if ($in_expr && /^          (.*)$/) { $rules[-1]{expr} .= ($rules[-1]{expr} eq '' ? '' : "\n") . $1; next }
        $in_expr = 0;
        if (/^      - (alert|record): ([\w:]+)$/) { push @rules, { $1 => $2, line => $n }; next }
        if (/^        expr: \|$/) { $in_expr = 1; $rules[-1]{expr} = ''; next }
        if (/^ +(expr|for|severity|summary|description|runbook_url): (.+)$/ && @rules) { $rules[-1]{$1} = _plain($2); next }
        die "$file:$n: not in the shape that the tests read: $_\n";
    }
    return @rules;
}

# Names of metrics in an expression; recorded ones (with a colon) too. Words of PromQL, labels and strings are left out.
sub metrics_in {
    my ($expr) = @_;
    $expr =~ s/"(?:[^"\\]|\\.)*"//g;
    $expr =~ s/\{[^{}]*\}/ /g;
    $expr =~ s/\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)//g;
    $expr =~ s/\[[^\]]*\]//g;
    my %seen;
    return grep { !$seen{$_}++ } grep { /[_:]/ || $_ eq 'up' } grep { !/^(?:histogram_quantile|label_replace|count_values|sum_over_time|avg_over_time|max_over_time|group_left|group_right)$/ }
        $expr =~ /(?<![\w:.\$])([a-zA-Z_:][\w:]*)(?![\w:])/g;
}

# The rows of src/watch/alerts.def by name; undef where there is no such file.
sub rule_of_def {
    my $text = slurp(top() . '/src/watch/alerts.def') or return undef;
    my %rows;
    while ($text =~ /^ALERT\((\w+), (\w+), (\w+), (\w+), (\w+), (\w+), (\w+),/mg) {
        $rows{$1} = { severity => $2, subject => $3, unit => $4, comparison => $5, threshold => $6, for => $7 };
    }
    return \%rows;
}

# A key's default as a number: seconds of a time, else as written.
sub key_default {
    my ($key) = @_;
    my ($kind, $value) = slurp(top() . '/src/conf/keys.def') =~ /^(KEY_\w+)\(\Q$key\E, "([^"]*)"/m or return undef;
    return $value unless $kind eq 'KEY_TIME';
    my ($n, $unit) = $value =~ /^([\d.]+)(ms|us|s|m|min|h|d)?$/ or return undef;
    return $n * { us => 1e-6, ms => 1e-3, s => 1, m => 60, min => 60, h => 3600, d => 86400 }->{ $unit // 's' };
}

1;
