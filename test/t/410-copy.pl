#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# COPY of tenants in both directions, all formats, both protocols: what arrives is what a copy by the tables' owner
# would have stored, and nothing of another tenant.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TABLE docs (id int, tenant_id text, title text, n int DEFAULT 7, up text GENERATED ALWAYS AS (upper(title)) STORED);
CREATE TABLE want (LIKE docs INCLUDING ALL);
CREATE TABLE nums (no int, body text, tenant_no bigint);
CREATE TABLE uuids (tenant_uuid uuid, body text);
CREATE TABLE parent (id int, tenant_id text); CREATE TABLE child () INHERITS (parent);
CREATE TABLE parts (id int, tenant_id text) PARTITION BY LIST (tenant_id);
CREATE TABLE part_acme PARTITION OF parts FOR VALUES IN ('ac''me'); CREATE TABLE part_rest PARTITION OF parts DEFAULT;
CREATE TABLE kinds (code text, label text); INSERT INTO kinds VALUES ('a', 'kind a');
CREATE TABLE uniq (id int UNIQUE, tenant_id text);
INSERT INTO docs (id, tenant_id, title) VALUES (1, 'ac''me', 'one'), (2, 'beta', 'two'), (3, 'ac''me', E'tab\tnl\nq"'), (4, NULL, 'nobody');
INSERT INTO parent VALUES (1, 'ac''me'); INSERT INTO child VALUES (2, 'ac''me'), (3, 'beta');
INSERT INTO uniq VALUES (1, 'beta');
SQL
my $me = "ac'me";
my $p = proxy(pg => $pg, databases => { db => 'dbname=postgres user=app pool_size=3 tenant_mode=rewrite',
        strict => 'dbname=postgres user=app pool_size=2 tenant_mode=reject', audit => 'dbname=postgres user=app pool_size=2 tenant_mode=audit' },
    users => { acme => q(tenant='ac''me' claim.tenant_uuid=a1111111-0000-4000-8000-00000000000a claim.tenant_no=11), beta => 'tenant=beta' },
    auth => { acme => '', beta => '' }, rules => ['public.kinds = shared', 'public.nums = tenant_no', 'public.uuids = tenant_uuid'],
    set => { tenant_columns => 'tenant_id', worker_threads => $ENV{BH_WORKERS} // 2 });
my $c = $p->connect('db', 'acme');
my $s = $p->connect('strict', 'acme');

# ---- out ----
sub out {
    my ($r) = @_;
    return $r->{error} ? "$r->{error}{C} $r->{error}{M}" : join '', @{ $r->{results}[-1]{copy} // [] };
}
sub same_out {
    my ($sql, $as, $name) = @_;
    my $want = out($pg->connect('postgres')->query($as));
    is(out($c->query($sql)), $want, "simple: $name");
    is(out($c->ext($sql, [])), $want, "extended: $name");
    return;
}
my $where = q(WHERE tenant_id = 'ac''me');
same_out('COPY docs TO STDOUT', "COPY (SELECT id, tenant_id, title, n FROM docs $where) TO STDOUT", 'a table');
same_out('COPY public.docs (title, id) TO STDOUT WITH (FORMAT csv, HEADER, FORCE_QUOTE (title))', "COPY (SELECT title, id FROM docs $where) TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE (title))", 'csv with a column list');
same_out('COPY docs TO STDOUT (FORMAT binary)', "COPY (SELECT id, tenant_id, title, n FROM docs $where) TO STDOUT (FORMAT binary)", 'binary');
same_out("COPY docs TO STDOUT CSV DELIMITER ';' NULL 'nix'", "COPY (SELECT id, tenant_id, title, n FROM docs $where) TO STDOUT CSV DELIMITER ';' NULL 'nix'", 'options of old');
same_out('COPY parent TO STDOUT', "COPY (SELECT * FROM ONLY parent $where) TO STDOUT", 'a parent without its children');
same_out('COPY kinds TO STDOUT', 'COPY kinds TO STDOUT', 'a shared table');
same_out('COPY (SELECT title FROM docs ORDER BY id) TO STDOUT', "COPY (SELECT title FROM docs $where ORDER BY id) TO STDOUT", 'a query');
error_is($c->query('COPY parts TO STDOUT'), '0A000', qr/copy_table/, 'a partitioned table is no plain table');
error_is($s->query('COPY docs TO STDOUT'), '0A000', qr/copy_table/, 'reject: a whole table');
like($s->query('COPY docs TO STDOUT')->{error}{H}, qr/COPY \(SELECT .* FROM "docs" WHERE "tenant_id"/, 'reject: with the query form as hint');
is(out($s->ext(q(COPY (SELECT id FROM docs WHERE tenant_id = 'ac''me') TO STDOUT), [])), "1\n3\n", 'reject: a proven query in the extended protocol');
my $beta = $p->connect('db', 'beta');
for my $k (1 .. 3) {
    is(out($c->ext('COPY docs (id) TO STDOUT', [])), "1\n3\n", "one text, two tenants, round $k");
    is(out($beta->ext('COPY docs (id) TO STDOUT', [])), "2\n", "one text, the other tenant, round $k");
}

# ---- in ----
$pg->sql('TRUNCATE docs');
sub stored { return join ';', map { join '|', map { $_ // 'NULL' } @$_ } @{ $pg->sql('SELECT * FROM ' . ($_[0] // 'docs') . ' ORDER BY 1, 3') } }
# Runs a COPY in pieces of a size, by simple or extended protocol.
sub copy_in {
    my ($c, $sql, $data, %o) = @_;
    my $size = $o{size} // 8000;
    my @d = map { substr $data, $_ * $size, $size } 0 .. (length($data) - 1) / $size;
    return $c->query($sql, copy => \@d) unless $o{ext};
    $c->cork; $c->parse('', $sql); $c->bind('', ''); $c->describe('P', ''); $c->execute(''); $c->sync; $c->uncork;
    my $m = $c->read_until('GZ');
    return Bulkhead::Wire::digest($m) if $m->[-1][0] eq 'Z';
    $c->cork; $c->copy_data($_) for @d; $c->copy_done; $c->sync; $c->uncork;
    return $c->finish;
}
# The tenant's copy without the column, and the owner's with it, store the same.
sub same_in {
    my ($sql, $data, $owner_sql, $owner_data, $name) = @_;
    my $o = $pg->connect('postgres');
    my $w = $o->query($owner_sql =~ s/TABLE/want/r, copy => [$owner_data]);
    is($w->{error}{M} // 'ok', 'ok', "$name: the owner's");
    for my $how ([8000, 0], [1, 0], [3, 1]) {
        my $r = copy_in($c, $sql =~ s/TABLE/docs/r, $data, size => $how->[0], ext => $how->[1]);
        is($r->{error}{M} // $r->{results}[-1]{tag}, $w->{results}[-1]{tag}, "$name: in pieces of $how->[0]");
        is($r->{status}, 'I', "$name: and it is over");
        is(stored(), stored('want'), "$name: stores the same");
        $pg->sql('TRUNCATE docs');
    }
    $pg->sql('TRUNCATE want');
    return;
}
same_in('COPY TABLE (id, title) FROM STDIN', "1\tone\n2\tt\\tw\\x6f\n3\t\\N\n4\ta\\\nb\n5\t\\\\.\n",
    'COPY TABLE (tenant_id, id, title) FROM STDIN', "ac'me\t1\tone\nac'me\t2\tt\\tw\\x6f\nac'me\t3\t\\N\nac'me\t4\ta\\\nb\nac'me\t5\t\\\\.\n", 'text');
same_in('COPY TABLE (id, title) FROM STDIN CSV HEADER', qq(id,title\r\n1,"one,""x"""\r\n2,"a\nb\r\nc"\r\n3,\r\n4,""\r\n),
    'COPY TABLE (tenant_id, id, title) FROM STDIN CSV HEADER', qq(t,id,title\r\nac'me,1,"one,""x"""\r\nac'me,2,"a\nb\r\nc"\r\nac'me,3,\r\nac'me,4,""\r\n), 'csv');
same_in("COPY TABLE (id, title) FROM STDIN (FORMAT csv, HEADER match, QUOTE '''', ESCAPE '\\', DELIMITER ';', FORCE_NULL (title), FORCE_NOT_NULL (id), NULL 'nix')", "id;title\n1;'it\\'s'\n2;'nix'\n3;x",
    "COPY TABLE (tenant_id, id, title) FROM STDIN (FORMAT csv, HEADER match, QUOTE '''', ESCAPE '\\', DELIMITER ';', FORCE_NULL (title), NULL 'nix')", "tenant_id;id;title\n'ac\\'me';1;'it\\'s'\n'ac\\'me';2;'nix'\n'ac\\'me';3;x", 'csv with all options');
same_in('COPY TABLE (id, title) FROM STDIN WHERE id > 1', "1\tone\n2\ttwo\n", 'COPY TABLE (tenant_id, id, title) FROM STDIN WHERE id > 1', "ac'me\t1\tone\nac'me\t2\ttwo\n", 'with WHERE');
same_in('COPY TABLE (title) FROM STDIN', "\n\nx\n\\.\ngarbage that nobody reads\n", 'COPY TABLE (tenant_id, title) FROM STDIN', "ac'me\t\nac'me\t\nac'me\tx\n", 'empty lines and the end marker');
my $sig = "PGCOPY\n\xff\r\n\0" . pack('NN', 0, 0);
sub row { return pack('n', scalar @_) . join '', map { defined $_ ? pack('N/a', $_) : pack('N', 0xffffffff) } @_ }
my $end = pack 'n', 0xffff;
same_in('COPY TABLE (id, title) FROM STDIN (FORMAT binary)', $sig . row(pack('N', 1), 'one') . row(pack('N', 2), undef) . $end,
    'COPY TABLE (tenant_id, id, title) FROM STDIN (FORMAT binary)', $sig . row($me, pack('N', 1), 'one') . row($me, pack('N', 2), undef) . $end, 'binary');
same_in('COPY TABLE FROM STDIN', "1\tac\\x27me\tone\t\\N\n", 'COPY TABLE (id, tenant_id, title, n) FROM STDIN', "1\tac'me\tone\t\\N\n", 'the whole table, own value spelled out');
same_in('COPY BINARY TABLE FROM STDIN', $sig . row(pack('N', 1), $me, 'one', pack 'N', 5) . $end, 'COPY TABLE FROM STDIN BINARY', $sig . row(pack('N', 1), $me, 'one', pack 'N', 5) . $end, 'old syntax, binary');
# Other types.
is(copy_in($c, 'COPY nums (no, body) FROM STDIN', "1\tx\n")->{results}[-1]{tag}, 'COPY 1', 'bigint is filled in');
is(copy_in($c, 'COPY nums FROM STDIN (FORMAT binary)', $sig . row(pack('N', 2), 'y', pack 'q>', 11) . $end, ext => 1)->{results}[-1]{tag}, 'COPY 1', 'and checked in binary');
is(copy_in($c, 'COPY nums (body, no) FROM STDIN (FORMAT binary)', $sig . row('z', pack 'N', 3) . $end)->{results}[-1]{tag}, 'COPY 1', 'and filled in in binary');
is(row_values({ results => [{ rows => $pg->sql('SELECT * FROM nums ORDER BY no') }] }), '1|x|11;2|y|11;3|z|11', 'bigint: as it should be');
is(copy_in($c, 'COPY uuids (body) FROM STDIN (FORMAT binary)', $sig . row('z') . $end)->{results}[-1]{tag}, 'COPY 1', 'uuid is filled in');
is(copy_in($c, 'COPY uuids FROM STDIN', "A1111111-0000-4000-8000-00000000000A\ty\n")->{results}[-1]{tag}, 'COPY 1', 'uuid in the other case');
is($pg->value("SELECT count(*) FROM uuids WHERE tenant_uuid = 'a1111111-0000-4000-8000-00000000000a'"), 2, 'uuid: both');
is(copy_in($c, 'COPY parts (id) FROM STDIN', "1\n2\n")->{results}[-1]{tag}, 'COPY 2', 'a partitioned table');
is($pg->value('SELECT count(*) FROM part_acme'), 2, 'in its partition');

# ---- hostile ----
sub refused {
    my ($sql, $data, $state, $name, $conn, $small) = @_;
    for my $how ([8000, 0], [$small // 1, 1]) {
        my $r = copy_in($conn // $c, $sql, $data, size => $how->[0], ext => $how->[1]);
        is($r->{error}{C} // 'stored', $state, "$name ($how->[0])") or diag($r->{error}{M} // stored());
        is($r->{status}, 'I', "$name: the connection is in step");
        is(scalar @{ $r->{errors} }, 1, "$name: one error");
    }
    return;
}
my $t = 'COPY docs (id, tenant_id) FROM STDIN';
refused($t, "1\tac'me\n2\tbeta\n", '42501', 'a foreign row behind an own one');
refused($t, "1\t\\x62eta\n", '42501', 'by hex');
refused($t, "1\t\\142e\\164a\n", '42501', 'by octal');
refused($t, "1\tb\\eta\n", '42501', 'by a needless backslash');
refused($t, "1\t\\N\n", '42501', 'NULL');
refused($t, "1\t\n", '42501', 'empty');
refused($t, "1\tac'me \n", '42501', 'a blank behind');
refused($t, "1\tac'me\\\n\n", '42501', 'a newline behind');
refused($t, "1\n", '22P04', 'a short row');
refused($t, "1\tac'me\tx\n", '22P04', 'a long row');
refused($t, "1\tac'me\r2\tbeta\n", '22P04', 'carriage return, then newline');
refused($t, "1\tac'me\n2\tac'me\r\n", '22P04', 'newline, then both');
refused($t, "1\tac'me\0\n", '22P04', 'a zero byte');
refused($t, "1\tac'me\n\\.x\n2\tbeta\n", '22P04', 'a broken end marker');
refused($t, "1\\.\n2\tbeta\n", '22P04', 'an end marker within a line');
refused($t, "1\tac'me\\", '22P04', 'a backslash at the end');
refused("$t CSV", qq(1,ac'me\n2,"be""\n),  '22P04', 'csv: an open quote');
refused("$t CSV", qq(1,"beta"\n), '42501', 'csv: quoted');
refused("$t CSV", qq(1,ac'"me\n2,"beta\n), '42501', 'csv: a quote that swallows a line');
refused("$t CSV", qq("1,ac'me\n2",beta\n), '42501', 'csv: a line within quotes');
refused("$t CSV ESCAPE '\\'", qq("1\\",ac'me\n2",beta\n), '42501', 'csv: behind an escaped quote');
refused("$t (FORMAT csv, NULL 'ac''me')", qq(1,ac'me\n), '42501', 'csv: the NULL string is the value');
refused("$t (FORMAT csv, NULL 'ac''me', FORCE_NULL (tenant_id))", qq(1,"ac'me"\n), '42501', 'csv: FORCE_NULL');
refused("$t (NULL 'ac''me')", "1\tac'me\n", '42501', 'text: the NULL string is the value');
refused("COPY docs (id) FROM STDIN (NULL 'ac''me')", "1\n", '0A000', 'text: the NULL string is the value put in');
my $b = "$t (FORMAT binary)";
refused($b, $sig . row(pack('N', 1), 'beta') . $end, '42501', 'binary: a foreign row');
refused($b, $sig . row(pack('N', 1), undef) . $end, '42501', 'binary: NULL');
refused($b, $sig . row(pack('N', 1), $me) . $end . row(pack('N', 2), 'beta'), '22P04', 'binary: behind the trailer');
refused($b, $sig . row(pack('N', 1), $me, 'beta') . $end, '22P04', 'binary: too many fields');
refused($b, $sig . row(pack('N', 1)) . $end, '22P04', 'binary: too few');
refused($b, $sig . pack('n', 0) . $end, '22P04', 'binary: none');
refused($b, "PGCOPX\n\xff\r\n\0" . pack('NN', 0, 0) . $end, '22P04', 'binary: another signature');
refused($b, "PGCOPY\n\xff\r\n\0" . pack('NN', 1 << 16, 0) . $end, '22P04', 'binary: a critical flag');
refused($b, $sig . pack('n', 2) . pack('N', 4), '22P04', 'binary: cut off');
refused($b, $sig . pack('nNNN', 2, 4, 1, 0x7fffffff), '42501', 'binary: a huge field');
refused('COPY nums FROM STDIN', "1\tx\t12\n", '42501', 'bigint: another');
refused('COPY docs (id, title, tenant_id) FROM STDIN', "1\t" . ('x' x 3_000_000) . "\tbetaVALUE\n", '42501', 'a very long line', $c, 9999);
refused('COPY docs (tenant_id) FROM STDIN', ("ac'me\n" x 20_000) . "beta\n", '42501', 'the last of many rows');
for my $sql ('COPY kinds FROM STDIN', 'COPY docs FROM STDIN (FREEZE)', "COPY docs FROM STDIN (ENCODING 'LATIN1')", "COPY docs FROM STDIN (FORMAT csv, QUOTE '\\')", 'COPY docs (id) FROM STDIN (ON_ERROR ignore)',
    "SELECT 1; $t", "COPY docs FROM '/etc/passwd'", "COPY docs FROM PROGRAM 'id'", 'COPY pg_class FROM STDIN', 'COPY docs (id, nosuch) FROM STDIN', 'COPY docs (id, up) FROM STDIN') {
    my $r = $c->query($sql);
    ok($r->{error} && $r->{error}{C} =~ /^(?:42501|0A000|42601)$/, "refused: $sql") or diag($r->{error}{C} // 'not at all');
}
is(stored(), '', 'nothing of all that was stored');
is(copy_in($s, $t, "1\tac'me\n")->{results}[-1]{tag}, 'COPY 1', 'reject: own rows with the column');
refused($t, "1\tbeta\n", '42501', 'reject: foreign rows', $s);
error_is($s->query('COPY docs (id) FROM STDIN'), '42501', qr/unproven_value/, 'reject: without the column');
is(copy_in($s, 'COPY docs FROM STDIN', "2\tac'me\tx\t1\n")->{results}[-1]{tag}, 'COPY 1', 'reject: the whole table');
is($pg->value(q(SELECT count(*) FROM docs WHERE tenant_id = 'ac''me')), 2, 'reject: stored');

# ---- errors of the server, aborts, pipelines ----
error_is(copy_in($c, 'COPY docs (id) FROM STDIN', "x\n"), '22P02', qr/integer/, 'an error of the server');
error_is(copy_in($c, 'COPY docs (id, title) FROM STDIN', "1\n"), '22P04', qr/missing data/, 'a short row where the column is put in');
error_is(copy_in($c, 'COPY uniq (id) FROM STDIN', "1\n"), '23505', qr/unique/, 'a violated constraint');
error_is($c->query('COPY docs (id) FROM STDIN'), '57014', qr/no data given/, 'CopyFail of the client');
$c->query('BEGIN');
my $r = copy_in($c, $t, "1\tbeta\n");
is($r->{status}, 'E', 'a refusal fails the transaction');
is($c->query('COMMIT')->{results}[0]{tag}, 'ROLLBACK', 'which is rolled back');
$c->cork; $c->send_query($t); $c->copy_data("1\tbeta\n") for 1 .. 50; $c->copy_done; $c->send_query('SELECT 77'); $c->uncork;
error_is($c->finish, '42501', qr/wrong_tenant/, 'all in one piece: refused');
is(row_values($c->finish), 77, 'and the query behind it is answered');
$c->cork; $c->send_query($t); $c->copy_data("50\tac'me\n"); $c->copy_done; $c->copy_data("51\tbeta\n"); $c->copy_done; $c->send_query('SELECT 78'); $c->uncork;
is($c->finish->{results}[0]{tag}, 'COPY 1', 'data behind the end');
is(row_values($c->finish), 78, 'is dropped');
$c->cork; $c->copy_data("51\tbeta\n"); $c->copy_done; $c->send_query('SELECT 79'); $c->uncork;
is(row_values($c->finish), 79, 'data without a COPY is dropped');
$c->cork; $c->send_query($t); $c->copy_data("51\tac'me\n"); $c->send_query('SELECT 80'); $c->uncork;
error_is($c->finish, '57014', qr/refused/, 'a query within the data ends the COPY');
is(row_values($c->finish), 80, 'and is answered');
# A batch in which COPY is not reached.
$c->cork; $c->parse('', 'SELECT 1/0'); $c->bind('', ''); $c->execute(''); $c->parse('', $t); $c->bind('', ''); $c->execute(''); $c->copy_data("51\tac'me\n"); $c->copy_done; $c->sync; $c->uncork;
error_is($c->finish, '22012', qr/zero/, 'a batch that failed before COPY');
is($c->value('SELECT 81'), 81, 'goes on in step');
# A portal that is bound in one batch and executed in another.
$c->query('BEGIN');
$c->cork; $c->parse('', $t); $c->bind('', ''); $c->sync; $c->uncork; $c->finish;
$c->cork; $c->execute(''); $c->sync; $c->copy_data("52\tbeta\n"); $c->copy_done; $c->sync; $c->uncork;
error_is($c->finish, '0A000', qr/Bind/, 'a COPY executed later is refused');
$r = $c->query('ROLLBACK');
$c->finish if ($r->{results}[0]{tag} // '') ne 'ROLLBACK';
# The machine of one COPY does not serve another one that failed to be replaced.
$c = $p->connect('db', 'acme');
$c->query('BEGIN');
$c->cork; $c->parse('a', 'COPY docs (tenant_id, id) FROM STDIN'); $c->bind('', 'a'); $c->sync; $c->uncork; $c->finish;
$c->cork; $c->parse('b', 'SELECT 1/0 FROM nosuch'); $c->parse('d', 'COPY docs (id, title) FROM STDIN'); $c->bind('', 'd'); $c->execute(''); $c->sync; $c->uncork;
ok($c->finish->{error}, 'the second batch fails');
$c->cork; $c->execute(''); $c->copy_data("beta\t53\n"); $c->copy_done; $c->sync; $c->uncork;
ok($c->finish->{error}, 'and its portal does not run');
$c->query('ROLLBACK');
$c->cork; $c->parse('', $t); $c->bind('x', ''); $c->execute('x'); $c->sync; $c->uncork;
error_is($c->finish, '0A000', qr/unnamed portal/, 'a named portal is refused');
is($pg->value('SELECT count(*) FROM docs WHERE id >= 51'), 0, 'nothing of all that was stored');
is($pg->value(q(SELECT count(*) FROM docs WHERE tenant_id IS DISTINCT FROM 'ac''me')), 0, 'no foreign row at all');
# Clients that leave in the middle.
for my $i (1 .. 4) {
    my $d = $p->connect('db', 'acme');
    $d->send_query($t); $d->read_until('G');
    $d->copy_data($i % 2 ? "60\tac'me\n" : "60\tbeta\n");
    $d->abort;
}
is(join(',', map { $p->connect('db', 'acme')->value("SELECT $_") } 1 .. 5), '1,2,3,4,5', 'abandoned copies leave servers in step');
is($pg->value('SELECT count(*) FROM docs WHERE id = 60'), 0, 'and no rows');
# Much data.
my $block = join '', map { "$_\t" . ('w' x 90) . "\n" } 1 .. 1000;
is(copy_in($c, 'COPY docs (id, title) FROM STDIN', $block x 30)->{results}[-1]{tag}, 'COPY 30000', '30000 rows in');
is($pg->value(q(SELECT count(*) FROM docs WHERE tenant_id = 'ac''me' AND title = repeat('w', 90))), 30000, 'all of the tenant');
is(copy_in($p->connect('audit', 'acme'), $t, "70\tbeta\n")->{results}[-1]{tag}, 'COPY 1', 'audit passes');
# psql and libpq.
my $file = spew(work_dir() . '/in.csv', "id,title\n100,psql\n101,\"two\nlines\"\n");
my ($st, $out, $err) = psql('host=127.0.0.1 port=' . $p->port . ' user=acme dbname=db', "\\copy docs (id, title) from '$file' csv header\n\\copy docs (id, title, tenant_id) to stdout csv\n\\copy (select id from docs where title = 'psql') to stdout\n");
like($out, qr/^100,psql,ac'me\n101,"two\nlines",ac'me\n100\z/m, 'psql \copy in and out') or diag($err);
# Drivers.
$pg->sql('TRUNCATE docs');
($st, $out, $err) = run_cmd(argv => ['/usr/bin/python3', "$FindBin::Bin/clients/copy_drivers.py"], timeout => 90,
    env => { BH_HOST => '127.0.0.1', BH_PORT => $p->port, BH_USER => 'acme', BH_DB => 'db', BH_TENANT => $me });
is($st, 0, 'psycopg and asyncpg run to their end') or diag("$out\n$err");
for my $l (split /\n/, $out) { next unless $l =~ /^(ok|not ok) (.*)/; ok($1 eq 'ok', $2) }
is($pg->value(q(SELECT count(*) FROM docs WHERE tenant_id IS DISTINCT FROM 'ac''me')), 0, 'and store no foreign row');
SKIP: {
    eval { require DBI; require DBD::Pg; 1 } or do { fail("DBD::Pg is missing: $@"); last SKIP };
    my $d = DBI->connect('dbi:Pg:host=127.0.0.1;port=' . $p->port . ';dbname=db', 'acme', '', { RaiseError => 1, PrintError => 0 });
    $d->do('COPY docs (id, title) FROM STDIN');
    $d->pg_putcopydata("5000\tdbd\n");
    $d->pg_putcopyend;
    is($d->selectrow_array('SELECT tenant_id FROM docs WHERE id = 5000'), $me, 'DBD::Pg: in');
    $d->do('COPY docs (id, tenant_id) FROM STDIN');
    ok(!eval { $d->pg_putcopydata("5001\tbeta\n"); $d->pg_putcopyend; 1 }, 'DBD::Pg: a foreign row');
    is($d->state, '42501', 'DBD::Pg: by its state');
    $d->do(q(COPY (SELECT title FROM docs WHERE id = 5000) TO STDOUT));
    my $row = '';
    $d->pg_getcopydata($row);
    is($row, "dbd\n", 'DBD::Pg: out');
    1 while $d->pg_getcopydata($row) >= 0;
    $d->disconnect;
}
# CopyInResponse shows the client's columns.
$c->send_query('COPY docs (id, title) FROM STDIN');
is(unpack('H*', $c->read_until('G')->[-1][1]), '00000200000000', 'two columns are asked for');
$c->copy_fail('enough');
$c->finish;
cmp_ok($p->metric('pgbulkhead_tenant_denials_total', 'reason="wrong_tenant"') // 0, '>=', 20, 'refused rows are counted');
unlike($p->log_text, qr/VALUE/, 'no values in the log');
finish();
