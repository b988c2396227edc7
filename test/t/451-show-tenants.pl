#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# SHOW TENANTS, TENANT_RULES, DENIALS, AUDIT and RESET: counts over all workers, templates without literals, bounds.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $secret = 'Sesame-5ecret';
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TABLE documents (id int PRIMARY KEY, tenant_id text NOT NULL, title text);
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
CREATE TABLE notes (id int, tenant_id uuid NOT NULL);
CREATE TABLE kinds (code text PRIMARY KEY, label text);
CREATE TABLE "odd ""one" (id int);
CREATE TABLE hidden (tenant_id text);
CREATE VIEW v_documents AS SELECT * FROM documents;
CREATE FUNCTION norm(t text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT lower(t) $$;
INSERT INTO documents SELECT g, CASE WHEN g % 2 = 0 THEN 'acme' ELSE 'beta' END, 'title ' || g FROM generate_series(1, 20) g;
SQL
my $workers = $ENV{BH_WORKERS} // 2;
my @hostile = ("o'brien", 'a"b\\c', "\xc3\xa4\xe2\x82\xac");
my $p = proxy(pg => $pg, databases => {
        db => 'dbname=postgres user=app pool_size=4 tenant_mode=rewrite', strict => 'dbname=postgres user=app pool_size=2 tenant_mode=reject', audit => 'dbname=postgres user=app pool_size=2 tenant_mode=audit',
    },
    users => { acme => 'tenant=acme', acme2 => 'tenant=acme', beta => 'tenant=beta', lost => 'pool_mode=transaction', odd => "tenant='a\"b''s'" }, auth => { map { ($_ => '') } qw(acme acme2 beta odd lost) },
    rules => ['public.kinds = shared', 'public.hidden = deny'], set => { tenant_columns => 'tenant_id', worker_threads => $workers });
my %by;
my $table = sub { my ($what, $key) = @_; my %h = map { $_->{$key} => $_ } @{ $p->console("SHOW $what") }; return \%h };

# ---- SHOW TENANTS
my @acme = map { $p->connect('db', $_) } qw(acme acme acme2);
my $beta = $p->connect('db', 'beta');
my $odd = $p->connect('db', 'odd');
for my $c (@acme) { $c->query('SELECT count(*) FROM documents') for 1 .. 5 }
$acme[0]->query('SELECT 1') for 1 .. 3;
$acme[1]->ext('SELECT count(*) FROM documents WHERE id > $1', [3]);
$beta->query('SELECT * FROM nowhere') for 1 .. 2;
my $t = $table->('TENANTS', 'tenant');
is(join('|', @{ $t->{acme} }{qw(users clients active waiting passed rewritten refused audited)}) =~ s/acme2, acme\b/acme, acme2/r, 'acme, acme2|3|0|0|3|16|0|0', 'SHOW TENANTS: users, clients and statements, over all workers');
is(join('|', @{ $t->{beta} }{qw(users clients passed rewritten refused)}), 'beta|1|0|0|2', 'SHOW TENANTS: refused ones');
like($t->{acme}{last_seen}, qr/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/, 'SHOW TENANTS: when it was last seen');
is($t->{q(a"b's)}{clients}, 1, 'SHOW TENANTS: a hostile name') or diag(join ' / ', sort keys %$t);
is($t->{q(a"b's)}{last_seen}, undef, 'SHOW TENANTS: never seen yet');
$acme[0]->query('BEGIN'); $acme[0]->query('SELECT 1');
is($table->('TENANTS', 'tenant')->{acme}{active}, 1, 'SHOW TENANTS: a client in a transaction is active');
$acme[0]->query('COMMIT');
$_->close for @acme, $beta;
ok(wait_for(sub { $table->('TENANTS', 'tenant')->{acme}{clients} == 0 }, 10, 0.2), 'SHOW TENANTS: clients that have left');
is($table->('TENANTS', 'tenant')->{acme}{rewritten}, 16, 'SHOW TENANTS: their counts stay');
is(scalar @{ $p->console('SHOW TENANTS', user => 'bhstats') }, 3, 'SHOW TENANTS is for stats_users');

# ---- SHOW TENANT_RULES
$p->connect('strict', 'acme')->close;
my %r = map { ("$_->{database}.$_->{relation}" => $_) } @{ $p->console('SHOW TENANT_RULES') };
is(join('|', map { $_ // '' } @{ $r{'db.documents'} }{qw(schema kind class column type claim rls insertable source)}),
    'public|table|tenant|tenant_id|pg_catalog.text|by column, else tenant|on|yes|column tenant_id found in the catalog', 'SHOW TENANT_RULES: a tenant table');
is(join('|', @{ $r{'db.notes'} }{qw(class type)}), 'tenant|pg_catalog.uuid', 'SHOW TENANT_RULES: its type');
like(join('|', map { $_ // '-' } @{ $r{'db.kinds'} }{qw(class column source)}), qr/^shared\|-\|.*proxy\.ini:\d+$/, 'SHOW TENANT_RULES: a shared table, and the line');
like(join('|', @{ $r{'db.hidden'} }{qw(class source)}), qr/^denied\|denied by .*proxy\.ini:\d+$/, 'SHOW TENANT_RULES: a denied one');
like(join('|', @{ $r{'db.odd "one'} }{qw(class source)}), qr/^unknown\|it is not declared/, 'SHOW TENANT_RULES: one that nobody declared');
like(join('|', @{ $r{'strict.v_documents'} }{qw(kind class source)}), qr/^view\|unknown\|views.*have to be declared/, 'SHOW TENANT_RULES: a view, of another database');

# ---- SHOW DENIALS
my $c = $p->connect('db', 'acme');
my $d = sub { return [grep { $_->{template} =~ $_[0] } @{ $p->console('SHOW DENIALS') }] };
$c->query("SELECT * FROM nowhere WHERE a = '$secret$_' /* $secret */ -- $secret") for 1 .. 7;
$p->connect('db', 'acme2')->query("SELECT * FROM nowhere WHERE a = 'x'");
my $x = $d->(qr/FROM nowhere WHERE/);
is(scalar @$x, 1, 'SHOW DENIALS: one row for one template');
is(join('|', @{ $x->[0] }{qw(database reason relation count last_tenant last_user template)}), 'db|unknown_relation|nowhere|8|acme|acme2|SELECT * FROM nowhere WHERE a = ?', 'SHOW DENIALS: its columns');
like($x->[0]{first_seen}, qr/^\d{4}-.*UTC$/, 'SHOW DENIALS: first seen');
$c->query("UPDATE kinds SET label = '$secret'");
is($d->(qr/UPDATE kinds/)->[0]{reason}, 'read_only_relation', 'SHOW DENIALS: a write to a shared table');
is($d->(qr/UPDATE kinds/)->[0]{relation}, 'public.kinds', 'SHOW DENIALS: which');
$c->query("INSERT INTO documents VALUES (1, '$secret', 'x')");
is($d->(qr/INSERT/)->[0]{template}, 'INSERT INTO documents VALUES (?, ...)', 'SHOW DENIALS: values are one mark');
$c->query("SELECT '$secret' $secret '$secret");
$c->query("SELECT it's $secret'");
$c->query("SELEC $secret FROM $secret");
$c->query("SELECT $secret\xff");
$c->query("SELECT \$tag\$$secret\$tag\$ FROM nowhere");
$c->query("SELECT E'a\\'$secret' FROM nowhere");
$c->ext("SELECT * FROM nowhere WHERE a = \$1 AND b = '$secret'", ['x']);
is($d->(qr/a = \? AND b = \?/)->[0]{count}, 1, 'SHOW DENIALS: of the extended protocol');
my $s = $p->connect('strict', 'acme');
$s->query("SELECT * FROM documents d WHERE title = '$secret'");
$s->ext('SELECT * FROM documents WHERE tenant_id = $1', [$secret]);
is($d->(qr/documents d/)->[0]{reason}, 'missing_predicate', 'SHOW DENIALS: reject mode');
is($d->(qr/documents WHERE tenant_id = \?/)->[0]{reason}, 'bind_value', 'SHOW DENIALS: a value in Bind');
$c->send_msg('F', pack('Nnnn', 1, 0, 0, 0)); $c->finish;
is(scalar(grep { $_->{reason} eq 'function_call' } @{ $p->console('SHOW DENIALS') }), 1, 'SHOW DENIALS: without a text');
my $all = join "\n", map { join '|', map { $_ // '' } values %$_ } map { @{ $p->console("SHOW $_") } } qw(DENIALS AUDIT TENANTS CLIENTS TENANT_RULES);
unlike($all, qr/\Q$secret\E|5ecret/, 'no literal in any table');
my @n = map { $_->{count} } @{ $p->console('SHOW DENIALS') };
is("@n", join(' ', sort { $b <=> $a } @n), 'SHOW DENIALS: most frequent first');
# A flood of templates is bounded, and the frequent one stays.
{
    my $f = $p->connect('db', 'beta');
    for my $i (1 .. 120) { $f->query(join ';', map { 'SELECT 1' } 1 .. 1); $f->query("SELECT * FROM flood_$i") }
    cmp_ok(scalar @{ $p->console('SHOW DENIALS') }, '<=', 1000 * $workers, 'SHOW DENIALS is bounded');
    is($d->(qr/FROM nowhere WHERE a = \?$/)->[0]{count}, 8, 'SHOW DENIALS: a frequent statement stays');
}

# ---- SHOW AUDIT
my $a = $p->connect('audit', 'acme');
$a->query("SELECT * FROM documents d WHERE title = '$secret'") for 1 .. 3;
$a->query("SELECT norm('$secret')") for 1 .. 2;
$a->query('SELECT * FROM v_documents');
$a->query('SELECT * FROM "odd ""one"');
$a->query('SELECT 1');
my $au = sub { return (grep { $_->{template} =~ $_[0] } @{ $p->console('SHOW AUDIT') })[0] };
is(join('|', map { $_ // '-' } @{ $au->(qr/documents d/) }{qw(database would reason relation count rule template)}), 'audit|rewrite|-|public.documents|3|AND d.tenant_id = $tenant|SELECT * FROM documents d WHERE title = ?', 'SHOW AUDIT: what would be rewritten, and the condition');
is(join('|', @{ $au->(qr/norm/) }{qw(would reason relation count rule)}), 'refuse|function|norm|2|[tenant_functions] public.norm(text) = allow', 'SHOW AUDIT: a function, and its rule');
is(join('|', @{ $au->(qr/v_documents/) }{qw(reason relation rule)}), 'unknown_relation|public.v_documents|[tenant_rules] public.v_documents = tenant_id', 'SHOW AUDIT: a view, and its rule');
like($au->(qr/odd/)->{rule}, qr/^\[tenant_rules\] public\."odd ""one" = deny/, 'SHOW AUDIT: a quoted name');
is($au->(qr/SELECT \?$/), undef, 'SHOW AUDIT: not what would pass');
is(scalar(grep { $_->{database} eq 'audit' } @{ $p->console('SHOW DENIALS') }), 0, 'nothing of it was denied');
is($table->('TENANTS', 'tenant')->{acme}{audited}, 8, 'SHOW TENANTS: audited ones');
$p->connect('audit', 'lost')->query("SELECT '$secret'");
is(join('|', map { $_ // '-' } @{ $au->(qr/^$/) }{qw(would reason relation count rule last_user)}), 'refuse|no_tenant|"lost"|1|[users] "lost" = tenant=NAME    ; the tenant\'s name, or * to be exempt|lost', 'SHOW AUDIT: a user without a tenant');
rejects($p, 'db', 'lost', '28000', qr/no tenant/, 'who is refused in other modes');
is((grep { $_->{reason} eq 'no_tenant' } @{ $p->console('SHOW DENIALS') })[0]{last_user}, 'lost', 'SHOW DENIALS: is shown, too');
# The rules that it prints work as they stand.
{
    my %new;
    for (@{ $p->console('SHOW AUDIT') }) { push @{ $new{$1} }, $2 if $_->{rule} =~ /^\[(\w+)\] (.*)/ && $2 !~ /deny/ }
    $p->{rules} = [@{ $p->{rules} }, @{ $new{tenant_rules} }];
    $p->{functions} = $new{tenant_functions};
    $p->write;
    $p->console('RELOAD');
    my $e = $p->connect('db', 'acme');
    ok(wait_for(sub { !$e->query('SELECT * FROM v_documents')->{error} }, 10, 0.3), 'the printed rule for the view works');
    is($e->value("SELECT norm('ABC')"), 'abc', 'the printed rule for the function works');
}
# ---- RESET
$p->console('RESET DENIALS');
is(scalar @{ $p->console('SHOW DENIALS') }, 0, 'RESET DENIALS');
cmp_ok(scalar @{ $p->console('SHOW AUDIT') }, '>=', 3, 'leaves the audit');
$p->console('RESET AUDIT');
is(scalar @{ $p->console('SHOW AUDIT') }, 0, 'RESET AUDIT');
error_is($p->console('RESET ALL', raw => 1, no_die => 1), '08P01', qr/DENIALS, AUDIT or QUERIES/, 'RESET of anything else');
error_is($p->console('RESET DENIALS', raw => 1, no_die => 1, user => 'bhstats'), '08P01', qr/admin access/, 'RESET is not for stats_users');
unlike($p->log_text, qr/5ecret/, 'no literal in the log');
finish();
