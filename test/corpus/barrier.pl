#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# The predicate is a barrier: no condition of the client's is computed on another tenant's row, wherever it stands and
# whatever plan is chosen. Each condition fails on foreign rows and holds on own ones, so an answer that is not that of a
# database with own rows only is a leak. BH_CASE=regex picks places or conditions.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 900;

need_ours();

# The columns: name, type, value of own rows, value of foreign rows.
my @columns = map { [split /\s*;\s*/] } grep { length } split /\n/, <<'EOT';
v; text; '7'; 'CANARY ' || i
dt; text; '2025-01-01'; 'CANARY ' || i
bt; text; 'true'; 'CANARY'
n; int; 1; 0
s; int; 1; -1
big; bigint; 1; 9223372036854775807
j; jsonb; '{"a": 1, "b": [2]}'; '{"a": "CANARY"}'
b; bytea; '\x61'; '\xff'
p; text; '[0-9]'; 'CANARY(['
l; text; '7%'; 'C%\'
x; text; '<a/>'; '<CANARY'
tz; text; 'UTC'; 'CANARY'
uu; text; 'a1111111-0000-4000-8000-00000000000a'; 'CANARY'
ip; text; '::1'; 'CANARY'
ar; text; '{1}'; '{CANARY'
hx; text; '00'; 'CANARY'
fm; text; '%s'; '%CANARY'
k; int; 5; 5
EOT

my @conditions = (
    't.v::int = 7', 't.v::numeric > 1', 't.v::float8 > 1', 't.v::bigint IN (7, 8)', 't.bt::boolean', 't.dt::date = DATE \'2025-01-01\'', 't.dt::timestamptz IS NOT NULL',
    't.uu::uuid IS NOT NULL', 't.ip::inet IS NOT NULL', 't.ar::int[] = \'{1}\'', 't.v::seven = \'7\'', 't.j::text::json->>\'a\' = \'1\' AND (t.j->>\'a\')::int = 1',
    '(t.j->\'a\')::int = 1', 't.x::xml IS NOT NULL', 'xmlparse(document t.x) IS DOCUMENT', '10 / t.n = 10', '10 % t.n = 0', '1.5 / t.n > 1', 'mod(10, t.n) = 0', 'ln(t.n) = 0',
    'sqrt(t.s) = 1', 't.s ^ 0.5 = 1', 't.big + 1 = 2', 't.big * 2 = 2', 't.big::int = 1', 't.n::"char" IS NULL OR 10 / t.n = 10', 'to_number(t.v, \'9\') = 7',
    'to_date(t.dt, \'YYYY-MM-DD\') IS NOT NULL', 'to_timestamp(t.dt, \'YYYY-MM-DD\') IS NOT NULL', 'make_date(2025, t.n, 1) IS NOT NULL', 'convert_from(t.b, \'UTF8\') = \'a\'',
    'chr(t.n) IS NOT NULL', 'substring(t.v, 1, t.s) = \'7\'', 'substr(t.v, 1, t.s) = \'7\'', 't.v ~ t.p', 't.v !~* (t.p || \'x\')', 'regexp_replace(t.v, t.p, \'\') = \'\'', 't.v LIKE t.l', 't.v ILIKE t.l',
    't.v SIMILAR TO (t.p)', 't.v LIKE ALL (ARRAY[t.l])', 't.v ~ ANY (ARRAY[t.p, t.p])', 'jsonb_path_exists(t.j, \'strict $.b\')', 'jsonb_path_query_first(t.j, \'strict $.b[*]\') = \'2\'',
    'jsonb_array_length(COALESCE(t.j->\'b\', t.j)) = 1', 'decode(t.hx, \'hex\') IS NOT NULL', 'format(t.fm, 1) = \'1\'',
    'TIMESTAMP \'2025-01-01\' AT TIME ZONE t.tz IS NOT NULL', 'width_bucket(1, 0, 10, t.n) = 1', 'EXISTS (SELECT 1 FROM generate_series(1, 2, t.n))',
    'COALESCE(t.v::int, 0) = 7', 'NULLIF(t.v::int, 0) = 7', 'GREATEST(t.v::int, 1) = 7', 't.v::int BETWEEN 1 AND 9', 't.v::int IS NOT DISTINCT FROM 7', 'NOT (t.v::int <> 7)',
    '(t.v::int IS NULL) IS FALSE', 'ROW (t.v::int, 1) = ROW (7, 1)', 'ARRAY[t.v::int] = ARRAY[7]', 't.v::int = ANY (ARRAY[7, 8])', '7 = ANY (ARRAY[t.v::int, 8])', 'CASE WHEN t.v::int > 0 THEN true END',
    '(SELECT t.v::int) = 7', 't.v::int + 0 = (SELECT 7)', 'length(repeat(\'x\', t.v::int)) = 7', 't.v::int::text = \'7\'', 't.id > 0 AND (t.v::int = 7 OR t.k = 9)',
);

