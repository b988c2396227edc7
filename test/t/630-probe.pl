#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# The probe of servers: what it tells of a primary and a standby, that a server that never answers delays no other, roles without
# rights, a server that is full, and values that are left out once they are old.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 240;
use IO::Socket::INET;
use POSIX ();

need_ours();
my $pg = pg(conf => { max_connections => 30, superuser_reserved_connections => 2, wal_level => 'replica', max_wal_senders => 4, hot_standby => 'on' });
$pg->sql('CREATE DATABASE one'); $pg->sql('CREATE DATABASE two'); $pg->sql('CREATE DATABASE "o""d\\d"'); $pg->sql('CREATE DATABASE foreign_one');
$pg->sql('CREATE ROLE plain LOGIN; REVOKE CONNECT ON DATABASE two FROM PUBLIC');
$pg->sql('CREATE TABLE t AS SELECT g FROM generate_series(1, 5000) g; CREATE INDEX ON t (g)', 'one');
my $one = $pg->connect('one');
$one->query($_) for 'SET enable_seqscan = off', ('SELECT g FROM t WHERE g = 7') x 3;
$one->close;
ok(wait_for(sub { $pg->value('SELECT sum(idx_blks_hit) FROM pg_statio_user_indexes', 'one') }, 30, 0.2), 'the server has counted');
my $work = work_dir();
my ($st, $out, $err) = run_cmd(argv => [Bulkhead::Util::pg_bin() . '/pg_basebackup', '-D', "$work/standby", '-R', '-c', 'fast', '-d', $pg->dsn =~ s/dbname=\S+//r], user => 1, timeout => 60);
is($st, 0, 'a standby is made') or diag("$out$err");
my $sb = bless { %$pg, dir => "$work/standby", log => "$work/standby.log", port => free_port() }, ref $pg;
delete $sb->{pid};
open my $f, '>>', "$work/standby/postgresql.conf" or die; print $f "port = $sb->{port}\n"; close $f;
$sb->start;

# A server whose answer has no end.
my $flood = IO::Socket::INET->new(Listen => 50, LocalAddr => '127.0.0.1', Proto => 'tcp') or die;
my $flooder = fork() // die "fork: $!";
if (!$flooder) {
    local $SIG{PIPE} = 'IGNORE';
    alarm 900;
    my $rows = ('D' . pack('NnNa*', 1010, 1, 1000, 'x' x 1000)) x 100;
    while (my $s = $flood->accept) {
        while (sysread $s, my $in, 8192) { last if length $in > 8; syswrite $s, 'N' }
        syswrite $s, "R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
        sysread $s, my $question, 8192;
        syswrite $s, 'T' . pack('Nn', 26, 1) . pack('Z*NnNnNn', 'a', 0, 0, 25, 65535, 0xffffffff, 0);
        while (syswrite $s, $rows) { }
    }
    POSIX::_exit(0);
}

# A server that takes connections and says nothing; another one whose queue is full.
my $hole = IO::Socket::INET->new(Listen => 50, LocalAddr => '127.0.0.1', Proto => 'tcp') or die;
my $deaf = $hole->sockport;
my ($live, $std) = ('127.0.0.1:' . $pg->port, '127.0.0.1:' . $sb->port);
my $here = 'host=127.0.0.1 port=' . $pg->port;
my $p = proxy(pg => $pg, databases => {
        aa_deaf => "host=127.0.0.1 port=$deaf dbname=one catalog_user=postgres storage_capacity=1GB", one => "$here dbname=one catalog_user=postgres storage_capacity=10GB",
        also_one => "$here dbname=one user=postgres", two => "$here dbname=two storage_capacity=20GB", odd => "$here dbname='o\"d\\d'", std => 'host=127.0.0.1 port=' . $sb->port . ' dbname=one user=postgres',
        pair => "host=127.0.0.1,127.0.0.2 port=$deaf dbname=one user=postgres", named => "host=localhost port=" . $pg->port . ' dbname=one user=plain',
        flood => 'host=127.0.0.1 port=' . $flood->sockport . ' dbname=one user=postgres', nowhere => 'host=no-such-host.invalid port=5432 dbname=one user=postgres', gone => "host=$work/no-socket port=1 dbname=one user=postgres" },
    set => { worker_threads => 1, probe_interval => 1, probe_timeout => 3 });

sub probed { my ($b, $what, $more) = @_; return $p->metric("pgbulkhead_backend_$what", "backend=\"$b\"" . (defined $more ? ",$more" : '')) }
sub becomes { my ($name, $code) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; return ok(wait_for($code, 30, 0.2), $name) }

# A probe may come late on a busy machine, and what is old is left out: looks until it is there again.
sub shows { my ($want, $name, @what) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; my $got; wait_for(sub { $got = probed(@what); defined $got && $got == $want }, 60, 0.2); return is($got, $want, $name) }

becomes('the server is probed while others hang', sub { (probed($live, 'up') // 0) == 1 });
becomes('the one that never answers is known to be down', sub { (probed("127.0.0.1:$deaf", 'up') // 1) == 0 });
my $first = probed($live, 'probe_timestamp_seconds');
becomes('probes go on meanwhile', sub { probed($live, 'probe_timestamp_seconds') >= $first + 3 });
is(probed("127.0.0.1:$deaf", $_), undef, "who never answered has no $_") for qw(role_info connections_max database_size_bytes);
cmp_ok(probed($live, 'probe_duration_seconds'), '<', probed("127.0.0.1:$deaf", 'probe_duration_seconds'), 'one does not wait for the other');
becomes('each host of a list has its probe', sub { defined probed("127.0.0.2:$deaf", 'up') });
shows(0, 'nobody is at the second one', "127.0.0.2:$deaf", 'up');
ok($p->wait_log(qr/probe of 127\.0\.0\.1:\d+ failed: the server's answer is too long/, 30), 'an answer without end is not kept');
becomes('a name that does not exist', sub { (probed('no-such-host.invalid:5432', 'up') // 1) == 0 });
becomes('a socket that does not exist', sub { (probed("$work/no-socket:1", 'up') // 1) == 0 });
shows(30, 'max_connections', $live, 'connections_max');
shows(2, 'reserved ones', $live, 'connections_reserved');
becomes('used ones', sub { (probed($live, 'connections_used') // 0) >= 1 });
shows(1, 'a primary', $live, 'role_info', 'role="primary"');
my ($want_version) = $pg->value('SHOW server_version') =~ /^([\d.]+)/;
shows(1, 'its version', $live, 'version_info', "version=\"$want_version\"");
becomes('age of transaction ids', sub { (probed($live, 'transaction_id_age') // 0) > 0 });
is(probed($live, 'replication_lag_seconds'), undef, 'a primary has no lag');
shows(0, 'no VACUUM', $live, 'vacuums');
shows(0, 'nor an oldest one', $live, 'vacuum_oldest_seconds');
becomes('no open transaction', sub { my $v = probed($live, 'oldest_transaction_seconds'); defined $v && $v == 0 });
my $body;
becomes('sizes and blocks', sub { $body = $p->http('/metrics')->{body}; $body =~ /^pgbulkhead_backend_index_blocks_hit_total\{backend="$live",database="one"\} [1-9]/m && 3 == (() = $body =~ /^pgbulkhead_backend_database_size_bytes\{backend="$live"/mg) });
for (['one', 'one'], ['two', 'two'], ['o"d\\d', 'o\\"d\\\\d']) {
    my ($have) = $body =~ /^pgbulkhead_backend_database_size_bytes\{backend="$live",database="\Q$_->[1]\E"\} (\d+)$/m;
    cmp_ok($have // 0, '>', 1_000_000, "size of $_->[0]");
    like($body, qr/^pgbulkhead_backend_database_blocks_hit_total\{backend="$live",database="\Q$_->[1]\E"\} \d/m, "blocks of $_->[0]");
}
unlike($body, qr{database="(?:foreign_one|template\d)"}, 'no database that is not ours');
like($body, qr/^pgbulkhead_backend_index_blocks_hit_total\{backend="$live",database="one"\} [1-9]/m, 'blocks of indexes where the probe is logged in');
shows(20 * 1024**3, 'storage_capacity of the server: the greatest of its entries', $live, 'storage_capacity_bytes');
is(probed($std, 'storage_capacity_bytes'), undef, 'none where none is stated');
shows(1, 'a standby', $std, 'role_info', 'role="standby"');
shows(30, 'its limit', $std, 'connections_max');
becomes('how far it is behind', sub { defined probed($std, 'replication_lag_seconds') });
($st, $out, $err) = run_cmd(argv => ['/usr/bin/promtool', 'check', 'metrics'], stdin => $body, timeout => 30);
is($st, 0, 'promtool check metrics is clean') or diag("$out$err");

# By a name that was looked up; as a role that may not see others' activity, nor connect to two.
my $name = 'localhost:' . $pg->port;
becomes('a host that is a name', sub { (probed($name, 'up') // 0) == 1 });
shows(30, 'without rights: limits are known', $name, 'connections_max');
is(probed($name, 'oldest_transaction_seconds'), undef, 'others\' transactions are not');
shows(0, 'VACUUMs are counted', $name, 'vacuums');
is(probed($name, 'vacuum_oldest_seconds'), undef, 'but their age is not seen');
becomes('the log says why', sub { $p->log_text =~ /probe of \Q$name\E: oldest transaction unknown: the role is no member of pg_read_all_stats/ });
is(() = $p->log_text =~ /probe of \Q$name\E: oldest transaction unknown/g, 1, 'once');

# A transaction that stays open; a VACUUM that waits.
my $open = $pg->connect('one');
$open->query('BEGIN');
$open->query('SELECT 1');
becomes('an open transaction grows old', sub { (probed($live, 'oldest_transaction_seconds') // 0) > 1 });
$open->query('COMMIT');
becomes('and is over', sub { (probed($live, 'oldest_transaction_seconds') // 1) == 0 });

# Full: a connection is kept from 80 % on, so that the last places can be taken.
my @c;
push @c, $pg->connect('postgres') for 1 .. 23;
becomes('nearly full', sub { (probed($live, 'connections_used') // 0) >= 24 });
my $kept = sub { $pg->value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbulkhead' AND datname = 'one' AND usename = 'postgres' AND state = 'idle'") };
while (my $x = eval { $pg->connect('postgres') }) { push @c, $x; last if @c > 40 }
becomes('full, and still seen', sub { (probed($live, 'connections_used') // 0) >= 30 && probed($live, 'up') == 1 });
my $then = probed($live, 'probe_timestamp_seconds');
becomes('again and again', sub { probed($live, 'probe_timestamp_seconds') > $then + 2 && probed($live, 'up') == 1 });
$_->close for @c;
becomes('empty again', sub { (probed($live, 'connections_used') // 30) < 15 });
becomes('and the connection is given back', sub { $kept->() == 0 });

# Gone: up is 0 at once, the values stay for three intervals and vanish.
$p->console("SET probe_interval = 4", raw => 1);
my $failed = sub { return scalar(() = $p->log_text =~ /probe of \Q$live\E failed/g) };
my $failures = $failed->();
$pg->stop('immediate');
becomes('down', sub { $body = $p->http('/metrics')->{body}; $body =~ /^pgbulkhead_backend_up\{backend="$live"\} 0/m });
like($body, qr/^pgbulkhead_backend_connections_max\{backend="$live"\} 30/m, 'what is known is not old yet');
my $last = probed($live, 'probe_timestamp_seconds');
becomes('old values are left out', sub { !defined probed($live, 'connections_max') && !defined probed($live, 'database_size_bytes') && !defined probed($live, 'role_info') });
becomes('probes go on', sub { probed($live, 'probe_timestamp_seconds') > $last });
is($failed->() - $failures, 1, 'the log says it once');
$pg->start;
becomes('back', sub { (probed($live, 'up') // 0) == 1 && (probed($live, 'connections_max') // 0) == 30 });
ok($p->wait_log(qr/probe of \Q$live\E works again/), 'and the log says so');
$p->console("SET probe_interval = 1", raw => 1);

# Sizes can be turned off; entries that vanish are no longer asked.
$p->{set}{probe_size_interval} = 0;
delete $p->{databases}{$_} for qw(std pair);
$p->reload;
$first = probed($live, 'probe_timestamp_seconds');
becomes('probes go on after RELOAD', sub { probed($live, 'probe_timestamp_seconds') > $first + 6 });
becomes('and a server that is no longer ours is forgotten', sub { !defined probed($std, 'up') && !defined probed("127.0.0.2:$deaf", 'up') });
$p->console("SET probe_interval = '0'", raw => 1);
becomes('without probes nothing is said of any', sub { $p->http('/metrics')->{body} !~ /^pgbulkhead_backend_(?:up|probe_timestamp_seconds)\{/m });
$sb->stop;
close $hole;
kill KILL => $flooder;
waitpid $flooder, 0;
finish();
