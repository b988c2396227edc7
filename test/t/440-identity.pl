#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Identity: startup parameter within a granted set, sources that must agree, changing the tenant between transactions.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TABLE notes (id int PRIMARY KEY, tenant_id text NOT NULL, tenant_no int NOT NULL, body text);
CREATE TABLE bills (id int PRIMARY KEY, tenant_no int NOT NULL, sum int);
INSERT INTO notes SELECT g, (ARRAY['acme','beta','gamma'])[1 + g % 3], 11 + g % 3, 'note ' || g FROM generate_series(1, 30) g;
INSERT INTO bills SELECT g, 11 + g % 3, g FROM generate_series(1, 30) g;
SQL
my %user = (
    one => 'tenant=acme', app => 'tenants=acme,beta', many => "tenants='acme, beta' tenant_switch=1", any => 'tenants=* tenant_switch=1',
    fixed => 'tenant=acme tenants=acme,beta tenant_switch=1', ops => 'tenant=*', odd => 'tenants=acme tenant_switch=1 claim.tenant_no=99',
    none => 'pool_mode=transaction', sess => 'tenants=acme,beta tenant_switch=1',
);
my $p = proxy(pg => $pg, databases => {
        db => 'dbname=postgres user=app pool_size=2 tenant_mode=rewrite tenant_guc=app.tenant', audit => 'dbname=postgres user=app pool_size=2 tenant_mode=audit',
        ses => 'dbname=postgres user=app pool_size=2 tenant_mode=rewrite tenant_guc=app.tenant pool_mode=session',
        open => 'dbname=postgres user=app pool_size=2 tenant_mode=off' },
    users => \%user, auth => { map { ($_ => '') } keys %user }, rules => ['public.notes = tenant_id', 'public.bills = tenant_no'],
    extra => "\n[tenants]\nacme = tenant_no=11\nbeta = tenant_no=12\ngamma = tenant_no=13\n",
    set => { tenant_identity => 'map, startup', worker_threads => $ENV{BH_WORKERS} // 2 });
my $who = sub { my ($c) = @_; my $v = eval { $c->value("SELECT string_agg(DISTINCT tenant_id, ',') FROM notes") }; return $v // "refused: $@" };
my $as = sub { my ($t, $u, %o) = @_; return $p->connect('db', $u // 'app', params => { 'pgbulkhead.tenant' => $t }, %o) };

# The startup parameter.
is($who->($as->('acme')), 'acme', 'startup parameter: acme');
is($who->($as->('beta')), 'beta', 'startup parameter: beta');
is($as->('beta')->value('SELECT count(*) FROM bills'), 10, 'with the claims of [tenants]');
is($as->('beta')->value('SELECT min(tenant_no) FROM bills'), 12, 'that are its own');
is($who->($p->connect('db', 'app', options => '-c pgbulkhead.tenant=acme')), 'acme', 'in options');
is($who->($p->connect('db', 'app', options => '--PgBulkhead.Tenant=beta')), 'beta', 'in options, another spelling');
my $no = sub { my ($like, $name, $user, %o) = @_; rejects($p, $o{db} // 'db', $user, '28000', $like, $name, %o) };
$no->(qr/not granted/, 'a tenant outside the set', 'app', params => { 'pgbulkhead.tenant' => 'gamma' });
$no->(qr/no tenant is bound/, 'no tenant at all', 'app');
$no->(qr/not granted/, 'a user without a set', 'one', params => { 'pgbulkhead.tenant' => 'acme' });
$no->(qr/different tenants/, 'one that contradicts the map', 'fixed', params => { 'pgbulkhead.tenant' => 'beta' });
is($who->($as->('acme', 'fixed')), 'acme', 'one that agrees with it');
$no->(qr/exempt/, 'an exempt user who names one', 'ops', params => { 'pgbulkhead.tenant' => 'acme' });
$no->(qr/given twice/, 'twice, by parameter and option', 'app', params => { 'pgbulkhead.tenant' => 'acme' }, options => '-c pgbulkhead.tenant=acme');
$no->(qr/given twice/, 'twice in options', 'app', options => '-c pgbulkhead.tenant=acme -c pgbulkhead.tenant=beta');
for my $bad ('', 'ACME', 'acme ', ' acme', 'acme,beta', '*', "ac\tme", "ac\x01me", "\xff", 'acme;') {
    my $s = $bad =~ s/[^ -~]/?/gr;
    $no->(qr/not granted|no usable tenant|no tenant can be called/, "startup parameter '$s'", 'app', params => { 'pgbulkhead.tenant' => $bad });
}
$no->(qr/knows no tenants/, 'a database without tenants', 'app', db => 'open', params => { 'pgbulkhead.tenant' => 'acme' });
$no->(qr/disagree about claim/, 'a claim of the user that is not the tenant\'s', 'odd', params => { 'pgbulkhead.tenant' => 'acme' });
is($as->('acme', 'any')->value('SHOW pgbulkhead.tenant'), 'acme', 'tenants=*: one of [tenants]');
$no->(qr/not granted/, 'tenants=*: no other', 'any', params => { 'pgbulkhead.tenant' => 'delta' });
is($pg->value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pgbulkhead.tenant%'"), 1, 'no server has heard of it');

# Changing it by SET.
my $c = $as->('acme', 'many');
is($who->($c), 'acme', 'the login\'s');
my $r = $c->query("SET pgbulkhead.tenant = 'beta'");
is($r->{results}[0]{tag} // $r->{error}{M}, 'SET', 'SET is answered');
is($who->($c), 'beta', 'and changes the tenant');
is($c->value('SELECT min(tenant_no) FROM bills'), 12, 'with its claims');
is($c->value("SELECT current_setting('app.tenant')"), 'beta', 'and tenant_guc');
is($c->value('SHOW pgbulkhead.tenant'), 'beta', 'SHOW tells');
is($c->query('RESET pgbulkhead.tenant')->{results}[0]{tag}, 'RESET', 'RESET');
is($who->($c), 'acme', 'is back at the login\'s');
is($c->query("/* a */ set session \"PgBulkhead\" . \"tenant\" -- b\n to 'beta' ; ")->{results}[0]{tag}, 'SET', 'however it is written');
is($who->($c), 'beta', 'is understood');
is($c->query('SET pgbulkhead.tenant TO DEFAULT')->{results}[0]{tag}, 'SET', 'TO DEFAULT');
is($who->($c), 'acme', 'is the login\'s too');
for my $q ("SET pgbulkhead.tenant = 'gamma'", "SET pgbulkhead.tenant = 'ACME'", "SET pgbulkhead.tenant = ''", "SET pgbulkhead.tenant = '*'", "SET pgbulkhead.tenant = acme", "SET pgbulkhead.tenant = E'beta'",
    "SET pgbulkhead.tenant = U&'beta'", "SET pgbulkhead.tenant = 'be'\n'ta'", "SET pgbulkhead.tenant = 'beta', 'acme'", "SET pgbulkhead.tenant = NULL", "SET LOCAL pgbulkhead.tenant = 'beta'", 'SET pgbulkhead.tenant',
    "SET pgbulkhead.tenant = 'beta'; SELECT 1", "SELECT 1; SET pgbulkhead.tenant = 'beta'", "SET pgbulkhead.tenant = 'beta'; SET pgbulkhead.tenant = 'beta'", "SET U&\"pgbulkhead\".tenant = 'beta'", "SET pgbulkhead.other = 'x'",
    'SHOW pgbulkhead.tenant_token', "SET pgbulkhead.tenant_token = 'v1.x.y'", "SELECT set_config('pgbulkhead.tenant', 'beta', false)", "SET pgbulkhead.tenant.x = 'beta'", "SET SESSION SESSION pgbulkhead.tenant = 'beta'",
    "BEGIN; SET pgbulkhead.tenant = 'beta'; COMMIT", "SET pgbulkhead.tenant = 'beta\\'", "SET pgbulkhead.tenant = \$\$beta\$\$", "SET pgbulkhead.tenant FROM CURRENT", "ALTER ROLE app SET pgbulkhead.tenant = 'beta'") {
    my $x = $c->query($q);
    ok($x->{error}, 'refused: ' . $q =~ s/\n/ /gr) or diag($x->{results}[-1]{tag});
    is($who->($c), 'acme', 'and nothing changed') or $c->query('RESET pgbulkhead.tenant');
}
error_is($c->query("SET pgbulkhead.tenant = 'gamma'"), '42501', qr/not granted/, 'outside the set: 42501');
error_is($as->('acme', 'app')->query("SET pgbulkhead.tenant = 'beta'"), '42501', qr/may not change/, 'without tenant_switch');
error_is($p->connect('db', 'ops')->query("SET pgbulkhead.tenant = 'beta'"), '42501', qr/exempt/, 'exempt users');
is($p->connect('db', 'ops')->value('SHOW pgbulkhead.tenant'), '*', 'SHOW of an exempt user');
# In transactions.
$c->query('BEGIN');
is($c->value('SHOW pgbulkhead.tenant'), 'acme', 'SHOW in a transaction');
error_is($c->query("SET pgbulkhead.tenant = 'beta'"), '25001', qr/inside of a transaction/, 'SET in a transaction');
error_is($c->query('SELECT 1'), '25P02', qr/aborted/, 'fails it');
error_is($c->query("RESET pgbulkhead.tenant"), '25P02', qr/aborted/, 'RESET in a failed one');
$c->query('ROLLBACK');
is($who->($c), 'acme', 'still acme');
# Behind queries that are not answered yet.
$c->cork; $c->send_query("SELECT count(*), min(tenant_id) FROM notes"); $c->send_query("SET pgbulkhead.tenant = 'beta'"); $c->send_query("SELECT count(*), min(tenant_id) FROM notes"); $c->uncork;
is(join(' ', map { my $x = $c->finish; row_values($x) || $x->{results}[0]{tag} || $x->{error}{M} } 1 .. 3), '10|acme SET 10|beta', 'in a row of queries, each has its tenant');
$c->query('RESET pgbulkhead.tenant');
# Prepared statements go with the tenant.
$c->cork; $c->parse('st', "SELECT string_agg(DISTINCT tenant_id, ',') FROM notes WHERE id > \$1"); $c->parse('ins', "INSERT INTO notes VALUES (\$1, 'acme', 11, 'x')"); $c->sync; $c->uncork; $c->finish;
my $st = sub { my ($name, @v) = @_; $c->cork; $c->bind('', $name, [@v]); $c->execute(''); $c->sync; $c->uncork; return $c->finish };
is(row_values($st->('st', 0)), 'acme', 'prepared: acme');
is($st->('ins', 100)->{results}[0]{tag}, 'INSERT 0 1', 'prepared INSERT of acme\'s constant');
$c->query("SET pgbulkhead.tenant = 'beta'");
is(row_values($st->('st', 0)), 'beta', 'prepared: beta after SET');
error_is($st->('ins', 101), '42501', qr/./, 'acme\'s constant is refused to beta');
$c->query('RESET pgbulkhead.tenant');
is(row_values($st->('st', 0)), 'acme', 'prepared: acme after RESET');
is($st->('ins', 102)->{results}[0]{tag}, 'INSERT 0 1', 'and its constant is taken');
# The extended protocol.
is($c->ext("SET pgbulkhead.tenant = 'beta'", [])->{results}[0]{tag}, 'SET', 'extended: SET');
is($who->($c), 'beta', 'changes it');
is(row_values($c->ext('SHOW pgbulkhead.tenant', [])), 'beta', 'extended: SHOW');
$c->cork; $c->parse('back', 'RESET pgbulkhead.tenant'); $c->describe('S', 'back'); $c->bind('p', 'back', []); $c->describe('P', 'p'); $c->execute('p'); $c->close_name('P', 'p'); $c->sync; $c->uncork;
$r = $c->finish;
is(Bulkhead::Wire->types($r->{msgs}), '1t' . 'n2nC3Z', 'extended: RESET, described, of a named statement');
is($who->($c), 'acme', 'is back');
error_is($c->ext("SELECT 1; SET pgbulkhead.tenant = 'beta'", []), '0A000', qr/stands alone/, 'extended: among others');
$c->cork; $c->parse('', 'SELECT 1'); $c->bind; $c->execute(''); $c->parse('', "SET pgbulkhead.tenant = 'beta'"); $c->bind; $c->execute(''); $c->sync; $c->uncork;
error_is($c->finish, '0A000', qr/batch/, 'extended: behind others in a batch');
is($who->($c), 'acme', 'changes nothing');
$c->cork; $c->parse('', "SET pgbulkhead.tenant = 'beta'"); $c->bind; $c->execute(''); $c->parse('', 'SELECT min(tenant_id) FROM notes'); $c->bind; $c->execute(''); $c->sync; $c->uncork;
$r = $c->finish;
is(row_values($r), 'beta', 'extended: before others in a batch');
error_is($c->ext("SET pgbulkhead.tenant = \$1", ['acme']), '42601', qr/plain string/, 'no parameters');
$c->query('BEGIN');
error_is($c->ext('RESET pgbulkhead.tenant', []), '25001', qr/transaction/, 'extended: in a transaction');
$c->query('ROLLBACK');
is($who->($c), 'beta', 'changes nothing');
# A login without a tenant, for a user who may switch.
$c = $p->connect('db', 'many');
error_is($c->query('SELECT 1'), '28000', qr/no tenant is set/, 'before SET: nothing runs');
error_is($c->ext('SELECT count(*) FROM notes', []), '28000', qr/no tenant is set/, 'extended neither');
is($c->value('SHOW pgbulkhead.tenant'), '', 'SHOW is empty');
$c->query("SET pgbulkhead.tenant = 'beta'");
is($who->($c), 'beta', 'after SET');
$c->cork; $c->parse('s', "SELECT min(tenant_id) FROM notes"); $c->sync; $c->uncork; $c->finish;
$c->query('RESET pgbulkhead.tenant');
error_is($c->query('SELECT 1'), '28000', qr/no tenant is set/, 'after RESET: nothing again');
$c->cork; $c->bind('', 's', []); $c->execute(''); $c->sync; $c->uncork;
error_is($c->finish, '28000', qr/no tenant is set/, 'nor what was prepared');
$c->send_msg('F', pack('Nnnn', 1, 0, 0, 0));
error_is($c->finish, '28000', qr/no tenant is set/, 'nor a function call');
$c->cork; $c->close_name('S', 's'); $c->close_name('P', 'q'); $c->sync; $c->uncork;
is(Bulkhead::Wire->types($c->finish->{msgs}), '33Z', 'Close works');
# Session pooling: the server is cleaned.
$c = $p->connect('ses', 'sess', params => { 'pgbulkhead.tenant' => 'acme' });
is($who->($c), 'acme', 'session pooling');
my $pid = $c->value("SELECT pg_backend_pid()");
$c->query("SET statement_timeout = '77s'");
$c->query("SET pgbulkhead.tenant = 'beta'");
is($who->($c), 'beta', 'changed');
unlike($c->value('SHOW statement_timeout'), qr/77/, 'and nothing of the session before it is left');
is($c->value("SELECT current_setting('app.tenant')"), 'beta', 'tenant_guc is the new one');
$c->query("RESET pgbulkhead.tenant");
is($c->value("SELECT current_setting('app.tenant')"), 'acme', 'and the old one after RESET');
# Audit.
$c = $p->connect('audit', 'many', params => { 'pgbulkhead.tenant' => 'acme' });
is($c->value('SELECT count(*) FROM notes') >= 30, 1, 'audit lets statements pass');
$c->query("SET pgbulkhead.tenant = 'beta'");
is($c->value('SHOW pgbulkhead.tenant'), 'beta', 'audit: SET changes who is audited');
ok($c->query("SELECT 1; SET pgbulkhead.tenant = 'acme'")->{error}, 'audit: not among others');
$c = $p->connect('audit', 'many');
is($c->value('SELECT count(*) FROM notes') >= 30, 1, 'audit without a tenant');
$c->query("SET pgbulkhead.tenant = 'beta'");
is($c->value('SHOW pgbulkhead.tenant'), 'beta', 'audit: later one');
is($p->connect('audit', 'none')->value('SELECT 1'), 1, 'audit: a user without any');
# A change of the configuration does not reach living sessions, but new wishes are judged by it.
$c = $as->('acme', 'many');
$p->{users}{many} = 'tenants=gamma tenant_switch=1';
$p->{users}{one} = 'tenant=gamma';
my $one = $p->connect('db', 'one');
$p->reload;
is($who->($c), 'acme', 'RELOAD leaves living sessions their tenant');
is($who->($one), 'acme', 'by the map too');
error_is($c->query("SET pgbulkhead.tenant = 'beta'"), '42501', qr/not granted/, 'SET follows the new grants');
is($c->query("SET pgbulkhead.tenant = 'gamma'")->{results}[0]{tag}, 'SET', 'both ways');
is($who->($c), 'gamma', 'gamma now');
is($who->($p->connect('db', 'one')), 'gamma', 'a new login gets the new tenant');
$_->close for $c, $one;
# psql.
my ($s, $out, $err) = psql('host=127.0.0.1 port=' . $p->port . " dbname=db user=any options='-c pgbulkhead.tenant=acme'",
    "SHOW pgbulkhead.tenant;\nSET pgbulkhead.tenant = 'beta';\nSELECT DISTINCT tenant_id FROM notes;\nRESET pgbulkhead.tenant;\nSELECT DISTINCT tenant_id FROM notes;\n");
is($out, "acme\nbeta\nacme", 'psql') or diag($err);
my $py = <<'PY';
import sys, psycopg
c = psycopg.connect(f"host=127.0.0.1 port={sys.argv[1]} dbname=db user=any", autocommit=True, prepare_threshold=0)
out = []
for t in ("acme", "beta", "gamma", "acme"):
    c.execute("SET pgbulkhead.tenant = '%s'" % t)
    with c.transaction():
        out += [c.execute("SELECT min(tenant_id), max(tenant_id) FROM notes WHERE id > %s", (0,)).fetchone(), c.execute("SHOW pgbulkhead.tenant").fetchone()]
try:
    with c.transaction():
        c.execute("SET pgbulkhead.tenant = 'beta'")
except psycopg.errors.ActiveSqlTransaction as e:
    out.append(e.sqlstate)
out.append(c.execute("SELECT min(tenant_id) FROM notes").fetchone()[0])
print(out)
PY
($s, $out, $err) = run_cmd(argv => ['/usr/bin/python3', '-c', $py, $p->port], timeout => 60);
my $want = join ', ', (map { "('$_', '$_'), ('$_',)" } qw(acme beta gamma acme)), "'25001'", "'acme'";
is($out =~ s/\n//r, "[$want]", 'psycopg, with prepared statements') or diag($err);
ok($p->wait_log(qr/tenant is now "beta" \(SET\)/), 'the log tells of changes');
finish();
