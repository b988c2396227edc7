#!/bin/sh
# SPDX-License-Identifier: ISC
# What a scrape costs with 10,000 clients and 500 pools: builds nothing, runs the test that sets them up, and shows its figures. Usage, in the build directory:
#   test/bench/scrape.sh [PROGRAM]
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
export top_srcdir="$here" top_builddir="${top_builddir:-$PWD}" BH_PROXY="${1:-$PWD/pgbulkhead}"
perl -I"$here/test/lib" "$here/test/t/622-scrape.pl" 2>&1 | grep -E 'scrape|^not ok|clients of'
