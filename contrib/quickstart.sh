#!/bin/sh
# SPDX-License-Identifier: ISC
# From a bare Debian 12 to two tenants that share three server connections and never see each other's rows:
# installs packages, builds, starts a throwaway PostgreSQL and pgbulkhead with TLS, and shows it.
#
#   contrib/quickstart.sh          leaves everything running and says how to connect and how to stop
#   contrib/quickstart.sh --once   stops by itself
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
once=no
case ${1-} in
'') ;;
--once) once=yes ;;
*) echo "usage: contrib/quickstart.sh [--once]" >&2; exit 2 ;;
esac

bold() { printf '\n\033[1m%s\033[0m\n' "$*"; }
fail() { echo "quickstart: $*" >&2; exit 1; }
as_root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || fail "run me as root (or install sudo)"
    as_root=sudo
fi

# ---- packages -----------------------------------------------------------------------------------
packages="build-essential autoconf automake pkg-config libevent-dev libssl-dev libpq-dev libpg-query-dev
    libprotobuf-c-dev libjansson-dev libutf8proc-dev zlib1g-dev libncurses-dev libpam0g-dev libldap-dev postgresql-15 postgresql-client-15 postgresql-server-dev-15 openssl curl"
missing=
for p in $packages; do
    dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $p"
done
if [ -n "$missing" ]; then
    bold "Installing$missing"
    policy=/usr/sbin/policy-rc.d made=no
    if ! [ -e $policy ]; then
        # The package's own PostgreSQL stays off: we start one of our own.
        printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
        $as_root chmod 755 $policy
        made=yes
    fi
    st=0
    { $as_root apt-get update -qq && $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends $missing >/dev/null; } || st=$?
    [ $made = yes ] && $as_root rm -f $policy
    [ $st = 0 ] || fail "packages could not be installed"
fi

# ---- build --------------------------------------------------------------------------------------
work=$(mktemp -d /tmp/pgbulkhead-quickstart-XXXXXX)
chmod 755 "$work"
stop_all() {
    for f in proxy pg; do
        [ -f "$work/$f.pid" ] || continue
        pid=$(cat "$work/$f.pid")
        sig=QUIT
        [ $f = pg ] && sig=INT
        $as_root kill -$sig "$pid" 2>/dev/null || true
        n=0
        while $as_root kill -0 "$pid" 2>/dev/null && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
        rm -f "$work/$f.pid"
    done
}
finished=no
cleanup() {
    [ $finished = yes ] && return
    stop_all
    for f in proxy pg; do [ -s "$work/$f.log" ] && { echo "---- end of $f.log"; tail -20 "$work/$f.log"; }; done >&2
    echo "quickstart: failed; what there is lies in $work" >&2
}
trap cleanup EXIT
trap 'exit 130' INT TERM

bold "Building pgbulkhead"
mkdir "$work/src" "$work/build"
(cd "$top" && tar cf - --exclude=./.git --exclude=./Makefile --exclude=./config.status --exclude=./config.log \
    --exclude='*.o' --exclude='*.a' --exclude=.deps --exclude=.dirstamp --exclude=./autom4te.cache .) | (cd "$work/src" && tar xf -)
(
    cd "$work/src" && autoreconf -i
    cd "$work/build" && ../src/configure --quiet && make -s -j"$(nproc)" pgbulkhead
) >"$work/build.log" 2>&1 || { tail -30 "$work/build.log"; fail "the build failed"; }
proxy="$work/build/pgbulkhead"
"$proxy" --version | head -1

# ---- certificates -------------------------------------------------------------------------------
bold "Making a certificate authority and certificates for localhost"
tls="$work/tls"
mkdir "$tls"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 90 -subj "/CN=quickstart CA" \
    -keyout "$tls/ca.key" -out "$tls/ca.pem" -addext "keyUsage=critical,keyCertSign" 2>/dev/null
for who in proxy postgres; do
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=localhost" -keyout "$tls/$who.key" -out "$tls/$who.csr" 2>/dev/null
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n' >"$tls/ext"
    openssl x509 -req -in "$tls/$who.csr" -CA "$tls/ca.pem" -CAkey "$tls/ca.key" -CAcreateserial -days 90 -extfile "$tls/ext" -out "$tls/$who.crt" 2>/dev/null
    chmod 600 "$tls/$who.key"
