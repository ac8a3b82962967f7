#!/usr/bin/env bash
# Everything CI runs, in the order in which failures are cheapest to find. Ends with one line that
# counts the tests of all stages.
set -uo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
passed=0
failed=0

# stage NAME COMMAND...: run it; count what its closing lines say, or the stage as one test.
stage() {
    local name=$1 ok=0 bad=0 status
    shift
    echo "== $name"
    "$@" 2>&1 | tee "$log/$name"
    status=${PIPESTATUS[0]}
    read -r ok bad < <(awk '
        # cargo test: "test result: ok. 7 passed; 0 failed; ..."; pytest: "5 passed, 1 failed in 2s"; ours: "sql: 3 passed, 0 failed"
        /^test result:|[0-9]+ passed/ {
            for (i = 2; i <= NF; i++) {
                if ($i ~ /^passed[;,]?$/) ok += $(i - 1)
                if ($i ~ /^failed[;,]?$/) bad += $(i - 1)
            }
        }
        END { print ok + 0, bad + 0 }' "$log/$name")
    if [ "$ok" -eq 0 ] && [ "$bad" -eq 0 ]; then
        if [ "$status" -eq 0 ]; then ok=1; else bad=1; fi
    elif [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1
    fi
    passed=$((passed + ok))
    failed=$((failed + bad))
    [ "$status" -eq 0 ] || echo "== $name FAILED"
}

stage format cargo fmt --all --check
stage clippy cargo clippy --quiet --workspace --all-targets -- -D warnings
stage unit cargo test --quiet --workspace --no-fail-fast
stage build cargo build --quiet --release --bin kokkiri
stage server integration-tests/run_server.py

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
