#!/bin/sh
# SPDX-License-Identifier: ISC
# Compares the built-in functions, operators and system relations of a running PostgreSQL with the reviewed lists in
# src/tenant/*.def. Prints what a reviewer has to look at when a new major version comes out; changes nothing.
#
# Usage: contrib/gen-builtins.sh [psql options]      e.g. contrib/gen-builtins.sh -h /tmp -p 5432 -d postgres
#
# Sections of the output:
#   functions to review   neither allowed nor named as refused; name, kind, volatility, argument types, one line per overload.
#                         What cannot be called from SQL (internal, cstring, trigger, handler) is left out.
#   functions gone        in the list, unknown to this server (normal for names of other versions)
#   cheap functions       declared cheaper than 1: they would run before the tenant predicate and must not be allowed
#   operators to review, relations to review
set -eu
dir=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)/src/tenant
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

ask() {
    psql -X -A -t -F ' ' "$@"
}

sed -n 's/FN_\([A-Z_]*\)("\([a-z0-9_]*\)"/\n@\2\n/gp' "$dir/builtin_functions.def" | sed -n 's/^@//p' | sort -u >"$tmp/listed"
sed -n 's/OP("\([^"]*\)")/\n@\1\n/gp' "$dir/builtin_operators.def" | sed -n 's/^@//p' | sort -u >"$tmp/listed_ops"
sed -n 's/\(PGC\)("\([a-z0-9_]*\)"/\n@\2\n/gp' "$dir/system_relations.def" | sed -n 's/^@//p' | sort -u >"$tmp/listed_rels"

ask "$@" -c "
SELECT p.proname, p.prokind, p.provolatile, replace(pg_catalog.oidvectortypes(p.proargtypes), ' ', '_')
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_type r ON r.oid = p.prorettype
WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.oid < 16384
AND r.typname !~ '(^internal|^cstring|trigger|_handler)\$'
AND NOT EXISTS (SELECT FROM pg_catalog.unnest(p.proargtypes) AS a(t)
                WHERE a.t IN ('internal'::regtype, 'cstring'::regtype))
ORDER BY 1, 4" | LC_ALL=C sort >"$tmp/functions"
ask "$@" -c "SELECT DISTINCT proname FROM pg_catalog.pg_proc WHERE oid < 16384
AND pronamespace = 'pg_catalog'::regnamespace" | LC_ALL=C sort >"$tmp/names"

echo "# functions to review"
LC_ALL=C sort "$tmp/listed" | LC_ALL=C join -v 1 "$tmp/functions" -
echo "# functions gone"
LC_ALL=C sort "$tmp/listed" | LC_ALL=C comm -13 "$tmp/names" -
echo "# cheap functions"
ask "$@" -c "SELECT oid::regprocedure, procost FROM pg_catalog.pg_proc WHERE procost < 1 AND oid < 16384"
echo "# operators to review"
ask "$@" -c "SELECT DISTINCT oprname FROM pg_catalog.pg_operator WHERE oid < 16384" | LC_ALL=C sort >"$tmp/ops"
LC_ALL=C sort "$tmp/listed_ops" | LC_ALL=C comm -23 "$tmp/ops" -
echo "# relations to review"
ask "$@" -c "SELECT relname FROM pg_catalog.pg_class WHERE oid < 16384 AND relkind IN ('r', 'v')
AND relnamespace = 'pg_catalog'::regnamespace" | LC_ALL=C sort >"$tmp/rels"
LC_ALL=C sort "$tmp/listed_rels" | LC_ALL=C comm -23 "$tmp/rels" -
