#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Real clients that listen, lock and prepare in transaction pooling: psycopg 3, psycopg2, asyncpg, psql, pgbench.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead;

need_ours();
my $pg = pg();
my $p = proxy(pg => $pg, databases => { one => 'dbname=postgres pool_size=1', two => 'dbname=postgres pool_size=4' }, set => { worker_threads => $ENV{BH_WORKERS} // 2 });
my ($st, $out, $err) = run_cmd(argv => ['/usr/bin/python3', "$FindBin::Bin/clients/listen.py"], env => { BH_HOST => '127.0.0.1', BH_PORT => $p->port }, timeout => 90);
is($st, 0, 'the drivers run to their end') or diag("$out\n$err");
for my $l (split /\n/, $out) { ok($1 eq 'ok', $2) if $l =~ /^(ok|not ok) (.*)/ }
is(scalar(() = $out =~ /^ok/mg), 9, 'all of it');
my $dsn = 'host=127.0.0.1 port=' . $p->port . ' user=postgres dbname=one';
($st, $out, $err) = psql($dsn, "LISTEN shell;\nNOTIFY shell, 'from psql';\nPREPARE q (int) AS SELECT \$1 * 2;\nEXECUTE q(21);\nDEALLOCATE q;\n");
is($err, '', 'psql: no error');
like($out, qr/Asynchronous notification "shell" with payload "from psql" received/, 'psql: told behind its own NOTIFY');
like($out, qr/^42$/m, 'psql: PREPARE and EXECUTE');
$dsn =~ s/one/two/; # pgbench waits for its Parse while another of its clients holds a server
($st, $out) = pgbench($dsn, '-i', '-q');
is($st, 0, 'pgbench -i') or diag($out);
($st, $out) = pgbench($dsn, qw(-M prepared -c 4 -j 2 -t 50 -n));
is($st, 0, 'pgbench -M prepared') or diag($out);
like($out, qr/transactions actually processed: 200/, 'all transactions');
is(scalar(@{ $p->console('SHOW PINS') }), 0, 'nothing is pinned');
finish();
