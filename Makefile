# Kokkiri: `make run` serves, `make test` runs everything that CI runs.

DATA ?= data
PORT ?= 5432
SEEDS ?= 2000
ROUNDS ?= 20
SECONDS ?= 60
CONNECTIONS ?= 5000
CARGO ?= cargo
VENV := .cache/venv

.PHONY: run build test check unit test-sql test-server test-crash test-kill test-drivers test-isolation test-pgbench fuzz fuzz-sql test-wal test-full-disk test-witness-reads measure-connections witness tools bench conformance clean

run: build
	./target/release/kokkiri serve -D $(DATA) -p $(PORT)

build:
	$(CARGO) build --release --bin kokkiri

# Everything CI runs; ends by saying how many tests ran.
test: tools
	integration-tests/run_all.sh

check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

unit:
	$(CARGO) test --workspace

test-sql: build tools
	integration-tests/run_sql.py

# Starting, stopping, authentication, TLS, bad messages.
test-server: build tools
	integration-tests/run_server.py

test-drivers: build tools
	$(VENV)/bin/python -m pytest -q integration-tests/drivers

# What concurrent transactions see of each other, and who waits for whom.
test-isolation: build tools
	$(VENV)/bin/python -m pytest -q integration-tests/isolation

# pgbench unchanged, at scales 1 and 10.
test-pgbench: build tools
	integration-tests/run_pgbench.py --scale 1 10 --seconds 10

# Seeded sweeps of simulated crashes, below SQL and over it: SEEDS crash points each.
test-crash:
	KOKKIRI_CRASH_POINTS=$(SEEDS) $(CARGO) test --release -p kokkiri-recovery --test crash -- --nocapture
	KOKKIRI_CRASH_POINTS=$(SEEDS) $(CARGO) test --release -p kokkiri-engine --test crash -- --nocapture

# kill -9 under pgbench, ROUNDS times.
test-kill: build tools
	integration-tests/run_kill.py --rounds $(ROUNDS)

# Bad input: every fuzz target for SECONDS, or from SEED on.
fuzz: build tools
	KOKKIRI_FUZZ_SECONDS=$(SECONDS) $(if $(SEED),KOKKIRI_FUZZ_SEED=$(SEED)) $(CARGO) test --workspace --test fuzz -- --nocapture
	$(VENV)/bin/python integration-tests/fuzz_wire.py --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))
	$(VENV)/bin/python integration-tests/fuzz_queries.py --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

# Random statements on PostgreSQL 18 and on Kokkiri, which must agree: SECONDS long, or from SEED on.
fuzz-sql: build tools
	$(VENV)/bin/python integration-tests/fuzz_queries.py --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

# A disk that fills up under the tables, and under the log.
test-full-disk: build tools
	integration-tests/run_full_disk.py

# PostgreSQL 18 on our files and our log, and we on PostgreSQL's.
test-witness-reads: build tools
	integration-tests/run_witness_reads.py

# How fast CONNECTIONS connections are opened, and what memory each holds.
measure-connections: build tools
	integration-tests/measure_connections.py --count $(CONNECTIONS)

# What a fixed workload writes to the WAL, beside what PostgreSQL 18 writes.
test-wal: build tools
	integration-tests/compare_wal.py

# Expectations come from real PostgreSQL 18: check that it still agrees with all of them.
witness: tools
	integration-tests/run_sql.py --witness
	$(VENV)/bin/python -m pytest -q --witness integration-tests/drivers integration-tests/isolation
	integration-tests/run_pgbench.py --witness
	integration-tests/run_kill.py --witness --rounds 2

# Real PostgreSQL 18 as witness, and the drivers' Python packages.
tools: $(VENV)/ready
	integration-tests/fetch_postgresql.sh >/dev/null

$(VENV)/ready: integration-tests/requirements.txt
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r integration-tests/requirements.txt
	touch $@

clean:
	$(CARGO) clean
	rm -rf .cache
