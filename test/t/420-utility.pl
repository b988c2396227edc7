#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Statements about the session, for tenants: PREPARE and EXECUTE in SQL, cursors, LISTEN and NOTIFY, LOCK, DISCARD, EXPLAIN,
# in both protocols and all pool modes.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TABLE notes (id int PRIMARY KEY, tenant_id text NOT NULL, body text, size int DEFAULT 1);
INSERT INTO notes SELECT g, CASE WHEN g % 2 = 0 THEN 'acme' ELSE 'beta' END, 'note ' || g FROM generate_series(1, 20) g;
CREATE TABLE counts (id int PRIMARY KEY, tenant_no int NOT NULL, v int);
INSERT INTO counts SELECT g, 11 + g % 2, g FROM generate_series(1, 10) g;
CREATE TABLE kinds (code text PRIMARY KEY, label text);
INSERT INTO kinds VALUES ('a', 'kind a'), ('b', 'kind b');
CREATE TABLE walled (id int PRIMARY KEY, tenant_id text NOT NULL);
INSERT INTO walled SELECT g, CASE WHEN g % 2 = 0 THEN 'acme' ELSE 'beta' END FROM generate_series(1, 20) g;
ALTER TABLE walled ENABLE ROW LEVEL SECURITY; ALTER TABLE walled FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON walled USING (tenant_id = current_setting('app.tenant_id', true));
RESET ROLE; CREATE ROLE other LOGIN; GRANT ALL ON walled, notes, kinds TO other; SET ROLE app;
CREATE VIEW everything AS SELECT id, tenant_id, body, size FROM notes;
SQL
my %db = (tx => 'pool_size=2 tenant_mode=rewrite', session => 'pool_size=4 pool_mode=session tenant_mode=rewrite',
    statement => 'pool_size=2 pool_mode=statement tenant_mode=rewrite', reject => 'pool_size=2 tenant_mode=reject',
    guc => 'pool_size=1 tenant_mode=rewrite tenant_guc=app.tenant_id',
    gucsession => 'pool_size=2 pool_mode=session tenant_mode=rewrite tenant_guc=app.tenant_id',
    rls => 'user=other pool_size=2 tenant_mode=rls tenant_guc=app.tenant_id', rlssession => 'user=other pool_size=2 pool_mode=session tenant_mode=rls tenant_guc=app.tenant_id',
    connect => "pool_size=1 tenant_mode=rewrite connect_query='SET lock_timeout = 7777'",
    plain => 'pool_size=3 pool_mode=session tenant_mode=off');
my $p = proxy(pg => $pg, databases => { map { ($_ => "dbname=postgres " . ($db{$_} =~ /user=/ ? "" : "user=app ") . $db{$_}) } keys %db },
    users => { acme => 'tenant=acme claim.tenant_no=11', beta => 'tenant=beta claim.tenant_no=12' }, auth => { acme => '', beta => '' },
    rules => ['public.kinds = shared', 'public.everything = shared', 'public.counts = tenant_no'],
    set => { tenant_columns => 'tenant_id', worker_threads => 2, tenant_explain => 'plan', server_reset_query => '' });
my ($acme, $beta) = map { $p->connect('tx', $_) } qw(acme beta);

sub tags { join ' ', map { $_->{tag} } @{ $_[0]{results} } }
sub answer { my ($r) = @_; return $r->{error} ? $r->{error}{C} : row_values($r) }

