#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# SHOW CONFIG knows every key of PgBouncer's with its default and changeability; SET and RELOAD keep to them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
# PgBouncer's [pgbouncer] keys: name, default, may be changed while running.
my @keys = map { [split /\|/, $_, -1] } grep { length } split /\n/, <<'KEYS';
listen_addr||no
listen_port|6432|no
listen_backlog|128|no
unix_socket_dir|/tmp|no
unix_socket_mode|0777|no
unix_socket_group||no
user||no
pidfile||no
logfile||yes
syslog|0|yes
syslog_ident|pgbouncer|yes
syslog_facility|daemon|yes
log_connections|1|yes
log_disconnections|1|yes
log_pooler_errors|1|yes
log_stats|1|yes
stats_period|60|yes
verbose|0|yes
conffile||yes
job_name|pgbouncer|no
service_name|pgbouncer|yes
so_reuseport|0|no
peer_id|0|yes
resolv_conf||no
dns_max_ttl|15|yes
dns_nxdomain_ttl|15|yes
dns_zone_check_period|0|yes
tcp_keepalive|1|yes
tcp_keepcnt|0|yes
tcp_keepidle|0|yes
tcp_keepintvl|0|yes
tcp_socket_buffer|0|yes
tcp_user_timeout|0|yes
pkt_buf|4096|no
sbuf_loopcnt|5|yes
max_packet_size|2147483647|yes
pool_mode|session|yes
max_client_conn|100|yes
default_pool_size|20|yes
min_pool_size|0|yes
reserve_pool_size|0|yes
reserve_pool_timeout|5|yes
max_db_connections|0|yes
max_user_connections|0|yes
max_db_client_connections|0|yes
max_user_client_connections|0|yes
server_round_robin|0|yes
max_prepared_statements|200|yes
track_extra_parameters|IntervalStyle|no
ignore_startup_parameters||yes
application_name_add_host|0|yes
disable_pqexec|0|no
login_notify_message||yes
query_wait_notify|5|yes
autodb_idle_timeout|3600|yes
pool_idle_timeout|0|yes
server_reset_query|DISCARD ALL|yes
server_reset_query_always|0|yes
server_check_delay|30|yes
server_check_query|<empty>|yes
server_fast_close|0|yes
server_lifetime|3600|yes
server_idle_timeout|600|yes
server_connect_timeout|15|yes
server_login_retry|15|yes
client_login_timeout|60|yes
query_timeout|0|yes
query_wait_timeout|120|yes
cancel_wait_timeout|10|yes
client_idle_timeout|0|yes
idle_transaction_timeout|0|yes
transaction_timeout|0|yes
suspend_timeout|10|yes
auth_type|md5|yes
auth_file||yes
auth_hba_file||yes
auth_ident_file||yes
auth_user||yes
auth_dbname||yes
auth_ldap_options||yes
scram_iterations|4096|yes
admin_users||yes
stats_users||yes
client_tls_sslmode|disable|yes
client_tls_key_file||yes
client_tls_cert_file||yes
client_tls_ca_file||yes
client_tls_protocols|secure|yes
client_tls_ciphers|default|yes
client_tls13_ciphers||yes
client_tls_ecdhcurve|auto|yes
client_tls_dheparams|auto|yes
server_tls_sslmode|prefer|yes
server_tls_key_file||yes
server_tls_cert_file||yes
server_tls_ca_file||yes
server_tls_protocols|secure|yes
server_tls_ciphers|default|yes
server_tls13_ciphers||yes
KEYS
my $pg = pg();
my $p = proxy(pg => $pg, set => { default_pool_size => 7 }, auth => { u => '' });
my $con = $p->connect('pgbouncer', 'bhadmin');