# T the table, U a shared one with the same ids, E the condition, P the statement's own predicate in reject mode.
my @places = (
    [where => 'SELECT count(*) FROM T t WHERE P E'], [whereand => 'SELECT count(*) FROM T t WHERE t.k = 5 AND P E AND t.id > 0'], [key => 'SELECT count(*) FROM T t WHERE P t.id = 1 AND E'],
    [indexed => 'SELECT count(*) FROM T t WHERE P t.k = 5 AND E'], [order => 'SELECT t.id FROM T t WHERE P true ORDER BY E, t.id LIMIT 2'],
    [limit => 'SELECT t.id FROM T t WHERE P E ORDER BY t.id LIMIT 3'], [case => 'SELECT count(*) FROM T t WHERE P CASE WHEN t.k = 5 THEN E ELSE false END'],
    [or => 'SELECT count(*) FROM T t WHERE P (E OR t.id < 0)'], [not => 'SELECT count(*) FROM T t WHERE P NOT E'], [istrue => 'SELECT count(*) FROM T t WHERE P E IS TRUE'],
    [on => 'SELECT count(*) FROM T t JOIN U u ON u.id = t.id AND P E'], [onback => 'SELECT count(*) FROM U u JOIN T t ON E AND P u.id = t.id'],
    [cross => 'SELECT count(*) FROM U u, T t WHERE P t.id = u.id AND E AND u.k < 9'], [leftnull => 'SELECT count(*), count(t.id) FROM U u LEFT JOIN T t ON u.id = t.id AND P E'],
    [leftwhere => 'SELECT count(*) FROM U u LEFT JOIN T t ON u.id = t.id AND P true WHERE E'], [leftkept => 'SELECT count(*) FROM T t LEFT JOIN U u ON u.id = t.id AND E WHERE P true'],
    [right => 'SELECT count(*) FROM T t RIGHT JOIN U u ON u.id = t.id AND P E WHERE u.k = 5'], [full => 'SELECT count(*) FROM T t FULL JOIN U u ON u.id = t.id WHERE P E'],
    [chain => 'SELECT count(*) FROM T t JOIN U u ON u.id = t.id JOIN U w ON w.id = u.id AND E WHERE P true'], [self => 'SELECT count(*) FROM T t JOIN T o ON o.tenant_id = t.tenant_id AND o.id = t.id WHERE P E'],
    [natural => 'SELECT count(*) FROM T t NATURAL JOIN U u WHERE P E'], [having => 'SELECT t.id FROM T t WHERE P true GROUP BY t.id HAVING E'],
    [sub => 'SELECT count(*) FROM (SELECT * FROM T t WHERE P true) t WHERE E'], [sublist => 'SELECT count(*) FROM (SELECT E AS ok FROM T t WHERE P true) x WHERE x.ok'],
    [subdistinct => 'SELECT count(*) FROM (SELECT DISTINCT * FROM T t WHERE P true) t WHERE E'], [subon => 'SELECT count(*) FROM (SELECT DISTINCT ON (t.id) * FROM T t WHERE P true ORDER BY t.id) t WHERE E'],
    [subgroup => 'SELECT count(*) FROM (SELECT t.* FROM T t WHERE P true GROUP BY t.id) t WHERE E'], [sublimit => 'SELECT count(*) FROM (SELECT * FROM T t WHERE P true LIMIT 1000000) t WHERE E'],
    [union => 'SELECT count(*) FROM (SELECT * FROM T t WHERE P true UNION ALL SELECT * FROM T t WHERE P true) t WHERE E'], [unionset => 'SELECT count(*) FROM (SELECT * FROM T t WHERE P true UNION SELECT * FROM T t WHERE P true) t WHERE E'],
    [except => 'SELECT count(*) FROM (SELECT * FROM T t WHERE P true EXCEPT SELECT * FROM T t WHERE P t.id < 0) t WHERE E'], [intersect => 'SELECT count(*) FROM (SELECT * FROM T t WHERE P true INTERSECT SELECT * FROM T t WHERE P true) t WHERE E'],
    [window => 'SELECT count(*) FROM (SELECT *, row_number() OVER (PARTITION BY id ORDER BY k) AS rn FROM T t WHERE P true) t WHERE E AND rn <= 1'],
    [windowall => 'SELECT count(*) FROM (SELECT *, row_number() OVER (ORDER BY id) AS rn FROM T t WHERE P true) t WHERE rn < 3 AND E'],
    [cte => 'WITH t AS (SELECT * FROM T t WHERE P true) SELECT count(*) FROM t WHERE E'],
    [exists => 'SELECT count(*) FROM U u WHERE EXISTS (SELECT 1 FROM T t WHERE P t.id = u.id AND E)'], [notexists => 'SELECT count(*) FROM U u WHERE NOT EXISTS (SELECT 1 FROM T t WHERE P t.id = u.id AND E)'],
    [in => 'SELECT count(*) FROM U u WHERE u.id IN (SELECT t.id FROM T t WHERE P E)'], [notin => 'SELECT count(*) FROM U u WHERE u.id NOT IN (SELECT t.id FROM T t WHERE P E)'],
    [scalar => 'SELECT (SELECT count(*) FROM T t WHERE P E)'], [array => 'SELECT cardinality(ARRAY(SELECT t.id FROM T t WHERE P E))'],
    [lateral => 'SELECT count(*) FROM U u, LATERAL (SELECT * FROM T o WHERE Q o.id = u.id) t WHERE E'], [lateralin => 'SELECT count(*) FROM U u CROSS JOIN LATERAL (SELECT 1 FROM T t WHERE P t.id = u.id AND E LIMIT 1) x'],
    [outer => 'SELECT count(*) FROM T t WHERE P EXISTS (SELECT 1 FROM U u WHERE u.id = t.id AND E)'], [select => 'SELECT count(x) FROM (SELECT E AS x FROM T t WHERE P true) q'],
    [filter => 'SELECT count(*) FILTER (WHERE E) FROM T t WHERE P true'], [sum => 'SELECT sum(CASE WHEN E THEN 1 ELSE 0 END) FROM T t WHERE P true'], [distinct => 'SELECT DISTINCT E FROM T t WHERE P true'],
    [group => 'SELECT E AS e, count(*) FROM T t WHERE P true GROUP BY 1'], [view => 'SELECT count(*) FROM V t WHERE P E'], [sample => 'SELECT count(*) FROM T t TABLESAMPLE SYSTEM (100) WHERE P E'],
    [lock => 'SELECT t.id FROM T t WHERE P E ORDER BY t.id LIMIT 1 FOR SHARE'], [partition => 'SELECT count(*) FROM L t WHERE P E'],
    [update => 'UPDATE T t SET k = t.k WHERE P E AND t.id < 40'], [updatefrom => 'UPDATE T t SET k = u.k FROM U u WHERE P u.id = t.id AND E AND t.id < 40'], [updateset => 'UPDATE T t SET k = CASE WHEN E THEN 5 ELSE 6 END WHERE P t.id < 40'],
    [returning => 'UPDATE T t SET k = t.k WHERE P t.id < 40 RETURNING E'], [delete => 'DELETE FROM T t WHERE P E AND t.id < 0'], [using => 'DELETE FROM T t USING U u WHERE P u.id = t.id AND E AND t.id < 0'],
    [merge => 'MERGE INTO T t USING U u ON P u.id = t.id AND E AND u.id < 40 WHEN MATCHED THEN UPDATE SET k = u.k'], [mergewhen => 'MERGE INTO T t USING U u ON P u.id = t.id AND u.id < 40 WHEN MATCHED AND E THEN UPDATE SET k = u.k'],
);

