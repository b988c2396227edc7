#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Metrics that need a look at what happens: kinds of queries, running and slow ones, pins, prepared statements, refused logins, cancels, TLS, limits of the machine.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 240;
use Bulkhead::TLS;

need_ours();
my $pg = pg(conf => { max_connections => 60 });
my $ca = Bulkhead::TLS->new;
my ($key, $cert) = $ca->cert('localhost', san => 'DNS:localhost,IP:127.0.0.1', file => 'server');
my $hba = work_dir() . '/gauges.hba';
spew($hba, "host all barred 127.0.0.1/32 reject\nhost all all 127.0.0.1/32 trust\n");
chmod 0644, $hba;
my $workers = $ENV{BH_WORKERS} // 2;
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres pool_size=8', pins => 'dbname=postgres pool_size=4', none => 'dbname=postgres user=postgres tenant_mode=reject' },
    auth => { postgres => '', barred => '' },
    set => { worker_threads => $workers, slow_query_threshold => 6, session_state => 'virtual', auth_type => 'hba', auth_hba_file => $hba, max_prepared_statements => 50, query_wait_timeout => 60,
        client_tls_sslmode => 'allow', client_tls_key_file => $key, client_tls_cert_file => $cert, client_tls_ca_file => $ca->ca });
my $m = sub { my ($name, @labels) = @_; return $p->metric("pgbulkhead_$name", join ',', @labels) // 0 };
my $is = sub { my ($want, $what, $name, @labels) = @_; my $got; ok(wait_for(sub { ($got = $m->($name, @labels)) == $want }, 10, 0.1), $what) or diag("$name @labels: $got, not $want") };

# Kinds, by the simple and the extended protocol.
my $c = $p->connect('test');
my @texts = (
    ['select', 'SELECT 1', ' /* x /* y */ */ -- z' . "\n (select 2)", 'WITH a AS (SELECT 1) SELECT * FROM a', 'VALUES (1)', 'TABLE pg_class LIMIT 0'],
    ['ddl', 'CREATE TABLE k (a int PRIMARY KEY)', 'ALTER TABLE k ADD b int', 'comment on table k IS NULL'],
    ['insert', 'INSERT INTO k VALUES (1)', 'insert into k VALUES (2)'], ['update', 'UPDATE k SET b = 1'], ['delete', 'DELETE FROM k'], ['copy', 'COPY k TO STDOUT'],
    ['utility', 'BEGIN', 'COMMIT', 'SHOW port', '', 'EXPLAIN SELECT 1', 'selectx', 'se'],
    ['merge', 'MERGE INTO k USING (SELECT 1 AS a) s ON k.a = s.a WHEN NOT MATCHED THEN INSERT VALUES (s.a)'],
);
for my $t (@texts) { my ($kind, @sql) = @$t; $c->query($_) for @sql; $is->(scalar @sql, "kind $kind, simple: " . @sql, 'queries_total', 'database="test"', "kind=\"$kind\"") }
my %sum = map { $_->[0] => @$_ - 1 } @texts;
for my $t (@texts) { my ($kind, $sql) = @$t; $c->ext($sql, []); $is->($sum{$kind} + 1, "kind $kind, extended", 'queries_total', 'database="test"', "kind=\"$kind\"") }
is($m->('queries_total', 'database="test"'), $m->('query_duration_seconds_count', 'database="test"'), 'all kinds together are the queries that were timed');

# What still runs.
is($m->('oldest_query_seconds', 'database="test"'), 0, 'nothing runs');
my $slow = $m->('slow_queries_total', 'database="test"');
my $long = $p->connect('test');
$long->send_query('SELECT pg_sleep(300)');
ok(wait_for(sub { $m->('oldest_query_seconds', 'database="test"') > 1 }, 20, 0.1), 'a running query is seen');
$is->($slow + 1, 'and counted as slow while it runs', 'slow_queries_total', 'database="test"');
cmp_ok($m->('oldest_transaction_seconds', 'database="test"'), '>', 1, 'so is its transaction');
$long->cancel;
$long->finish(timeout => 30);
ok(wait_for(sub { $m->('oldest_query_seconds', 'database="test"') == 0 }, 10, 0.1), 'and gone when it is over');
$c->query('SELECT 1');
is($m->('slow_queries_total', 'database="test"'), $slow + 1, 'slow only once');
$c->query('BEGIN');
ok(wait_for(sub { $m->('oldest_transaction_seconds', 'database="test"') > 0 }, 10, 0.1), 'an idle transaction is old, too');
is($m->('oldest_query_seconds', 'database="test"'), 0, 'though no query runs');
$c->query('COMMIT');
ok(wait_for(sub { $m->('cancel_requests_total', 'database="test"') == 1 && defined $p->metric('pgbulkhead_client_connections', 'database="test",state="cancel"') }, 10), 'cancel requests have a state of their own');

# Pins.
my $pin = $p->connect('pins');
$pin->query('SELECT pg_advisory_lock(7)');
$is->(1, 'a lock pins', 'pinned_connections', 'database="pins"', 'reason="advisory"');
$pin->query('CREATE TEMP TABLE tt (a int)');
$is->(1, 'so does a temporary table', 'pinned_connections', 'database="pins"', 'reason="temp"');
$is->(1, 'the lock still does', 'pinned_connections', 'database="pins"', 'reason="advisory"');
$pin->query('SELECT pg_advisory_unlock(7)');
$is->(0, 'it is given back', 'pinned_connections', 'database="pins"', 'reason="advisory"');
$is->(1, 'and the other counted', 'pinned_connections', 'database="pins"');
$pin->query('SELECT pg_advisory_lock(8)');
$is->(2, 'locks were taken twice', 'pins_total', 'database="pins"', 'reason="advisory"');
$pin->close;
$is->(0, 'nothing is left when the client goes', 'pinned_connections', 'database="pins"');
$is->(1, 'a total stays', 'pins_total', 'database="pins"', 'reason="temp"');

# Prepared statements.
my ($before, $miss, $hit) = ($m->('prepared_statements', 'database="test"'), $m->('prepared_statements_misses_total', 'database="test"'), $m->('prepared_statements_hits_total', 'database="test"'));
$c->ext("SELECT $_", [], name => "s$_") for 1 .. 5;
$is->($before + 5, 'named statements on servers', 'prepared_statements', 'database="test"');
is($m->('prepared_statements_misses_total', 'database="test"') - $miss, 5, 'each had to be prepared');
my $d = $p->connect('test');
$d->ext("SELECT $_", [], name => "t$_") for 1 .. 5;
cmp_ok($m->('prepared_statements_hits_total', 'database="test"') - $hit + $m->('prepared_statements_misses_total', 'database="test"') - $miss, '>=', 10, 'those of another client are hits or misses');
$p->console('RECONNECT test');
$is->(0, 'they go with their servers', 'prepared_statements', 'database="test"');

# Logins that are refused.
rejects($p, 'test', 'barred', '28000', qr/rejected/, 'a login that a line of auth_hba_file is against');
$is->(1, 'by a line of auth_hba_file', 'client_rejections_total', 'reason="hba"');
my $unbound = $m->('tenant_unbound_total', 'database="none"');
rejects($p, 'none', 'postgres', '28000', qr/no tenant/, 'a login without a tenant');
$is->($unbound + 1, 'for want of a tenant', 'tenant_unbound_total', 'database="none"');

# TLS.
is($m->('tls_connections', 'side="client"', 'version="TLSv1.3"'), 0, 'no TLS yet');
my @tls = map { $p->connect('test', undef, tls => { ca => $ca->ca }, host => 'localhost') } 1 .. 4;
$_->query('SELECT 1') for @tls;
$is->(4, 'four connections with TLS', 'tls_connections', 'side="client"');
(pop @tls)->close;
$is->(3, 'one less', 'tls_connections', 'side="client"');
$_->abort for @tls;
$is->(0, 'none', 'tls_connections', 'side="client"');
for my $how ([protocol => "\0\0\0\x08\x04\xd2\x16\x2f", "GET / HTTP/1.0\r\n\r\n"], [closed => "\0\0\0\x08\x04\xd2\x16\x2f", '']) {
    my ($reason, $ask, $then) = @$how;
    my $was = $m->('tls_handshake_errors_total', 'side="client"', "reason=\"$reason\"");
    my $w = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->port, timeout => 10);
    $w->send_raw($ask);
    ok($w->readable(10), "$reason: the proxy offers TLS");
    $w->send_raw($then) if length $then;
    $w->{wr}->shutdown(1) if !length $then;
    $is->($was + 1, "a handshake that failed: $reason", 'tls_handshake_errors_total', 'side="client"', "reason=\"$reason\"");
}
my $body = $p->http('/metrics')->{body};
like($body, qr/^pgbulkhead_tls_certificate_expiry_timestamp_seconds\{role="client",file="\Q$cert\E"\} 1\d{9}/m, 'our certificate, with its file');
like($body, qr/^pgbulkhead_tls_certificate_expiry_timestamp_seconds\{role="ca",file="\Q@{[$ca->ca]}\E"\} 1\d{9}/m, 'the CA file');

# Of the threads and the machine.
for my $w (0 .. $workers - 1) { ok(wait_for(sub { $m->('event_loop_lag_seconds_count', "worker=\"$w\"") > 5 }, 20, 0.2), "worker $w: lag is measured") }
my ($free) = map { /^MemTotal:\s+(\d+)/ ? $1 * 1024 : () } do { open my $f, '<', '/proc/meminfo' or die $!; <$f> };
my ($limit, $cores) = ($m->('memory_limit_bytes'), $m->('cpu_limit_cores'));
ok($limit > 1 << 24 && $limit <= $free * 1.1, "memory_limit_bytes: $limit of $free");
chomp(my $nproc = `nproc --all`);
ok($cores > 0 && $cores <= $nproc, "cpu_limit_cores: $cores of $nproc");
my ($st, $out, $err) = run_cmd(argv => ['/usr/bin/promtool', 'check', 'metrics'], stdin => $p->http('/metrics')->{body}, timeout => 30);
is($st, 0, 'promtool check metrics is clean') or diag("$out$err");
finish();
