#!/bin/sh
# SPDX-License-Identifier: ISC
# Fetches the npm package playwright-core, once, for tests that look at pages in Debian's Chromium (it brings no browser of
# its own), and prints the folder that holds its node_modules.
#
#   test/lib/playwright.sh
#
# BH_PLAYWRIGHT is the folder that keeps it; by default bh-playwright in /var/tmp.
set -eu
version=1.55.0
cache=${BH_PLAYWRIGHT:-/var/tmp/bh-playwright}
dir=$cache/$version
if ! [ -f "$dir/node_modules/playwright-core/package.json" ]; then
    mkdir -p "$cache"
    new=$(mktemp -d "$cache/new-XXXXXX")
    for pause in 5 20 0; do # other machines may not answer at once
        npm install --prefix "$new" --no-save --no-audit --no-fund --ignore-scripts --loglevel=error "playwright-core@$version" >&2 && break
        sleep $pause
    done
    [ -f "$new/node_modules/playwright-core/package.json" ] || {
        rm -rf "$new"
        exit 1
    }
    chmod -R a+rX "$new"
    mv -T "$new" "$dir" 2>/dev/null || rm -rf "$new" # somebody else was faster
fi
echo "$dir"
