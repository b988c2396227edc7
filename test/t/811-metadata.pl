#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# What psql's \ commands, drivers and ORMs ask the catalogs, as a tenant, in both modes: it works, and shows nothing of
# other tenants' rows.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 300;

need_ours();
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TYPE pair AS (a int, b text);
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
    set => { tenant_columns => 'tenant_id', ignore_startup_parameters => 'extra_float_digits', worker_threads => $ENV{BH_WORKERS} // 2 });

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
    'WITH RECURSIVE a AS (SELECT oid, reltuples FROM pg_class WHERE relname = $d$docs$d$ UNION ALL SELECT c.oid, c.reltuples FROM pg_class c JOIN a ON false) SELECT reltuples FROM a',
    'SELECT (SELECT max(x.reltuples) FROM (SELECT c.*) x) FROM pg_class c WHERE c.relname = $d$docs$d$', 'SELECT r FROM pg_class c CROSS JOIN LATERAL jsonb_each_text(to_jsonb(c)) AS j(k, r) WHERE relname = $d$docs$d$ AND k = $d$reltuples$d$',
    'SELECT u.reltuples FROM (pg_class c JOIN pg_class d USING (oid, reltuples)) AS u', 'SELECT DISTINCT ON (reltuples) reltuples FROM pg_class', 'SELECT relname FROM pg_class WHERE relname = $d$docs$d$ ORDER BY (SELECT reltuples)',
    'SELECT U&"reltuple\\0073" FROM pg_class WHERE relname = $d$docs$d$', 'SELECT reltuples FROM/**/pg_class/**/WHERE relname = $d$docs$d$', 'VALUES ((SELECT reltuples FROM pg_class WHERE relname = $d$docs$d$))',
    'SELECT pg_relation_size($d$docs$d$, $d$main$d$) FILTER (WHERE true)', 'SELECT current_setting(s.setting) FROM pg_settings s', 'COPY pg_class TO STDOUT', 'COPY pg_class (reltuples) TO STDOUT',
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
# Drivers and ORMs.
my $java = "$FindBin::Bin/clients/JdbcMeta.java";
for my $db (qw(rewrite reject)) {
    my @env = (BH_HOST => '127.0.0.1', BH_PORT => $p->port, BH_USER => 'acme', BH_DB => $db, HOME => work_dir());
    my $url = 'jdbc:postgresql://127.0.0.1:' . $p->port . "/$db?user=acme";
    my %run = (types => ['/usr/bin/python3', "$FindBin::Bin/clients/types_meta.py"], sqlalchemy => ['/usr/bin/python3', "$FindBin::Bin/clients/sqlalchemy_meta.py"],
        django => ['/usr/bin/python3', "$FindBin::Bin/clients/django_meta.py"], activerecord => ['/usr/bin/ruby', "$FindBin::Bin/clients/activerecord_meta.rb"],
        pgjdbc => ['/usr/bin/java', '-Xshare:auto', '-cp', '/usr/share/java/postgresql.jar', $java, $url]);
    for my $name (sort keys %run) {
        my ($st, $out, $err) = run_cmd(argv => $run{$name}, env => {@env}, timeout => 90);
        is($st, 0, "$db: $name runs to its end") or diag("$out\n$err");
        for my $l (split /\n/, $out) { ok($1 eq 'ok', "$db: $name: $2") if $l =~ /^(ok|not ok) (.*)/ }
        ok((() = $out =~ /^ok/mg) >= 6, "$db: $name did its work") or diag("$out\n$err");
    }
    eval { require DBI; require DBD::Pg; 1 } or do { fail("DBD::Pg is missing: $@"); next };
    my $d = DBI->connect('dbi:Pg:host=127.0.0.1;port=' . $p->port . ";dbname=$db", 'acme', '', { RaiseError => 0, PrintError => 0 });
    ok(scalar(grep { /docs/ } $d->tables('', 'public', '%', 'TABLE')), "$db: DBD::Pg: tables") or diag($d->errstr);
    my %dbd = (table_info => ['', 'public', 'docs', 'TABLE'], column_info => ['', 'public', 'docs', '%'], primary_key_info => ['', 'public', 'docs'],
        statistics_info => ['', 'public', 'notes', 0, 0]);
    for my $m (sort keys %dbd) {
        my $s = $d->$m(@{ $dbd{$m} });
        my $all = $s ? $s->fetchall_arrayref : [];
        ok(scalar @$all, "$db: DBD::Pg: $m") or diag($d->errstr);
        ok(!grep({ defined && /^[12]000$/ } map { @$_ } @$all), "$db: DBD::Pg: $m: no sizes");
    }
    my $s = $d->foreign_key_info('', 'public', 'docs', '', 'public', 'notes');
    ok($s && @{ $s->fetchall_arrayref }, "$db: DBD::Pg: foreign_key_info") or diag($d->errstr);
    is(join(',', $d->primary_key('', 'public', 'docs')), 'id', "$db: DBD::Pg: primary_key");
    $d->disconnect;
}
# Of the kind that Prisma's introspection, Hibernate's tools and other migration tools send, with parameters.
my @asked = (
    ['schemas', 'SELECT n.nspname FROM pg_namespace AS n WHERE n.nspname = ANY ($1) ORDER BY 1', '{public}', qr/public/],
    ['tables', "SELECT t.relname, n.nspname, t.relhassubclass AND t.relkind = 'p' AS part, t.relrowsecurity, t.reloptions, obj_description(t.oid, 'pg_class')
        FROM pg_class AS t INNER JOIN pg_namespace AS n ON n.oid = t.relnamespace WHERE t.relkind IN ('r', 'p') AND n.nspname = ANY (\$1) ORDER BY 2, 1", '{public}', qr/docs/],
    ['columns', "SELECT c.column_name, format_type(a.atttypid, a.atttypmod), c.is_nullable, pg_get_expr(d.adbin, d.adrelid), c.is_identity, c.udt_name, a.attgenerated
        FROM information_schema.columns c JOIN pg_attribute a ON a.attname = c.column_name
        JOIN (SELECT t.oid, t.relname, n.nspname FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace) AS o ON o.oid = a.attrelid AND o.relname = c.table_name AND o.nspname = c.table_schema
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE c.table_schema = ANY (\$1) ORDER BY c.table_name, c.ordinal_position", '{public}', qr/title/],
    ['indexes', "WITH raw AS (SELECT i.indrelid, i.indexrelid, i.indisunique, i.indisprimary, i.indnkeyatts, i.indkey, i.indclass, generate_subscripts(i.indkey, 1) AS k
            FROM pg_index i WHERE i.indpred IS NULL OR true)
        SELECT n.nspname, x.relname, t.relname, r.indisprimary, a.attname, o.opcname, o.opcdefault, m.amname, pg_index_column_has_property(r.indexrelid, r.k + 1, 'asc')
        FROM raw r JOIN pg_class x ON x.oid = r.indexrelid JOIN pg_class t ON t.oid = r.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace JOIN pg_am m ON m.oid = x.relam
        LEFT JOIN pg_attribute a ON a.attrelid = r.indrelid AND a.attnum = r.indkey[r.k] LEFT JOIN pg_opclass o ON o.oid = r.indclass[r.k]
        WHERE n.nspname = ANY (\$1) AND r.k < r.indnkeyatts ORDER BY 1, 3, 2, r.k", '{public}', qr/notes_doc/],
    ['foreign keys', "SELECT c.conname, s.relname, f.relname, a.attname, b.attname, c.confdeltype, c.condeferrable, pg_get_constraintdef(c.oid, true)
        FROM (SELECT k.oid, k.conname, k.conrelid, k.confrelid, k.confdeltype, k.condeferrable, u.col, u.ref, u.n FROM pg_constraint k,
            unnest(k.conkey, k.confkey) WITH ORDINALITY AS u(col, ref, n) WHERE k.contype = 'f') c
        JOIN pg_class s ON s.oid = c.conrelid JOIN pg_class f ON f.oid = c.confrelid JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.col
        JOIN pg_attribute b ON b.attrelid = c.confrelid AND b.attnum = c.ref JOIN pg_namespace n ON n.oid = s.relnamespace WHERE n.nspname = ANY (\$1) ORDER BY 1, c.n", '{public}', qr/docs/],
    ['enums', 'SELECT t.typname, e.enumlabel, n.nspname FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = ANY ($1) ORDER BY e.enumsortorder', '{public}', qr/happy/],
    ['sequences', 'SELECT n.nspname, c.relname, s.seqstart, s.seqmin, s.seqmax, s.seqincrement, s.seqcycle, s.seqcache FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY ($1)', '{public}', qr/docs_id_seq/],
    ['views', 'SELECT viewname, definition, obj_description(v.viewname::regclass) FROM pg_catalog.pg_views v WHERE schemaname = ANY ($1)', '{public}', qr/v_docs/],
    ['functions', "SELECT p.proname, n.nspname, CASE WHEN l.lanname = 'internal' THEN p.prosrc ELSE pg_get_functiondef(p.oid) END FROM pg_proc p LEFT JOIN pg_namespace n ON n.oid = p.pronamespace LEFT JOIN pg_language l ON l.oid = p.prolang WHERE n.nspname = ANY (\$1)", '{public}', qr/f_docs/],
    ['extensions', 'SELECT e.extname, e.extversion, e.extrelocatable, n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname <> $1', 'x', qr/plpgsql/],
    ['version', 'SELECT version(), current_database(), current_schema(), $1::text', 'x', qr/PostgreSQL/],
    ['constraints', "SELECT tc.constraint_name, kcu.column_name, ccu.table_name FROM information_schema.table_constraints tc JOIN information_schema.key_column_usage kcu ON kcu.constraint_name = tc.constraint_name
        JOIN information_schema.constraint_column_usage ccu ON ccu.constraint_name = tc.constraint_name WHERE tc.table_name = \$1", 'notes', qr/doc/],
    ['sequences of Hibernate', 'SELECT * FROM information_schema.sequences WHERE sequence_schema = $1', 'public', qr/docs_id_seq/],
    ['a table by its name', 'SELECT $1::text::regclass::oid, to_regclass($1)', 'docs', qr/docs/],
);
for my $db (qw(rewrite reject)) {
    my $c = $p->connect($db, 'acme');
    for my $a (@asked) {
        my $r = $c->ext($a->[1], [$a->[2]]);
        ok(!$r->{error} && row_values($r) =~ $a->[3] && row_values($r) !~ /SECRET/, "$db: asked: $a->[0]") or diag($r->{error} ? join(' ', map { $_ // () } @{ $r->{error} }{qw(M D)}) : row_values($r));
    }
    $c->close;
}
finish();
