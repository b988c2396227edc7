#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# contrib/prometheus: promtool accepts the rules and their tests; those tests notice thresholds that moved; every alert has its
# texts, its heading in the runbook, and the threshold, severity and duration of the program's own alert.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;
use Bulkhead::Rules qw(top rule_files rules metrics_in rule_of_def key_default);

my $top = top();
my @files = map { "$top/$_" } rule_files();
sub promtool { return run_cmd(argv => ['/usr/bin/promtool', @_], timeout => 900) }

my ($st, $out, $err) = promtool(qw(check rules --lint=all --lint-fatal), @files, "$top/contrib/prometheus/pgbouncer-names.yml");
is($st, 0, 'promtool check rules') or diag("$out$err");
my @tests = sort glob "$top/contrib/prometheus/tests/*_test.yml";
cmp_ok(scalar @tests, '>=', 2, 'there are tests of rules');
($st, $out, $err) = promtool(qw(test rules), @tests);
is($st, 0, 'promtool test rules') or diag("$out$err");

# ---- the texts ----
my %alerts = map { $_->{alert} => $_ } grep { $_->{alert} } map { rules($_) } rule_files();
my @records = grep { $_->{record} } map { rules($_) } rule_files();
cmp_ok(scalar keys %alerts, '>=', 30, 'alerts are read: ' . keys %alerts);
my @bare = map { my $n = $_; map { "$n: $_" } grep { !length($alerts{$n}{$_} // '') } qw(expr for severity summary description runbook_url) } sort keys %alerts;
is("@bare", '', 'each has expr, for, severity, summary, description and runbook_url');
is(join(' ', grep { $alerts{$_}{severity} !~ /^(?:warning|high|critical)$/ } sort keys %alerts), '', 'severities are warning, high, critical');
is(join(' ', grep { $_->{record} !~ /^[a-z_]+:[a-z0-9_]+:[a-z0-9_]+$/ } @records), '', 'recorded names are level:metric:operation');
is(join(' ', grep { !/^(?:Pgbulkhead|DbHost)[A-Z]\w+$/ } sort keys %alerts), '', 'names begin with Pgbulkhead, or DbHost');

# ---- the runbook ----
my %heading;
my $runbook = slurp("$top/doc/runbook.md");
my @sections = split /^## /m, $runbook;
shift @sections;
for (@sections) {
    my ($name, $body) = /\A([^\n]*)\n(.*)\z/s;
    $heading{$name} = $body;
}
my %short = map { $_ =~ s/^Pgbulkhead//r => $_ } keys %alerts;
is(join(' ', grep { !$heading{$_} } sort keys %short), '', 'every alert has a heading in doc/runbook.md');
is(join(' ', grep { !$short{$_} } sort keys %heading), '', 'and every heading an alert');
is(join(' ', map { my $h = $_; map { "$h: $_" } grep { $heading{$h} !~ /^\*\*\Q$_\E\.\*\* \S/m } qw(Meaning Impact Diagnosis Mitigation) } sort keys %heading), '',
    'with meaning, impact, diagnosis and mitigation');
is(join(' ', grep { $alerts{ $short{$_} }{runbook_url} ne "{{ or \$externalLabels.pgbulkhead_docs \"doc\" }}/runbook.md#" . lc } sort keys %short), '',
    'runbook_url leads to it');
is(join(' ', grep { my $a = $_; !grep { lc eq $a } keys %heading } $runbook =~ /\]\(#([^)]*)\)/g), '', 'links within the runbook lead somewhere');

# ---- the program's own alerts ----
my %only_here = (
    Down => 'nobody can say it of himself',
    ClientLimit => 'a limit of ours that is in sight in SHOW LISTS', ServerLoginFailures => 'the log says it', AuditLinesLost => 'the log says it',
    FileDescriptors => 'needs the limit of the process', EventLoopLag => 'needs a quantile over five minutes', ConfigDrift => 'takes several proxies',
    SeriesDropped => 'is about Prometheus',
    map { ($_ => 'of another machine') } grep { /^DbHost/ } keys %short,
);
sub seconds { my ($n, $u) = $_[0] =~ /^(\d+)([smhd])$/; return $n * { s => 1, m => 60, h => 3600, d => 86400 }->{$u} }
my $own = rule_of_def();
if (ok($own, 'src/watch/alerts.def is read')) {
    is(join(' ', grep { !$own->{$_} && !$only_here{$_} } sort keys %short), '', 'Prometheus has no alert that the program lacks without a reason');
    is(join(' ', grep { !$short{$_} || $only_here{$_} } sort keys %$own), '', 'and the program none that Prometheus lacks');
    for my $n (sort grep { $short{$_} } keys %$own) {
        my ($o, $r) = ($own->{$n}, $alerts{ $short{$n} });
        is($r->{severity}, $o->{severity}, "$n: severity");
        is(seconds($r->{for}), $o->{for} eq 'none' ? 0 : key_default($o->{for}), "$n: for");
        my ($cmp, $x, $days) = $r->{expr} =~ /(==|>=|<=|>|<) ([\d.]+)( \* 86400)?(?:\n|$)/;
        my $limit = key_default($o->{threshold});
        $limit /= 100 if $o->{unit} eq 'percent';
        if ($o->{unit} eq 'flag') { is($x . '/' . $limit, ($cmp eq '==' ? 0 : 1) . '/1', "$n: a flag") }
        else { is($cmp . ' ' . $x * ($days ? 86400 : 1), { above => '>', reached => '>=', below => '<' }->{ $o->{comparison} } . " $limit", "$n: threshold") }
    }
    is(join(' ', grep { !/\[5m\]/ } map { $alerts{ $short{$_} }{expr} } qw(SlowQueries TenantDenials TenantUnbound)), '', 'alert_window is the same');
    is(key_default('alert_window'), 300, 'five minutes');
}

# ---- values of a probe are never used without the guard ----
my @unguarded;
for my $r (grep { $_->{expr} =~ /(?<![\w:])pgbulkhead_backend_(?!probe_)/ } @records, values %alerts) {
    push @unguarded, $r->{alert} // $r->{record} unless $r->{expr} =~ /and on \(job, instance, backend\) time\(\) - pgbulkhead_backend_probe_timestamp_seconds <= 120(?:\n|\z)/;
}
is("@unguarded", '', 'whatever reads what a probe has learnt asks how old it is');
my %recorded = map { $_->{record} => 1 } @records;
is(join(' ', grep { /:/ && !$recorded{$_} } map { metrics_in($_->{expr}) } values %alerts), '', 'alerts use recorded series that are recorded');
is(join(' ', grep { /^pgbulkhead_/ } map { metrics_in($_->{expr}) } grep { $_->{alert} =~ /^DbHost/ } values %alerts), '', 'the file for the database host reads no metric of ours');

# ---- promtool's tests notice when a threshold moves, up or down, or a duration grows ----
my $dir = work_dir() . '/moved';
mkdir $dir; mkdir "$dir/tests";
for my $way (['a little up', sub { $_[0] =~ s/(==|>=|>|<) ([\d.]+)( \* 86400)?(?=\n|$)/"$1 " . ($1 eq '==' ? $2 + 5 : $1 eq '>=' ? $2 + 1e6 : $1 eq '<' ? "$2 * 86400 - 2 * 60" : $2 * 2)/er }],
    ['a little down', sub { $_[0] =~ s/(==|>=|>|<) ([\d.]+)( \* 86400)?(?=\n|$)/$1 eq '==' ? ">= 0" : $1 eq '<' ? "$1 $2 * 86400 + 60" : "$1 " . ($1 eq '>=' ? 0 : $2 * 0.8)/er }],
    ['for a minute longer', sub { $_[0] }]) {
    my ($what, $move) = @$way;
    for my $file (rule_files()) {
        my ($text, @alerts) = (slurp("$top/$file"), grep { $_->{alert} } rules($file));
        for my $a (@alerts) {
            my $moved = $move->($a->{expr});
            my ($old, $new) = map { s/\n/\n          /gr } $a->{expr}, $moved;
            $text =~ s/(- alert: $a->{alert}\n        expr: (?:\|\n          )?'?)\Q$old\E/$1$new/ or die "$a->{alert}: expression not found\n";
            my $for = seconds($a->{for}) + 60;
            $text =~ s/(- alert: $a->{alert}\n(?:(?!- alert).*\n)*?        for: )\w+/$1${for}s/ if $what =~ /longer/;
        }
        spew("$dir/" . ($file =~ s{.*/}{}r), $text);
    }
    for my $t (@tests) { spew("$dir/tests/" . ($t =~ s{.*/}{}r), slurp($t)) }
    ($st, $out, $err) = promtool(qw(test rules), glob "$dir/tests/*_test.yml");
    unlike("$out$err", qr/parse error|could not parse/, "rules that moved $what are rules");
    my %failed = map { $_ => 1 } "$out$err" =~ /(?:^ +name: |expr: "count\(ALERTS\{alertname=\\")(\w+)/mg;
    is(join(' ', grep { !$failed{$_} } sort keys %alerts), '', "every alert's test fails when it is moved $what");
}
finish();
