#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# SHOW ALERTS, the gauge of each alert and the lines of the log: a real overload fires and ends, and so do refusals, tenants that are missing,
# slow queries, a broken configuration, a server that is gone and a certificate that ends. Thresholds are keys.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 300;

need_ours();
my $pg = pg();
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TABLE documents (id int PRIMARY KEY, tenant_id text NOT NULL);
SQL
my %set = (
    worker_threads => $ENV{BH_WORKERS} // 2, query_wait_timeout => 3000, tenant_columns => 'tenant_id', probe_interval => 1, server_login_retry => 1,
    slow_query_threshold => 3600, alert_interval => 1, alert_clear_for => 0, alert_pool_utilisation_for => 0, alert_clients_waiting_for => 0, alert_backend_down_for => 0,
    alert_backend_connections_for => 0, alert_storage_for => 0, alert_query_p95_for => 0, alert_process_for => 0,
    # What a busy machine may raise by itself, and certificates of tests.
    map { ("alert_$_" => 0) } qw(cpu_warning cpu_critical memory_warning memory_critical query_p95 slow_queries oldest_query certificate_warning certificate_critical),
);
my $stopped; # the server's first process
my $p = proxy(pg => $pg, set => \%set, auth => { map { ($_ => '') } qw(acme nobody) }, users => { acme => 'tenant=acme' },
    databases => { test => 'dbname=postgres pool_size=10 catalog_user=postgres', small => 'dbname=postgres pool_size=1 min_pool_size=0',
        strict => 'dbname=postgres user=app pool_size=2 tenant_mode=reject' });

