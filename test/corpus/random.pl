#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Random benign statements over the sample schema, through the proxy in rewrite mode and straight to the oracle: the
# answers must be the same, or a refusal. Environment: BH_SEED (1), BH_COUNT (400 statements), BH_SECONDS (120 at most),
# BH_VERBOSE shows refused statements.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;
use Bulkhead::CorpusRun;

need_ours();
my $seed = $ENV{BH_SEED} // 1;
my $count = $ENV{BH_COUNT} // 400;
my $until = time + ($ENV{BH_SECONDS} // 120);

# ---- random numbers of our own: the same statements on every Perl ----

my $state = ($seed * 2654435761 + 12345) & 0xFFFFFFFF;

sub rnd {
    my ($n) = @_;
    for ([13, 0], [17, 1], [5, 0]) {
        $state ^= $_->[1] ? $state >> $_->[0] : ($state << $_->[0]) & 0xFFFFFFFF;
    }
    return $state % $n;
}
sub one_of { return $_[rnd(scalar @_)] }
sub chance { return rnd(100) < $_[0] }

# ---- the schema: i number, t text, b boolean; "own" is the tenant column with its claim ----

my %table = (
    'public.documents' => { own => ['tenant_id', 'tenant_id'], key => 'id',
        col => { id => 'i', doc_type => 't', title => 't', version => 'i', amount => 'i', source_uri => 't', tenant_id => 't' } },
    'chunks' => { own => ['tenant_id', 'tenant_id'], key => 'id',
        col => { id => 'i', document_id => 'i', seq => 'i', body => 't', token_count => 'i', tenant_id => 't' } },
    'chunk_vectors' => { own => ['tenant_id', 'tenant_id'], col => { chunk_id => 'i', model => 't', dims => 'i', note => 't' } },
    'memory_facts' => { own => ['tenant_id', 'tenant_id'],
        col => { subject => 't', predicate => 't', object => 't', confidence => 'i', source_doc => 'i', tenant_id => 't' } },
    'memory_events' => { own => ['tenant_id', 'tenant_id'], col => { id => 'i', kind => 't', weight => 'i' } },
    'usage_metrics' => { own => ['tenant_id', 'tenant_id'], col => { metric => 't', val => 'i', remark => 't' } },
    'memory.nodes' => { own => ['user_id', 'tenant_id'], key => 'id',
        col => { id => 'i', label => 't', name => 't', score => 'i', user_id => 't' } },
    'memory.relationships' => { own => ['user_id', 'tenant_id'], col => { id => 'i', src => 'i', dst => 'i', rel_type => 't', weight => 'i' } },
    'memory.settings' => { own => ['user_id', 'tenant_id'], col => { name => 't', value => 't' } },
    'tickets' => { own => ['tenant_id', 'tenant_id'], key => 'id',
        col => { id => 'i', subject => 't', severity => 'i', closed => 'b', tenant_id => 't' } },
    'folders' => { own => ['tenant_id', 'tenant_id'], key => 'id',
        col => { id => 'i', parent_id => 'i', name => 't', depth => 'i', tenant_id => 't' } },
    'invoices' => { own => ['tenant_no', 'tenant_no'], col => { tenant_no => 'i', invoice_no => 'i', total => 'i', note => 't' } },
    'public.invoice_lines' => { own => ['tenant_no', 'tenant_no'],
        col => { tenant_no => 'i', invoice_no => 'i', line_no => 'i', descr => 't', amount => 'i' } },
    'announcements' => { own => ['tenant_id', 'tenant_id'], col => { id => 'i', body => 't', prio => 'i' } },
    'shares' => { own => ['owner_tenant', 'tenant_id'], col => { id => 'i', doc_id => 'i', memo => 't', tenant_id => 't' } },
    '"Order Items"' => { own => ['"TenantId"', 'tenant_id'], col => { '"Order No"' => 'i', '"select"' => 'i', '"from"' => 't' } },
    'public."DOCUMENTS"' => { own => ['owner', 'tenant_id'], key => 'id', col => { id => 'i', title => 't', pages => 'i' } },
    'audit_base' => { own => ['tenant_id', 'tenant_id'], col => { id => 'i', actor => 't', detail => 't' } },
    'v_documents' => { view => 1, own => ['tenant_id', 'tenant_id'], col => { id => 'i', title => 't', amount => 'i', doc_type => 't' } },
    'v_doc_chunks' => { view => 1, own => ['tenant_id', 'tenant_id'], col => { document_id => 'i', title => 't', seq => 'i' } },
    'v_tenant_totals' => { view => 1, own => ['tenant_id', 'tenant_id'], col => { doc_type => 't', n => 'i', total => 'i' } },
    'doc_types' => { shared => 1, col => { code => 't', label => 't', rank => 'i' } },
    'public.settings' => { shared => 1, col => { name => 't', value => 't' } },
    'plan_catalog' => { shared => 1, col => { plan => 't', price => 'i' } },
);
our @tables = sort keys %table;
my @texts = ("''", "'memo'", "'%a%'", "'plan'", "'it''s'", '$$d$$', "U&'\\0061'", "E'x\\ny'");

my ($names, @params, $extended);

sub name { return (chance(10) ? '"Q ' . ++$names . '"' : 'q' . ++$names) }

# ---- expressions over a scope: [[name, {column => type}, ambiguous?], ...], the inner levels last ----

sub columns {
    my ($scope, $type) = @_;
    my @c;
    my %n;
    for my $it (@{ $scope->[-1] }) { $n{$_}++ for keys %{ $it->[1] } }
    my @levels = chance(25) ? @$scope : $scope->[-1];
    for my $l (@levels) {
        for my $it (@$l) {
            for my $c (sort keys %{ $it->[1] }) {
                next if $it->[1]{$c} ne $type;
                push @c, $l == $scope->[-1] && $n{$c} == 1 && chance(30) ? $c : "$it->[0].$c";
            }
        }
    }
    return @c;
}

sub number {
    my ($scope, $d) = @_;
    my @c = columns($scope, 'i');
    my $k = $d <= 0 ? rnd(3) : rnd(9);
    return one_of(@c) if @c && $k <= 1;
    if ($k <= 2) {
        my $v = rnd(40);
        return $v if !$extended || chance(60);
        push @params, $v;
        return '$' . @params . '::int';
    }
    return '(' . number($scope, $d - 1) . one_of(' + ', ' - ', ' * ') . rnd(5) . ')' if $k == 3;
    return 'length(' . text($scope, $d - 1) . ')' if $k == 4;
    return 'coalesce(' . number($scope, $d - 1) . ', ' . number($scope, $d - 1) . ')' if $k == 5;
    return 'CASE WHEN ' . truth($scope, $d - 1) . ' THEN ' . number($scope, $d - 1) . ' ELSE ' . number($scope, 0) . ' END' if $k == 6;
    return 'greatest(' . number($scope, $d - 1) . ', ' . number($scope, 0) . ')' if $k == 7;
    my ($from, $items) = from($scope, $d - 1);
    my $in = [@$scope, $items];
    return '(SELECT ' . one_of('count(*)', 'max(' . number($in, 0) . ')', 'sum(' . number($in, 0) . ')::numeric(30,2)') . " FROM $from"
        . (chance(70) ? ' WHERE ' . truth($in, $d - 1) : '') . ')';
}

# Whole rows and system columns of an item: by the table's name in its text they are made where FROM is known.
sub row_text {
    my ($items, $from) = @_;
    my $it = one_of(@$items);
    my $base = $from =~ /(?:^|[ (])(?:ONLY )?(?!q\d)("?[\w. ]+"?)(?: AS)? \Q$it->[0]\E(?![(\d])/ ? $table{$1} : undef;
    return "($it->[0])::text" if chance(40);
    return "row_to_json($it->[0])::text" if chance(40);
    return "$it->[0].tableoid::regclass::text" if $base && !$base->{view} && chance(50);
    return "$it->[0].ctid::text" if $base && !$base->{view};
    return "($it->[0] IS NULL)::text";
}

sub text {
    my ($scope, $d) = @_;
    my @c = columns($scope, 't');
    my $k = $d <= 0 ? rnd(3) : rnd(6);
    return one_of(@c) if @c && $k <= 1;
    return one_of(@texts) . '::text' if $k <= 2;
    return one_of('lower', 'upper', 'md5', 'btrim') . '(' . text($scope, $d - 1) . ')' if $k == 3;
    return '(' . text($scope, $d - 1) . ' || ' . text($scope, 0) . ')' if $k == 4;
    return 'left(' . text($scope, $d - 1) . ', ' . (1 + rnd(12)) . ')';
}

sub truth {
    my ($scope, $d) = @_;
    my $k = $d <= 0 ? rnd(6) : rnd(15);
    my $op = one_of('=', '<>', '<', '>', '<=', '>=');
    return number($scope, $d - 1) . " $op " . number($scope, 0) if $k <= 1;
    return text($scope, $d - 1) . " $op " . text($scope, 0) if $k == 2;
    return text($scope, 0) . one_of(' LIKE ', ' NOT LIKE ', ' ILIKE ') . one_of("'%a%'", "'%CANARY%'", "'p%'") if $k == 3;
    return one_of(columns($scope, 'i'), columns($scope, 't'), '1') . one_of(' IS NULL', ' IS NOT NULL') if $k == 4;
    return number($scope, 0) . ' BETWEEN ' . number($scope, 0) . ' AND ' . number($scope, 0) if $k == 5;
    return '(' . truth($scope, $d - 1) . one_of(' AND ', ' OR ') . truth($scope, $d - 1) . ')' if $k <= 8;
    return 'NOT (' . truth($scope, $d - 1) . ')' if $k == 9;
    return number($scope, 0) . ' = ANY (ARRAY[' . number($scope, 0) . ', ' . number($scope, 0) . '])' if $k == 10;
    return '(' . number($scope, 0) . ', ' . text($scope, 0) . ") $op (" . number($scope, 0) . ', ' . text($scope, 0) . ')' if $k == 11;
    my ($from, $items) = from($scope, $d - 1);
    my $in = [@$scope, $items];
    my $where = chance(80) ? ' WHERE ' . truth($in, $d - 1) : '';
    return (chance(40) ? 'NOT ' : '') . "EXISTS (SELECT 1 FROM $from$where)" if $k <= 12;
    return number($scope, 0) . one_of(' IN ', ' NOT IN ', " $op ALL ", " $op ANY ") . '(SELECT ' . number($in, 0) . " FROM $from$where)" if $k == 13;
    return text($scope, 0) . ' IN (SELECT ' . text($in, 0) . " FROM $from$where)";
}

# ---- FROM ----

my @ctes; # [name, {columns}] that may be used now

sub item {
    my ($scope, $d) = @_;
    my $k = rnd(12);
    if ($k == 0 && @ctes) {
        my $c = one_of(@ctes);
        my $n = name();
        return ("$c->[0] AS $n", [[$n, $c->[1]]]);
    }
    if ($k <= 2 && $d > 0) {
        my $n = name();
        my ($q, $cols) = query($scope, $d - 1);
        return ("($q) AS $n", [[$n, $cols]]);
    }
    if ($k == 3) {
        my $n = name();
        return ('generate_series(1, ' . (1 + rnd(5)) . ") AS $n(g)", [[$n, { g => 'i' }]]);
    }
    if ($k == 4 && chance(50)) {
        my $n = name();
        return ("(VALUES (1, 'memo'), (2, 'x''y')) AS $n(a, b)", [[$n, { a => 'i', b => 't' }]]);
    }
    my %ordered = (tickets => [qw(i t t i b)], folders => [qw(i t i t i)], announcements => [qw(i t t i)], doc_types => [qw(t t i)]);
    if ($k == 5 && chance(50)) {
        my ($t, $n) = (one_of(grep { my $o = $_; grep { $_ eq $o } @tables } sort keys %ordered), name());
        my @ty = @{ $ordered{$t} };
        return ("$t AS $n(" . join(', ', map { "a$_" } 0 .. $#ty) . ')', [[$n, { map { ("a$_" => $ty[$_]) } 0 .. $#ty }]]);
    }
    my $t = one_of(@tables);
    my $n = name();
    return ("$t AS $n TABLESAMPLE BERNOULLI (100)", [[$n, $table{$t}{col}]]) if !$table{$t}{view} && chance(3);
    my $only = $t =~ /audit_base|memory_events/ ? '' : chance(5) ? 'ONLY ' : '';
    if (!$table{$t}{view} && chance(8)) { # column aliases: by position, so the whole list through a sub-select
        my @c = sort keys %{ $table{$t}{col} };
        my @a = map { "c$_" } 0 .. $#c;
        return ("(SELECT " . join(', ', @c) . " FROM $only$t) AS $n(" . join(', ', @a) . ')', [[$n, { map { ($a[$_] => $table{$t}{col}{ $c[$_] }) } 0 .. $#c }]]);
    }
    return ("$only$t" . one_of(' AS ', ' ') . $n, [[$n, $table{$t}{col}]]);
}

sub joined {
    my ($scope, $d) = @_;
    my ($l, $li) = $d > 0 && chance(45) ? joined($scope, $d - 1) : item($scope, $d);
    my ($r, $ri) = chance(75) ? item($scope, $d) : joined($scope, $d - 1);
    my $paren = $r =~ /\bJOIN\b/ && $r !~ /^\(SELECT/;
    $r = "($r)" if $paren;
    my $type = one_of('JOIN', 'JOIN', 'INNER JOIN', 'LEFT JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'FULL JOIN', 'CROSS JOIN');
    my $both = [@$li, @$ri];
    return ("$l CROSS JOIN $r", $both) if $type eq 'CROSS JOIN';
    my %lc;
    for my $it (@$li) { $lc{$_}++ for keys %{ $it->[1] } }
    my %rc;
    for my $it (@$ri) { $rc{$_}++ for keys %{ $it->[1] } }
    if (chance(8)) { # an alias hides what is below
        my $n = name();
        my %all = map { my $it = $_; map { ($_ => $it->[1]{$_}) } keys %{ $it->[1] } } @$both;
        delete $all{$_} for grep { ($lc{$_} // 0) + ($rc{$_} // 0) > 1 } keys %all;
        my ($x) = grep { defined } map { my $i = $_; map { "$i->[0].$_" } grep { $i->[1]{$_} eq 'i' } sort keys %{ $i->[1] } } @$li;
        my ($y) = grep { defined } map { my $i = $_; map { "$i->[0].$_" } grep { $i->[1]{$_} eq 'i' } sort keys %{ $i->[1] } } @$ri;
        return ("($l $type $r ON $x = $y) AS $n", [[$n, \%all]]) if $x && $y;
    }
    if (chance(8) && $type ne 'FULL JOIN') {
        my ($t1, $t2, $n1, $n2) = (one_of('tickets', 'folders', 'shares'), one_of('announcements', 'documents'), name(), name());
        if (!grep { $_->[0] eq $t1 || $_->[0] eq $t2 } @ctes) {
            return ("$l $type ($t1 $n1 NATURAL " . one_of('', 'LEFT ', 'RIGHT ', 'FULL ') . "JOIN (SELECT id, tenant_id FROM $t2) $n2) ON true",
                [@$li, [$n1, { id => 'i' }], [$n2, { id => 'i' }]]);
        }
    }
    my @common = grep { $lc{$_} == 1 && ($rc{$_} // 0) == 1 && type_of($li, $_) eq type_of($ri, $_) } sort keys %lc;
    if (@common && chance(30)) {
        my $u = one_of(@common);
        return ("$l $type $r USING ($u)", $both); # qualified names stay possible on both sides
    }
    my @in = ([map { [@$_] } @$both]);
    my $full = $type eq 'FULL JOIN';
    my $a = one_of(columns([$li], 'i'), '1');
    my $b = one_of(columns([$ri], 'i'), '1');
    ($a, $b) = map { my ($it, $ty) = ($_, 'i'); my @c = map { my $i = $_; map { "$i->[0].$_" } grep { $i->[1]{$_} eq 'i' } sort keys %{ $i->[1] } } @$it; @c ? one_of(@c) : undef } $li, $ri;
    my $eq = defined $a && defined $b ? "$a = $b" : undef;
    return ("$l CROSS JOIN $r", $both) if $full && !$eq;
    my $on = $full ? $eq : $eq && chance(70) ? $eq . (chance(40) ? ' AND ' . truth([@$scope, $both], 1) : '') : truth([@$scope, $both], 1);
    return ("$l $type $r ON $on", $both);
}

sub type_of {
    my ($items, $c) = @_;
    for (@$items) { return $_->[1]{$c} if $_->[1]{$c} }
    return '';
}

sub from {
    my ($scope, $d) = @_;
    my ($f, $items) = chance(50) && $d > 0 ? joined($scope, $d) : item($scope, $d);
    if (chance(15)) {
        my ($g, $more) = item($scope, 0);
        ($f, $items) = ("$f, $g", [@$items, @$more]);
    }
    if ($d > 0 && chance(12)) {
        my $n = name();
        my ($q, $cols) = query([@$scope, $items], $d - 1);
        ($f, $items) = ("$f" . one_of(', LATERAL ', ' CROSS JOIN LATERAL ', ' LEFT JOIN LATERAL ') . "($q) AS $n", [@$items, [$n, $cols]]);
        $f .= ' ON true' if $f =~ /LEFT JOIN LATERAL \(\Q$q\E\) AS \Q$n\E\z/;
    }
    return ($f, $items);
}

# ---- queries: (text, {column => type}) ----

sub leaf {
    my ($scope, $d, $types) = @_;
    my ($from, $items) = from($scope, $d);
    my $in = [@$scope, $items];
    $types //= [map { one_of('i', 't') } 0 .. rnd(3)];
    my @t = @$types;
    my $where = chance(65) ? ' WHERE ' . truth($in, $d) : '';
    my (@out, $tail);
    if (chance(20)) { # aggregates
        my $some = chance(70);
        my @c = (columns([$items], 't'), columns([$items], 'i')); # none: a join that hides all of them
        my @by = $some && @c ? one_of(@c) : ();
        my $ty = @by && (grep { $_ eq $by[0] } columns([$items], 't')) ? 't' : 'i';
        @out = map { $_ eq 'i' ? one_of('count(*)', 'sum(' . number([$items], 0) . ')::numeric(30,2)', 'max(' . number([$items], 0) . ')',
                'count(*) FILTER (WHERE ' . truth([$items], 0) . ')') : 'string_agg(DISTINCT ' . text([$items], 0) . ", ',')" } @t;
        $tail = @by ? ' GROUP BY ' . (chance(25) ? "ROLLUP ($by[0])" : $by[0]) : '';
        $tail .= ' HAVING count(*) > ' . rnd(3) if $tail && chance(30);
    } else {
        @out = map { $_ eq 'i' ? number($in, $d) : chance(6) ? row_text($items, $from) : text($in, $d) } @t;
        $out[0] = 'rank() OVER (PARTITION BY ' . text([$items], 0) . ' ORDER BY ' . number([$items], 0) . ')' if $t[0] eq 'i' && chance(8);
    }
    my @n = map { "x$_" } 0 .. $#t;
    my $distinct = !defined $tail && chance(12) ? 'DISTINCT ' : '';
    my $list = join ', ', map { "$out[$_] AS $n[$_]" } 0 .. $#t;
    my $q = "SELECT $distinct$list FROM $from$where" . ($tail // '');
    return ($q, { map { ($n[$_] => $t[$_]) } 0 .. $#t }, \@t);
}

sub query {
    my ($scope, $d) = @_;
    my ($q, $cols, $types) = leaf($scope, $d);
    if (chance(15)) {
        my ($r) = leaf($scope, $d - 1, $types);
        $q = ($q =~ /\bx$/ ? "($q)" : $q) . one_of(' UNION ', ' UNION ALL ', ' EXCEPT ', ' INTERSECT ') . (chance(50) ? $r : "($r)");
    }
    if (chance(20)) {
        $q .= ' ORDER BY ' . join(', ', 1 .. @$types) . (chance(60) ? ' LIMIT ' . (1 + rnd(8)) : '') . (chance(20) ? ' OFFSET ' . rnd(3) : '');
    }
    return ($q, $cols);
}

sub select_statement {
    my @with;
    @ctes = ();
    for (1 .. (chance(25) ? 1 + rnd(2) : 0)) {
        my ($q, $cols) = query([], 1);
        # now and then a CTE takes the name of a table
        my $n = chance(20) ? one_of('documents', 'chunks', 'tickets') : name();
        next if grep { $_->[0] eq $n } @ctes;
        push @with, "$n AS " . (chance(20) ? 'MATERIALIZED ' : '') . "($q)";
        push @ctes, [$n, $cols];
    }
    # tables of those names are hidden now
    my %hidden = map { $_->[0] => 1 } @ctes;
    local @tables = grep { !$hidden{$_} } @tables;
    if (!@with && chance(12)) {
        my $t = one_of(grep { $table{$_}{key} } @tables);
        my $n = name();
        my $scope = [[[$n, $table{$t}{col}]]];
        my $where = chance(70) ? ' WHERE ' . truth($scope, 1) : '';
        my @c = map { "$n.$_" } sort keys %{ $table{$t}{col} };
        my $k = rnd(7);
        return "SELECT * FROM $t $n$where FOR " . one_of('UPDATE', 'SHARE', 'NO KEY UPDATE') . (chance(50) ? " OF $n" : '') if $k == 0;
        return "SELECT " . join(', ', @c) . ", count(*) FROM $t $n LEFT JOIN chunks c ON c.document_id = $n.id$where GROUP BY $n.id" if $k == 1;
        return "TABLE $t" if $k == 2;
        return "SELECT DISTINCT ON (1) " . join(', ', @c) . " FROM $t $n$where ORDER BY 1, " . join(', ', map { $_ + 1 } 1 .. $#c) if $k == 3;
        return "WITH RECURSIVE r(id, name, n) AS (SELECT id, name, 1 FROM folders WHERE parent_id IS NULL UNION ALL SELECT f.id, f.name, r.n + 1 FROM folders f JOIN r ON f.parent_id = r.id WHERE r.n < 9) SELECT r.*, $n.id FROM r LEFT JOIN $t $n ON $n.id = r.id$where" if $k == 4;
        return "COPY (SELECT " . join(', ', @c) . " FROM $t $n$where ORDER BY 1) TO STDOUT" if $k == 5 && !$extended;
        return "DECLARE cur CURSOR FOR SELECT " . join(', ', @c) . " FROM $t $n$where ORDER BY 1; FETCH 3 FROM cur; CLOSE cur" if !$extended;
    }
    my ($q) = query([], 2);
    return (@with ? 'WITH ' . join(', ', @with) . ' ' : '') . $q;
}

# ---- changes ----

sub literal {
    my ($me, $claim) = @_;
    return $claim eq 'tenant_no' ? $me->{$claim} : Bulkhead::Corpus::_lit($me->{$claim});
}

sub change_statement {
    my ($me) = @_;
    @ctes = ();
    my @can = grep { !$table{$_}{view} && !$table{$_}{shared} } @tables;
    my $t = one_of(@can);
    my $col = $table{$t}{col};
    my $n = name();
    my ($own, $claim) = @{ $table{$t}{own} };
    my @set = grep { $col->{$_} ne 'b' && $_ !~ /tenant|_id$|^id$|no$|^src|^dst|user_id|source_doc|^chunk|"Order No"/i } sort keys %$col;
    my $scope = [[[$n, $col]]];
    my $ret = chance(60) ? ' RETURNING ' . join ', ', map { "$n.$_" } sort keys %$col : '';
    if (chance(10)) {
        my ($from, $items) = item([], 1);
        my $s = $items->[0][0];
        my $in = [[['t', $table{folders}{col}], @$items]];
        return "MERGE INTO folders AS t USING $from ON t.id = " . number([[@$items]], 0) . one_of('', ' AND t.depth >= 0')
            . ' WHEN MATCHED' . (chance(50) ? ' AND ' . truth($in, 0) : '') . ' THEN ' . one_of('UPDATE SET depth = t.depth + 1', 'DELETE', 'DO NOTHING')
            . (chance(60) ? ' WHEN NOT MATCHED AND ' . truth([[@$items]], 0) . ' THEN INSERT (id, tenant_id, name) VALUES ('
            . '890000, ' . literal($me, 'tenant_id') . ", 'm')" : '');
    }
    my $k = rnd(10);
    if ($k <= 3 && @set) {
        my $c = one_of(@set);
        my ($from, $items) = chance(40) ? item([], 0) : ();
        my $in = $from ? [[[$n, $col], @$items]] : $scope;
        $ret = '' if $from && $ret;
        my $v = $col->{$c} eq 'i' ? number($scope, 0) : 'left(' . text($scope, 1) . ', 60)';
        my $s = chance(15) ? "($c) = ROW($v)" : "$c = $v";
        $s .= ", $own = " . literal($me, $claim) if chance(15);
        return "UPDATE $t AS $n SET $s" . ($from ? " FROM $from" : '') . (chance(85) ? ' WHERE ' . truth($in, 1) : '') . $ret;
    }
    if ($k <= 5) {
        my ($from, $items) = chance(35) ? item([], 0) : ();
        my $in = $from ? [[[$n, $col], @$items]] : $scope;
        $ret = '' if $from;
        return "DELETE FROM $t AS $n" . ($from ? " USING $from" : '') . (chance(85) ? ' WHERE ' . truth($in, 1) : '') . $ret;
    }
    my $lit = literal($me, $claim);
    my $id = 800000 + rnd(1000);
    if ($k == 6) {
        my ($from, $items) = from([], 1);
        return "INSERT INTO folders (id, tenant_id, name) SELECT $id + row_number() OVER (), " . literal($me, 'tenant_id') . ', s.x FROM (SELECT DISTINCT '
            . text([$items], 1) . " AS x FROM $from) AS s RETURNING tenant_id, name, depth";
    }
    if ($k == 7) {
        return "INSERT INTO invoices AS i (tenant_no, invoice_no, issued, total, note) SELECT tenant_no, invoice_no + " . rnd(2) * 500
            . ", issued, total, note FROM invoices" . (chance(50) ? ' WHERE ' . truth([[['invoices', $table{invoices}{col}]]], 1) : '')
            . one_of('', ' ON CONFLICT DO NOTHING', ' ON CONFLICT (tenant_no, invoice_no) DO UPDATE SET total = i.total + excluded.total'
            . (chance(50) ? ' WHERE i.total > ' . rnd(100) : '')) . ' RETURNING i.*';
    }
    if ($k == 8) {
        my $v = "($id, " . literal($me, 'tenant_id') . ', ' . text([[]], 1) . ', ' . rnd(9) . ')';
        return "INSERT INTO folders (id, tenant_id, name, depth) VALUES $v" . (chance(40) ? $v =~ s/^\((\d+)/', (' . ($1 + 1)/er : '')
            . ' RETURNING *';
    }
    my ($q) = query([], 1);
    return "WITH gone AS (DELETE FROM announcements WHERE prio > " . rnd(5) . " RETURNING id, body, prio) SELECT count(*), max(body), ($q LIMIT 0) IS NULL FROM gone"
        if chance(30) && $q !~ /LIMIT|ORDER|OFFSET| x1\b/;
    return "WITH gone AS (UPDATE tickets SET severity = severity + 1 WHERE severity > " . rnd(5) . " RETURNING id, subject, severity) SELECT g.subject, g.severity, t.closed FROM gone g "
        . one_of('JOIN', 'LEFT JOIN') . ' tickets t ON t.id = g.id' . (chance(50) ? ' WHERE ' . truth([[['g', { id => 'i', subject => 't' }], ['t', $table{tickets}{col}]]], 1) : '');
}

# ---- asking both ----

my $run = Bulkhead::CorpusRun::main(mode => 'rewrite', target => 'proxy', dir => $FindBin::Bin, sets => []);
my $corpus = $run->{corpus};
my @order = @{ $corpus->{order} };
my (%proxy, %oracle);

sub connect_both {
    my ($key) = @_;
    $proxy{$key} //= $run->{proxy}->connect('plain', $key, timeout => 30);
    $oracle{$key} //= $run->{pg}->connect('oracle', user => "${key}_rls", password => "pw_${key}_rls", timeout => 30);
    return ($proxy{$key}, $oracle{$key});
}

sub ask {
    my ($c, $sql) = @_;
    return $extended ? $c->ext($sql, [@params]) : $c->query($sql);
}

sub shape {
    my ($r) = @_;
    return "error $r->{error}{C}" if $r->{error};
    return join "\n--\n", map {
        my $res = $_;
        join "\n", join(',', map { "$_->{name}:$_->{type}" } @{ $res->{cols} // [] }),
            @{ $res->{copy} // [] }, (sort map { join '|', map { $_ // 'NULL' } @$_ } @{ $res->{rows} // [] }), $res->{tag} // ''
    } @{ $r->{results} };
}

my (%reason, %kind, %state_count);
my ($done, $same, $refused, $failed, $with_rows) = (0) x 5;

sub report {
    my ($what, $key, $sql, $p, $o) = @_;
    $failed++;
    diag("$what, tenant $key, seed $seed, number $done:\n$sql\n" . join(',', @params) . "\nproxy:  " . substr(shape($p), 0, 600) . ' '
        . ($p->{error} ? $p->{error}{M} : '') . "\noracle: " . substr(shape($o), 0, 600)) if $failed <= 10;
    return;
}

for my $n (1 .. $count) {
    last if time > $until || $failed > 50;
    my $key = $order[$n % @order];
    my $me = $corpus->{tenant}{$key};
    ($names, @params) = (0);
    $extended = chance(35);
    my $change = chance(25);
    my $sql = $change ? change_statement($me) : select_statement();
    my @all = @params;
    @params = ();
    $sql =~ s/\$(\d+)::int/push @params, $all[$1 - 1]; '$' . @params . '::int'/ge;
    my ($p, $o) = connect_both($key);
    my @both;
    for my $c ($p, $o) {
        $c->query("BEGIN; SET LOCAL statement_timeout = '4s'");
        my $r = ask($c, $sql);
        $c->query('ROLLBACK');
        push @both, $r;
    }
    my ($pr, $or) = @both;
    $done++;
    my $bytes = join "\n", map { $_->[1] } @{ $pr->{msgs} };
    for my $other (grep { $_ ne $key } @order) {
        report("leak: row of $other", $key, $sql, $pr, $or) if index($bytes, "CANARY_${other}_") >= 0 && index($sql, "CANARY_${other}_") < 0;
    }
    if ($pr->{error} && ($pr->{error}{M} // '') =~ /^tenant isolation: .*\((\w+)\)$/) {
        $refused++;
        $reason{$1}++;
        diag("refused $1: " . ($pr->{error}{D} // '') . "\n$sql") if $ENV{BH_VERBOSE};
        next;
    }
    next if grep { $_->{error} && $_->{error}{C} eq '57014' } $pr, $or; # too slow
    $state_count{ $or->{error}{C} }++ if $or->{error};
    $kind{"$1" . ($extended ? ' extended' : '')}++ if $sql =~ /^(\w+)/;
    $with_rows++ if grep { @{ $_->{rows} // [] } } @{ $or->{results} };
    print "$sql\n" if $ENV{BH_SHOW};
    if (shape($pr) eq shape($or)) { $same++ } else { report('wrong answer', $key, $sql, $pr, $or) }
}

is($failed, 0, "random statements answer as the oracle does (seed $seed)");
cmp_ok($same, '>', $done * 0.6, "most are answered: $same of $done, $refused refused");
diag("seed $seed: $done statements, $same the same, $failed wrong, $refused refused"
    . join('', map { ", $_ $reason{$_}" } sort keys %reason) . "; $with_rows with rows" . join('', map { ", $_ $kind{$_}" } sort keys %kind) . '; errors of the oracle:' . join('', map { " $_ $state_count{$_}" } sort keys %state_count));
$_->close for values %proxy, values %oracle;
finish();
