#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Writes the dashboard from the table below: perl contrib/grafana/dashboard.pl >contrib/grafana/pgbulkhead.json
# A row is [title, panels...], a panel [title, unit, [expression => legend, ...], options]. In expressions @ stands for the selection of
# instances, # for that of instances and databases. Options: w (of 24 columns, 8 unless said), type, limits (lines: value => colour),
# max, text (what the panel is good for), stack, stat (one number), decimals.
use strict;
use warnings;
use JSON::PP ();

my ($on, $off) = (JSON::PP::true(), JSON::PP::false());
my %at = ('@' => 'instance=~"$instance"', '#' => 'instance=~"$instance",database=~"$database"');
my $R = '[$__rate_interval]';

sub quantile { my ($q, $metric, $by) = @_; return "histogram_quantile($q, sum by ($by, le) (rate(${metric}_bucket{" . ($by =~ /database/ ? '#' : '@') . "}$R)))" }
sub rate { my ($by, $metric, $more) = @_; $more //= '#'; return "sum by ($by) (rate($metric\{$more}$R))" }
my @percent = (unit => 'percentunit', max => 1);
my ($warn, $high, $bad) = ('yellow', 'orange', 'red');

my @rows = (
    ['At a glance',
        ['Proxies', 'short', ['sum(pgbulkhead_build_info{@})' => ''], { stat => 1, w => 3 }],
        ['Alerts firing', 'short', ['sum(pgbulkhead_alert{@}) or vector(0)' => ''], { stat => 1, w => 3, limits => [1 => $bad], text => 'As SHOW ALERTS has it, without Prometheus.' }],
        ['Queries', 'reqps', ["sum(rate(pgbulkhead_queries_total{#}$R))" => ''], { stat => 1, w => 3 }],
        ['95th percentile', 's', ["histogram_quantile(0.95, sum by (le) (rate(pgbulkhead_query_duration_seconds_bucket{#}$R)))" => ''], { stat => 1, w => 3, limits => [0.5 => $bad] }],
        ['Waiting clients', 'short', ['sum(pgbulkhead_pool_waiting_clients{#})' => ''], { stat => 1, w => 3, limits => [1 => $high] }],
        ['Fullest pool', 'percentunit', ['max(sum by (instance, database, user, guarded) (pgbulkhead_pool_server_connections{#,state="active"}) / on (instance, database, user, guarded) (pgbulkhead_pool_size{#} > 0))' => ''],
            { stat => 1, w => 3, limits => [0.7 => $warn, 0.9 => $bad] }],
        ['Refused statements', 'short', ['sum(increase(pgbulkhead_tenant_denials_total{#}[$__range])) or vector(0)' => ''], { stat => 1, w => 3, decimals => 0, limits => [1 => $bad], text => 'In the time shown.' }],
        ['Servers answering', 'percentunit', ['avg(pgbulkhead_backend_up{@})' => ''], { stat => 1, w => 3, max => 1, fall => 1, text => 'Of the database servers.' }],
    ],
    ['Traffic',
        ['Queries by database', 'reqps', [rate('database', 'pgbulkhead_queries_total') => '{{database}}'], { stack => 1 }],
        ['Queries by kind', 'reqps', [rate('kind', 'pgbulkhead_queries_total') => '{{kind}}'], { stack => 1 }],
        ['Transactions, assignments', 'ops', [rate('database', 'pgbulkhead_transactions_total') => '{{database}} transactions', rate('database', 'pgbulkhead_server_assignments_total') => '{{database}} assignments'],
            { text => 'An assignment gives a client a server; in transaction pooling there is one per transaction.' }],
        ['Client connections', 'short', ['sum by (state) (pgbulkhead_client_connections{#})' => '{{state}}', 'sum(pgbulkhead_client_connections_max{@})' => 'max_client_conn'], { stack => 0 }],
        ['Logins and clients turned away', 'cps', [rate('database', 'pgbulkhead_client_connections_total') => 'login {{database}}', rate('reason', 'pgbulkhead_client_rejections_total', '@') => 'away: {{reason}}']],
        ['Errors of servers by SQLSTATE class', 'ops', [rate('database, sqlstate_class', 'pgbulkhead_errors_total') => '{{database}} {{sqlstate_class}}'],
            { text => '42 syntax, names, rights; 22 data; 23 constraints; 40 rollback; 53 resources; 57 operator.' }],
        ['Bytes to and from clients', 'Bps', [rate('database', 'pgbulkhead_received_bytes_total', '#,side="client"') => '{{database}} received', rate('database', 'pgbulkhead_sent_bytes_total', '#,side="client"') => '{{database}} sent']],
        ['Bytes to and from servers', 'Bps', [rate('database', 'pgbulkhead_received_bytes_total', '#,side="server"') => '{{database}} received', rate('database', 'pgbulkhead_sent_bytes_total', '#,side="server"') => '{{database}} sent']],
        ['Cancel requests', 'ops', [rate('database', 'pgbulkhead_cancel_requests_total') => '{{database}}']],
        ['Extended protocol', 'ops', [rate('database', 'pgbulkhead_client_parses_total') => '{{database}} Parse of clients', rate('database', 'pgbulkhead_server_parses_total') => '{{database}} Parse to servers', rate('database', 'pgbulkhead_binds_total') => '{{database}} Bind']],
        ['Prepared statements', 'ops', [rate('database', 'pgbulkhead_prepared_statements_hits_total') => '{{database}} already there', rate('database', 'pgbulkhead_prepared_statements_misses_total') => '{{database}} prepared', rate('database', 'pgbulkhead_prepared_statements_evictions_total') => '{{database}} evicted']],
        ['Statements kept on servers', 'short', ['sum by (database) (pgbulkhead_prepared_statements{#})' => '{{database}}']],
    ],
    ['Latency',
        ['Query time', 's', [quantile(0.5, 'pgbulkhead_query_duration_seconds', 'database') => '{{database}} p50', quantile(0.95, 'pgbulkhead_query_duration_seconds', 'database') => '{{database}} p95', quantile(0.99, 'pgbulkhead_query_duration_seconds', 'database') => '{{database}} p99'],
            { w => 12, limits => [0.5 => $high, 5 => $bad], text => 'First byte of the query to ReadyForQuery, waiting for a server included. Lines at 500 ms and 5 s.' }],
        ['Wait for a server', 's', [quantile(0.5, 'pgbulkhead_pool_wait_duration_seconds', 'database') => '{{database}} p50', quantile(0.95, 'pgbulkhead_pool_wait_duration_seconds', 'database') => '{{database}} p95', quantile(0.99, 'pgbulkhead_pool_wait_duration_seconds', 'database') => '{{database}} p99'],
            { w => 12, limits => [0.5 => $high], text => 'As high as the query time: it is the pool. Low: it is the server.' }],
        ['Queries by time', 's', ["sum by (le) (increase(pgbulkhead_query_duration_seconds_bucket{#}$R))" => '{{le}}'], { type => 'heatmap', w => 12 }],
        ['Transaction time', 's', [quantile(0.5, 'pgbulkhead_transaction_duration_seconds', 'database') => '{{database}} p50', quantile(0.95, 'pgbulkhead_transaction_duration_seconds', 'database') => '{{database}} p95'], { w => 12 }],
        ['Oldest running', 's', ['max by (database) (pgbulkhead_oldest_query_seconds{#})' => '{{database}} query', 'max by (database) (pgbulkhead_oldest_transaction_seconds{#})' => '{{database}} transaction'], { limits => [5 => $high], text => 'Still running: no histogram knows it yet.' }],
        ['Slow queries', 'short', ['sum by (database) (increase(pgbulkhead_slow_queries_total{#}[5m]))' => '{{database}} in five minutes', 'max(pgbulkhead_slow_query_threshold_seconds{@})' => 'threshold, s'], { limits => [1 => $high] }],
        ['Servers busy, by what', 'short', [rate('database', 'pgbulkhead_query_seconds_total') => '{{database}} in queries', rate('database', 'pgbulkhead_transaction_seconds_total') => '{{database}} in transactions', rate('database', 'pgbulkhead_wait_seconds_total') => '{{database}} clients waiting'],
            { text => 'Seconds per second: how many were at it on average.' }],
    ],
    ['Pools',
        ['Utilisation', 'percentunit', ['sum by (instance, database, user, guarded) (pgbulkhead_pool_server_connections{#,state="active"}) / on (instance, database, user, guarded) (pgbulkhead_pool_size{#} > 0)' => '{{database}}/{{user}} {{instance}}'],
            { w => 12, limits => [0.7 => $warn, 0.9 => $bad], text => 'Servers at work of pool_size; the target is below 70 %.' }],
        ['Waiting clients', 'short', ['sum by (database, user) (pgbulkhead_pool_waiting_clients{#})' => '{{database}}/{{user}}'], { w => 6, limits => [1 => $high] }],
        ['Longest wait', 's', ['max by (database, user) (pgbulkhead_pool_max_wait_seconds{#})' => '{{database}}/{{user}}'], { w => 6 }],
        ['Servers by state', 'short', ['sum by (state) (pgbulkhead_pool_server_connections{#})' => '{{state}}'], { stack => 1 }],
        ['Sizes', 'short', ['sum by (database) (pgbulkhead_pool_size{#})' => '{{database}} pool_size', 'sum by (database) (pgbulkhead_pool_reserve_size{#})' => '{{database}} reserve']],
        ['Servers by database', 'short', ['sum by (database) (pgbulkhead_database_server_connections{#})' => '{{database}}', 'sum by (database) (pgbulkhead_database_server_connections_max{#})' => '{{database}} max_db_connections']],
        ['Servers that stay with their client', 'short', ['sum by (database, user) (pgbulkhead_pool_pinned_servers{#})' => '{{database}}/{{user}}', 'sum by (database, reason) (pgbulkhead_pinned_connections{#})' => '{{database}} {{reason}}']],
        ['What ties them', 'ops', [rate('database, reason', 'pgbulkhead_pins_total') => '{{database}} {{reason}}', rate('database', 'pgbulkhead_pins_refused_total') => '{{database}} refused']],
        ['Server logins', 'cps', [rate('database', 'pgbulkhead_server_connections_total') => '{{database}}', rate('database', 'pgbulkhead_server_login_failures_total') => '{{database}} failed']],
        ['Paused or disabled', 'short', ['max by (database) (pgbulkhead_database_paused{#})' => '{{database}} paused', 'max by (database) (pgbulkhead_database_disabled{#})' => '{{database}} disabled', 'max(pgbulkhead_paused{@})' => 'everything paused'], { max => 1 }],
    ],
    ['Backends',
        ['Connections in use', 'percentunit', ['max by (backend) (pgbulkhead_backend_connections_used{@} / (pgbulkhead_backend_connections_max{@} - pgbulkhead_backend_connections_reserved{@}))' => '{{backend}}'],
            { limits => [0.7 => $warn, 0.8 => $high, 0.9 => $bad], max => 1, text => 'Of those that ordinary users may have, all programs together.' }],
        ['Ours and others', 'short', ['max by (backend) (pgbulkhead_backend_connections_used{@})' => '{{backend}} all', 'sum by (backend) (pgbulkhead_backend_connections_own{@})' => '{{backend}} ours']],
        ['Answers', 'short', ['min by (backend) (pgbulkhead_backend_up{@})' => '{{backend}} up', 'min by (backend) (pgbulkhead_backend_probe_success{@})' => '{{backend}} probe'], { max => 1 }],
        ['Age and duration of the last probe', 's', ['max by (backend) (time() - pgbulkhead_backend_probe_timestamp_seconds{@})' => '{{backend}} age', 'max by (backend) (pgbulkhead_backend_probe_duration_seconds{@})' => '{{backend}} took'], { limits => [120 => $warn] }],
        ['Storage', 'percentunit', ['max by (backend) (sum by (instance, backend) (pgbulkhead_backend_database_size_bytes{@}) / on (instance, backend) (pgbulkhead_backend_storage_capacity_bytes{@} > 0))' => '{{backend}}'], { limits => [0.85 => $warn, 0.9 => $bad], max => 1, text => 'Only where storage_capacity is configured.' }],
        ['Database sizes', 'bytes', ['max by (backend, database) (pgbulkhead_backend_database_size_bytes{@})' => '{{backend}} {{database}}']],
        ['Cache hits', 'percentunit', ["sum by (backend, database) (rate(pgbulkhead_backend_database_blocks_hit_total{@}[5m])) / (sum by (backend, database) (rate(pgbulkhead_backend_database_blocks_hit_total{@}[5m])) + sum by (backend, database) (rate(pgbulkhead_backend_database_blocks_read_total{@}[5m])))" => '{{database}} all',
            "sum by (backend, database) (rate(pgbulkhead_backend_index_blocks_hit_total{@}[5m])) / (sum by (backend, database) (rate(pgbulkhead_backend_index_blocks_hit_total{@}[5m])) + sum by (backend, database) (rate(pgbulkhead_backend_index_blocks_read_total{@}[5m])))" => '{{database}} indexes'], { max => 1 }],
        ['VACUUM, oldest transaction, lag', 's', ['max by (backend) (pgbulkhead_backend_vacuum_oldest_seconds{@})' => '{{backend}} VACUUM', 'max by (backend) (pgbulkhead_backend_oldest_transaction_seconds{@})' => '{{backend}} transaction', 'max by (backend) (pgbulkhead_backend_replication_lag_seconds{@})' => '{{backend}} lag']],
        ['VACUUMs running', 'short', ['max by (backend) (pgbulkhead_backend_vacuums{@})' => '{{backend}}'], { w => 4 }],
        ['Transaction ids in use', 'short', ['max by (backend) (pgbulkhead_backend_transaction_id_age{@})' => '{{backend}}'], { w => 4, limits => [1_000_000_000 => $bad], text => 'Wraparound would be at 2^31.' }],
        ['Roles and versions', 'short', ['max by (backend, role) (pgbulkhead_backend_role_info{@})' => '{{backend}} {{role}}', 'max by (backend, version) (pgbulkhead_backend_version_info{@})' => '{{backend}} {{version}}'], { type => 'table', w => 24, h => 6 }],
    ],
    ['Tenants',
        ['Tenants with clients', 'short', ['max by (database) (pgbulkhead_tenant_active{#})' => '{{database}}', 'max by (database) (pgbulkhead_tenant_pool_waiting{#})' => '{{database}} waiting']],
        ['Statements by outcome', 'reqps', [rate('mode, outcome', 'pgbulkhead_tenant_statements_total') => '{{mode}} {{outcome}}'], { stack => 1 }],
        ['Without a tenant', 'ops', [rate('database', 'pgbulkhead_tenant_unbound_total') => '{{database}}'], { text => 'Logins and statements that no tenant is known for.' }],
        ['Busiest: queries', 'reqps', [rate('tenant', 'pgbulkhead_tenant_top_queries_total', '@') => '{{tenant}}'], { w => 6, text => 'Needs metrics_top_tenants.' }],
        ['Busiest: time', 'short', [rate('tenant', 'pgbulkhead_tenant_top_seconds_total', '@') => '{{tenant}}'], { w => 6, text => 'Seconds per second: servers busy with it on average.' }],
        ['Busiest: bytes', 'Bps', [rate('tenant', 'pgbulkhead_tenant_top_bytes_total', '@') => '{{tenant}}'], { w => 6 }],
        ['Busiest: refused', 'ops', [rate('tenant', 'pgbulkhead_tenant_top_denials_total', '@') => '{{tenant}}'], { w => 6 }],
    ],
    ['Policy',
        ['Refused statements by reason', 'ops', [rate('database, reason', 'pgbulkhead_tenant_denials_total') . ' > 0' => '{{database}} {{reason}}'], { w => 12, type => 'bars' }],
        ['Judging a new statement', 's', [quantile(0.5, 'pgbulkhead_parse_duration_seconds', 'instance') => '{{instance}} p50', quantile(0.95, 'pgbulkhead_parse_duration_seconds', 'instance') => '{{instance}} p95'], { w => 12 }],
        ['Verdicts: where from', 'ops', ["sum(rate(pgbulkhead_parse_cache_hits_total{@}$R))" => 'known text', "sum(rate(pgbulkhead_parse_cache_template_hits_total{@}$R))" => 'known template', "sum(rate(pgbulkhead_parse_cache_misses_total{@}$R))" => 'judged', "sum(rate(pgbulkhead_parse_cache_evictions_total{@}$R))" => 'thrown out'], { stack => 0 }],
        ['Cache of verdicts', 'bytes', ['sum by (instance) (pgbulkhead_parse_cache_bytes{@})' => '{{instance}}'], { w => 4 }],
        ['Verdicts kept', 'short', ['sum by (instance) (pgbulkhead_parse_cache_entries{@})' => '{{instance}}'], { w => 4 }],
        ['Audit log', 'ops', ["sum by (instance) (rate(pgbulkhead_audit_lines_total{@}$R))" => '{{instance}} written', "sum by (instance) (rate(pgbulkhead_audit_lines_dropped_total{@}$R))" => '{{instance}} lost']],
    ],
    ['TLS',
        ['Connections', 'short', ['sum by (side, version) (pgbulkhead_tls_connections{@})' => '{{side}} {{version}}'], { w => 6 }],
        ['Handshakes', 'cps', [rate('side, version', 'pgbulkhead_tls_handshakes_total', '@') => '{{side}} {{version}}'], { w => 6 }],
        ['Handshakes that failed', 'cps', [rate('side, reason', 'pgbulkhead_tls_handshake_errors_total', '@') => '{{side}} {{reason}}'], { w => 6 }],
        ['Certificates end in', 's', ['min by (role, file) (pgbulkhead_tls_certificate_expiry_timestamp_seconds{@} - time())' => '{{role}} {{file}}'], { w => 6, limits => [604800 => $high, 2592000 => 'green'], fall => 1 }],
    ],
    ['Process',
        ['CPU of what it may have', 'percentunit', ["rate(process_cpu_seconds_total{@}$R) / on (job, instance) (pgbulkhead_cpu_limit_cores{@} > 0)" => '{{instance}}'], { limits => [0.6 => $warn, 0.8 => $bad], text => 'Of the proxy, not of the database host.' }],
        ['Memory of what it may have', 'percentunit', ['process_resident_memory_bytes{@} / on (job, instance) (pgbulkhead_memory_limit_bytes{@} > 0)' => '{{instance}}'], { limits => [0.7 => $warn, 0.9 => $bad], text => 'Of the proxy, not of the database host.' }],
        ['Memory', 'bytes', ['process_resident_memory_bytes{@} and on (job, instance) pgbulkhead_build_info' => '{{instance}} resident', 'process_virtual_memory_bytes{@} and on (job, instance) pgbulkhead_build_info' => '{{instance}} virtual']],
        ['Worker threads', 'percentunit', ["rate(pgbulkhead_worker_busy_seconds_total{@}$R)" => '{{instance}} {{worker}}'], { max => 1, text => 'One alone at 100 % is a few busy clients on one thread.' }],
        ['Event loops late by', 's', [quantile(0.5, 'pgbulkhead_event_loop_lag_seconds', 'instance') => '{{instance}} p50', quantile(0.99, 'pgbulkhead_event_loop_lag_seconds', 'instance') => '{{instance}} p99'], { limits => [0.1 => $high] }],
        ['Turns of the event loops', 'ops', ["sum by (instance) (rate(pgbulkhead_worker_turns_total{@}$R))" => '{{instance}} turns', "sum by (instance) (rate(pgbulkhead_worker_deadline_looks_total{@}$R))" => '{{instance}} looks for time limits']],
        ['Clients by worker', 'short', ['pgbulkhead_worker_connections{@}' => '{{instance}} {{worker}}'], { w => 6 }],
        ['File descriptors', 'percentunit', ['process_open_fds{@} / process_max_fds{@} and on (job, instance) pgbulkhead_build_info' => '{{instance}}'], { w => 6, limits => [0.8 => $bad], max => 1 }],
        ['Scrape', 's', ['pgbulkhead_scrape_duration_seconds{@}' => '{{instance}}'], { w => 6, limits => [0.005 => $high] }],
        ['Left out or folded', 'ops', ["rate(pgbulkhead_metrics_series_dropped_total{@}$R)" => '{{instance}} series', "rate(pgbulkhead_log_lines_folded_total{@}$R)" => '{{instance}} lines of the log', "rate(pgbulkhead_query_templates_evictions_total{@}$R)" => '{{instance}} templates'], { w => 6 }],
        ['Kept in tables', 'short', ['pgbulkhead_query_templates{@}' => '{{instance}} templates', 'pgbulkhead_dns_names{@}' => '{{instance}} host names', 'pgbulkhead_log_kinds{@}' => '{{instance}} kinds of log lines', 'pgbulkhead_history_databases{@}' => '{{instance}} databases in the history', 'pgbulkhead_history_databases_left_out{@}' => '{{instance}} left out of it']],
        ['Memory of tables', 'bytes', ['pgbulkhead_query_templates_bytes{@}' => '{{instance}} templates', 'pgbulkhead_history_bytes{@}' => '{{instance}} history']],
        ['Logins at the metrics service that failed', 'ops', ["rate(pgbulkhead_metrics_login_failures_total{@}$R)" => '{{instance}}', 'pgbulkhead_metrics_login_addresses{@}' => '{{instance}} addresses']],
        ['Up since', 'dateTimeFromNow', ['pgbulkhead_start_time_seconds{@} * 1000' => '{{instance}}'], { stat => 1, w => 6, h => 6 }],
        ['Last RELOAD', 'dateTimeFromNow', ['pgbulkhead_config_last_reload_success_timestamp_seconds{@} * 1000' => '{{instance}}'], { stat => 1, w => 6, h => 6 }],
        ['RELOAD worked', 'short', ['pgbulkhead_config_last_reload_successful{@}' => '{{instance}}'], { stat => 1, w => 6, h => 6, fall => 1 }],
        ['Different configurations', 'short', ['count(count by (hash) (pgbulkhead_config_info{@}))' => ''], { stat => 1, w => 6, h => 6, limits => [2 => $high] }],
        ['Versions', 'short', ['pgbulkhead_build_info{@}' => ''], { type => 'table', w => 24, h => 6 }],
    ],
    ['Alerts',
        ['Of Prometheus', 'short', ['ALERTS{@,alertname=~"Pgbulkhead.*"}' => ''], { type => 'table', w => 12, text => 'contrib/prometheus/alerts.yml; pending and firing.' }],
        ['Of the proxies (SHOW ALERTS)', 'short', ['pgbulkhead_alert{@} > 0' => '{{alert}} {{severity}} {{instance}}', 'pgbulkhead_alert_subjects_left_out{@} > 0' => '{{instance}}: no room for'], { w => 12, type => 'bars' }],
    ],
);

sub panel {
    my ($id, $title, $unit, $targets, $o, $x, $y, $w, $h) = @_;
    my $type = $o->{stat} ? 'stat' : { table => 'table', heatmap => 'heatmap' }->{ $o->{type} // '' } // 'timeseries';
    my $source = { type => 'prometheus', uid => '${DS_PROMETHEUS}' };
    my @t;
    for (my $i = 0; $i < @$targets; $i += 2) {
        my ($expr, $legend) = @$targets[$i, $i + 1];
        $expr =~ s/([@#])(?=[},])/$at{$1}/g;
        push @t, { refId => chr(65 + $i / 2), expr => $expr, legendFormat => $legend, datasource => $source,
            ($type eq 'table' ? (format => 'table', instant => $on, range => $off) : $type eq 'heatmap' ? (format => 'heatmap', range => $on) : (range => $on)) };
    }
    my @limits = @{ $o->{limits} // [] };
    my @steps = ({ color => $o->{fall} && @limits ? 'red' : $o->{fall} ? 'red' : 'green', value => undef });
    push @steps, { color => 'green', value => 1 } if $o->{fall} && !@limits;
    while (my ($v, $c) = splice @limits, 0, 2) { push @steps, { color => $c, value => $v + 0 } }
    my %defaults = (unit => $unit, min => 0, color => { mode => $type eq 'timeseries' ? 'palette-classic' : 'thresholds' }, thresholds => { mode => 'absolute', steps => \@steps });
    delete $defaults{min} if $unit =~ /^date/ || $o->{fall};
    $defaults{max} = $o->{max} if $o->{max};
    $defaults{decimals} = $o->{decimals} if defined $o->{decimals};
    $defaults{custom} = {
        drawStyle => ($o->{type} // '') eq 'bars' ? 'bars' : 'line', lineWidth => 1, fillOpacity => $o->{stack} ? 30 : 8, showPoints => 'never',
        stacking => { mode => $o->{stack} ? 'normal' : 'none', group => 'A' }, thresholdsStyle => { mode => $o->{limits} ? 'line' : 'off' },
    } if $type eq 'timeseries';
    my %options = $type eq 'stat' ? (colorMode => $o->{limits} || $o->{fall} ? 'background' : 'value', graphMode => 'none', textMode => 'auto', reduceOptions => { calcs => ['lastNotNull'], fields => '', values => $off })
        : $type eq 'heatmap' ? (calculate => $off, color => { mode => 'scheme', scheme => 'Blues', steps => 64 }, yAxis => { unit => $unit }, cellGap => 1)
        : $type eq 'table' ? (showHeader => $on)
        : (legend => { displayMode => 'list', placement => 'bottom', showLegend => $on }, tooltip => { mode => 'multi', sort => 'desc' });
    return { id => $id, type => $type, title => $title, description => $o->{text} // '', datasource => $source, targets => \@t, options => \%options,
        ($type eq 'table' ? (transformations => [{ id => 'merge', options => {} }]) : ()),
        fieldConfig => { defaults => \%defaults, overrides => [] }, gridPos => { x => $x, y => $y, w => $w, h => $h } };
}

my ($id, $y, @panels) = (0, 0);
for my $row (@rows) {
    my ($title, @in) = @$row;
    push @panels, { id => ++$id, type => 'row', title => $title, collapsed => $off, panels => [], gridPos => { x => 0, y => $y++, w => 24, h => 1 } };
    my ($x, $tallest) = (0, 0);
    for my $p (@in) {
        my ($name, $unit, $targets, $o) = (@$p[0 .. 2], $p->[3] // {});
        my ($w, $h) = ($o->{w} // 8, $o->{h} // ($o->{stat} ? 4 : 8));
        if ($x + $w > 24) { $y += $tallest; ($x, $tallest) = (0, 0) }
        push @panels, panel(++$id, $name, $unit, $targets, $o, $x, $y, $w, $h);
        $x += $w;
        $tallest = $h if $h > $tallest;
    }
    $y += $tallest;
}
sub variable {
    my ($name, $query) = @_;
    return { name => $name, label => ucfirst $name, type => 'query', datasource => { type => 'prometheus', uid => '${DS_PROMETHEUS}' }, query => { query => $query, refId => $name },
        definition => $query, refresh => 2, sort => 1, multi => $on, includeAll => $on, allValue => '.*', current => { text => 'All', value => '$__all' }, hide => 0 };
}
my %board = (
    __inputs => [{ name => 'DS_PROMETHEUS', label => 'Prometheus', description => '', type => 'datasource', pluginId => 'prometheus', pluginName => 'Prometheus' }],
    __requires => [map { { type => $_->[0], id => $_->[1], name => $_->[2], version => $_->[3] } } ['grafana', 'grafana', 'Grafana', '9.0.0'], ['datasource', 'prometheus', 'Prometheus', '1.0.0'],
        ['panel', 'timeseries', 'Time series', ''], ['panel', 'stat', 'Stat', ''], ['panel', 'table', 'Table', ''], ['panel', 'heatmap', 'Heatmap', '']],
    id => undef, uid => undef, title => 'pgbulkhead', tags => ['pgbulkhead', 'postgresql'], description => 'Pools, latency, tenants and policy of pgbulkhead. Limits are those of doc/alerts.md.',
    schemaVersion => 36, version => 1, editable => $on, graphTooltip => 1, refresh => '30s', time => { from => 'now-1h', to => 'now' }, timezone => '', fiscalYearStartMonth => 0,
    links => [], annotations => { list => [] }, panels => \@panels,
    templating => { list => [variable('instance', 'label_values(pgbulkhead_build_info, instance)'), variable('database', 'label_values(pgbulkhead_database_server_connections{instance=~"$instance"}, database)')] },
);
print JSON::PP->new->canonical->pretty->indent_length(1)->encode(\%board);
