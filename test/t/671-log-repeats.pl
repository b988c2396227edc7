#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# log_repeat_limit: floods are folded, kind by kind and address by address; the first lines are written, the count is kept, ordinary life is not touched.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TABLE documents (id int PRIMARY KEY, tenant_id text NOT NULL);
SQL
# The period is over when the limit is set to 0 (or at the end): no test waits for time.
my $p = proxy(pg => $pg, databases => { db => 'dbname=postgres user=app tenant_mode=rewrite', plain => 'dbname=postgres user=postgres' },
    users => { acme => 'tenant=acme', beta => 'tenant=beta' }, auth => { acme => '', beta => '' },
    set => { tenant_columns => 'tenant_id', worker_threads => $ENV{BH_WORKERS} // 2, log_repeat_limit => 5, log_repeat_period => 3600, auth_type => 'any' });
# Lines written and lines counted in summaries.
my $count = sub {
    my ($re, $written, $counted) = (shift, 0, 0);
    for (split /\n/, $p->log_text) {
        next unless /$re/;
        if (/last message repeated (\d+) times: /) { $counted += $1 }
        else { $written++ }
    }
    return "$written $counted";
};
my $is = sub {
    my ($re, $want, $what) = @_;
    wait_for(sub { $count->($re) eq $want }, 10, 0.1);
    is($count->($re), $want, $what);
};
# ---- refusals: each tenant and each reason has its own first lines
my $c = $p->connect('db', 'acme');
$c->query('SELECT * FROM nowhere') for 1 .. 30;
$is->(qr/tenant acme: refused: unknown_relation/, '5 0', 'a flood of refusals: the first ones');
$c->query('SELECT pg_read_file(\'x\')') for 1 .. 2;
$is->(qr/tenant acme: refused: (?!unknown_relation)/, '2 0', 'another reason is another kind');
my $b = $p->connect('db', 'beta');
$b->query('SELECT * FROM nowhere');
$is->(qr/tenant beta: refused/, '1 0', 'another tenant is not hidden');
cmp_ok($p->metric('pgbulkhead_log_lines_folded_total') // 0, '>=', 25, 'the metric counts folded lines');
cmp_ok($p->metric('pgbulkhead_log_kinds') // 0, '>=', 3, 'and kinds');
# ---- names that a client invents before its login make no new kinds
for my $i (1 .. 20) { eval { $p->connect("nobody$i", "user$i") } }
$is->(qr/pooler error: no such database/, '5 0', 'names made up at the login');
# ---- ordinary life is written line by line
for (1 .. 12) { my $x = $p->connect('plain', 'postgres'); $x->query('SELECT 1'); $x->terminate; $x->wait_eof(5) }
$is->(qr/login attempt: db=plain/, '12 0', 'logins are not folded');
$is->(qr{plain/postgres\@.*closing because: client close request}, '12 0', 'nor are ordinary closings');
# ---- nothing is lost
$p->console('SET log_repeat_limit = 0');
$is->(qr/refused: unknown_relation/, '6 25', 'switched off: the count is said');
$is->(qr/pooler error: no such database/, '5 15', 'of logins too');
ok($p->wait_log(qr/ WARNING C-0x[0-9a-f]+: db\/acme\@127\.0\.0\.1:\d+ last message repeated 25 times: tenant acme: refused: unknown_relation: /m), 'as a line like the folded ones');
$c->query('SELECT * FROM nowhere') for 1 .. 8;
$is->(qr/refused: unknown_relation/, '14 25', 'then all are written');
# ---- JSON: a member `repeated`; a change of the format says what was folded in the old one
$p->console('SET log_repeat_limit = 5');
$p->console("SET log_format = 'json'");
$c->query('SELECT * FROM nowhere') for 1 .. 8;
$p->console("SET log_format = 'text'");
ok($p->wait_log(qr/"tenant":"acme","reason":"unknown_relation","repeated":3,"message":"last message repeated 3 times: tenant acme: refused: unknown_relation/), 'JSON') or diag($p->log_text);
# ---- at the end
$c->query('SELECT * FROM nowhere') for 1 .. 9;
$_->close for $c, $b;
$p->stop('TERM');
my ($written, $counted) = split / /, $count->(qr/refused: unknown_relation/);
is($written + $counted, 31 + 8 + 8 + 9, 'whatever was folded is said before the end');
finish();