# Rows of an alert, those of one database; its state, of the worst one.
my $rows = sub {
    my ($name, $db) = @_;
    return grep { $_->{alert} eq $name && (!defined $db || $_->{database} eq $db) } @{ $p->console('SHOW ALERTS') };
};
my $state = sub { my ($row) = $rows->(@_); return $row ? $row->{state} : 'none' };
my $until = sub {
    my ($name, $want, $db, $what) = @_;
    my $ok = wait_for(sub { $state->($name, $db) eq $want }, 60, 0.1);
    ok($ok, $what // "$name: $want") or diag(explain($rows->($name)));
};
my $gauge = sub { $p->metric('pgbulkhead_alert', qq(alert="$_[0]")) };
my $set = sub { my ($k, $v) = @_; $p->console("SET $k = '$v'") };

# ---- nothing is wrong ----
my $all = $p->console('SHOW ALERTS');
is(join(',', sort keys %{ $all->[0] }), 'alert,backend,database,description,runbook,severity,since,state,threshold,unit,user,value', 'columns');
my %def = map { /^ALERT\((\w+), (\w+),/ ? ($1 => $2) : () } split /\n/, slurp("$FindBin::Bin/../../src/watch/alerts.def");
is(join(' ', sort map { $_->{alert} } @$all), join(' ', sort keys %def), 'a row for each alert when nothing is wrong');
is(join(' ', grep { my $n = $_; !grep { $_->{alert} eq $n && $_->{severity} eq $def{$n} } @$all } sort keys %def), '', 'with its severity');
is($state->('ProxyCpuWarning'), 'off', 'the threshold 0 is off');
is($state->('ReloadFailed'), 'inactive', 'others are inactive');
is($gauge->('ReloadFailed'), 0, 'the gauge is 0');
my $body = $p->http('/metrics')->{body};
is(scalar(() = $body =~ /^pgbulkhead_alert\{/mg), scalar keys %def, 'a series for each alert');
my $book = slurp("$FindBin::Bin/../../doc/runbook.md");
my %heading = map { /^## (\w+)$/ ? (lc $1 => 1) : () } split /\n/, $book;
is(join(' ', grep { !$heading{$_} } map { $_->{runbook} =~ /^doc\/runbook\.md#(\w+)$/ ? $1 : "bad: $_->{runbook}" } @$all), '', 'the runbook has each heading');

# ---- a pool at its threshold and above ----
my @busy = map { my $c = $p->connect('test'); $c->query('BEGIN'); $c } 1 .. 7;
my $hold = $p->connect('small');
$hold->query('BEGIN');
$until->('PoolUtilisation', 'firing', 'small', 'one server of one in use: it fires');
is($state->('PoolUtilisation', 'test'), 'none', '7 of 10, which is 70 %, are not above 70 %');
push @busy, $p->connect('test');
$busy[-1]->query('BEGIN');
$until->('PoolUtilisation', 'firing', 'test', '8 of 10 are');
my ($row) = $rows->('PoolUtilisation', 'test');
is("$row->{value} $row->{threshold} $row->{unit} $row->{user} $row->{severity}", '80 70 % postgres warning', 'value, threshold, subject');
like($row->{since}, qr/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/, 'since');
is($gauge->('PoolUtilisation'), 2, 'the gauge counts both pools');

# ---- clients that wait ----
my @wait = map { my $c = $p->connect('small'); $c->send_query('SELECT 1'); $c } 1 .. 3;
$until->('ClientsWaiting', 'firing', 'small');
ok(wait_for(sub { (($rows->('ClientsWaiting', 'small'))[0] // {})->{value} == 3 }, 30, 0.1), 'all three');
isnt($state->('ClientsWaiting', 'test'), 'firing', 'in that pool only');
ok($p->wait_log(qr/WARNING alert ClientsWaiting \(warning\) database "small" user "postgres": \d/), 'the log says so');
$set->(alert_clients_waiting => 4);
$until->('ClientsWaiting', 'resolved', 'small', 'three are not four: a new threshold holds at once');
$set->(alert_clients_waiting_for => 3600);
$set->(alert_clients_waiting => 3);
$until->('ClientsWaiting', 'pending', 'small', 'three are three; but not for an hour yet');
is($gauge->('ClientsWaiting'), 0, 'what is pending does not count');
$set->(alert_clients_waiting_for => 0);
$until->('ClientsWaiting', 'firing', 'small');
$hold->query('COMMIT');
$_->finish for @wait;
$until->('ClientsWaiting', 'resolved', 'small', 'served: it ends');
$until->('PoolUtilisation', 'resolved', 'small');
is($state->('PoolUtilisation', 'test'), 'firing', 'the other pool fires on');
$_->query('COMMIT') for @busy;
$until->('PoolUtilisation', 'resolved', 'test');
ok(wait_for(sub { $gauge->('PoolUtilisation') == 0 && $gauge->('ClientsWaiting') == 0 }, 30, 0.2), 'the gauges are 0 again');
ok($p->wait_log(qr/LOG alert PoolUtilisation \(warning\) database "test" user "postgres" has ended/), 'the log says that too');

# ---- hysteresis: an end is not taken at once ----
$set->(alert_clear_for => 3600);
$hold->query('BEGIN');
$until->('PoolUtilisation', 'firing', 'small');
$hold->query('COMMIT');
$hold->query('BEGIN');
$hold->query('COMMIT');
$p->console("SET alert_oldest_query = '1ms'"); # a look with this was made after the COMMIT
my $nap = $p->connect('test');
$nap->send_query('SELECT pg_sleep(300)');
$until->('OldestQuery', 'firing', 'test', 'a query that is still running');
is($state->('PoolUtilisation', 'small'), 'firing', 'the pool is idle, and the alert stays for alert_clear_for');
$set->(alert_clear_for => 0);
$until->('PoolUtilisation', 'resolved', 'small');
$nap->cancel;
$nap->finish(timeout => 60);
$until->('OldestQuery', 'resolved', 'test', 'the query has ended');
$set->(alert_oldest_query => 0);

# ---- queries ----
$set->(slow_query_threshold => '50ms');
$set->(alert_slow_queries => 2);
$nap->query('SELECT pg_sleep(0.1)');
$set->(alert_query_p95 => '1us');
$until->('QueryP95High', 'firing', 'test');
is($state->('SlowQueries', 'test'), 'none', 'one slow query is less than two');
$nap->query('SELECT pg_sleep(0.1)');
$until->('SlowQueries', 'firing', 'test', 'two are two');
$set->(alert_slow_queries => 0);
$set->(alert_query_p95 => 0);
$until->('SlowQueries', 'resolved', 'test', 'turned off');
$set->(slow_query_threshold => 5);

# ---- tenants ----
my $t = $p->connect('strict', 'acme');
is($t->query("SELECT * FROM documents WHERE tenant_id = 'acme'")->{error}, undef, 'a statement that may pass');
$until->('QueryP95High', 'resolved', 'test');
is($state->('TenantDenials'), 'inactive', 'no refusal, no alert');
error_is($t->query('SELECT * FROM documents'), '42501', qr/./, 'one that may not');
$until->('TenantDenials', 'firing', 'strict');
is(($rows->('TenantDenials'))[0]{value}, 1, 'counted');
is($state->('TenantUnbound'), 'inactive', 'somebody was bound');
ok(!eval { $p->connect('strict', 'nobody'); 1 }, 'a login without a tenant');
$until->('TenantUnbound', 'firing', 'strict');
is(($rows->('TenantDenials'))[0]{value}, 1, 'which is no denial');

# ---- the configuration ----
spew($p->{ini}, $p->ini_text . "no_such_key_at_all = 1\n");
$p->console('RELOAD', no_die => 1);
$until->('ReloadFailed', 'firing');
is($gauge->('ReloadFailed'), 1, 'its gauge');
$p->{set}{log_alerts} = 0;
$p->{databases}{test} .= ' storage_capacity=1MB';
$p->reload;
$until->('ReloadFailed', 'resolved');
unlike($p->log_text, qr/alert ReloadFailed .* has ended/, 'log_alerts = 0: no line');
ok($p->wait_log(qr/alert ReloadFailed \(warning\): 1, threshold 1: /), 'there was one before');

# ---- the server ----
ok(wait_for(sub { $p->metric('pgbulkhead_backend_connections_used') }, 60, 0.2), 'the server is probed');
is($state->('BackendConnectionsCritical'), 'inactive', 'it is far from full');
$until->('StorageCritical', 'firing', undef, 'its databases are larger than the capacity that is stated');
is($gauge->('StorageWarning'), 1, 'so both thresholds are passed');
$p->{databases}{test} =~ s/1MB/1TB/;
$p->reload;
$until->('StorageCritical', 'resolved', undef, 'a larger one');
$set->(alert_backend_connections_warning => 1);
$until->('BackendConnectionsWarning', 'firing', undef, 'more than 1 % are in use');
is(($rows->('BackendConnectionsWarning'))[0]{backend}, $pg->host . ':' . $pg->port, 'its subject is the server');
$pg->stop('immediate');
$until->('BackendDown', 'firing');
$until->('BackendConnectionsWarning', 'resolved', undef, 'its connections are not known any more');
$pg->start;
$until->('BackendDown', 'resolved');
$set->(alert_probe_stale => 2);
$set->(probe_timeout => 600);
kill STOP => $pg->{pid}; # takes connections, and answers none
$stopped = 1;
END { kill CONT => $pg->{pid} if $stopped }
$until->('ProbeStale', 'firing', undef, 'a probe without an end');
$set->(probe_interval => 3600);
$until->('ProbeStale', 'resolved', undef, 'rare probes: what is not due yet is not stale');
$set->(probe_interval => 1);
$until->('ProbeStale', 'firing', undef, 'it is due now');
$set->(probe_interval => 0);
$until->('ProbeStale', 'resolved', undef, 'what is not probed at all is not stale');
kill CONT => $pg->{pid};
$stopped = 0;

# ---- the process ----
my $load = $p->connect('test');
$set->(alert_cpu_warning => 1);
if (($p->metric('pgbulkhead_cpu_limit_cores') // 99) <= 8) {
    # Work that is nearly all its own, so that it gets its share beside others: scrapes that nobody looks at.
    my $scrapes = "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n" x 60 . "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    my $work = sub {
        $load->query('SELECT 1') for 1 .. 100;
        my $s = Bulkhead::Wire->new(host => '127.0.0.1', port => $p->metrics_port);
        $s->send_raw($scrapes);
        $s->wait_eof;
        $s->abort;
    };
    ok(wait_for(sub { $work->(); $state->('ProxyCpuWarning') eq 'firing' }, 150, 0), 'ProxyCpuWarning: more than 1 % of the processors');
} else {
    is($load->value('SELECT 1'), 1, 'too many processors to be loaded from here');
}
is($state->('ProxyCpuCritical'), 'off', 'the other is off');

# ---- certificates ----
my $tls = Bulkhead::TLS->new;
my ($key, $cert) = $tls->cert('localhost', san => 'DNS:localhost', days => 20);
my $q = proxy(pg => $pg, databases => { test => 'dbname=postgres' }, set => { alert_interval => 1, alert_clear_for => 0, client_tls_sslmode => 'allow', client_tls_key_file => $key, client_tls_cert_file => $cert });
my $about = sub { my ($r) = grep { $_->{alert} eq $_[0] && $_->{backend} eq $cert } @{ $q->console('SHOW ALERTS') }; return $r ? $r->{state} : 'none' };
ok(wait_for(sub { $about->('CertExpiry30d') eq 'firing' }, 60, 0.1), '20 days left: CertExpiry30d');
is($about->('CertExpiry7d'), 'none', 'and not CertExpiry7d');
$tls->cert('localhost', san => 'DNS:localhost', days => 5);
$q->reload;
ok(wait_for(sub { $about->('CertExpiry7d') eq 'firing' }, 60, 0.1), '5 days left: CertExpiry7d');
$tls->cert('localhost', san => 'DNS:localhost', days => 90);
$q->reload;
ok(wait_for(sub { $about->('CertExpiry7d') eq 'resolved' && $about->('CertExpiry30d') eq 'resolved' }, 60, 0.1), 'a new certificate ends both');
# The metrics service has one of its own.
my ($mkey, $mcert) = $tls->cert('metrics', san => 'DNS:localhost', days => 20);
my $m = proxy(pg => $pg, databases => { test => 'dbname=postgres' }, set => { alert_interval => 1, alert_clear_for => 0, metrics_tls_key_file => $mkey, metrics_tls_cert_file => $mcert });
my $of_metrics = sub { my ($r) = grep { $_->{alert} eq $_[0] && $_->{backend} eq $mcert } @{ $m->console('SHOW ALERTS') }; return $r ? $r->{state} : 'none' };
ok(wait_for(sub { $of_metrics->('CertExpiry30d') eq 'firing' }, 60, 0.1), '20 days left to that of the metrics service: CertExpiry30d');
is($of_metrics->('CertExpiry7d'), 'none', 'and not CertExpiry7d');
$tls->cert('metrics', san => 'DNS:localhost', days => 90);
$m->reload;
ok(wait_for(sub { $of_metrics->('CertExpiry30d') eq 'resolved' }, 60, 0.1), 'a new one ends it');
finish();
