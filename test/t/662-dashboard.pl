#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# contrib/grafana/pgbulkhead.json: its structure; every expression finds data in a real Prometheus that scrapes a proxy with everything
# going on; the metrics of rules and dashboard exist in that scrape, and the metrics of the scrape are used or stand here with the reason.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 420;
use Bulkhead::Prometheus;
use Bulkhead::Rules qw(top rule_files rules metrics_in);
use JSON::PP;

need_ours();
my $top = top();
my $text = slurp("$top/contrib/grafana/pgbulkhead.json");
my ($st, $out, $err) = run_cmd(argv => [$^X, "$top/contrib/grafana/dashboard.pl"], timeout => 30);
ok($out eq $text, 'the file is what dashboard.pl writes') or diag($err);
my $board = decode_json($text);
my @all = @{ $board->{panels} };
my @panels = grep { $_->{type} ne 'row' } @all;

# ---- structure ----
my (%id, %cell, @bad);
for my $p (@all) {
    push @bad, "id $p->{id} twice" if $id{ $p->{id} }++;
    my $g = $p->{gridPos};
    push @bad, "$p->{title}: beyond the edge" if $g->{x} < 0 || $g->{x} + $g->{w} > 24 || $g->{h} < 1;
    for my $x ($g->{x} .. $g->{x} + $g->{w} - 1) {
        for my $y ($g->{y} .. $g->{y} + $g->{h} - 1) { push @bad, "$p->{title}: covers $cell{$x, $y}" if $cell{ $x, $y }; $cell{ $x, $y } = $p->{title} }
    }
    next if $p->{type} eq 'row';
    push @bad, "$p->{title}: no unit" unless length($p->{fieldConfig}{defaults}{unit} // '');
    push @bad, "$p->{title}: no expression" unless @{ $p->{targets} };
    push @bad, "$p->{title}: names a data source of its own" if grep { ($_->{datasource}{uid} // '') ne '${DS_PROMETHEUS}' } $p, @{ $p->{targets} };
    my %ref;
    push @bad, "$p->{title}: refId twice" if grep { $ref{ $_->{refId} }++ } @{ $p->{targets} };
    my $steps = $p->{fieldConfig}{defaults}{thresholds}{steps};
    push @bad, "$p->{title}: limits not in order" if @$steps > 2 && grep { $steps->[$_]{value} <= $steps->[$_ - 1]{value} } 2 .. $#$steps;
    push @bad, "$p->{title}: limits are not lines" if $p->{type} eq 'timeseries' && @$steps > 1 && $p->{fieldConfig}{defaults}{custom}{thresholdsStyle}{mode} ne 'line' && !$p->{fieldConfig}{defaults}{max};
}
is(join('; ', @bad), '', 'ids, places, units, data sources and limits of ' . @panels . ' panels');
is($board->{__inputs}[0]{name}, 'DS_PROMETHEUS', 'asks for the data source when imported');
ok(!defined $board->{uid} && !defined $board->{id}, 'no uid and no id of its own');
cmp_ok($board->{schemaVersion}, '>=', 30, 'schemaVersion');
is(join('|', grep { my $r = $_; !grep { $_->{type} eq 'row' && $_->{title} eq $r } @all } qw(Traffic Latency Pools Backends Tenants Policy TLS Process Alerts)), '', 'rows');
my @exprs = map { my $p = $_; map { { title => $p->{title}, expr => $_->{expr}, legend => $_->{legendFormat} } } @{ $p->{targets} } } @panels;
my $everything = join "\n", (map { $_->{expr} } @exprs), map { $_->{query}{query} } @{ $board->{templating}{list} };
my %known = map { $_ => 1 } 'DS_PROMETHEUS', map { $_->{name} } @{ $board->{templating}{list} };
is(join(' ', grep { my $v = $_; $v ne 'DS_PROMETHEUS' && $everything !~ /\$\Q$v\E\b/ } sort keys %known), '', 'every variable is used');
is(join(' ', grep { !$known{$_} && !/^__/ } $everything =~ /\$\{?(\w+)/g), '', 'and every used one is there');
is(join('; ', map { $_->{title} } grep { my $e = $_->{expr}; $e =~ /\brate\(/ && $e !~ /\[\$__rate_interval\]|\[5m\]/ } @exprs), '', 'rates over $__rate_interval');
is(join('; ', map { $_->{title} } grep { $_->{expr} !~ /\$(?:instance|database)/ } @exprs), '', 'every expression goes by the selection');

# ---- a proxy with everything going on ----
my $ca = Bulkhead::TLS->new;
my ($key, $cert) = $ca->cert('localhost', san => 'DNS:localhost,IP:127.0.0.1', file => 'proxy');
my $pg = pg(tls => $ca);
$pg->sql(<<'SQL');
CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TABLE documents (id int PRIMARY KEY, tenant_id text NOT NULL, title text);
INSERT INTO documents SELECT g, CASE WHEN g % 2 = 0 THEN 'acme' ELSE 'beta' END, 'title ' || g FROM generate_series(1, 20) g;
SQL
my $keys = slurp("$top/src/conf/keys.def");
my %set = (worker_threads => 2, probe_interval => 4, query_wait_timeout => 3000, tenant_columns => 'tenant_id', slow_query_threshold => 0.2, metrics_top_tenants => 5, alert_interval => 1,
    client_tls_sslmode => 'allow', client_tls_key_file => $key, client_tls_cert_file => $cert, server_tls_sslmode => 'verify-ca', server_tls_ca_file => $ca->ca,
    server_tls_protocols => 'all', max_prepared_statements => 20, alert_clients_waiting_for => 0);
delete @set{ grep { $keys !~ /^KEY\w*\(\Q$_\E,/m } keys %set };
my $p = proxy(pg => $pg, databases => { app => 'dbname=postgres user=postgres pool_size=2 reserve_pool_size=1 max_db_connections=20 catalog_user=postgres storage_capacity=1000000000000',
        notes => 'dbname=postgres user=app pool_size=4 tenant_mode=rewrite catalog_user=postgres' },
    users => { acme => 'tenant=acme', beta => 'tenant=beta', lost => 'pool_mode=transaction' }, auth => { acme => '', beta => '', lost => '' }, set => \%set, start => 0);
$p->{set}{tenant_audit_log} = "$p->{dir}/audit.json";
$p->write;
$p->start;
my %rules = map { my $f = $_; ($f => slurp("$top/contrib/prometheus/$f")) } qw(recording.yml alerts.yml);
my $m = Bulkhead::Prometheus->new(targets => { pgbulkhead => ['127.0.0.1:' . $p->metrics_port] }, rules => \%rules);

my @hold = map { my $c = $p->connect('app'); $c->query('BEGIN'); $c } 1, 2;
my $waits = $p->connect('app');
$waits->send_query('SELECT 1');
my $tls = $p->connect('notes', 'acme', tls => { ca => $ca->ca }, host => 'localhost');
my $beta = $p->connect('notes', 'beta');
my $round = 0;
# Something of everything, again and again, so that counters move within the window of a rate.
sub traffic {
    $round++;
    for my $c ($tls, $beta) {
        $c->query('SELECT count(*) FROM documents');
        $c->query("SELECT title FROM documents WHERE id = $round");
        $c->query("INSERT INTO documents VALUES (1, 'gamma')");
        $c->query("SELECT title AS t$round FROM documents");
        $c->ext('SELECT id FROM documents WHERE id = $1', [$round]);
    }
    $hold[0]->query($round % 4 == 1 ? 'SELECT pg_sleep(0.3)' : "SELECT $round");
    $hold[0]->query('SELECT 1/0; ');
    $hold[0]->query('ROLLBACK');
    $hold[0]->query('BEGIN');
    eval { $p->connect('app', 'nobody-knows', no_die => 1)->abort; 1 };
    eval { $p->connect('notes', 'lost', no_die => 1)->abort; 1 };
    return 1;
}
my $selected = sub { return $_[0] =~ s/\$__rate_interval/15s/gr =~ s/\$__range/1m/gr =~ s/\$(?:instance|database)/.*/gr };

# What cannot be seen in a scene like this one, and why.
my %empty = (
    qr/backend_index_blocks/ => "asked for once a minute, and a rate takes two", qr/replication_lag/ => 'there is no standby', qr/alert_subjects_left_out/ => 'nothing is left out',
);
my %found;
my $look = sub {
    for my $e (grep { !$found{ $_->{expr} } } @exprs) {
        my $r = eval { $m->query($selected->($e->{expr})) };
        if (!$r) { $found{ $e->{expr} } = { error => "$e->{title}: $e->{expr}: $@" }; next }
        my @real = grep { $_->{value} ne 'NaN' } @$r;
        $found{ $e->{expr} } = { sample => $real[0] } if @real;
    }
    return !grep { my $e = $_->{expr}; !$found{$e} && !grep { $e =~ $_ } keys %empty } @exprs;
};
wait_for(sub { traffic(); sleep 1; $look->() }, 300, 0.1);
$look->();
is(join("\n", map { $_->{error} // () } values %found), '', 'every expression is one');
is(join("\n", map { "$_->{title}: $_->{expr}" } grep { my $e = $_->{expr}; !$found{$e} && !grep { $e =~ $_ } keys %empty } @exprs), '', 'and finds data');
my @unnamed;
for my $e (@exprs) {
    my $s = $found{ $e->{expr} }{sample} or next;
    push @unnamed, map { "$e->{title}: $_ ($e->{expr})" } grep { !length($s->{metric}{$_} // '') } $e->{legend} =~ /\{\{(\w+)\}\}/g;
}
is(join("\n", @unnamed), '', 'labels that legends name are there');
my $novalues;
wait_for(sub { $novalues = join(' ', map { $_->{query}{query} } grep { my ($metric, $label) = $_->{query}{query} =~ /label_values\(([^{,]+).*, (\w+)\)/; !$metric || !grep { length($_->{metric}{$label} // '') } @{ $m->query($metric) } } @{ $board->{templating}{list} }); $novalues eq '' }, 30, 0.3);
is($novalues, '', 'variables find values');

# ---- all metrics of the scrape, and all that are used ----
my $scrape;
wait_for(sub { $scrape = $p->http('/metrics')->{body}; $scrape =~ /^pgbulkhead_backend_connections_max\{/m }); # a probe may come late
my %type = $scrape =~ /^# TYPE (\S+) (\S+)$/mg;
my %live;
for ($scrape =~ /^([a-zA-Z_:][\w:]*)[{ ]/mg) {
    my $base = s/_(?:bucket|sum|count)$//r;
    $live{ ($type{$base} // '') eq 'histogram' ? $base : $_ } = 1;
}
my %used;
for my $e ((map { $_->{expr} } @exprs), map { $_->{expr} } map { rules($_) } grep { !/dbhost/ } rule_files()) {
    for (grep { !/:/ } metrics_in($e)) { my $base = s/_(?:bucket|sum|count)$//r; $used{ ($type{$base} // '') eq 'histogram' ? $base : $_ } = 1 }
}
my %not_of_ours = (up => 'Prometheus makes it', ALERTS => 'Prometheus makes it');
my %not_here = (pgbulkhead_backend_replication_lag_seconds => 'there is no standby');
my %not_used = (process_start_time_seconds => 'pgbulkhead_start_time_seconds is shown');
is(join(' ', grep { !$live{$_} && !$not_of_ours{$_} && !$not_here{$_} } sort keys %used), '', 'metrics of rules and dashboard exist in a scrape: ' . keys %used);
is(join(' ', grep { !$used{$_} && !$not_used{$_} } sort keys %live), '', 'metrics of a scrape are used: ' . keys %live);
is(join(' ', grep { $used{$_} || !$live{$_} } sort keys %not_used), '', 'the list of unused ones is true');
my @sick = map { "$_->{name}: " . ($_->{lastError} // '') } grep { $_->{health} ne 'ok' } $m->rules;
is("@sick", '', 'no rule has an error');

$_->query('COMMIT') for @hold;
$waits->finish;
$m->stop;
$_->close for @hold, $waits, $tls, $beta;
finish();
