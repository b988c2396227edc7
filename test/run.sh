#!/bin/sh
# SPDX-License-Identifier: ISC
# Installs what the tests need, builds in directories of its own, runs everything and ends with the line
#   N passed, N failed, N skipped
# and status 0 only if nothing failed. A prerequisite that cannot be had is a failure.
#
#   test/run.sh [--quick] [--keep] [STAGE...]
# Stages: plain clang workers asan tsan fuzz dist versions corpus quickstart bench; --quick runs unit tests, lints and the corpus.
set -u
{ # the shell reads all of it before it starts: an edit meanwhile does no harm
exec </dev/null
top=$(cd "$(dirname "$0")/.." && pwd)
quick=no keep=no stages=
for arg in "$@"; do
    case $arg in
    --quick) quick=yes ;;
    --keep) keep=yes ;;
    -*) echo "usage: test/run.sh [--quick] [--keep] [STAGE...]" >&2; exit 2 ;;
    *) stages="$stages $arg" ;;
    esac
done
if [ -z "$stages" ]; then
    stages="plain clang workers asan tsan fuzz dist versions corpus quickstart bench"
    [ $quick = yes ] && stages="quick corpus"
fi
passed=0 failed=0 skipped=0
# BH_RUN_PARENT: where to work; user postgres must be able to get there, and socket paths must stay short.
work=$(mktemp -d "${BH_RUN_PARENT:-/tmp}/bh-run-XXXXXX") || exit 1
chmod 755 "$work"
jobs=$(nproc 2>/dev/null || echo 2)
patience=6000 # seconds of a suite: for what hangs, whatever the machine; each test has a limit of its own

# What a caller's environment may hold and no test expects.
export LC_ALL=C.UTF-8 TZ=UTC
for v in $(env | sed -n 's/^\(PG[A-Z]*\)=.*/\1/p'); do unset "$v"; done
export no_proxy="127.0.0.1,localhost${no_proxy:+,$no_proxy}"
export NO_PROXY="$no_proxy"

# again COMMAND...: what asks other machines is tried three times.
again() {
    for pause in 5 20 0; do
        "$@" && return 0
        st=$?
        sleep $pause
    done
    return $st
}
finish() {
    [ $keep = yes ] || rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# Begins a suite; the seconds of the one before are kept for the table at the end.
started=$(date +%s)
suite='' suite_began=$started
say() {
    if ! [ -d "$work" ]; then
        echo "$work was removed under us"
        echo "$passed passed, $((failed + 1)) failed, $skipped skipped"
        exit 1
    fi
    now=$(date +%s)
    [ -z "$suite" ] || printf '  %5d s  %s\n' $((now - suite_began)) "$suite" >>"$work/durations"
    suite=$*
    suite_began=$now
    printf '\n==== %s (%s s)\n' "$suite" $((now - started))
}

packages="build-essential autoconf automake pkg-config clang ccache libevent-dev libssl-dev libpq-dev libpam0g-dev libldap-dev slapd ldap-utils
    libpg-query-dev libprotobuf-c-dev libjansson-dev libutf8proc-dev zlib1g-dev libncurses-dev python3-pyte postgresql-15 postgresql-client-15 postgresql-server-dev-15 pgbouncer prometheus
    openssl python3 python3-psycopg python3-psycopg2 python3-asyncpg python3-sqlalchemy python3-django ruby-activerecord ruby-pg
    openjdk-17-jdk-headless libpostgresql-jdbc-java prometheus-pgbouncer-exporter check-postgres libdbi-perl libdbd-pg-perl procps curl sqlsmith systemd chromium fonts-dejavu-core"

# For the servers of other versions (test/lib/servers.sh); some systems have npm from elsewhere.
command -v npm >/dev/null || packages="$packages npm"

install_packages() {
    missing=
    for p in $packages; do
        dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $p"
    done
    [ -z "$missing" ] && return 0
    echo "to install:$missing"
    as_root=
    [ "$(id -u)" = 0 ] || as_root=sudo
    policy=/usr/sbin/policy-rc.d
    made=no
    if ! [ -e $policy ]; then
        # No service of these packages is to be started.
        printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null && $as_root chmod 755 $policy && made=yes
    fi
    again $as_root apt-get update -qq &&
        again $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >"$work/apt.log" 2>&1
    st=$?
    [ $made = yes ] && $as_root rm -f $policy
    [ $st = 0 ] || tail -20 "$work/apt.log"
    return $st
}

# Adds up the counts that Automake prints after a run of tests.
count_make() {
    for kind in PASS XPASS FAIL ERROR SKIP XFAIL; do
        n=$(sed -n "s/^# $kind: *\([0-9][0-9]*\)$/\1/p" "$1" | awk '{ s += $1 } END { print s + 0 }')
        case $kind in
        PASS | XFAIL) passed=$((passed + n)) ;;
        SKIP) skipped=$((skipped + n)) ;;
        *) failed=$((failed + n)) ;;
        esac
    done
}