# What is refused, by place and condition, and why: one element of ANY costs as little as the barrier; a pattern out of a
# column may end in a backslash, and the planner tries patterns on all rows' statistics (src/tenant/pattern.c).
my @refusable = (qr/^(?:leftkept|leftnull|leftwhere|right|full|outer): .* ALL /, qr/: t\.v (?:I?LIKE t\.l|LIKE ALL \(ARRAY\[t\.l\]\))$/);

sub schema {
    my ($own_only) = @_;
    my $sql = "CREATE EXTENSION IF NOT EXISTS plpgsql;\nCREATE DOMAIN seven AS text CHECK (VALUE = '7');\nSET ROLE app;\n";
    my $list = join ', ', map { "$_->[0] $_->[1]" } @columns;
    for my $t ([small => 12, 3], [large => 3000, 10]) {
        my ($name, $rows, $tenants) = @$t;
        for my $n ($name, "listed_$name") {
            my $key = $n eq $name ? 'id int PRIMARY KEY' : 'id int';
            $sql .= "CREATE TABLE $n ($key, tenant_id text NOT NULL, $list)" . ($n eq $name ? ";\n" : " PARTITION BY LIST (tenant_id);\n");
            if ($n ne $name) { $sql .= "CREATE TABLE ${n}_a PARTITION OF $n FOR VALUES IN ('acme', 't3');\nCREATE TABLE ${n}_r PARTITION OF $n DEFAULT;\n" }
            my $pick = join ', ', map { "CASE WHEN i % $tenants = 1 THEN ($_->[2])::$_->[1] ELSE ($_->[3])::$_->[1] END" } @columns;
            $sql .= "INSERT INTO $n SELECT i, CASE WHEN i % $tenants = 1 THEN 'acme' ELSE 't' || i % $tenants END, $pick FROM generate_series(1, $rows) i"
                . ($own_only ? " WHERE i % $tenants = 1" : '') . ";\n";
            $sql .= "CREATE INDEX ON $n (tenant_id, id);\nCREATE INDEX ON $n (k);\nCREATE INDEX ON $n (v);\n";
        }
        $sql .= "CREATE VIEW view_$name AS SELECT * FROM $name;\n";
        $sql .= "CREATE TABLE all_$name (id int PRIMARY KEY, k int);\nINSERT INTO all_$name SELECT i, 5 FROM generate_series(1, $rows) i;\n";
    }
    return $sql;
}

