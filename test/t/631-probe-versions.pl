#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# The probe of PostgreSQL 14 to 18: every question is answered. BH_VERSIONS="14 18" picks some.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Bulkhead limit => 400;

need_ours();
my @majors = split ' ', $ENV{BH_VERSIONS} // '14 15 16 17 18';
my ($st, $out, $err) = run_cmd(argv => ['sh', "$FindBin::Bin/../lib/servers.sh", grep { $_ != 15 } @majors], timeout => 300);
is($st, 0, 'the servers are there') or diag($err);
my %bin = $out =~ /^(\d+) (\S+)$/mg;
if (my $major = $ENV{BH_VERSION}) { one($major) } else { all() }

# Each version in a process of its own: where the server is found is settled once per process.
sub all {
    for my $m (@majors) {
        my $template = work_dir() . "/template$m";
        my @env = (BH_VERSION => $m, BH_VERSIONS => $m, $m == 15 ? () : (BH_PG_BIN => $bin{$m} // 'missing', BH_TEMPLATE => $template));
        if ($m != 15) { mkdir $template; chmod 0700, $template; my @u = getpwnam 'postgres'; chown $u[2], $u[3], $template if $> == 0 }
        my ($s, $o, $e) = run_cmd(argv => [$^X, "-I$FindBin::Bin/../lib", "$FindBin::Bin/$FindBin::Script"], env => { %ENV, @env }, timeout => 120);
        is($s, 0, "PostgreSQL $m: runs to its end") or diag(substr $e, -2000);
        for my $l (split /\n/, $o) { ok($1 eq 'ok', "PostgreSQL $m: $2") if $l =~ /^(ok|not ok) \d+ - (.*)/ }
        cmp_ok(scalar(() = $o =~ /^ok/mg), '>=', 12, "PostgreSQL $m: did its work");
    }
    finish();
    return;
}

sub one {
    my ($major) = @_;
    my $pg = pg(conf => { superuser_reserved_connections => 4, ($major >= 16 ? (reserved_connections => 3) : ()) });
    my $p = proxy(pg => $pg, databases => { one => 'dbname=postgres catalog_user=postgres' }, set => { worker_threads => 1, probe_interval => 1 });
    ok(wait_for(sub { ($p->metric('pgbulkhead_backend_up') // 0) == 1 }, 30, 0.2), 'it is probed');
    my $body = $p->http('/metrics')->{body};
    like($body, qr/^pgbulkhead_backend_version_info\{[^}]*version="$major\.\d+"\} 1/m, 'its version');
    like($body, qr/^pgbulkhead_backend_connections_reserved\{[^}]*\} @{[$major >= 16 ? 7 : 4]}$/m, 'reserved connections of both kinds');
    like($body, qr/^pgbulkhead_backend_$_\{[^}]*\} \d/m, $_)
        for qw(connections_max connections_used transaction_id_age oldest_transaction_seconds vacuums vacuum_oldest_seconds
        database_size_bytes database_blocks_hit_total index_blocks_hit_total);
    is(() = $p->log_text =~ /probe of/g, 0, 'no complaint');
    finish();
    return;
}
