#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# What psql's \ commands, drivers and ORMs ask the catalogs, as a tenant, in both modes: it works, and shows nothing of
# other tenants' rows.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN word AS text CHECK (VALUE <> '');
CREATE TABLE docs (id serial PRIMARY KEY, tenant_id text NOT NULL, title varchar(80) DEFAULT 'none', m mood, w word,
    tags text[], meta jsonb, created timestamptz DEFAULT now(), CHECK (title <> 'x'));
CREATE TABLE notes (id int PRIMARY KEY, tenant_id text NOT NULL, doc int REFERENCES docs (id), body text);
CREATE INDEX notes_doc ON notes (doc) WHERE body IS NOT NULL;
CREATE VIEW v_docs AS SELECT id, tenant_id, title FROM docs WHERE tenant_id <> 'SECRET-VIEW';
CREATE TABLE parts (id int, tenant_id text) PARTITION BY LIST (tenant_id);
CREATE TABLE parts_one PARTITION OF parts FOR VALUES IN ('SECRET-BOUND');
CREATE FUNCTION f_docs() RETURNS int LANGUAGE sql AS $$ SELECT count(*)::int FROM docs WHERE tenant_id = 'SECRET-BODY' $$;
ALTER TABLE docs ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON docs USING (tenant_id <> 'SECRET-POLICY');
CREATE RULE r AS ON UPDATE TO v_docs WHERE old.title = 'SECRET-RULE' DO INSTEAD NOTHING;
INSERT INTO docs (tenant_id, title) SELECT CASE WHEN g % 2 = 0 THEN 'acme' ELSE 'beta' END, 'title ' || g FROM generate_series(1, 2000) g;
RESET ROLE;
ALTER ROLE app SET app.secret = 'SECRET-ROLE';
ANALYZE docs;
SQL
my $rows = $pg->value("SELECT reltuples FROM pg_class WHERE relname = 'docs'");
is($rows, 2000, 'the catalog knows how many rows all tenants have');
my $p = proxy(pg => $pg, databases => { rewrite => 'dbname=postgres user=app pool_size=3 tenant_mode=rewrite',
        reject => 'dbname=postgres user=app pool_size=3 tenant_mode=reject' },
    users => { acme => 'tenant=acme' }, auth => { acme => '' }, rules => ['public.v_docs = tenant_id'],
    set => { tenant_columns => 'tenant_id', worker_threads => $ENV{BH_WORKERS} // 2 });

# psql: each must succeed, and show what is meant where that is said.
my @psql = (
    ['\d', qr/docs/], ['\d docs', qr/title/], ['\d+ docs', qr/mood/], ['\d notes', qr/notes_doc/], ['\d+ notes', qr/docs\(id\)/],
    ['\d v_docs', qr/title/], ['\d+ v_docs', qr/title/], ['\d parts', qr/tenant_id/], ['\d+ parts', qr/parts_one/], ['\d+ parts_one', qr/tenant_id/],
    ['\d notes_doc', qr/doc/], ['\d docs_id_seq', qr/integer/], ['\dt', qr/docs/], ['\dt+', qr/docs/], ['\di', qr/notes_doc/], ['\di+', qr/notes_doc/],
    ['\dv', qr/v_docs/], ['\dv+', qr/v_docs/], ['\dm'], ['\ds', qr/docs_id_seq/], ['\ds+', qr/docs_id_seq/], ['\dn', qr/public/], ['\dn+', qr/public/],
    ['\du', qr/app/], ['\du+', qr/app/], ['\dg', qr/app/], ['\db', qr/pg_default/], ['\db+', qr/pg_default/], ['\l', qr/template1/], ['\l+', qr/template1/],
    ['\df', qr/f_docs/], ['\df+', qr/f_docs/], ['\da'], ['\dT', qr/mood/], ['\dT+', qr/happy/], ['\dD', qr/word/], ['\dD+', qr/word/], ['\dp', qr/docs/], ['\ddp'],
    ['\drds', qr/app/], ['\dx', qr/plpgsql/], ['\dx+ plpgsql'], ['\dcS', qr/utf8/i], ['\dC', qr/bigint/], ['\doS', qr/~/], ['\dOS', qr/ucs_basic/], ['\dF', qr/english/], ['\dF+ english', qr/stem/], ['\dFd', qr/simple/],
    ['\dFp', qr/default/], ['\dFt', qr/simple/], ['\dL', qr/plpgsql/], ['\dA', qr/btree/], ['\dAc', qr/btree/], ['\dAf', qr/btree/], ['\dAo', qr/btree/], ['\dAp', qr/btree/],
    ['\dX'], ['\dy'], ['\dP', qr/parts/], ['\dP+', qr/parts/], ['\dRp'], ['\des'], ['\dew'], ['\det'], ['\dE'], ['\dd'], ['\z', qr/docs/], ['\dconfig work_mem', qr/work_mem/], ['\conninfo'],
    ['\sf f_docs'], ['\sv v_docs'], ['\encoding', qr/UTF8/],
);
my @secrets = qw(SECRET-VIEW SECRET-BOUND SECRET-BODY SECRET-POLICY SECRET-RULE SECRET-ROLE);
for my $db (qw(rewrite reject)) {
    my $dsn = 'host=127.0.0.1 port=' . $p->port . " user=acme dbname=$db";
    for my $t (@psql) {
        my ($cmd, $like) = @$t;
        my ($st, $out, $err) = psql($dsn, "$cmd\n", args => ['-v', 'ON_ERROR_STOP=1', '-P', 'tuples_only=off']);
        ok($st == 0 && $err !~ /ERROR/ && (!$like || $out =~ $like), "$db: psql $cmd") or diag("status $st\n$out\n$err");
        my @seen = grep { $out =~ /$_/ } @secrets;
        ok(!@seen && $out !~ /\b[12]000\b|\b[0-9]+ (?:kB|MB)\b/, "$db: psql $cmd: nothing of others") or diag($out);
    }
}
# Ways to a masked column. One row or none, NULL or empty, and never the number.
my @ways = (
    'SELECT reltuples FROM pg_class WHERE relname = $d$docs$d$', 'SELECT c.reltuples FROM pg_catalog.pg_class c WHERE c.relname = $d$docs$d$',
    'SELECT pg_class.reltuples FROM pg_class WHERE relname = $d$docs$d$', 'SELECT * FROM pg_class WHERE relname = $d$docs$d$',
    'TABLE pg_class', 'SELECT count(*) FROM pg_class WHERE reltuples > 0', 'SELECT c FROM pg_class c WHERE relname = $d$docs$d$',
    'SELECT row_to_json(pg_class) FROM pg_class WHERE relname = $d$docs$d$', 'SELECT (c).reltuples FROM pg_class c WHERE relname = $d$docs$d$',
    'SELECT (SELECT c.reltuples) FROM pg_class c WHERE relname = $d$docs$d$', 'SELECT (SELECT reltuples) FROM pg_class c WHERE relname = $d$docs$d$',
    'SELECT x FROM pg_class c, LATERAL (SELECT c.reltuples AS x) l WHERE c.relname = $d$docs$d$',
    'SELECT x FROM pg_class c, LATERAL (VALUES (c.reltuples)) l(x) WHERE c.relname = $d$docs$d$',
    'WITH x AS (TABLE pg_class) SELECT reltuples FROM x WHERE relname = $d$docs$d$', 'WITH x(a) AS (SELECT reltuples FROM pg_class WHERE relname = $d$docs$d$) SELECT a FROM x',
    'SELECT j.reltuples FROM (pg_class c CROSS JOIN (SELECT 1 AS one) o) AS j WHERE j.relname = $d$docs$d$',
    'SELECT g FROM generate_series(1999, 2001) g WHERE EXISTS (SELECT 1 FROM pg_class JOIN (SELECT g::float4 AS reltuples) v USING (reltuples))',
    'SELECT v.g FROM pg_class NATURAL JOIN (SELECT 2000::float4 AS reltuples, 1 AS g) v',
    'SELECT relname FROM pg_class WHERE relname = $d$docs$d$ GROUP BY relname, reltuples HAVING reltuples > 1', 'SELECT max(reltuples) FROM pg_class', 'SELECT max(c.reltuples) OVER () FROM pg_class c LIMIT 1',
    'SELECT relname FROM pg_class WHERE relkind = $d$r$d$ AND relname IN ($d$docs$d$, $d$notes$d$) AND reltuples IS NOT NULL ORDER BY reltuples DESC',
    'DECLARE k CURSOR FOR SELECT reltuples FROM pg_class', 'COPY (SELECT reltuples FROM pg_class WHERE relname = $d$docs$d$) TO STDOUT',
    'INSERT INTO notes (id, tenant_id, body) SELECT 1, $d$acme$d$, reltuples::text FROM pg_class WHERE relname = $d$docs$d$ AND reltuples > 0 RETURNING body',
    'UPDATE docs SET title = c.reltuples FROM pg_class c WHERE docs.tenant_id = $d$acme$d$ AND c.relname = $d$docs$d$ AND docs.id = 2 AND c.reltuples > 0 RETURNING docs.title, c.*',
    'DELETE FROM docs USING pg_class c WHERE docs.tenant_id = $d$acme$d$ AND docs.id = 2 AND c.reltuples > 1 RETURNING c.reltuples',
    'MERGE INTO docs d USING pg_class c ON d.tenant_id = $d$acme$d$ AND d.id = 2 AND c.relname = $d$docs$d$ AND c.reltuples > 1 WHEN MATCHED THEN UPDATE SET title = c.reltuples',
    'SELECT c.relpages, c.ctid IS NULL FROM pg_class c WHERE c.relname = $d$docs$d$', 'SELECT c.* , c.xmin FROM pg_class c', 'SELECT reltuples(c) FROM pg_class c', 'SELECT reltuples FROM pg_class TABLESAMPLE SYSTEM (100)',
    'SELECT x.n FROM pg_class AS x(o, n, c3, c4, c5, c6, c7, c8, c9, c10, c11) WHERE n = $d$docs$d$', 'SELECT x.c11 FROM pg_class AS x(o, n, c3, c4, c5, c6, c7, c8, c9, c10, c11) WHERE n = $d$docs$d$',
    'SELECT reltuples FROM ONLY pg_class WHERE relname = $d$docs$d$', 'SELECT reltuples FROM pg_class * WHERE relname = $d$docs$d$', 'SELECT reltuples FROM ONLY (pg_class)',
    'SELECT pg_table_size($d$docs$d$)', 'SELECT pg_catalog.pg_total_relation_size(oid) FROM pg_class', 'SELECT * FROM pg_relation_size($d$docs$d$, $d$main$d$) s',
    'SELECT 1 FROM pg_class WHERE pg_relation_size(oid) > 0', 'SELECT "pg_table_size"(relation => $d$docs$d$) ', 'SELECT pg_table_size((SELECT oid FROM pg_class WHERE reltuples = 2000))',
    'SELECT pg_size_pretty(pg_database_size(current_database()))', 'SELECT pg_catalog . pg_get_viewdef ( $d$v_docs$d$::regclass , true )', 'SELECT pg_get_functiondef($d$f_docs$d$::regproc)',
    'SELECT reltuples FROM pg_class UNION ALL SELECT relpages FROM pg_class', 'SELECT polqual FROM pg_policy', 'SELECT pg_get_expr(polqual, polrelid) FROM pg_policy', 'SELECT qual FROM pg_policies',
    'SELECT pg_get_expr(relpartbound, oid) FROM pg_class', 'SELECT setting FROM pg_settings WHERE name = $d$app.secret$d$', 'SELECT * FROM pg_settings', 'SELECT current_setting(s.name) FROM pg_settings s WHERE s.name ~ $d$app|config$d$',
    'SELECT current_setting(s.name) FROM pg_settings s(v, name)', 'SELECT current_setting(s.name) FROM (SELECT $d$app.secret$d$ AS name) s', 'SELECT setconfig FROM pg_db_role_setting', 'SELECT * FROM pg_stats', 'SELECT n_live_tup FROM pg_stat_user_tables',
    'SELECT query FROM pg_stat_activity', 'SELECT last_value FROM pg_sequences', 'SELECT last_value FROM docs_id_seq', 'SELECT prosrc FROM pg_proc WHERE proname = $d$f_docs$d$', 'SELECT definition FROM pg_views WHERE viewname = $d$v_docs$d$',
    'SELECT view_definition FROM information_schema.views WHERE table_name = $d$v_docs$d$', 'SELECT * FROM information_schema.routines WHERE routine_name = $d$f_docs$d$', 'SELECT ev_action FROM pg_rewrite', 'SELECT * FROM pg_rules', 'SELECT attmissingval FROM pg_attribute',
);
my %answered;
for my $db (qw(rewrite reject)) {
    my $c = $p->connect($db, 'acme');
    for my $sql (@ways) {
        my $r = $c->query('BEGIN; ' . $sql);
        my $text = join '|', map { $_ // 'NULL' } map { @$_ } map { @{ $_->{rows} // [] } } @{ $r->{results} };
        $text .= join '', map { ref $_ eq 'ARRAY' && defined $_->[1] && $_->[0] eq 'd' ? $_->[1] : '' } @{ $r->{msgs} // [] };
        my @seen = grep { $text =~ /$_/ } @secrets;
        ok(!@seen && $text !~ /\b[12]000\b/ && $text !~ /(?:^|\|)[0-9]{4,}(?:\||$)/ || $sql =~ /\bTABLE pg_class$|^SELECT (?:\*|c|row_to_json\(pg_class\)) FROM pg_(?:class|settings)/ && $text !~ /\b2000\b/ && !@seen, "$db: $sql") or diag($text);
        my $e = $r->{error};
        ok(!$e || $e->{C} =~ /^(?:42|0A)/, "$db: answered or refused: $sql") or diag("$e->{C} $e->{M}");
        $answered{$db}{$sql} = !$e;
        $c->query('ROLLBACK');
        if ($sql =~ /^(?:SELECT|TABLE|WITH)/) {
            my $x = $c->ext($sql, []);
            my $same = row_values($x);
            is($same eq row_values($r) || $sql =~ /settings/ ? 'same' : $same, 'same', "$db: extended: $sql") if !$e;
        }
    }
    $c->close;
}
is_deeply($answered{rewrite}, $answered{reject}, 'both modes answer the same');
ok($answered{rewrite}{$_}, "answered: $_") for @ways[0 .. 20];
my $c = $p->connect('rewrite', 'acme');
my $types = sub { my $r = $c->query($_[0]); return join ',', map { "$_->{name}:$_->{type}" } @{ $r->{results}[0]{cols} // [] } };
is($types->('SELECT reltuples, relpages, relpartbound FROM pg_class LIMIT 0'), 'reltuples:700,relpages:23,relpartbound:194', 'masked columns keep name and type');
is($types->("SELECT pg_table_size('docs'), pg_get_viewdef('v_docs'::regclass)"), 'pg_table_size:20,pg_get_viewdef:25', 'masked functions keep name and type');
is($c->value("SELECT setting FROM pg_catalog.pg_settings WHERE name = 'max_index_keys'"), 32, 'pg_settings: what drivers ask');
is($c->value("SELECT relname FROM pg_class WHERE relname = 'docs' AND relpages IS NULL"), 'docs', 'other columns of a masked relation are there');
is($c->value("SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_class t ON t.oid = c.reltoastrelid AND t.relpages = 0 WHERE c.relname = 'docs' AND n.nspname = 'public'"), 'docs', 'in an outer join');
finish();