my $pg = pg();
$pg->sql('CREATE ROLE app LOGIN');
for my $db (qw(mixed own)) {
    $pg->sql("CREATE DATABASE $db");
    $pg->sql('GRANT ALL ON SCHEMA public TO app', $db);
    $pg->sql(schema($db eq 'own'), $db);
}
my $p = proxy(pg => $pg, databases => { rewrite => 'dbname=mixed user=app tenant_mode=rewrite', reject => 'dbname=mixed user=app tenant_mode=reject' },
    users => { acme => 'tenant=acme' }, auth => { acme => '' }, rules => [map { ("public.view_$_ = tenant_id", "public.all_$_ = shared") } qw(small large)],
    set => { tenant_columns => 'tenant_id', worker_threads => 1, pool_mode => 'transaction' });

my $pick = $ENV{BH_CASE} ? qr/$ENV{BH_CASE}/ : qr/./;
my (%want, %refused, $asked);
my $own = $pg->connect('own', timeout => 120);

# The conditions do what is said of them.
my $mixed = $pg->connect('mixed', timeout => 120);
my @tame = grep { my $n = statement($places[0], $_, 'small', ''); !$mixed->query($n)->{error} || shown($own->query($n)) ne 'SELECT 1 4' } @conditions;
ok(!@tame, 'each condition fails on foreign rows and holds on own ones') or diag(join "\n", @tame);
$mixed->close;

