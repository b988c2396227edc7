#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# A real Prometheus scrapes a real proxy: an overload, refused statements, a failed RELOAD, a lost server and a lost proxy each make
# their alert fire, and it ends with its cause. The rules are ours, with durations and windows of seconds.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 420;
use Bulkhead::Prometheus;
use Bulkhead::Rules qw(top);

need_ours();
my $pg = pg();
$pg->sql('CREATE TABLE documents (id int PRIMARY KEY, tenant_id text NOT NULL); GRANT ALL ON documents TO PUBLIC');
my $p = proxy(pg => $pg, databases => { app => 'dbname=postgres user=postgres pool_size=4 catalog_user=postgres', notes => 'dbname=postgres user=postgres pool_size=4 tenant_mode=rewrite catalog_user=postgres' },
    users => { acme => 'tenant=acme' }, auth => { acme => '' }, set => { worker_threads => 2, probe_interval => 1, query_wait_timeout => 3000, tenant_columns => 'tenant_id' });
my %rules = map { my $f = $_; ($f => slurp(top() . "/contrib/prometheus/$f") =~ s/\bfor: [1-9]\w*/for: 1s/gr =~ s/\[5m\]/[15s]/gr =~ s/offset 5m/offset 15s/gr) } qw(recording.yml alerts.yml);
my $m = Bulkhead::Prometheus->new(targets => { 'my-pgbulkhead' => ['127.0.0.1:' . $p->metrics_port] }, rules => \%rules, external_labels => { pgbulkhead_docs => 'https://wiki.internal' });

# True when the alert fires (or, with 0, has ended); waits for it.
sub fires {
    my ($name, $want) = @_;
    return wait_for(sub { my @a = $m->firing("Pgbulkhead$name"); $want ? @a && $a[0] : !@a }, 90, 0.3);
}
ok(wait_for(sub { @{ $m->query('pgbulkhead_backend_up == 1') } && @{ $m->query('up == 1') } }, 60, 0.3), 'the proxy is scraped, and has probed its server');
ok(wait_for(sub { !grep { $_->{health} eq 'unknown' } $m->rules }, 60, 0.3), 'all rules were evaluated');
is(scalar($m->firing("Pgbulkhead$_")), 0, "$_: silent") for qw(ClientsWaiting PoolUtilisation TenantDenials ReloadFailed);
# A scrape or a probe may have come too late on a busy machine.
ok(fires($_, 0), "$_: silent") for qw(BackendDown Down);

# Three of four servers are at work, then all, and somebody waits.
my @h = map { my $c = $p->connect('app'); $c->query('BEGIN'); $c } 1 .. 3;
my $a = fires('PoolUtilisation', 1);
ok($a, 'three of four servers at work: PoolUtilisation fires');
is($a->{labels}{database}, 'app', 'for the pool');
is($a->{labels}{severity}, 'warning', 'a warning');
like($a->{annotations}{summary}, qr{^Pool app/postgres on 127\.0\.0\.1:\d+: 75% of its servers}, 'says how much');
is($a->{annotations}{runbook_url}, 'https://wiki.internal/runbook.md#poolutilisation', 'and leads to the runbook');
is(scalar($m->firing('PgbulkheadClientsWaiting')), 0, 'nobody waits yet');
push @h, map { my $c = $p->connect('app'); $c->query('BEGIN'); $c } 4;
my $w = $p->connect('app');
$w->send_query('SELECT 1');
$a = fires('ClientsWaiting', 1);
ok($a, 'the fifth client waits: ClientsWaiting fires');
is($a->{labels}{database}, 'app', 'for the pool');
$_->query('COMMIT') for @h;
is($w->finish->{error}, undef, 'the overload is over, the fifth client served');
ok(fires($_, 0), "$_ ends") for qw(ClientsWaiting PoolUtilisation);

# A tenant's statement is refused.
my $t = $p->connect('notes', 'acme');
is($t->query("INSERT INTO documents VALUES (1, 'beta')")->{error}{C}, '42501', 'a statement is refused');
$a = fires('TenantDenials', 1);
ok($a, 'TenantDenials fires');
is($a && "$a->{labels}{database} $a->{labels}{reason} $a->{labels}{severity}", 'notes wrong_tenant critical', 'with the reason');
ok(fires('TenantDenials', 0), 'and ends when nothing more is refused');

# A RELOAD that fails, and one that works.
my $good = $p->{set}{pool_mode};
$p->{set}{pool_mode} = 'nonsense';
$p->write;
ok($p->console('RELOAD', raw => 1, no_die => 1)->{error}, 'a RELOAD fails');
ok(fires('ReloadFailed', 1), 'ReloadFailed fires');
$p->{set}{pool_mode} = $good // 'transaction';
ok(!$p->reload->{error}, 'the next one works');
ok(fires('ReloadFailed', 0), 'ReloadFailed ends');

# The server goes away and comes back.
$pg->stop('immediate');
$a = fires('BackendDown', 1);
ok($a, 'BackendDown fires');
is($a && $a->{labels}{severity}, 'critical', 'critical');
$pg->start;
ok(fires('BackendDown', 0), 'and ends when the server is back');

my @sick = map { ($_->{name}) . ': ' . ($_->{lastError} // '') } grep { $_->{health} ne 'ok' } $m->rules;
is("@sick", '', 'no rule had an error');
# The proxy goes.
$p->stop;
ok(fires('Down', 1), 'Down fires when the proxy has ended');
$m->stop;
finish();