done
chmod 755 "$tls"
chmod 644 "$tls"/*.pem "$tls"/*.crt

# ---- PostgreSQL ---------------------------------------------------------------------------------
# A port nobody listens on.
free_port() {
    p=$1
    while grep -qi ":$(printf %04X "$p") 0*:0000 0A" /proc/net/tcp /proc/net/tcp6 2>/dev/null; do p=$((p + 1)); done
    echo "$p"
}
run=
pg_owner=$(id -un)
if [ "$(id -u)" = 0 ]; then
    run="env HOME=$work/run setpriv --reuid=postgres --regid=postgres --init-groups"
    pg_owner=postgres
fi
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
pg_port=$(free_port 54329)
port=$(free_port 64329)
metrics_port=$(free_port 9127)
bold "Starting a throwaway PostgreSQL on port $pg_port"
mkdir "$work/pg" "$work/run"
chown -R "$pg_owner" "$work/pg" "$work/run" "$tls"
: >"$work/pg.log"
: >"$work/proxy.log"
chown "$pg_owner" "$work/pg.log" "$work/proxy.log"
cd "$work"
echo super-secret >"$work/run/pwfile"
chown "$pg_owner" "$work/run/pwfile"
$run "$bin/initdb" -D "$work/pg" -U postgres -A scram-sha-256 --pwfile="$work/run/pwfile" -N -E UTF8 --locale=C.UTF-8 >/dev/null
rm "$work/run/pwfile"
cat >>"$work/pg/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
port = $pg_port
unix_socket_directories = '$work/run'
ssl = on
ssl_cert_file = '$tls/postgres.crt'
ssl_key_file = '$tls/postgres.key'
max_connections = 30
fsync = off
CONF
$run "$bin/postgres" -D "$work/pg" >>"$work/pg.log" 2>&1 </dev/null &
echo $! >"$work/pg.pid"
n=0
until PGPASSWORD=super-secret psql -X -q -w -h 127.0.0.1 -p "$pg_port" -U postgres -c 'SELECT 1' postgres >/dev/null 2>&1; do
    n=$((n + 1))
    [ $n -lt 200 ] || fail "PostgreSQL does not start"
    sleep 0.1
done
export PGPASSWORD=super-secret
psql -X -q -w -h 127.0.0.1 -p "$pg_port" -U postgres -c 'CREATE DATABASE app' postgres
psql -X -q -w -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$pg_port" -U postgres -f "$top/contrib/quickstart/schema.sql" app
unset PGPASSWORD

# ---- pgbulkhead ---------------------------------------------------------------------------------
bold "Starting pgbulkhead on port $port: TLS demanded, three server connections, tenants by login"
cat >"$work/run/userlist.txt" <<USERS
"acme" "acme-secret"
"beta" "beta-secret"
"admin" "admin-secret"
USERS
cat >"$work/run/pgbulkhead.ini" <<INI
[databases]
app = host=localhost port=$pg_port dbname=app user=app password=app-secret pool_size=3 tenant_mode=rewrite

[users]
acme = tenant=acme
beta = tenant=beta

[tenant_rules]
; tables with a column tenant_id are found in the catalog; the graph names its tenant user_id
memory.* = user_id claim=tenant

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = scram-sha-256
auth_file = $work/run/userlist.txt
admin_users = admin
pool_mode = transaction
max_client_conn = 200
tenant_columns = tenant_id
client_tls_sslmode = require
client_tls_key_file = $tls/proxy.key
client_tls_cert_file = $tls/proxy.crt
server_tls_sslmode = verify-full
server_tls_ca_file = $tls/ca.pem
metrics_listen_addr = 127.0.0.1
metrics_port = $metrics_port
INI
chown "$pg_owner" "$work/run"/*
chmod 600 "$work/run"/*
$run "$proxy" -t "$work/run/pgbulkhead.ini" || fail "the configuration is refused"
$run "$proxy" "$work/run/pgbulkhead.ini" >>"$work/proxy.log" 2>&1 </dev/null &
echo $! >"$work/proxy.pid"
dsn() { echo "host=localhost port=$port user=$1 password=$1-secret dbname=${2:-app} sslmode=verify-full sslrootcert=$tls/ca.pem"; }
ask() { psql -X -A -t -q -w -d "$(dsn "$1" "${3:-app}")" -c "$2" 2>&1; }
n=0
until [ "$(ask acme 'SELECT 1')" = 1 ]; do
    n=$((n + 1))
    [ $n -lt 100 ] || { ask acme 'SELECT 1'; fail "pgbulkhead does not answer"; }
    sleep 0.1
done

# ---- the show -----------------------------------------------------------------------------------
show() { printf '\n%s=> %s\n' "$1" "$2"; psql -X -w -P pager=off -d "$(dsn "$1" "${3:-app}")" -c "$2" 2>&1 || true; }
expect() { # what, got, wanted
    [ "$2" = "$3" ] || fail "$1: got '$2', wanted '$3'"
}
counts="SELECT (SELECT count(*) FROM documents) || '/' || (SELECT count(*) FROM chunks) || '/' || (SELECT count(*) FROM chunk_vectors)
    || '/' || (SELECT count(*) FROM memory_facts) || '/' || (SELECT count(*) FROM memory_events)
    || '/' || (SELECT count(*) FROM memory.nodes) || '/' || (SELECT count(*) FROM memory.relationships)"
bold "1. Each tenant sees its own rows, with the same statements"
for t in acme beta; do
    show $t "SELECT tenant_id, count(*) AS documents, min(title), max(title) FROM documents GROUP BY tenant_id"
    expect "rows of $t" "$(ask $t "$counts")" "10/30/30/10/10/10/9"
    expect "tenants seen by $t" "$(ask $t "SELECT string_agg(DISTINCT d.tenant_id || c.tenant_id, ',') FROM documents d LEFT JOIN chunks c ON true")" "$t$t"
done
show acme "SELECT n.name, r.rel_type, m.name FROM memory.nodes n JOIN memory.relationships r ON r.src = n.id JOIN memory.nodes m ON m.id = r.dst LIMIT 2"

bold "2. A foreign INSERT is refused"
insert="INSERT INTO documents (tenant_id, title) VALUES ('beta', 'planted by acme')"
show acme "$insert"
ask acme "$insert" >/dev/null && fail "a foreign INSERT was taken"
expect "documents of beta" "$(ask beta 'SELECT count(*) FROM documents')" 10

bold "3. A UNION attack is harmless"
attack="SELECT title FROM documents WHERE id = 1 UNION SELECT title || ' ' || tenant_id FROM documents WHERE tenant_id = 'beta' OR true"
show acme "SELECT count(*), count(*) FILTER (WHERE title LIKE 'Beta%') AS of_beta FROM ($attack) AS stolen"
expect "rows of beta in the attack" "$(ask acme "SELECT count(*) FROM ($attack) AS stolen WHERE title LIKE 'Beta%'")" 0
expect "a predicate that is always true" "$(ask beta "SELECT count(*) FROM documents WHERE tenant_id = 'acme' OR 1 = 1")" 10

bold "4. Twenty clients of two tenants on three server connections"
i=0
while [ $i -lt 20 ]; do
    t=acme
    [ $((i % 2)) = 1 ] && t=beta
    (for k in 1 2 3 4 5; do echo "SELECT DISTINCT tenant_id FROM documents;"; done |
        psql -X -A -t -q -w -d "$(dsn $t)" 2>&1 | sort -u >"$work/run/client$i") &
    clients="${clients-} $!"
    i=$((i + 1))
done
for c in $clients; do wait "$c"; done
i=0
while [ $i -lt 20 ]; do
    t=acme
    [ $((i % 2)) = 1 ] && t=beta
    got=$(cat "$work/run/client$i")
    case $got in
    "$t") ;;
    *) fail "client $i of $t saw: $got" ;;
    esac
    i=$((i + 1))
done
show admin "SHOW POOLS" pgbulkhead
used=$(PGPASSWORD=super-secret psql -X -A -t -w -h 127.0.0.1 -p "$pg_port" -U postgres -c "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND application_name NOT LIKE '%catalog%' AND application_name NOT LIKE '%probe%'" postgres)
echo "server connections of role app in PostgreSQL: $used"

bold "5. Plaintext is refused"
if psql -X -w -d "host=localhost port=$port user=acme password=acme-secret dbname=app sslmode=disable" -c 'SELECT 1'; then fail "plaintext was accepted"; fi

bold "6. What it sees: statements by template, latency, alerts"
show admin "SHOW QUERIES LIMIT 5" pgbulkhead | cut -c1-150
show admin "SHOW LATENCY" pgbulkhead
show admin "SHOW ALERTS" pgbulkhead | cut -c1-150
[ "$(ask admin 'SHOW QUERIES' pgbulkhead | grep -c tenant_id)" -gt 0 ] || fail "no statements were counted"

bold "7. Metrics: http://127.0.0.1:$metrics_port/metrics and a page for people: http://127.0.0.1:$metrics_port/"
curl -fsS "http://127.0.0.1:$metrics_port/metrics" >"$work/run/metrics" || fail "no metrics"
grep -E '^pgbulkhead_(tenant_statements_total|tenant_denials_total|client_connections|pool_server_connections|backend_connections_max|backend_connections_used)' "$work/run/metrics" | grep -v ' 0$' || fail "the metrics are empty"
curl -fsS "http://127.0.0.1:$metrics_port/" | grep -q '<html' || fail "no status page"

finished=yes
cat >"$work/stop.sh" <<STOP
#!/bin/sh
# Stops what contrib/quickstart.sh started here and removes it.
$as_root kill -QUIT $(cat "$work/proxy.pid")
$as_root kill -INT $(cat "$work/pg.pid")
sleep 1
$as_root rm -rf "$work"
STOP
chmod 755 "$work/stop.sh"
if [ $once = yes ]; then
    stop_all
    $as_root rm -rf "$work"
    bold "Done; everything is stopped and removed."
    exit 0
fi
bold "Everything runs. Try it:"
cat <<END
  psql "$(dsn acme)"
  psql "$(dsn beta)"
  psql "$(dsn admin pgbulkhead)"        (console: SHOW HELP)
  http://127.0.0.1:$metrics_port/           (status page)
  curl http://127.0.0.1:$metrics_port/metrics
  configuration: $work/run/pgbulkhead.ini     logs: $work/proxy.log $work/pg.log
To stop and remove it:
  $work/stop.sh
END
