#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Errors do not show tenants the keys and rows of others (tenant_redact_errors), and point into the client's own text.
use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TABLE people (id int PRIMARY KEY, tenant_id text NOT NULL, email text UNIQUE, nick text, age int CHECK (age > 0), "Code" int,
    boss int REFERENCES people ON UPDATE CASCADE, UNIQUE (tenant_id, nick), UNIQUE ("Code", tenant_id), UNIQUE (nick, age, tenant_id));
CREATE TABLE badges (tenant_id text NOT NULL, no text, person int REFERENCES people ON UPDATE CASCADE ON DELETE CASCADE, UNIQUE (tenant_id, person));
CREATE TABLE holders (tenant_id text NOT NULL, badge_tenant text, badge_person int, note text,
    FOREIGN KEY (badge_tenant, badge_person) REFERENCES badges (tenant_id, person));
CREATE TABLE rooms (id int PRIMARY KEY, tenant_id text NOT NULL, during int4range, EXCLUDE USING gist (during WITH &&));
INSERT INTO people (id, tenant_id, email, nick, age, "Code") VALUES (1, 'acme', 'a@a', 'al', 40, 7), (2, 'beta', 'secret@b', 'bo', 50, 7), (3, 'acme', 'c@c', 'cy', 41, 8);
INSERT INTO badges VALUES ('beta', 'hush', 1);
INSERT INTO holders VALUES ('beta', 'beta', 1, 'hush');
INSERT INTO rooms VALUES (1, 'beta', '[100,200)');
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.note = 'n' THEN RAISE NOTICE 'heard' USING DETAIL = 'told', HINT = 'a hint'; END IF;
    IF NEW.note = 'e' THEN PERFORM 1 / (SELECT count(*) FROM people WHERE email = 'nobody of hush'); END IF;
    RETURN NEW; END $$;
CREATE TRIGGER shout BEFORE INSERT ON holders FOR EACH ROW EXECUTE FUNCTION shout();
SQL
my $p = proxy(pg => $pg, databases => { map { ($_->[0] => "dbname=postgres user=app pool_size=2 $_->[1]") } ['db', 'tenant_mode=rewrite'], ['strict', 'tenant_mode=reject'],
        ['plain', 'tenant_mode=rewrite tenant_redact_errors=0'], ['audit', 'tenant_mode=audit'] },
    users => { acme => 'tenant=acme', beta => 'tenant=beta', ops => 'tenant=*' }, auth => { map { ($_ => '') } qw(acme beta ops) },
    set => { tenant_columns => 'tenant_id', worker_threads => 1 });