sub statement {
    my ($place, $condition, $size, $mode) = @_;
    my $s = $place->[1];
    $s =~ s/\bE\b/($condition)/g;
    $s =~ s/\bT\b/$size/g;
    $s =~ s/\bU\b/all_$size/g;
    $s =~ s/\bV\b/view_$size/g;
    $s =~ s/\bL\b/listed_$size/g;
    my ($t, $o) = $mode eq 'reject' ? ("t.tenant_id = 'acme' AND", "o.tenant_id = 'acme' AND") : ('', '');
    $s =~ s/\bP\b/$t/g;
    $s =~ s/\bQ\b/$o/g;
    return $s;
}

sub shown {
    my ($r) = @_;
    return "error $r->{error}{C} $r->{error}{M}" if $r->{error};
    return join ' ', map { ($_->{tag}, sort map { join '|', map { $_ // 'NULL' } @$_ } @{ $_->{rows} }) } @{ $r->{results} };
}

# One round: places and conditions under the present settings. third: which third of the conditions, where plans are the
# same for all of them; joins: only places with several relations.
my $joins = qr/\b(?:JOIN|USING|FROM [TU] \w+, |LATERAL|EXISTS|IN \(SELECT)/;
sub round {
    my ($name, $mode, $size, $protocol, %o) = @_;
    my $c = $p->connect($mode, 'acme', timeout => 120);
    for my $place (grep { !$o{joins} || $_->[1] =~ $joins } @places) {
        my @bad;
        for my $k (0 .. $#conditions) {
            my $condition = $conditions[$k];
            next unless "$place->[0] $condition" =~ $pick && (!defined $o{third} || $k % 3 == $o{third});
            my $s = statement($place, $condition, $size, $mode);
            my $r = $protocol eq 'ext' ? $c->ext($s, []) : $c->query($s);
            my $got = shown($r);
            $asked++;
            if (($r->{error} // {})->{M} && $r->{error}{M} =~ /^tenant isolation/) {
                $refused{"$place->[0]: $condition"} = $r->{error}{M};
                next;
            }
            $want{$s} //= shown($own->query($s));
            my $text = $got . join ' ', map { $_->{M} } @{ $r->{notices} // [] };
            push @bad, sprintf "%s\n     got %.200s\n  wanted %.200s", $s, $got, $want{$s} if $got ne $want{$s} || $text =~ /CANARY|error/;
        }
        ok(!@bad, "$name, $mode, $size, $protocol: $place->[0]") or diag(join "\n", splice @bad, 0, 3);
    }
    $c->close;
    return;
}

sub settings {
    my (%s) = @_;
    $pg->sql('ALTER SYSTEM RESET ALL');
    $pg->sql("ALTER SYSTEM SET $_ = '$s{$_}'") for sort keys %s;
    $pg->sql('SELECT pg_reload_conf()');
    $p->console('RECONNECT');
    return;
}

round('not analyzed', 'rewrite', 'small', 'simple');
round('not analyzed', 'rewrite', 'large', 'simple', third => 0);
settings(enable_seqscan => 'off');
round('not analyzed, indexes', 'rewrite', 'small', 'ext');
$pg->sql('ANALYZE', 'mixed');
settings(plan_cache_mode => 'force_custom_plan');
round('custom plans', 'rewrite', 'large', 'ext', third => 1);
settings(plan_cache_mode => 'force_generic_plan');
round('generic plans', 'rewrite', 'small', 'ext');
round('generic plans', 'rewrite', 'large', 'ext', third => 2);
round('analyzed', 'reject', 'small', 'simple');
settings(enable_hashjoin => 'off', enable_mergejoin => 'off');
round('nested loops', 'rewrite', 'small', 'simple', joins => 1);
settings(enable_nestloop => 'off', enable_hashjoin => 'off');
round('merge joins', 'rewrite', 'small', 'ext', joins => 1, third => 0);
settings(parallel_setup_cost => 0, parallel_tuple_cost => 0, min_parallel_table_scan_size => 0, max_parallel_workers_per_gather => 2);
round('parallel', 'rewrite', 'small', 'simple', third => 1);

my @unknown = sort grep { my $x = $_; !grep { $x =~ $_ } @refusable } keys %refused;
ok(!@unknown, 'nothing is refused that is not listed') or diag(join "\n", map { "$_: $refused{$_}" } @unknown);
print "# $asked statements, " . keys(%refused) . " pairs of place and condition refused\n";
finish();
