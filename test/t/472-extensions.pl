#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Extensions as a tenant: those that compute may be used, those that read tables, files and statistics, run text as SQL or
# leave state may not; redefined ones neither.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
my @ext = qw(btree_gin btree_gist citext cube earthdistance fuzzystrmatch hstore intarray isn ltree pg_trgm pgcrypto seg unaccent uuid-ossp
    tablefunc dblink lo adminpack xml2 pageinspect pgstattuple pgrowlocks pg_stat_statements pg_buffercache sslinfo amcheck file_fdw intagg);
$pg->sql(join ' ', map { qq(CREATE EXTENSION "$_";) } @ext);
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN SUPERUSER;
CREATE TABLE docs (id int PRIMARY KEY, tenant_id text NOT NULL, title citext, h hstore, v cube, path ltree, tags int[]);
INSERT INTO docs SELECT g, CASE WHEN g % 2 = 0 THEN 'acme' ELSE 'beta' END, 'Title ' || g, 'a=>1', cube(g), 'a.b', ARRAY[1, 2] FROM generate_series(1, 20) g;
CREATE FUNCTION reads(text) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM docs';
CREATE FUNCTION mine(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
CREATE FUNCTION eq(int, text) RETURNS bool LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = text, FUNCTION = eq);
CREATE FUNCTION fake_similarity(text) RETURNS text LANGUAGE sql AS 'SELECT string_agg(title, '','') FROM docs';
ALTER FUNCTION levenshtein(text, text) COST 0.1;
ALTER FUNCTION metaphone(text, int) SECURITY DEFINER;
SQL
my $p = proxy(pg => $pg, databases => { db => 'dbname=postgres user=app pool_size=2 tenant_mode=rewrite' }, users => { acme => 'tenant=acme' }, auth => { acme => '' },
    functions => ['public.mine(int) = allow'], set => { tenant_columns => 'tenant_id', worker_threads => 1 });
my $c = $p->connect('db', 'acme');
my @good = (
    ["similarity('abc', 'abd') > 0", 't'], ["'abc' % 'abd'", 't'], ["count(*) FILTER (WHERE title = 'TITLE 2') FROM docs", 1], ["h -> 'a' FROM docs LIMIT 1", 1], ["hstore('a', 'b') \@> 'a=>b'", 't'],
    ["round((v <-> cube(0))::numeric, 1) FROM docs ORDER BY v <-> cube(0) LIMIT 1", '2.0'], ["nlevel(path) FROM docs LIMIT 1", 2], ["path <\@ 'a' FROM docs LIMIT 1", 't'], ["tags && ARRAY[2] FROM docs LIMIT 1", 't'],
    ["sort(ARRAY[3, 1])::text", '{1,3}'], ["encode(digest('x', 'md5'), 'hex')", '9dd4e461268c8034f5c8564e155c67a6'], ["length(crypt('x', gen_salt('bf', 4)))", 60], ["length(uuid_generate_v4()::text)", 36],
    ["unaccent('x')", 'x'], ["soundex('Anne')", 'A500'], ["round(earth_distance(ll_to_earth(0, 0), ll_to_earth(0, 1)))", 111320], ["isbn('0-306-40615-2')::text", '0-306-40615-2'], ["count(*) FROM normal_rand(3, 0, 1)", 3],
    ["mine(1)", 2], ["pgp_sym_decrypt(pgp_sym_encrypt('x', 'k'), 'k')", 'x'], ["'1 .. 2'::seg && '2'::seg", 't'],
);
for my $t (@good) {
    my $r = $c->query("SELECT $t->[0]");
    is($r->{error} ? "$r->{error}{M} " . ($r->{error}{D} // '') : row_values($r), $t->[1], "SELECT $t->[0]");
}
my @bad = (
    "SELECT * FROM crosstab('SELECT 1, 2, 3') AS (a int, b int)", "SELECT * FROM connectby('docs', 'id', 'id', '1', 0) AS t(a text, b text, c int)", "SELECT * FROM dblink('dbname=postgres', 'SELECT title FROM docs') AS t(a text)",
    "SELECT dblink_exec('dbname=postgres', 'DELETE FROM docs')", "SELECT dblink_connect('dbname=postgres')", "SELECT pg_file_write('x', 'y', false)", "SELECT * FROM pg_logdir_ls() AS t(a timestamp, b text)", "SELECT * FROM xpath_table('id', 'title', 'docs', '/', 'true') AS t(a int)",
    "SELECT get_raw_page('docs', 0)", "SELECT * FROM heap_page_items(NULL)", "SELECT * FROM pgstattuple('docs')", "SELECT * FROM pgrowlocks('docs')", "SELECT * FROM pg_stat_statements", "SELECT pg_stat_statements_reset()",
    "SELECT * FROM pg_buffercache", "SELECT ssl_client_dn()", "SELECT bt_index_check('docs_pkey')", "SELECT lo_manage()", "SELECT set_limit(0.1)", "SELECT isn_weak(true)", "SELECT isn_weak()", "SELECT reads('x')", "SELECT docs.reads FROM docs",
    "SELECT fake_similarity('x')", "SELECT 1 === 'x'", "SELECT 1 OPERATOR(public.===) 'x'", "SELECT levenshtein('a', 'b')", "SELECT metaphone('a', 3)", "CREATE EXTENSION earthdistance", "SELECT text_soundex_nosuch('x')", "SELECT public.lo_oid(1)",
);
for my $sql (@bad) {
    my $e = $c->query($sql)->{error} // { C => 'none', M => 'answered' };
    ok($e->{C} =~ /^(?:42501|0A000)$/ && $e->{M} =~ /isolation/, $sql) or diag("$e->{C} $e->{M}");
}
is($pg->value('SELECT count(*) FROM docs'), 20, 'nothing happened');
finish();