# ---- PREPARE, EXECUTE, DEALLOCATE ----
for my $db (qw(tx session statement)) {
    my ($a, $b) = map { $p->connect($db, $_) } qw(acme beta);
    for my $w ([$a, 'acme'], [$b, 'beta']) {
        my ($c, $name) = @$w;
        is(tags($c->query('PREPARE q (int, text) AS SELECT min(tenant_id), max(tenant_id), count(*) FROM notes WHERE id > $1 AND body <> $2')),
            'PREPARE', "$db $name: PREPARE");
        is(answer($c->query("EXECUTE q (10, 'x')")), "$name|$name|5", "$db $name: EXECUTE reads own rows");
        is(answer($c->query("EXECUTE q (1 + 9, 'it''s' || \$\$)\$\$ /* , 'beta' */)")), "$name|$name|5", "$db $name: arguments are expressions");
        is(answer($c->query("EXECUTE q(10)")), '42601', "$db $name: too few arguments");
        is(answer($c->query("EXECUTE q(10, 'x', 'beta')")), '42601', "$db $name: too many");
        $c->query('PREPARE none AS SELECT min(tenant_id) FROM notes');
        is(answer($c->query("EXECUTE none ('beta', 'acme')")), $name, "$db $name: without parameters, arguments are ignored");
        $c->query('DEALLOCATE none');
        is(answer($c->query('PREPARE q AS SELECT 1')), '42P05', "$db $name: the name is taken");
        is(answer($c->query('EXECUTE nosuch')), '26000', "$db $name: no such statement");
    }
    is(answer($a->query('SELECT 1')), 1, "$db: goes on");
    is(tags($a->query('DEALLOCATE q')), 'DEALLOCATE', "$db: DEALLOCATE");
    is(answer($a->query("EXECUTE q (10, 'x')")), '26000', "$db: the name is gone");
    is(answer($b->query("EXECUTE q (10, 'x')")), 'beta|beta|5', "$db: that of the other client is not");
    is(tags($b->query('DEALLOCATE ALL')), 'DEALLOCATE ALL', "$db: DEALLOCATE ALL");
    is(answer($b->query("EXECUTE q (10, 'x')")), '26000', "$db: all names are gone");
}
# One namespace with the protocol's statements, both ways.
for my $c ($acme, $beta) {
    my $name = $c == $acme ? 'acme' : 'beta';
    $c->cork->parse('w', 'SELECT max(tenant_id), count(*) FROM notes WHERE id > $1', 23); $c->sync; $c->uncork;
    is($c->finish->{error}, undef, "$name: Parse");
    is(answer($c->query('EXECUTE w(10)')), "$name|5", "$name: EXECUTE of a statement made by Parse");
    is(tags($c->query('PREPARE s (int) AS SELECT max(tenant_id), count(*) FROM notes WHERE id > $1')), 'PREPARE', "$name: PREPARE");
    for my $round (1 .. 2) {
        $c->cork; $c->bind('', 's', [10]); $c->describe('P', ''); $c->execute(''); $c->sync; $c->uncork;
        is(answer($c->finish), "$name|5", "$name: Bind to a statement made by PREPARE, $round");
    }
    $c->cork->describe('S', 's'); $c->sync; $c->uncork;
    my $m = $c->finish->{msgs};
    is(Bulkhead::Wire->types($m) . unpack('n', $m->[0][1]), 'tTZ1', "$name: Describe shows its own parameter");
    $c->cork->close_name('S', 's'); $c->sync; $c->uncork; $c->finish;
    is(answer($c->query('EXECUTE s(10)')), '26000', "$name: Close of it");
    is(answer($c->query('DEALLOCATE PREPARE w')), '', "$name: DEALLOCATE of one made by Parse");
    $c->cork->bind('', 'w', [1]); $c->sync; $c->uncork;
    is($c->finish->{error}{C}, '26000', "$name: is felt by Bind");
}
# By the extended protocol.
for my $w ([$acme, 'acme'], [$beta, 'beta']) {
    my ($c, $name) = @$w;
    my $r = $c->ext('PREPARE e (int) AS SELECT max(tenant_id), count(*) FROM notes WHERE id > $1', []);
    is(tags($r) . ($r->{error}{M} // ''), 'PREPARE', "$name: PREPARE by Parse");
    for my $i (1 .. 2) {
        is(answer($c->ext('EXECUTE e (10)', [])), "$name|5", "$name: EXECUTE by Parse, $i");
        is(answer($c->ext('EXECUTE e (10, 1)', [])), '42601', "$name: with too many arguments, $i");
    }
    is(answer($c->ext('EXECUTE e ($1)', [10])), '0A000', "$name: with a parameter");
    $c->cork->parse('run', 'EXECUTE e (18)'); $c->describe('S', 'run'); $c->bind('', 'run', []); $c->execute(''); $c->sync; $c->uncork;
    $r = $c->finish;
    is(Bulkhead::Wire->types($r->{msgs}), '1tT2DCZ', "$name: a prepared EXECUTE");
    is(answer($c->ext('PREPARE e AS SELECT 1', [])), '42P05', "$name: the name is taken");
    $r = $c->ext('DEALLOCATE e', []);
    is(tags($r) . ($r->{error}{M} // ''), 'DEALLOCATE', "$name: DEALLOCATE by Parse");
    is(answer($c->ext('DEALLOCATE e', [])), '26000', "$name: is felt");
    $c->cork->bind('', 'run', []); $c->execute(''); $c->sync; $c->uncork;
    is(answer($c->finish), '26000', "$name: by the prepared EXECUTE too");
    is(answer($c->query('PREPARE e AS SELECT max(tenant_id) FROM notes')) . answer($c->query('EXECUTE e')), $name, "$name: the name is free again");
    is(tags($c->ext('DEALLOCATE ALL', [])), 'DEALLOCATE ALL', "$name: ALL");
    is(answer($c->query('EXECUTE e')), '26000', "$name: all gone");
}
# Transactions and errors.
$acme->query('BEGIN');
is(answer($acme->query('PREPARE bad AS SELECT nosuch FROM notes')), '42703', 'what the server refuses is not prepared');
is($acme->query('PREPARE good AS SELECT 1')->{error}{C}, '25P02', 'a failed transaction prepares nothing');
is($acme->query('DEALLOCATE ALL')->{error}{C}, '25P02', 'and takes nothing away');
$acme->query('ROLLBACK');
is(answer($acme->query('EXECUTE bad')) . answer($acme->query('EXECUTE good')), '2600026000', 'no name is left');
$acme->query('BEGIN');
is(tags($acme->query('PREPARE kept AS SELECT count(*) FROM notes')), 'PREPARE', 'PREPARE in a transaction');
$acme->query('ROLLBACK');
is(answer($acme->query('EXECUTE kept')), 10, 'outlives its rollback');
my $held = $p->connect('tx', 'beta');
$held->query('BEGIN'); $held->query('SELECT 1');
is(answer($acme->query('EXECUTE kept')), 10, 'and runs on any server');
$held->query('ROLLBACK'); $held->close;
my $r = $acme->query('PREPARE pos AS SELECT nosuch FROM notes');
is($r->{error}{P}, 23, 'an error points into the text of the client');
$acme->query("PREPARE ins (int, text) AS INSERT INTO notes (id, tenant_id, body) VALUES (\$1, \$2, 'p') RETURNING id");
is(tags($acme->query("EXECUTE ins (100, 'acme')")), 'INSERT 0 1', 'INSERT with the own value');
error_is($acme->query("EXECUTE ins (101, 'beta')"), '42501', qr/another tenant/, 'not with a foreign one');
error_is($acme->query("EXECUTE ins (101, 'be' || 'ta')"), '42501', qr/./, 'nor a computed one');
error_is($acme->query("EXECUTE ins (101, NULL)"), '42501', qr/./, 'nor none');
error_is($acme->query("PREPARE x AS DELETE FROM pg_class"), '42501', qr/./, 'what Parse refuses, PREPARE refuses');
error_is($acme->query("PREPARE y AS SELECT 1; EXECUTE y"), '0A000', qr/./, 'each in a message of its own');
error_is($acme->query("EXECUTE ins ((SELECT max(id) FROM notes), 'acme')"), '0A000', qr/./, 'no sub-select as argument');
is($pg->value("SELECT count(*) FROM notes WHERE body = 'p'"), 1, 'one row of all that');
my $rj = $p->connect('reject', 'acme');
$rj->query('PREPARE r (text) AS SELECT count(*) FROM notes WHERE tenant_id = $1');
is(answer($rj->query("EXECUTE r ('acme')")), 10 + 1, 'reject mode: the own value as argument');
is(answer($rj->query("EXECUTE r ('beta')")), '42501', 'reject mode: not a foreign one');
$rj->query('PREPARE n (int) AS SELECT count(*) FROM counts WHERE tenant_no = $1');
is(answer($rj->query('EXECUTE n (11)')) . answer($rj->query("EXECUTE n ('11')")), '55', 'reject mode: a number');
is(answer($rj->query('EXECUTE n (12)')) . answer($rj->query('EXECUTE n (011)')), '425015', 'reject mode: of the other tenant');
$rj->query('PREPARE o AS SELECT count(*) FROM notes');
is(answer($rj->query('EXECUTE o')), '42501', 'reject mode: what proves nothing');
# An utility statement prepared by Parse is not run by EXECUTE.
$acme->cork->parse('u', 'RESET ALL'); $acme->sync; $acme->uncork; $acme->finish;
is(answer($acme->query('EXECUTE u')), '0A000', 'EXECUTE runs queries only');
# In a pipeline of Queries.
$acme->cork;
$acme->send_query($_) for 'BEGIN', 'PREPARE pl (int) AS SELECT max(tenant_id) FROM notes WHERE id > $1', 'EXECUTE pl (1)', 'DEALLOCATE pl', 'SELECT 1/0', 'DEALLOCATE kept', 'ROLLBACK', 'EXECUTE kept', 'DEALLOCATE kept', 'EXECUTE kept';
$acme->uncork;
my @got = map { my $q = $acme->finish; $q->{error} ? $q->{error}{C} : (tags($q), row_values($q)) } 1 .. 10;
is("@got", 'BEGIN  PREPARE  SELECT 1 acme DEALLOCATE  22012 25P02 ROLLBACK  SELECT 1 11 DEALLOCATE  26000', 'a pipeline of Queries');

# ---- cursors ----
$acme->query('BEGIN');
is(tags($acme->query("DECLARE c SCROLL CURSOR FOR SELECT id, tenant_id FROM notes WHERE id < 50 ORDER BY id")), 'DECLARE CURSOR', 'DECLARE');
is(answer($acme->query('FETCH 2 FROM c')), '2|acme;4|acme', 'FETCH');
is(tags($acme->query('MOVE FORWARD 1 IN c')), 'MOVE 1', 'MOVE');
is(answer($acme->query('FETCH BACKWARD 1 FROM c')), '4|acme', 'backward');
is(tags($acme->query('CLOSE c')), 'CLOSE CURSOR', 'CLOSE');
is(answer($acme->query('FETCH c')), '34000', 'and it is gone');
$acme->query('ROLLBACK');
is(tags($acme->query('DECLARE h CURSOR WITH HOLD FOR SELECT tenant_id FROM notes WHERE id < 5')), 'DECLARE CURSOR', 'WITH HOLD keeps the server');
is(answer($acme->query('FETCH 2 FROM h')), 'acme;acme', 'over transactions');
is(tags($acme->query('CLOSE h')), 'CLOSE CURSOR', 'until it is closed');
my $s = $p->connect('session', 'acme');
is(tags($s->query('DECLARE h CURSOR WITH HOLD FOR SELECT max(tenant_id) FROM notes')), 'DECLARE CURSOR', 'as in session pooling');
is(answer($s->query('FETCH h')), 'acme', 'where it stays');
# WHERE CURRENT OF.
for my $way (qw(query ext)) {
    my $run = sub { $way eq 'query' ? $acme->query($_[0]) : $acme->ext($_[0], []) };
    $acme->query('BEGIN');
    $run->("DECLARE c CURSOR FOR SELECT id FROM notes WHERE id < 50 ORDER BY id FOR UPDATE");
    is(answer($run->('FETCH c')), 2, "$way: a row");
    is(tags($run->("UPDATE notes SET body = 'current' WHERE CURRENT OF c")), 'UPDATE 1', "$way: UPDATE under the cursor");
    is(answer($run->("UPDATE notes SET tenant_id = 'beta' WHERE CURRENT OF c")), '42501', "$way: it stays with the tenant");
    $acme->query('ROLLBACK');
    $acme->query('BEGIN');
    $run->('DECLARE n CURSOR FOR SELECT id FROM notes'); $run->('FETCH n');
    error_is($run->("DELETE FROM notes WHERE CURRENT OF n"), '0A000', qr/CURRENT OF/, "$way: nor where the row is not locked");
    $acme->query('ROLLBACK');
    $acme->query('BEGIN');
    $run->("DECLARE v CURSOR FOR SELECT id FROM everything WHERE tenant_id = 'beta' ORDER BY id");
    is(answer($run->('FETCH v')), 1, "$way: a row of a shared view");
    error_is($run->("DELETE FROM notes WHERE CURRENT OF v"), '0A000', qr/CURRENT OF/, "$way: is not deleted under it");
    $acme->query('ROLLBACK');
    error_is($run->("DELETE FROM notes WHERE CURRENT OF c"), '0A000', qr/CURRENT OF/, "$way: a cursor of another transaction");
}
$rj->query('BEGIN'); $rj->query("DECLARE c CURSOR FOR SELECT id FROM notes WHERE tenant_id = 'acme' ORDER BY id FOR UPDATE"); $rj->query('FETCH c');
is(tags($rj->query('DELETE FROM notes WHERE CURRENT OF c')), 'DELETE 1', 'reject mode: under a cursor that is proven');
error_is($rj->query('DECLARE d CURSOR FOR SELECT id FROM notes'), '42501', qr/./, 'reject mode: which others are not');
$rj->query('ROLLBACK');
# The same name for a portal over the view, in all orders.
$acme->query('BEGIN');
$acme->cork->parse('', "SELECT id FROM everything WHERE tenant_id = 'beta'"); $acme->bind('p', '', []); $acme->execute('p', 1); $acme->flush; $acme->uncork;
$acme->sync; $acme->finish;
error_is($acme->query('DECLARE p CURSOR FOR SELECT id FROM notes FOR UPDATE; DELETE FROM notes WHERE CURRENT OF p'), '0A000', qr/CURRENT OF/, 'a portal has that name');
$acme->query('ROLLBACK');
$acme->query('BEGIN'); $acme->query('SAVEPOINT s'); $acme->query('DECLARE p CURSOR FOR SELECT id FROM notes FOR UPDATE'); $acme->query('FETCH p'); $acme->query('ROLLBACK TO s');
$acme->cork->parse('', "SELECT id FROM everything WHERE tenant_id = 'beta'"); $acme->bind('p', '', []); $acme->execute('p', 1); $acme->sync; $acme->uncork; $acme->finish;
error_is($acme->query('DELETE FROM notes WHERE CURRENT OF p'), '0A000', qr/CURRENT OF/, 'a portal got that name');
$acme->query('ROLLBACK');
$acme->query('BEGIN'); $acme->query('DECLARE p CURSOR FOR SELECT id FROM notes FOR UPDATE'); $acme->query('FETCH p');
$acme->cork->parse('', 'DELETE FROM notes WHERE CURRENT OF p'); $acme->bind('later', '', []); $acme->sync; $acme->uncork; $acme->finish;
$acme->query('CLOSE p');
$acme->cork->parse('', "SELECT id FROM everything WHERE tenant_id = 'beta'"); $acme->bind('p', '', []); $acme->execute('p', 1); $acme->sync; $acme->uncork;
error_is($acme->finish, '0A000', qr/CURRENT OF/, 'while a bound statement waits for the cursor of that name, no portal takes it');
$acme->query('ROLLBACK');
is($pg->value("SELECT count(*) FROM notes WHERE tenant_id = 'beta'"), 10, 'all rows of the other tenant are there');

# ---- LISTEN, NOTIFY ----
my ($la, $lb, $off) = ($p->connect('session', 'acme'), $p->connect('session', 'beta'), $p->connect('plain', 'acme'));
sub heard { my ($c, $n) = @_; while ($n && @{ $c->{notifications} // [] } < $n) { $c->read_msg(20) or last } $c->query("SELECT 1"); return join " ", map { "$_->[1]=$_->[2]" } splice @{ $c->{notifications} } }
is(tags($_->query('LISTEN news')), 'LISTEN', 'LISTEN') for $la, $lb, $off;
is(tags($acme->query("NOTIFY news, 'for acme'")), 'NOTIFY', 'NOTIFY');
is(tags($acme->query("SELECT pg_notify('news', 'too')")), 'SELECT 1', 'pg_notify');
is(tags($acme->ext("SELECT pg_notify('news', \$1)", ['bound'])), 'SELECT 1', 'pg_notify with a payload in Bind');
is(tags($acme->ext("NOTIFY news, 'ext'", [])), 'NOTIFY', 'NOTIFY by Parse');
$off->query("NOTIFY news, 'plain'");
$beta->query("NOTIFY \"News\", 'upper'");
is(heard($la), 'news=for acme news=too news=bound news=ext', 'the own tenant hears it under the plain name');
is(heard($lb), '', 'the other tenant hears nothing');
is(heard($off), 'news=plain', 'nor does who is no tenant');
$beta->query("NOTIFY news, 'for beta'");
is(heard($lb) . heard($la), 'news=for beta', 'and the other way round');
my $channel = 'bh_' . substr($pg->value("SELECT encode(sha256('acme'), 'hex')"), 0, 24) . '_news';
$pg->sql("NOTIFY $channel, 'from the server'");
is(heard($la), 'news=from the server', 'the name on the server is documented');
is(tags($acme->query('LISTEN news')), 'LISTEN', 'also where the server changes');
$beta->query("NOTIFY news, 'not for acme'");
$off->query("NOTIFY news, 'nor this'");
$pg->sql("NOTIFY $channel, 'virtual'");
is(heard($acme, 1), 'news=virtual', 'the own tenant\'s alone');
is(tags($acme->query('UNLISTEN news')), 'UNLISTEN', 'UNLISTEN');
$pg->sql("NOTIFY $channel, 'late'");
ok(!$acme->readable(0.3), 'and no more');
$acme->query('LISTEN news');
$pg->sql("NOTIFY $channel, 'again'");
is(heard($acme, 1), 'news=again', 'again');
is(tags($acme->query('UNLISTEN *')), 'UNLISTEN', 'UNLISTEN *');
$pg->sql("NOTIFY $channel, 'late'");
ok(!$acme->readable(0.3), 'nor then');
heard($la);
error_is($la->query('SELECT * FROM pg_listening_channels()'), '42501', qr/./, 'channels are not listed');
error_is($acme->query("SELECT pg_notify(body, 'x') FROM notes"), '42501', qr/./, 'pg_notify over rows');
error_is($acme->query('SELECT pg_notify($$x$$ || 1, $$y$$)'), '42501', qr/./, 'computed channels');
error_is($acme->query('NOTIFY ' . 'n' x 40), '42501', qr/./, 'long names');
is(tags($la->query('UNLISTEN news')), 'UNLISTEN', 'UNLISTEN');
$acme->query("NOTIFY news, 'unheard'");
is(heard($la), '', 'is felt');
is(tags($lb->query('UNLISTEN *')), 'UNLISTEN', 'UNLISTEN *');
$lb->query('LISTEN news');
$lb->close; $la->close; $s->close;
my @next = map { $p->connect('session', 'beta') } 1 .. 3;
$_->query('SELECT 1') for @next;
$beta->query("NOTIFY news, 'late'");
is(join('', map { heard($_) } @next), '', 'a server that is handed on does not listen any more');
is(join(' ', map { answer($_->query('FETCH h')) } @next), '34000 34000 34000', 'nor does it hold a cursor');
$_->close for @next;

# ---- LOCK, SET CONSTRAINTS, transactions ----
$acme->query('BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE NOT DEFERRABLE');
is(tags($acme->query("LOCK TABLE $_ NOWAIT")), 'LOCK TABLE', "LOCK $_") for 'notes IN ROW EXCLUSIVE MODE', 'ONLY public.notes IN ACCESS SHARE MODE', 'kinds IN ROW SHARE MODE';
is(tags($acme->query("SET CONSTRAINTS ALL DEFERRED")), 'SET CONSTRAINTS', 'SET CONSTRAINTS');
is(tags($acme->query("COMMIT AND CHAIN")), 'COMMIT', 'AND CHAIN');
is(answer($acme->query('SHOW transaction_isolation')), 'repeatable read', 'is the same again');
is(tags($acme->query("ROLLBACK AND NO CHAIN")), 'ROLLBACK', 'AND NO CHAIN');
for my $m ('', ' IN ACCESS EXCLUSIVE MODE', ' IN SHARE MODE', ' IN SHARE ROW EXCLUSIVE MODE', ' IN SHARE UPDATE EXCLUSIVE MODE', ' IN EXCLUSIVE MODE') {
    error_is($acme->query("LOCK TABLE notes$m"), '42501', qr/LOCK/, "LOCK$m would stop others");
}
error_is($acme->query("LOCK TABLE $_"), '42501', qr/./, "LOCK $_") for 'kinds IN ROW EXCLUSIVE MODE', 'pg_class IN ACCESS SHARE MODE', 'everything IN ACCESS SHARE MODE', 'nosuch IN ACCESS SHARE MODE';
error_is($acme->query($_), '42501', qr/./, $_) for "SET TRANSACTION SNAPSHOT 'x'", 'SELECT pg_export_snapshot()', 'SET SESSION AUTHORIZATION app', 'SET SESSION AUTHORIZATION DEFAULT', 'RESET ROLE', 'SET ROLE NONE', 'SHOW ALL',
    'SET seed = 0.5', 'CREATE TEMP TABLE x (i int)', 'SELECT 1 INTO TEMP x', 'TRUNCATE notes', 'ANALYZE notes', 'COMMENT ON TABLE notes IS $$x$$', 'GRANT SELECT ON notes TO public', 'DO $$ BEGIN END $$';
is(tags($acme->query($_)), (split / /, $_, 2)[0] eq 'DISCARD' ? $_ : 'SET', $_)
    for 'DISCARD PLANS', 'DISCARD TEMP', 'SET TIME ZONE LOCAL', "SET TIME ZONE 'UTC'", "SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE", "SET NAMES 'UTF8'", 'SET XML OPTION DOCUMENT', 'SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE';

# ---- resetting, and the binding ----
sub bound { my ($c) = @_; return answer($c->query("SELECT current_setting('app.tenant_id', true)")) }
for my $db (qw(guc gucsession)) {
    my $c = $p->connect($db, 'acme');
    is(bound($c), 'acme', "$db: bound");
    for my $sql ('RESET ALL', 'DISCARD ALL', 'SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;', 'RESET ALL; CLOSE ALL; UNLISTEN *; SELECT pg_advisory_unlock_all(); DISCARD SEQUENCES; DISCARD TEMP') {
        is($c->query($sql)->{error}, undef, "$db: $sql");
        is(bound($c), 'acme', "$db: bound behind it");
        $c->cork; $c->send_query($sql); $c->send_query("SELECT current_setting('app.tenant_id', true)"); $c->uncork;
        $c->finish;
        is(answer($c->finish), 'acme', "$db: and in the same breath");
    }
    for my $sql ('RESET ALL', 'DISCARD ALL') {
        is($c->ext($sql, [])->{error}, undef, "$db: $sql by Parse");
        is(bound($c), 'acme', "$db: bound behind it");
    }
    $c->cork->parse('', 'RESET ALL'); $c->bind('', '', []); $c->execute('');
    $c->parse('', "SELECT current_setting('app.tenant_id', true)"); $c->bind('', '', []); $c->execute(''); $c->sync; $c->uncork;
    my $q = $c->finish;
    is(Bulkhead::Wire->types($q->{msgs}), '12C12DCZ', "$db: one batch, and no answer too many");
    is(answer($q), 'acme', "$db: bound within the batch");
    $c->cork->parse('r', 'RESET ALL'); $c->bind('x', 'r', []); $c->bind('y', 'r', []); $c->execute('x');
    $c->parse('', "SELECT current_setting('app.tenant_id', true)"); $c->bind('z', '', []); $c->execute('y'); $c->execute('z'); $c->sync; $c->uncork;
    is(answer($c->finish), 'acme', "$db: portals run late");
    for my $end ('COMMIT', 'ROLLBACK', 'ROLLBACK TO s; COMMIT') {
        $c->query('BEGIN'); $c->query('SAVEPOINT s'); $c->query('RESET ALL');
        is(bound($c), 'acme', "$db: in a transaction") ;
        $c->query($end) if $end !~ /;/;
        if ($end =~ /;/) { $c->query('ROLLBACK TO s'); is(bound($c), 'acme', "$db: behind ROLLBACK TO"); $c->query('COMMIT') }
        is(bound($c), 'acme', "$db: behind $end");
    }
    $c->query('BEGIN'); $c->query('SELECT 1/0');
    is($c->query('RESET ALL')->{error}{C}, '25P02', "$db: in a failed transaction");
    is($c->query('ROLLBACK')->{error}, undef, "$db: which ends");
    is(bound($c), 'acme', "$db: bound");
    is($c->query("SELECT 1/0; RESET ALL")->{error}{C}, '22012', "$db: never reached");
    is(bound($c), 'acme', "$db: bound all the same");
    for my $sql ("RESET ALL; SELECT current_setting('app.tenant_id', true)", 'RESET ALL; SELECT * FROM notes', 'RESET ALL; COPY (SELECT 1) TO STDOUT', 'RESET ALL; DELETE FROM notes', 'RESET ALL; BEGIN') {
        error_is($c->query($sql), '42501', qr/setting/, "$db: refused: $sql");
    }
    is(bound($c), 'acme', "$db: still bound");
    $c->close;
    my $b = $p->connect($db, 'beta');
    is(bound($b), 'beta', "$db: the next one is bound as itself");
    $b->query('RESET ALL');
    is(bound($b), 'beta', "$db: also behind RESET ALL");
    $b->close;
}
# The server's own policies.
for my $db (qw(rls rlssession)) {
    for my $name (qw(acme beta)) {
        my $c = $p->connect($db, $name);
        my $own = "$name|$name|10";
        my $sql = 'SELECT min(tenant_id), max(tenant_id), count(*) FROM walled';
        is(answer($c->query($sql)), $own, "$db $name: own rows");
        is(tags($c->query("PREPARE w (int) AS $sql WHERE id > \$1")), 'PREPARE', "$db $name: PREPARE");
        is(answer($c->query('EXECUTE w (0)')), $own, "$db $name: EXECUTE");
        for my $reset ('RESET ALL', 'DISCARD ALL') {
            $c->cork; $c->send_query($reset); $c->send_query($sql); $c->uncork;
            $c->finish;
            is(answer($c->finish), $own, "$db $name: behind $reset");
            $c->cork->parse('', $reset); $c->bind('', '', []); $c->execute(''); $c->parse('', $sql); $c->bind('', '', []); $c->execute(''); $c->sync; $c->uncork;
            my $q = $c->finish;
            ok(answer($q) eq $own || ($reset eq 'DISCARD ALL' && $q->{error}), "$db $name: in one batch behind $reset");
        }
        $c->query('BEGIN'); $c->query('SAVEPOINT s'); $c->query('RESET ALL'); $c->query('ROLLBACK TO s');
        is(answer($c->query($sql)), $own, "$db $name: behind a reset that was rolled back");
        $c->query('DECLARE k CURSOR FOR SELECT id FROM walled FOR UPDATE'); $c->query('FETCH k');
        is(tags($c->query('DELETE FROM walled WHERE CURRENT OF k')), 'DELETE 1', "$db $name: under a cursor");
        $c->query('ROLLBACK');
        $c->close;
    }
}
error_is($p->connect('connect', 'acme')->query('RESET ALL'), '42501', qr/setting/, 'RESET ALL would undo connect_query');
my $dirty = $p->connect('connect', 'acme');
$dirty->query("SET extra_float_digits = 3");
is(answer($dirty->query('SHOW lock_timeout')), '7777ms', 'what a setting of the client leaves does not cost connect_query');
# Prepared statements behind DISCARD ALL.
$acme->query('PREPARE d1 AS SELECT count(*) FROM notes'); $acme->query('EXECUTE d1');
is($acme->query('DISCARD ALL')->{error}, undef, 'DISCARD ALL');
is(answer($acme->query('EXECUTE d1')), '26000', 'forgets statements');
$acme->query('PREPARE d1 AS SELECT count(*) FROM notes');
is(answer($acme->query('EXECUTE d1')), 11, 'which are prepared again');

# ---- EXPLAIN ----
like(answer($acme->query('EXPLAIN (COSTS OFF) SELECT * FROM notes')), qr/Seq Scan on notes.*'acme'/s, 'EXPLAIN (COSTS OFF)');
unlike(answer($acme->query('EXPLAIN (COSTS OFF, VERBOSE, FORMAT JSON) SELECT * FROM notes n, counts c')), qr/beta|12/, 'shows no other value');
error_is($acme->query("EXPLAIN $_"), '0A000', qr/EXPLAIN/, "EXPLAIN $_") for 'SELECT 1', 'ANALYZE SELECT 1', '(COSTS OFF, ANALYZE) SELECT 1', '(COSTS OFF, SETTINGS) SELECT 1', '(COSTS OFF) EXECUTE d1', '(COSTS OFF) CREATE TABLE x AS SELECT 1';
is($pg->value("SELECT count(*) FROM notes WHERE tenant_id = 'beta'"), 10, 'all rows of the other tenant are there');
unlike($p->log_text, qr/server closed|unexpected/, 'no server was lost');
finish();