my $acme = $p->connect('db', 'acme');
sub fails {
    my ($c, $sql, $state, $name) = @_;
    my $e = $c->query($sql)->{error} // {};
    is($e->{C}, $state, "$name: fails");
    return $e;
}
sub nothing_foreign {
    my ($e, $name) = @_;
    return unlike(join(' ', map { "$_=$e->{$_}" } grep { !/[FLR]/ } sort keys %$e), qr/hush|secret|100|200|bo\b/, "$name: nothing of another tenant's row");
}
# Unique keys: shown when the tenant's own.
my $e = fails($acme, "INSERT INTO people (id, tenant_id, nick) VALUES (10, 'acme', 'al')", '23505', 'key with the tenant column');
like($e->{D}, qr/\(tenant_id, nick\)=\(acme, al\)/, 'is the tenant\'s own: DETAIL stays');
is($e->{n}, 'people_tenant_id_nick_key', 'with the constraint\'s name');
$e = fails($acme, "INSERT INTO people (id, tenant_id, \"Code\") VALUES (10, 'acme', 7)", '23505', 'tenant column behind a number');
like($e->{D}, qr/\("Code", tenant_id\)=\(7, acme\)/, 'DETAIL stays');
$e = fails($acme, "INSERT INTO people (id, tenant_id, nick, age) VALUES (10, 'acme', 'x, 1, acme', 40), (11, 'acme', 'x, 1, acme', 40)", '23505', 'tenant column behind a text');
ok(!defined $e->{D} || $e->{D} =~ /\(tenant_id, nick\)/, 'which could hold anything: no DETAIL');
$e = fails($acme, "INSERT INTO people (id, tenant_id, email) VALUES (10, 'acme', 'secret\@b')", '23505', 'a key over all tenants');
ok(!defined $e->{D}, 'no DETAIL');
is($e->{n}, 'people_email_key', 'but the name of the constraint');
is($e->{t}, 'people', 'and of the table');
$e = fails($acme, "INSERT INTO people (id, tenant_id) VALUES (2, 'acme')", '23505', 'a primary key over all tenants');
ok(!defined $e->{D}, 'no DETAIL');
# A foreign key's action reaches a row of another tenant.
$e = fails($acme, 'DELETE FROM people WHERE id = 1', '23503', 'cascade into another tenant\'s row');
ok(!defined $e->{D} && !defined $e->{W} && !defined $e->{q}, 'no DETAIL, no CONTEXT, no internal query');
nothing_foreign($e, 'cascade');
# Rows that fail.
for my $sql (["INSERT INTO people (id, tenant_id, age) VALUES (10, 'acme', 0)", '23514'], ["UPDATE people SET tenant_id = tenant_id, id = NULL WHERE id = 1", '23502'],
    ['INSERT INTO people (id, boss) VALUES (10, 999)', '23503']) {
    $e = fails($acme, @$sql, $sql->[0]);
    ok(!defined $e->{D}, 'no DETAIL');
}
$e = fails($acme, "INSERT INTO rooms VALUES (2, 'acme', '[150,160)')", '23P01', 'exclusion');
ok(!defined $e->{D}, 'no DETAIL');
nothing_foreign($e, 'exclusion');
# Functions and triggers.
my $r = $acme->query("INSERT INTO holders (tenant_id, note) VALUES ('acme', 'n')");
my ($n) = grep { ($_->{M} // '') eq 'heard' } @{ $r->{notices} };
is($n->{D}, 'told', 'what a trigger says arrives');
ok(!defined $n->{W}, 'without the function\'s text');
$e = fails($acme, "INSERT INTO holders (tenant_id, note) VALUES ('acme', 'e')", '22012', 'an error within a trigger');
ok(!grep({ defined $e->{$_} } qw(W q p)), 'shows nothing of its statement');
nothing_foreign($e, 'trigger');
$e = fails($acme, "SELECT '{\"a\": nonsense}'::json", '22P02', 'the client\'s own value');
like("$e->{D} $e->{W}", qr/nonsense/, 'is shown');
# Where.
sub points {
    my ($e, $sql, $at, $name) = @_;
    return is($e->{P}, defined $at ? 1 + index($sql, $at) : undef, $name);
}
my $sql = 'SELECT p.email FROM people p JOIN badges b ON b.person = p.id WHERE p.nosuch = 1';
my $extended = sub { my ($c, $q) = @_; $c->cork; $c->parse('', $q); $c->sync; $c->uncork; return $c->finish->{error} };
my $both = sub { my ($c, $q, $state, $at, $name) = @_; points(fails($c, $q, $state, $name), $q, $at, $name); points($extended->($c, $q), $q, $at, "$name, extended") };
$both->($acme, "SELECT 1 FROM people JOIN badges b ON true WHERE 'é' = 'ü' AND nick = lower(5, 6)", '42883', 'lower', 'position behind what was added');
$both->($acme, "/* ein Kömmentar */ SELECT 1 FROM people /* ü */ WHERE nick = lower(5, 6)", '42883', 'lower', 'position behind blanked comments');
$both->($acme, 'SELECT count(*), nick FROM people', '42803', 'nick', 'position in front of it');
$both->($acme, "SELECT nick FROM people WHERE age = 'x'", '22P02', "'x'", 'a literal');
is(fails($acme, "UPDATE people SET age = 'x' WHERE nick = 'al'", '22P02', 'UPDATE')->{P}, 1 + index("UPDATE people SET age = 'x' WHERE nick = 'al'", "'x'"), 'of UPDATE');
my $strict = $p->connect('strict', 'acme');
$both->($strict, "SELECT count(*), nick FROM people WHERE tenant_id = 'acme'", '42803', 'nick', 'position of a text that was passed');
# Judged by the template of the statement before.
for my $v ("'one'", "'a longer one'", "'zwölf'") {
    my $q = "SELECT email /* c */ FROM people WHERE nick = $v AND age = 'x'";
    is(fails($acme, $q, '22P02', "constant $v")->{P}, 1 + index($q, "'x'"), 'position in the text that was sent');
}
# Named statements too.
$acme->cork; $acme->parse('named', 'SELECT count(*), nick FROM people'); $acme->sync; $acme->uncork;
is($acme->finish->{error}{P}, 18, 'named statement');
# Switched off, audited, exempt.
$e = fails($p->connect('plain', 'acme'), "INSERT INTO people (id, tenant_id, age) VALUES (10, 'acme', 0)", '23514', 'tenant_redact_errors=0');
like($e->{D}, qr/10/, 'shows the row');
for my $c ($p->connect('audit', 'acme'), $p->connect('db', 'ops')) {
    $e = fails($c, "INSERT INTO people (id, tenant_id, age) VALUES (10, 'acme', 0)", '23514', 'not enforced');
    like($e->{D}, qr/10/, 'shows the row');
}
finish();
