# SPDX-License-Identifier: ISC
# The newest PostgreSQL (test/lib/servers.sh) for a whole test file: `use Bulkhead::Newest;` in front of `use Bulkhead;` makes
# every cluster of the file one of PostgreSQL 18; libpq18() is an environment in which programs use its libpq, and
# libpq18_run(conninfo, python code) runs code with that library as `pq` and a function connect().
package Bulkhead::Newest;
use strict;
use warnings;
use Bulkhead::Util qw(work_dir run_cmd spew);
use File::Basename qw(dirname);

my ($bin, $made);

sub import {
    my $to = caller;
    no strict 'refs';
    *{"${to}::$_"} = \&{$_} for qw(libpq18 libpq18_run);
    return if $bin;
    my ($st, $out, $err) = run_cmd(argv => ['sh', dirname(__FILE__) . '/../servers.sh', 18], timeout => 600);
    ($bin) = $out =~ /^18 (\S+)$/m;
    die "no PostgreSQL 18: $err\n" unless $bin;
    my $template = work_dir() . '/template18';
    mkdir $template;
    chmod 0700, $template;
    if ($> == 0) { my @u = getpwnam 'postgres'; chown $u[2], $u[3], $template }
    @ENV{qw(BH_PG_BIN BH_TEMPLATE)} = ($bin, $template);
    return;
}

sub libpq18 { return (LD_LIBRARY_PATH => "$bin/../lib", PGCONNECT_TIMEOUT => 15, LC_ALL => 'C.UTF-8', HOME => work_dir()) }

# (exit status, output, errors)
sub libpq18_run {
    my ($conninfo, $code, %o) = @_;
    my $file = work_dir() . '/libpq' . ++$made . '.py';
    spew($file, <<"PY" . $code);
import ctypes, os, sys, time
pq = ctypes.CDLL('libpq.so.5')
for name in ('PQconnectdb', 'PQexec', 'PQgetResult', 'PQcancelCreate', 'PQgetCancel'):
    getattr(pq, name).restype = ctypes.c_void_p
for name in ('PQerrorMessage', 'PQgetvalue', 'PQresultErrorField', 'PQcancelErrorMessage', 'PQsslAttribute'):
    getattr(pq, name).restype = ctypes.c_char_p
P = ctypes.c_void_p
def connect(more=''):
    c = P(pq.PQconnectdb((sys.argv[1] + ' ' + more).encode()))
    if pq.PQstatus(c) != 0:
        print('refused: ' + pq.PQerrorMessage(c).decode().strip())
        sys.exit(0)
    return c
def value(c, sql):
    r = P(pq.PQexec(c, sql.encode()))
    if pq.PQresultStatus(r) != 2:
        return 'error: ' + pq.PQerrorMessage(c).decode().strip()
    return pq.PQgetvalue(r, 0, 0).decode()
def runs(like):
    """Until the server (watch => its DSN) has a query that runs."""
    w = P(pq.PQconnectdb(os.environ['BH_WATCH'].encode()))
    until = time.monotonic() + 60
    while value(w, "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '" + like + "'") == '0' and time.monotonic() < until:
        time.sleep(0.02)
PY
    return run_cmd(argv => ['/usr/bin/python3', $file, $conninfo], env => { libpq18(), BH_WATCH => $o{watch} // '' }, timeout => $o{timeout} // 60);
}

1;
