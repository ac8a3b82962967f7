#!/usr/bin/env bash
# Everything CI runs, in the order in which failures are cheapest to find. Lists what failed in the end; the last line
# counts the tests of all stages.
set -uo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
passed=0
failed=0

# stage NAME COMMAND...: run it; count what its closing lines say, or the stage as one test.
stage() {
    local name=$1 ok=0 bad=0 status started
    shift
    started=$SECONDS
    echo "== $name"
    "$@" 2>&1 | tee "$log/$name"
    status=${PIPESTATUS[0]}
    read -r ok bad < <(awk '
        # cargo test: "test result: ok. 7 passed; 0 failed; ..."; pytest: "5 passed, 1 failed in 2s"; ours: "sql: 3 passed, 0 failed"
        /^test result:|[0-9]+ passed|[0-9]+ failed/ {
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
    echo "== $name: $ok passed, $bad failed, $((SECONDS - started)) s"
}

python=.cache/venv/bin/python
stage format cargo fmt --all --check
stage clippy cargo clippy --quiet --workspace --all-targets -- -D warnings
stage unit cargo test --quiet --workspace --no-fail-fast
stage build cargo build --quiet --release --bin kokkiri
stage server integration-tests/run_server.py
stage sql "$python" integration-tests/run_sql.py
stage drivers "$python" -m pytest -q -rfE --tb=short integration-tests/drivers
stage isolation "$python" -m pytest -q -rfE --tb=short integration-tests/isolation
stage pgbench "$python" integration-tests/run_pgbench.py --seconds 2
stage kill "$python" integration-tests/run_kill.py --rounds 3 --seconds 3
stage full_disk "$python" integration-tests/run_full_disk.py
stage witness_reads "$python" integration-tests/run_witness_reads.py
stage wal "$python" integration-tests/compare_wal.py --small
stage crash env KOKKIRI_CRASH_POINTS="${SEEDS:-2000}" cargo test --quiet -p kokkiri-recovery --test crash -- --nocapture
seed=${SEED:-1}
stage fuzz env KOKKIRI_FUZZ_SECONDS=2 KOKKIRI_FUZZ_SEED="$seed" cargo test --quiet --workspace --test fuzz
stage fuzz_wire "$python" integration-tests/fuzz_wire.py --seconds 8 --seed "$seed"
stage fuzz_queries "$python" integration-tests/fuzz_queries.py --seconds 10 --seed "$seed"

echo
echo "failures, by stage:"
grep -hE '^(FAILED|failures:|test .* FAILED|error(\[|:))' "$log"/* /dev/null | sort | uniq -c | sort -rn | head -60
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
