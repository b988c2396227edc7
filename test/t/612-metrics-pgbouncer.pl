#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# The names of pgbouncer_exporter: the whole list with types and labels, values as the console's SHOW has them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
$pg->sql('CREATE ROLE tom LOGIN; CREATE ROLE bob LOGIN');
my $p = proxy(pg => $pg, databases => { test => 'dbname=postgres pool_size=3 reserve_pool=2 max_db_connections=7 catalog_user=postgres', forced => 'dbname=template1 user=postgres pool_mode=session', '*' => '' },
    auth => { tom => 'x', bob => 'x' }, set => { max_client_conn => 77, max_user_connections => 9, metrics_pgbouncer_names => 0, query_wait_timeout => 3000 });
unlike($p->http('/metrics')->{body}, qr/pgbouncer_/, 'only when asked for');
$p->{set}{metrics_pgbouncer_names} = 1;
$p->reload;

my %G = (
    up => '', version_info => 'version',
    (map { $_ => '' } qw(databases users pools free_clients used_clients login_clients free_servers used_servers cached_dns_names cached_dns_zones in_flight_dns_queries
        config_max_client_connections config_max_user_connections)),
    (map { ("databases_$_" => 'database,force_user,host,name,pool_mode,port') } qw(pool_size reserve_pool max_connections current_connections paused disabled)),
    (map { ("pools_$_" => 'database,user') } (map { "${_}_connections" } qw(client_active client_waiting client_active_cancel client_waiting_cancel server_active server_idle
        server_used server_testing server_login server_active_cancel server_being_canceled)), 'client_maxwait_seconds'),
    client_connections => 'application_name,database,state,user',
);
my %C = map { ("stats_totals_$_" => 'database') } qw(queries_pooled_total queries_duration_seconds_total received_bytes_total sent_bytes_total client_wait_seconds_total
    sql_transactions_pooled_total server_in_transaction_seconds_total client_parses_total server_parses_total binds_total server_assignments_total queries_total);

my $c = $p->connect('test');
$c->query('SELECT 1') for 1 .. 5;
$c->parse('s', 'SELECT 7');
$c->bind('', 's');
$c->execute('');
$c->sync;
$c->finish;
my $idle = $p->connect('test', 'bob');
$idle->query('SELECT 1');
my $auto = $p->connect('template1');
$auto->query('SELECT 1');
$p->connect('forced')->query('SELECT 1');
my @held = map { my $x = $p->connect('test', 'tom'); $x->query('BEGIN'); $x } 1 .. 3;
my $waits = $p->connect('test', 'tom');
$waits->send_query('SELECT 4');
$p->console('DISABLE forced', raw => 1);
ok(wait_for(sub { $p->pool('test', 'tom')->{cl_waiting} == 1 }, 10), 'a client waits');
$auto->close;
is($p->console('PAUSE template1', raw => 1)->{error}, undef, 'a database is paused');

my ($body, %type, %labels, %value);
sub fetch {
    $body = $p->http('/metrics')->{body};
    (%type, %labels, %value) = ();
    for (split /\n/, $body) {
        $type{$1} = $2 if /^# TYPE pgbouncer_(\S+) (\S+)/;
        next unless /^pgbouncer_(\w+)(?:\{(.*)\})? (\S+)$/;
        my ($name, $l, $v) = ($1, $2 // '', $3);
        my %l = $l =~ /(\w+)="((?:[^"\\]|\\.)*)"/g;
        $labels{$name} = join ',', sort keys %l;
        $value{$name}{ join '|', map { $l{$_} } $name =~ /^databases_/ ? 'name' : $name =~ /^client_conn/ ? qw(database user state) : sort keys %l } = $v;
    }
    return;
}
fetch();
is(join("\n", map { "$_ $type{$_}" } sort keys %type), join("\n", sort((map { "$_ gauge" } keys %G), map { "$_ counter" } keys %C)), 'all the names, with their types');
is(join("\n", map { "$_ $labels{$_}" } sort keys %labels), join("\n", sort(map { "$_->[0] $_->[1]" } (map { [$_, $G{$_}] } keys %G), map { [$_, $C{$_}] } keys %C)), 'with their labels');
my ($st, $out, $err) = run_cmd(argv => ['/usr/bin/promtool', 'check', 'metrics'], stdin => $body, timeout => 30);
unlike("$out$err", qr/error while|parse|text format/, 'promtool reads it') or diag("$out$err");
isnt($st, 1, '... as Prometheus would');