sub config { return map { $_->[0] => $_ } @{ $con->query('SHOW CONFIG')->{results}[-1]{rows} } }
my %c = config();
for my $k (@keys) {
    my ($name, $default, $changeable) = @$k;
    my $got = $c{$name};
    is(defined $got ? join('|', $got->[0], $got->[2] // '', $got->[3]) : 'missing', "$name|$default|$changeable", "SHOW CONFIG: $name");
}
is($c{tcp_defer_accept}[2], 1, 'SHOW CONFIG: tcp_defer_accept');
like($c{auth_query}[2], qr/pg_authid/, 'SHOW CONFIG: auth_query');
is($c{default_pool_size}[1], 7, 'values are shown');
is($c{conffile}[1], $p->{ini}, 'conffile is the file of the command line');

# SET of each: boot keys are refused and keep their value, the others take their own value.
my $bad = 0;
for my $name (sort keys %c) {
    my ($value, $changeable) = @{ $c{$name} }[1, 3];
    my $r = $con->query("SET $name = '" . ($value // '') =~ s/'/''/gr . "'");
    my $ok = $changeable eq 'yes' ? !$r->{error} : $r->{error} && $r->{error}{M} =~ /SET failed|cannot be changed/;
    $bad++, diag("$name: " . ($r->{error}{M} // 'accepted')) unless $ok;
}
is($bad, 0, 'SET: changeable keys take their value, the others are refused');
is_deeply({ config() }, \%c, 'and nothing has changed by that');

# A bad value is refused, and the old one holds.
for my $t (['default_pool_size', 'x'], ['default_pool_size', '-1'], ['pool_mode', 'sometimes'], ['server_lifetime', 'soon'], ['log_stats', 'maybe'],
    ['verbose', '9'], ['auth_type', 'none'], ['server_tls_sslmode', 'on'], ['server_tls_ca_file', "$p->{dir}/none"], ['auth_file', "$p->{dir}/none"]) {
    my ($name, $value) = @$t;
    ok($con->query("SET $name = '$value'")->{error}, "SET $name = $value is refused");
}
is_deeply({ config() }, \%c, 'after which the old values hold');
# RELOAD of a file with a bad value.
my $good = slurp($p->{ini});
spew($p->{ini}, $good =~ s/default_pool_size = 7/default_pool_size = many/r);
error_is($con->query('RELOAD'), 'F0000', qr/RELOAD failed, see logs/, 'RELOAD of a bad value');
is_deeply({ config() }, \%c, 'keeps the old ones');
ok($p->wait_log(qr/proxy\.ini:\d+: default_pool_size: "many" is not a whole number/), 'and the log names file, line and key');
# SET does not read the file, and may be set while the file is broken.
is($con->query('SET query_wait_timeout = 77')->{error}{M} // 'ok', 'ok', 'SET while the file is broken');
is({ config() }->{query_wait_timeout}[1], 77, 'holds');
is({ config() }->{default_pool_size}[1], 7, 'and the rest stays');
# RELOAD: the file holds again; what left it has its default.
spew($p->{ini}, $good =~ s/default_pool_size = 7\n//r . "\n[pgbouncer]\nlisten_backlog = 55\nmax_client_conn = 30\nmax_client_conn = 31\n");
is($con->query('RELOAD')->{error}{M} // 'ok', 'ok', 'RELOAD');
my %d = config();
is($d{query_wait_timeout}[1], 120, 'a SET ends with RELOAD, as in PgBouncer');
is($d{default_pool_size}[1], 20, 'a key that left the file has its default again');
is($d{max_client_conn}[1], 31, 'the later duplicate wins, in a repeated section');
is($d{listen_backlog}[1], 128, 'a boot key keeps its value');
ok($p->wait_log(qr/listen_backlog cannot be changed while running/), 'which the log says');
# conffile.
my $other = "$p->{dir}/other.ini";
spew($other, $good =~ s/default_pool_size = 7/default_pool_size = 9/r);
is($con->query("SET conffile = '$other'")->{error}{M} // 'ok', 'ok', 'SET conffile');
is({ config() }->{default_pool_size}[1], 20, 'changes nothing yet');
$con->query('RELOAD');
%d = config();
is("$d{default_pool_size}[1] $d{conffile}[1]", "9 $other", 'RELOAD reads it');
unlink $other;
ok($con->query('RELOAD')->{error}, 'when it is gone, RELOAD fails');
is({ config() }->{default_pool_size}[1], 9, 'and the old one is in force');
is($con->query("SET conffile = '$p->{ini}'")->{error}{M} // 'ok', 'ok', 'back');
$con->query('RELOAD');
is({ config() }->{default_pool_size}[1], 20, 'to the first file');
# Keys of Windows services are taken and mean nothing here.
is($con->query('SET service_name = x')->{error}{M} // 'ok', 'ok', 'service_name');

# Connected clients follow SET.
my $c1 = $p->connect('postgres');
$con->query('SET query_timeout = 0.5');
like(($c1->query('SELECT pg_sleep(20)')->{error} // {})->{M} // 'none', qr/query timeout/, 'query_timeout by SET holds for a client that was there');
$con->query('SET query_timeout = 0');
my $c2 = $p->connect('postgres');
$con->query('SET idle_transaction_timeout = 0.4');
$c2->query('BEGIN');
ok($c2->wait_eof(10), 'idle_transaction_timeout too');
ok($p->wait_log(qr/closing because: idle transaction timeout/), 'with its text');
$con->query('SET idle_transaction_timeout = 0');
my $c3 = $p->connect('postgres');
$con->query('SET client_idle_timeout = 0.4');
ok($c3->wait_eof(10), 'client_idle_timeout too');
$con->query('SET client_idle_timeout = 0');
my $n = () = $p->log_text =~ /login attempt/g;
$con->query('SET log_connections = 0');
$p->connect('postgres')->close;
is(scalar(() = $p->log_text =~ /login attempt/g), $n, 'log_connections = 0');
$con->query('SET log_disconnections = 0');
my $c4 = $p->connect('postgres');
$c4->query('SELECT 1');
$n = () = $p->log_text =~ /client close request/g;
$c4->close;
ok(wait_for(sub { !grep { $_->{user} ne 'bhadmin' } @{ $p->console('SHOW CLIENTS') } }), 'it has gone');
$con->query('SET log_disconnections = 1');
is(scalar(() = $p->log_text =~ /client close request/g), $n, 'log_disconnections = 0 for one that was there');
$con->query('SET log_pooler_errors = 0');
rejects($p, 'postgres', 'nobody', undef, qr/failed|no such user/, 'a refused login');
unlike($p->log_text =~ s/.*log_disconnections = 1//sr, qr/pooler error: .*nobody|nobody.*pooler error/, 'log_pooler_errors = 0');
$con->query('SET verbose = 2');
$p->connect('postgres')->query('SELECT 1');
$con->query('SET verbose = 0');
# Statistics every stats_period.
$con->query('SET stats_period = 1');
ok($p->wait_log(qr/LOG stats: \d+ xacts\/s, \d+ queries\/s.* in \d+ B\/s, out \d+ B\/s, xact \d+ us, query \d+ us/), 'the line of log_stats');
$con->query('SET log_stats = 0');
# logfile: set while running, opened again by RELOAD.
my $log = "$p->{dir}/second.log";
is($con->query("SET logfile = '$log'")->{error}{M} // 'ok', 'ok', 'SET logfile');
$p->connect('postgres')->close;
ok(wait_for(sub { -s $log }, 10), 'the log goes there');
finish();
