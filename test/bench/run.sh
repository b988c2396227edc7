#!/bin/sh
# SPDX-License-Identifier: ISC
# Compares PgBouncer (Debian's package) and pgbulkhead in one run against one PostgreSQL: transactions per second,
# latency and CPU time of the proxy per transaction. Prints figures, never judges them.
#   BH_BENCH_SECONDS   seconds per measurement (4)
#   BH_BENCH_WORKERS   worker_threads of pgbulkhead (1)
#   BH_PROXY           the binary of pgbulkhead
here=$(cd "$(dirname "$0")" && pwd)
: "${top_builddir:=$(cd "$here/../.." && pwd)}"
export top_builddir
exec perl -I"$here/../lib" "$here/bench.pl" "$@"
