#!/usr/bin/env python3
"""Run PostgreSQL's pgbench, unchanged: its ways of loading, its scripts, its query modes. No run may report an error,
and after the changing ones the balances of accounts, tellers and branches agree with the history.

    run_pgbench.py [--witness] [--scale N ...] [--seconds N]
"""

import argparse
import re
import sys

from servers import postgresql_bin, server_class

LOADS = [[], ["--foreign-keys"], ["-I", "dtGvp"]]
SCRIPTS = {"tpcb": [], "simple-update": ["-N"], "select-only": ["-S"]}
MODES = ["simple", "extended", "prepared"]


def sums(server):
    """Sums of accounts, tellers, branches and history, each by a statement of its own."""
    queries = ["select sum(abalance) from pgbench_accounts", "select sum(tbalance) from pgbench_tellers",
               "select sum(bbalance) from pgbench_branches", "select coalesce(sum(delta), 0) from pgbench_history"]
    return [int(server.query(query)) for query in queries]


class Runs:
    def __init__(self, server):
        self.server = server
        self.passed = 0
        self.failed = 0

    def check(self, name, problem, note=""):
        if problem:
            self.failed += 1
            print(f"FAILED {name}: {problem}", flush=True)
        else:
            self.passed += 1
            print(f"ok {name} {note}", flush=True)

    def pgbench(self, *arguments):
        done = self.server.tool("pgbench", *arguments)
        if done.returncode != 0:
            return done.stdout, f"exit status {done.returncode}: {done.stdout[-1500:]}"
        errors = [line for line in done.stdout.splitlines()
                  if line.startswith(("pgbench: error", "pgbench: warning")) or re.search(r"failed transactions: [1-9]", line)]
        return done.stdout, "; ".join(errors)

    def load(self, scale, how):
        _, problem = self.pgbench("-i", "-q", "-s", str(scale), *how)
        if not problem:
            counts = [int(self.server.query(f"select count(*) from pgbench_{table}")) for table in ("accounts", "tellers", "branches")]
            if counts != [scale * 100000, scale * 10, scale]:
                problem = f"rows {counts}"
        self.check(f"load -s {scale} {' '.join(how)}", problem)
        return not problem

    def script(self, script, mode, clients, seconds, *more):
        options = [*SCRIPTS[script], "-M", mode, "-c", str(clients), "-j", str(min(clients, 2)), "-T", str(seconds), "-n", *more]
        self.server.query("truncate pgbench_history")
        before = sums(self.server)
        output, problem = self.pgbench(*options)
        if not problem and script != "select-only":
            after = sums(self.server)
            change = [now - then for now, then in zip(after, before)]
            if script == "simple-update":
                change = [change[0], change[3]]
            if len(set(change)) != 1:
                problem = f"balances do not agree: {change}"
            done = int(re.search(r"transactions actually processed: (\d+)", output).group(1))
            rows = int(self.server.query("select count(*) from pgbench_history"))
            if not problem and rows != done:
                problem = f"{done} transactions, {rows} rows of history"
        tps = re.search(r"tps = ([0-9.]+)", output)
        self.check(f"{script} {mode} -c {clients} {' '.join(more)}", problem, f"{float(tps.group(1)):.0f} tps" if tps else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--witness", action="store_true")
    parser.add_argument("--scale", type=int, nargs="+", default=[1])
    parser.add_argument("--seconds", type=int, default=3, help="of each run")
    options = parser.parse_args()
    postgresql_bin()
    with server_class(options.witness)(settings=["max_connections=100"]) as server:
        runs = Runs(server)
        for scale in options.scale:
            for how in LOADS:
                loaded = runs.load(scale, how)
            if not loaded:
                continue
            for script in SCRIPTS:
                for mode in MODES:
                    for clients in (1, 16):
                        runs.script(script, mode, clients, options.seconds)
            runs.script("select-only", "simple", 4, options.seconds, "-C")
            runs.script("tpcb", "simple", 4, options.seconds, "-C")
    print(f"pgbench: {runs.passed} passed, {runs.failed} failed")
    return 1 if runs.failed else 0


if __name__ == "__main__":
    sys.exit(main())