# check NAME DIR [make arguments]: one run of `make check`.
check() {
    name=$1 dir=$2
    shift 2
    say "$name"
    log="$work/$name.log"
    before=$((passed + failed))
    was_failed=$failed
    (cd "$dir" && timeout $patience make check "$@") >"$log" 2>&1
    st=$?
    count_make "$log"
    if [ $st != 0 ]; then
        # A run that broke before its summary is a failure by itself.
        [ $failed = "$was_failed" ] && failed=$((failed + 1))
        show_failures "$dir" "$log"
    fi
    [ $((passed + failed)) -gt $before ] || { failed=$((failed + 1)); tail -30 "$log"; }
    sed -n 's/^# \([A-Z]*\): */  \1 /p' "$log" | tr '\n' ' '
    echo
    [ ! -f "$dir/test/corpus/isolation.log" ] || grep -a '^isolation: ' "$dir/test/corpus/isolation.log"
}

# explain_failures LOG N: each failed check with what it said, the complaints of servers and proxies, the last N lines.
explain_failures() {
    grep -aA12 -E '^(not ok|Bail out|timeout)' "$1" | grep -avE '^(ok|PASS)' | head -60
    echo "  ..."
    grep -aE ' (WARNING|ERROR|FATAL|PANIC) |runtime error|Sanitizer' "$1" | head -20
    echo "  ..."
    grep -avE '^(ok|PASS)' "$1" | tail -"$2"
}

show_failures() {
    grep -E '^(not ok|FAIL|ERROR|XPASS|make.*(Error|\*\*\*))' "$2" | head -60
    for trs in $(grep -lE '^:test-result: (FAIL|ERROR|XPASS)' $(find "$1/test" -name '*.trs') 2>/dev/null | head -8); do
        echo "---- ${trs%.trs}"
        explain_failures "${trs%.trs}.log" 50
    done
}

# tap NAME COMMAND...: a program that prints TAP.
tap() {
    name=$1
    shift
    say "$name"
    log="$work/$name.log"
    timeout $patience "$@" >"$log" 2>&1
    tap_log "$name" "$log" $?
}

# tap_log NAME FILE STATUS: counts what such a program printed.
tap_log() {
    log=$2
    p=$(grep -ac '^ok ' "$log")
    f=$(grep -ac '^not ok ' "$log")
    s=$(grep -aciE '^ok .*# skip|^1\.\.0 # skip' "$log")
    # Without its plan it did not run to its end.
    { [ "$3" = 0 ] && grep -aq '^1\.\.[1-9]' "$log"; } || [ "$f" -gt 0 ] || f=1
    passed=$((passed + p - $(grep -aciE '^ok .*# skip' "$log"))) failed=$((failed + f)) skipped=$((skipped + s))
    [ "$f" = 0 ] || explain_failures "$log" 60
    echo "  $1: $p ok, $f not ok"
}

# one NAME COMMAND...: counts as one test.
one() {
    name=$1
    shift
    say "$name"
    log="$work/$name.log"
    limit="timeout $patience"
    [ "$1" = build ] && limit= # a function of ours
    if $limit "$@" >"$log" 2>&1; then passed=$((passed + 1)); echo "  ok"; return 0; fi
    failed=$((failed + 1))
    tail -60 "$log"
    return 1
}

# build DIR [configure arguments]
build() {
    mkdir -p "$1" && (cd "$1" && shift && "$work/src/configure" --quiet "$@" && make -s -j"$jobs" && make -s -j"$jobs" libbulkhead.a)
}

