#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# pgbench through five server connections: simple, extended and prepared, one and two workers, with and without TLS on both sides.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 400;

my $ca = Bulkhead::TLS->new;
my $pg = pg(tls => $ca, conf => { shared_buffers => '128MB', max_wal_size => '1GB' });
my ($key, $cert) = $ca->cert('localhost', san => 'DNS:localhost,IP:127.0.0.1', file => 'proxy');
my $seconds = $ENV{BH_PGBENCH_SECONDS} // 3;
my $scale = $ENV{BH_PGBENCH_SCALE} // 10;
my $loaded = 0;
for my $tls (0, 1) {
    for my $workers (ours() ? (1, 2) : (1)) {
        my $p = proxy(pg => $pg, databases => { test => ($tls ? 'host=localhost' : 'host=127.0.0.1') . ' port=' . $pg->port . ' dbname=postgres' },
            set => { default_pool_size => 5, max_client_conn => 100, worker_threads => $workers, ignore_startup_parameters => 'extra_float_digits',
                ($tls ? (client_tls_sslmode => 'require', client_tls_key_file => $key, client_tls_cert_file => $cert, server_tls_sslmode => 'verify-full', server_tls_ca_file => $ca->ca) : ()) });
        my $dsn = 'host=localhost port=' . $p->port . ' user=postgres dbname=test' . ($tls ? ' sslmode=verify-full sslrootcert=' . $ca->ca : '');
        my $say = ($tls ? 'TLS' : 'plain') . ", $workers worker" . ($workers > 1 ? 's' : '');
        if (!$loaded++ || $ENV{BH_PGBENCH_ALWAYS}) {
            my ($st, $out) = pgbench($dsn, '-i', '-s', $scale, '-q');
            is($st, 0, "$say: pgbench -i -s $scale") or diag($out);
        }
        for my $mode (ours() ? qw(simple extended prepared) : qw(simple extended)) {
            my ($st, $out) = pgbench($dsn, '-n', '-c', 32, '-j', 2, '-T', $seconds, '-M', $mode);
            is($st, 0, "$say: pgbench -c 32 -M $mode") or diag($out);
            like($out, qr/number of failed transactions: 0 /, "$say: -M $mode: no failed transaction") or diag($out);
            unlike($out, qr/error|abort|FATAL/i, "$say: -M $mode: no error") or diag($out);
        }
        my $n = $pg->value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()");
        cmp_ok($n, '<=', 5, "$say: on five servers");
        my ($sum) = map { $_->[0] } @{ $pg->sql('SELECT (SELECT sum(abalance) FROM pgbench_accounts) - (SELECT sum(delta) FROM pgbench_history)') };
        is($sum, 0, "$say: the books balance");
        # Pipelines of pgbench.
        my $f = spew(work_dir() . '/pipe.sql', "\\startpipeline\nSELECT 1;\nSELECT 2;\nBEGIN;\nSELECT 3;\nEND;\n\\endpipeline\n");
        my ($st, $out) = pgbench($dsn, '-n', '-c', 8, '-j', 2, '-t', 100, '-M', 'extended', '-f', $f);
        is($st, 0, "$say: pgbench with pipelines") or diag($out);
        my $e = $p->stop;
        $p->{expect_exit} = 1;
        ok(!ours() || defined $e && $e == 0, "$say: clean end");
        is(scalar $p->complaints, 0, "$say: clean log") or diag(join "\n", $p->complaints);
    }
}
finish();
