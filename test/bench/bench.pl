#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# See run.sh.
use strict;
use warnings;
use Bulkhead::Postgres;
use Bulkhead::Proxy;
use Bulkhead::Util qw(work_dir free_port spawn stop_child run_cmd wait_for slurp spew proc_cpu_us);
use List::Util qw(max);

my $seconds = $ENV{BH_BENCH_SECONDS} // 4;
my $workers = $ENV{BH_BENCH_WORKERS} // 1;
my ($clients, $servers) = (16, 20);

my $pg = Bulkhead::Postgres->new(conf => { shared_buffers => '128MB', max_connections => 100 });
$pg->sql(<<'SQL');
CREATE ROLE acme LOGIN;
CREATE TABLE docs (id int PRIMARY KEY, tenant_id text NOT NULL, title text NOT NULL);
INSERT INTO docs SELECT g, CASE WHEN g % 2 = 0 THEN 'acme' ELSE 'beta' END, 'title ' || g FROM generate_series(1, 20000) g;
CREATE INDEX ON docs (tenant_id, id);
CREATE TABLE wide (id int PRIMARY KEY, tenant_id text NOT NULL, body text NOT NULL);
INSERT INTO wide SELECT g, 'acme', repeat('x', 280) FROM generate_series(1, 500) g;
CREATE TABLE parts (id int PRIMARY KEY, tenant_id text NOT NULL, doc_id int NOT NULL, seq int NOT NULL, kind text NOT NULL);
INSERT INTO parts SELECT g, CASE WHEN g % 2 = 0 THEN 'acme' ELSE 'beta' END, g, g % 7, 'k' || g % 5 FROM generate_series(1, 20000) g;
CREATE INDEX ON parts (tenant_id, doc_id);
CREATE TABLE kinds (code text PRIMARY KEY, label text NOT NULL, rank int NOT NULL);
INSERT INTO kinds SELECT 'k' || g, 'kind ' || g, g FROM generate_series(0, 4) g;
GRANT ALL ON docs, wide, parts, kinds TO acme;
SQL
$pg->sql('VACUUM ANALYZE');

my $ours = Bulkhead::Proxy->new(pg => $pg, databases => { off => 'dbname=postgres', rewrite => 'dbname=postgres tenant_mode=rewrite catalog_user=postgres' },
    users => { acme => 'tenant=acme' }, rules => ['public.kinds = shared'], auth => { acme => '' },
    set => { default_pool_size => $servers, worker_threads => $workers, tenant_columns => 'tenant_id', log_connections => 0, log_disconnections => 0, max_client_conn => 100 });
die "BH_PROXY must be pgbulkhead here\n" unless Bulkhead::Proxy::ours();

# PgBouncer; session mode serves the prepared run, which its 1.18 cannot do otherwise.
sub bouncer {
    my $dir = work_dir() . '/peer';
    my $port = free_port();
    mkdir $dir;
    spew("$dir/users.txt", "\"acme\" \"\"\n");
    spew("$dir/p.ini", "[databases]\nxact = host=127.0.0.1 port=" . $pg->port . " dbname=postgres pool_mode=transaction\n"
            . "sess = host=127.0.0.1 port=" . $pg->port . " dbname=postgres pool_mode=session\n"
            . "[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = $port\nunix_socket_dir =\nauth_type = trust\nauth_file = $dir/users.txt\n"
            . "default_pool_size = $servers\nmax_client_conn = 100\nlog_connections = 0\nlog_disconnections = 0\n");
    my $pid = spawn(argv => ['/usr/sbin/pgbouncer', "$dir/p.ini"], user => 1, log => "$dir/log");
    wait_for(sub { eval { Bulkhead::Wire->login(port => $port, user => 'acme', dbname => 'xact', timeout => 2) } }, 10)
        or die 'pgbouncer did not start: ' . slurp("$dir/log");
    return ($pid, $port);
}
my ($bpid, $bport) = bouncer();