say "prerequisites"
if ! install_packages; then
    echo "packages that the tests need cannot be installed"
    failed=$((failed + 1))
    echo "$passed passed, $failed failed, $skipped skipped"
    exit 1
fi
command -v ccache >/dev/null && export CCACHE_DIR="${CCACHE_DIR:-${TMPDIR:-/tmp}/bh-ccache-$(id -u)}" && cc="ccache gcc" && clang="ccache clang"

say "a copy of the source"
mkdir "$work/src"
(cd "$top" && tar cf - --exclude=./.git --exclude=./Makefile --exclude=./config.status --exclude=./config.log --exclude=./config.cache \
    --exclude='*.o' --exclude='*.a' --exclude='*.trs' --exclude=.deps --exclude=.dirstamp --exclude='./autom4te.cache' --exclude=./test/artifacts .) |
    (cd "$work/src" && tar xf -)
# The proxies run as user postgres and read from here, wherever the clone is.
chmod -R a+rX "$work/src"
one autoreconf sh -c "cd '$work/src' && autoreconf -i"

# Pictures of the status page outlive the run.
export BH_ARTIFACTS="${BH_ARTIFACTS:-$top/test/artifacts}"
# One initdb for all.
export BH_TMPDIR="$work/tmp"
mkdir -p "$BH_TMPDIR" && chmod 1777 "$BH_TMPDIR"
export BH_TEMPLATE="$work/template"
initdb=$(ls -d /usr/lib/postgresql/*/bin/initdb | tail -1)
if [ "$(id -u)" = 0 ]; then
    mkdir "$BH_TEMPLATE" && chown postgres: "$BH_TEMPLATE" && chmod 700 "$BH_TEMPLATE"
    setpriv --reuid=postgres --regid=postgres --clear-groups "$initdb" -D "$BH_TEMPLATE" -U postgres -A trust -N -E UTF8 --locale=C.UTF-8
else
    "$initdb" -D "$BH_TEMPLATE" -U postgres -A trust -N -E UTF8 --locale=C.UTF-8
fi >"$work/initdb.log" 2>&1 && touch "$BH_TEMPLATE/done"

t=test/t
for s in $stages; do
    case $s in
    quick)
        one build-plain build "$work/plain" --enable-werror CC="$cc" && {
            check quick "$work/plain" -j"$jobs" TESTS='$(QUICK_TESTS)'
            BH_PAIRS=acme:acmeeu BH_CASE='^[SG]' check corpus-short "$work/plain" -j2 TESTS="test/corpus/rewrite.pl test/corpus/reject.pl"
        } ;;
    plain)
        one build-plain build "$work/plain" --enable-werror CC="$cc" && {
            check quick "$work/plain" -j"$jobs" TESTS='$(QUICK_TESTS)'
            check integration "$work/plain" -j2 TESTS='$(INTEGRATION_TESTS)'
        } ;;
    clang)
        one build-clang build "$work/clang" --enable-werror CC="$clang" &&
            check clang-quick "$work/clang" -j"$jobs" TESTS='$(UNIT_TESTS)' ;;
    workers)
        for n in 1 4; do
            [ -x "$work/plain/pgbulkhead" ] && BH_WORKERS=$n check "workers-$n" "$work/plain" -j2 \
                TESTS="$t/101-extended.pl $t/102-copy.pl $t/104-params.pl $t/105-cancel.pl $t/106-prepared.pl $t/110-peers.pl $t/210-state-leaks.pl \
                $t/220-listen.pl $t/400-tenants.pl $t/702-trouble.pl $t/810-drivers.pl"
        done
        [ -x "$work/plain/pgbulkhead" ] && BH_TLS=1 check "tls-both-sides" "$work/plain" -j2 \
            TESTS="$t/101-extended.pl $t/102-copy.pl $t/104-params.pl $t/105-cancel.pl $t/106-prepared.pl $t/400-tenants.pl $t/810-drivers.pl"
        # A few bytes at a time.
        [ -x "$work/plain/pgbulkhead" ] && BH_PKT_BUF=64 check "pkt-buf-64" "$work/plain" -j2 \
            TESTS="$t/101-extended.pl $t/102-copy.pl $t/104-params.pl $t/106-prepared.pl $t/107-hostile.pl $t/300-tls-clients.pl $t/400-tenants.pl" ;;
    asan)
        one build-asan build "$work/asan" --enable-sanitize=address,undefined CC="$cc" CFLAGS='-O1 -g' && {
            export BH_SANITIZE=1 BH_SLOW=1 BH_PGBENCH_SECONDS=2 BH_PGBENCH_SCALE=1
            check asan-unit "$work/asan" -j"$jobs" TESTS='$(UNIT_TESTS)'
            BH_PAIRS=acme:acmeeu BH_CASE='7$' check asan-integration "$work/asan" -j2 TESTS="test/corpus/rewrite.pl $t/000-start.pl \
                $t/101-extended.pl $t/102-copy.pl $t/104-params.pl $t/105-cancel.pl $t/106-prepared.pl $t/107-hostile.pl $t/200-modes.pl \
                $t/202-waiting.pl $t/203-timeouts.pl $t/300-tls-clients.pl $t/301-tls-servers.pl $t/302-logins.pl $t/320-channel-binding.pl \
                $t/321-direct-tls.pl $t/322-protocol-versions.pl $t/324-pass-through.pl $t/400-tenants.pl \
                $t/410-copy.pl $t/420-utility.pl $t/430-rls-mode.pl $t/431-tenant-guc.pl $t/432-tenant-set.pl $t/433-redact.pl \
                $t/440-identity.pl $t/441-auth-query.pl $t/442-tokens.pl $t/443-certificates.pl $t/450-explain-tenant.pl \
                $t/451-show-tenants.pl $t/452-audit-log.pl $t/480-delete-tenant.pl $t/491-limits.pl $t/500-console.pl \
                $t/534-queries.pl $t/600-metrics.pl $t/610-metrics-http.pl $t/611-metrics-login.pl $t/640-top.pl $t/672-slow-queries.pl $t/673-no-literals.pl $t/680-api-status.pl \
                $t/700-reload.pl $t/701-shutdown.pl $t/702-trouble.pl $t/904-copy-pipelines.pl \
                $t/905-prepared-skipped.pl $t/906-refused-in-pipeline.pl $t/915-late-errors.pl $t/912-server-type-zero.pl"
            unset BH_SANITIZE BH_SLOW BH_PGBENCH_SECONDS BH_PGBENCH_SCALE
        } ;;
    tsan)
        one build-tsan build "$work/tsan" --enable-sanitize=thread CC="$clang" CFLAGS='-O1 -g' && {
            export BH_SANITIZE=1 BH_SLOW=1 BH_WORKERS=4 BH_PGBENCH_SECONDS=2 BH_PGBENCH_SCALE=1
            check tsan-unit "$work/tsan" -j"$jobs" TESTS="test/unit/base_mailbox test/unit/base_log test/unit/base_writer test/unit/net_loop \
                test/unit/net_conn test/unit/net_resolver test/unit/net_listener"
            check tsan-integration "$work/tsan" -j2 TESTS="$t/101-extended.pl $t/105-cancel.pl $t/106-prepared.pl $t/201-limits.pl \
                $t/202-waiting.pl $t/300-tls-clients.pl $t/400-tenants.pl $t/420-utility.pl $t/441-auth-query.pl $t/452-audit-log.pl \
                $t/480-delete-tenant.pl $t/500-console.pl $t/534-queries.pl $t/535-activity.pl $t/600-metrics.pl $t/620-gauges.pl $t/650-alerts.pl $t/672-slow-queries.pl \
                $t/674-traces.pl $t/700-reload.pl $t/702-trouble.pl $t/703-tagged.pl $t/711-drain.pl $t/713-suspend.pl $t/800-pgbench.pl"
            unset BH_SANITIZE BH_SLOW BH_WORKERS BH_PGBENCH_SECONDS BH_PGBENCH_SCALE
        } ;;
    fuzz)
        # From the statements of the corpus and the messages of the seeds, one per core at a time: a minute for each of the
        # tenant engine's, a third of it for the others.
        one build-fuzz build "$work/fuzz" --enable-fuzz --enable-werror --enable-sanitize=address,undefined CC="$clang" CFLAGS='-O1 -g' && {
            perl "$work/src/test/fuzz/seeds.pl" "$work/seeds" || failed=$((failed + 1))
            say "fuzz, ${BH_FUZZ_SECONDS:-60} s for the tenant engine"
            for f in "$work"/fuzz/test/fuzz/*; do
                [ -f "$f" ] && [ -x "$f" ] && echo "$f"
            done | xargs -P "$jobs" -I{} sh -c 'name=$(basename "$1"); mkdir -p "$2/seeds/$name"
                case $name in tenant_*) seconds=$3 ;; *) seconds=$(($3 / 3)) ;; esac
                "$1" -max_total_time="$seconds" -timeout=20 -artifact_prefix="$2/" "$2/seeds/$name" >"$2/fuzz-$name.log" 2>&1 && echo "$name" >>"$2/fuzz-good"
                ' sh {} "$work" "${BH_FUZZ_SECONDS:-60}"
            for log in "$work"/fuzz-*.log; do
                name=$(basename "$log" .log)
                name=${name#fuzz-}
                if grep -qx "$name" "$work/fuzz-good"; then
                    passed=$((passed + 1))
                    echo "  $name: $(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$log") runs"
                else
                    failed=$((failed + 1))
                    tail -60 "$log"
                fi
            done
        } ;;
    versions)
        # The corpus on servers of other major versions, two at a time: a fifth of the cases in rewrite mode on the newest, a
        # tenth on the others, on the oldest in reject mode too; test/t/470-versions.pl has looked at each before.
        [ -x "$work/plain/pgbulkhead" ] && one servers sh -c "sh '$work/src/test/lib/servers.sh' >'$work/servers'" && {
            newest=$(tail -1 "$work/servers" | cut -d' ' -f1)
            say versions
            while read -r major bin; do
                for mode in rewrite reject; do
                    mkdir -p "$work/template-$major-$mode" && chmod 700 "$work/template-$major-$mode"
                    [ "$(id -u)" = 0 ] && chown postgres: "$work/template-$major-$mode"
                done
                [ "$major" = "$newest" ] && echo "$major $bin rewrite [27]\$" && continue
                echo "$major $bin rewrite 7\$"
                [ "$major" = 14 ] && echo "$major $bin reject 3\$"
            done <"$work/servers" | xargs -P "$jobs" -L1 sh -c 'BH_PG_BIN=$3 BH_TEMPLATE=$1/template-$2-$4 BH_PAIRS=acme:acmeeu BH_CASE=$5 \
                top_builddir=$1/plain top_srcdir=$1/src perl -I"$1/src/test/lib" "$1/src/test/corpus/$4.pl" >"$1/corpus-$2-$4.log" 2>&1' sh "$work"
            for log in "$work"/corpus-[0-9]*.log; do
                tap_log "$(basename "$log" .log)" "$log" 0
            done
        } ;;
    dist)
        [ -f "$work/plain/Makefile" ] && one distcheck sh -c "cd '$work/plain' && make -s distcheck -j$jobs" ;;
    corpus)
        tap corpus-selftest perl -I"$work/src/test/lib" "$work/src/test/corpus/selftest.pl"
        top_builddir="$work/plain" top_srcdir="$work/src" tap corpus-sqlsmith perl -I"$work/src/test/lib" "$work/src/test/corpus/sqlsmith.pl" ;;
    quickstart)
        one quickstart sh "$work/src/contrib/quickstart.sh" --once ;;
    bench)
        [ -x "$work/plain/pgbulkhead" ] && BH_BENCH_SECONDS="${BH_BENCH_SECONDS:-2}" top_builddir="$work/plain" one bench sh "$work/src/test/bench/run.sh" && cat "$work/bench.log" ;;
    *) echo "no stage $s"; failed=$((failed + 1)) ;;
    esac
done

say "seconds per suite"
cat "$work/durations"
if [ "${CI:-}" = true ] && [ $skipped -gt 0 ]; then
    echo "$skipped skipped: in CI a missing prerequisite is a failure"
    failed=$((failed + skipped)) skipped=0
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
exit
}