# values as the console shows them
sub compared {
    my ($rows, $key, $prefix, %columns) = @_;
    my (@got, @want);
    for my $r (grep { ($_->{name} // $_->{database}) ne 'pgbouncer' } @$rows) {
        my $k = join '|', map { $r->{$_} } @$key;
        for (sort keys %columns) {
            my $factor = $columns{$_} =~ /seconds_total/ ? 1e-6 : 1;
            push @want, "$k $_ " . $r->{$_} * $factor;
            push @got, "$k $_ " . ($value{"$prefix$columns{$_}"}{$k} // 'none') * 1;
        }
    }
    return (join("\n", @got), join("\n", @want));
}

# Both are read one after the other: again, until what was under way has been counted.
sub same {
    my ($show, @how) = @_;
    my ($got, $want);
    wait_for(sub { fetch(); ($got, $want) = compared($p->console($show), @how); $got eq $want }, 20, 0.3);
    cmp_ok(($want =~ tr/\n//), '>', 5, "$show: something to compare");
    return is($got, $want, "$how[1] as $show has them");
}
same('SHOW DATABASES', ['name'], 'databases_', map { $_ => $_ } qw(pool_size reserve_pool max_connections current_connections paused disabled));
is($value{databases_disabled}{forced}, 1, 'the disabled one');
is($value{databases_max_connections}{test}, 7, 'a limit');
my %totals = (query_count => 'queries_pooled_total', query_time => 'queries_duration_seconds_total', bytes_received => 'received_bytes_total', bytes_sent => 'sent_bytes_total',
    wait_time => 'client_wait_seconds_total', xact_count => 'sql_transactions_pooled_total', xact_time => 'server_in_transaction_seconds_total', client_parse_count => 'client_parses_total',
    server_parse_count => 'server_parses_total', bind_count => 'binds_total', server_assignment_count => 'server_assignments_total');
same('SHOW STATS_TOTALS', ['database'], 'stats_totals_', %totals);
is($value{stats_totals_queries_total}{test}, $value{stats_totals_queries_pooled_total}{test}, 'queries under both names');
cmp_ok($value{stats_totals_queries_pooled_total}{test}, '>=', 9, '... that were asked');
same('SHOW POOLS', ['database', 'user'], 'pools_', cl_active => 'client_active_connections', cl_waiting => 'client_waiting_connections',
    cl_active_cancel_req => 'client_active_cancel_connections', cl_waiting_cancel_req => 'client_waiting_cancel_connections', sv_active => 'server_active_connections',
    sv_idle => 'server_idle_connections', sv_used => 'server_used_connections', sv_tested => 'server_testing_connections', sv_login => 'server_login_connections',
    sv_active_cancel => 'server_active_cancel_connections', sv_being_canceled => 'server_being_canceled_connections');
is($value{pools_server_active_connections}{'test|tom'}, 3, 'servers in use');
my %lists = map { $_->{list} => $_->{items} } @{ $p->console('SHOW LISTS') };
is($value{$_}{''}, $lists{$_}, "$_ as SHOW LISTS has it") for qw(databases users pools login_clients used_servers);
is($value{cached_dns_names}{''}, $lists{dns_names}, 'names');
is($value{config_max_client_connections}{''}, 77, 'max_client_conn');
is($value{config_max_user_connections}{''}, 9, 'max_user_connections');
is($value{client_connections}{"test|tom|$_->[0]"}, $_->[1], "clients: $_->[0]") for ['active', 3], ['waiting', 1], ['idle', 0];
is($value{client_connections}{'test|bob|idle'}, 1, 'an idle client');
is($value{up}{''}, 1, 'up');
is((keys %{ $value{version_info} })[0], $p->console('SHOW VERSION')->[0]{version}, 'the version as SHOW VERSION has it');

# in OpenMetrics too, and within the budget
my $open = $p->http('/metrics', headers => ['Accept: application/openmetrics-text'])->{body};
like($open, qr/^# TYPE pgbouncer_stats_totals_binds counter\npgbouncer_stats_totals_binds_total\{database="/m, 'OpenMetrics');
my (%family, @twice);
$family{$1}++ and push @twice, $1 while $open =~ /^# TYPE (\S+)/mg;
is("@twice", '', '... no family twice');
$p->{set}{metrics_max_series} = 300;
$p->reload;
$body = $p->http('/metrics')->{body};
my $n = () = $body =~ /^[a-z]/mg;
cmp_ok($n, '<=', 300, 'the budget counts them too');
$_->query('ROLLBACK') for @held;
$waits->finish;
finish();