my %script = (
    varied => "\\set id random(1, 10000) * 2\nSELECT title FROM docs WHERE id = :id;\n",
    fixed => "SELECT title FROM docs WHERE id = 42;\n",
    wide => "SELECT * FROM wide;\n",
    orm => "\\set id random(1, 10000) * 2\n\\set seq random(7, 999)\n" . 'SELECT "docs"."id", "docs"."title", "docs"."tenant_id", '
        . '"parts"."id", "parts"."seq", "parts"."kind", "kinds"."code", "kinds"."label", "kinds"."rank" FROM "docs" INNER JOIN "parts" ON '
        . '("parts"."doc_id" = "docs"."id") LEFT OUTER JOIN "kinds" ON ("parts"."kind" = "kinds"."code") WHERE ("docs"."id" = :id AND '
        . '"parts"."seq" < :seq AND "docs"."title" <> \'t\') ORDER BY "parts"."id" DESC LIMIT 21;' . "\n",
);
spew(work_dir() . "/$_.sql", $script{$_}) for keys %script;

# [title, script, pgbench mode]
my @scenarios = (['simple, one text', 'fixed', 'simple'], ['simple, texts vary', 'varied', 'simple'], ['ORM join, texts vary', 'orm', 'simple'],
    ['extended', 'varied', 'extended'],
    ['prepared', 'varied', 'prepared'], ['500 rows of 300 bytes', 'wide', 'simple'], ['500 rows, prepared', 'wide', 'prepared']);
my @targets = (['PostgreSQL directly', undef, $pg->port, sub { 'postgres' }],
    ['PgBouncer', $bpid, $bport, sub { $_[0] eq 'prepared' ? 'sess' : 'xact' }],
    ['pgbulkhead, off', $ours->pid, $ours->port, sub { 'off' }], ['pgbulkhead, rewrite', $ours->pid, $ours->port, sub { 'rewrite' }]);

sub measure {
    my ($t, $s) = @_;
    my (undef, $pid, $port, $db) = @$t;
    my $prefix = work_dir() . '/log' . int rand 1e9;
    my @args = ('/usr/bin/pgbench', '-n', '-c', $clients, '-j', 2, '-M', $s->[2], '-f', work_dir() . "/$s->[1].sql", '-h', '127.0.0.1', '-p', $port, '-U', 'acme');
    run_cmd(argv => [@args, '-T', 1, $db->($s->[2])], timeout => 30);
    my $cpu = $pid ? proc_cpu_us($pid) : 0;
    my ($st, $out, $err) = run_cmd(argv => [@args, '-T', $seconds, '-l', "--log-prefix=$prefix", $db->($s->[2])], timeout => $seconds + 60);
    $cpu = proc_cpu_us($pid) - $cpu if $pid;
    die "pgbench: $err$out\n" if $st;
    my ($tps) = $out =~ /^tps = ([\d.]+)/m;
    my @lat;
    for my $f (glob "$prefix.*") {
        open my $h, '<', $f;
        while (<$h>) { push @lat, (split ' ')[2] }
        close $h;
        unlink $f;
    }
    @lat = sort { $a <=> $b } @lat;
    my $q = sub { @lat ? $lat[int($_[0] * $#lat)] : 0 };
    return { tps => $tps, p50 => $q->(0.5), p95 => $q->(0.95), p99 => $q->(0.99), cpu => $pid && @lat ? $cpu / @lat : undef };
}

printf "%d clients, %d servers, %d s each, pgbulkhead with %d worker(s), %d cores\n\n", $clients, $servers, $seconds, $workers,
    scalar grep { /^processor/ } split /\n/, slurp('/proc/cpuinfo');
printf "%-24s %-22s %9s %8s %8s %8s %9s %8s %8s\n", 'scenario', 'target', 'tps', 'p50 us', 'p95 us', 'p99 us', 'cpu us/tx', 'tps/bnc', 'cpu/bnc';
for my $s (@scenarios) {
    my $base;
    for my $t (@targets) {
        my $m = eval { measure($t, $s) };
        if (!$m) { printf "%-24s %-22s failed: %s", $s->[0], $t->[0], $@; next }
        $base = $m if $t->[0] eq 'PgBouncer';
        printf "%-24s %-22s %9.0f %8d %8d %8d %9s %8s %8s\n", $s->[0], $t->[0], $m->{tps}, $m->{p50}, $m->{p95}, $m->{p99},
            defined $m->{cpu} ? sprintf('%.1f', $m->{cpu}) : '-', $base ? sprintf('%.2f', $m->{tps} / $base->{tps}) : '-',
            $base && defined $m->{cpu} && $base->{cpu} ? sprintf('%.2f', $m->{cpu} / $base->{cpu}) : '-';
    }
    print "\n";
}
stop_child($bpid, 'TERM', 5);
$ours->stop;
