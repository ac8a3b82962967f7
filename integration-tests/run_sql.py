#!/usr/bin/env python3
"""Run the SQL scripts in sql/ and compare what psql prints with the expected output beside them.

    run_sql.py [NAME ...]             against Kokkiri
    run_sql.py --witness [NAME ...]   against real PostgreSQL 18, which must agree with every expectation
    run_sql.py --update [NAME ...]    write the expected outputs, from real PostgreSQL 18

Each script runs in a database of its own. Expected outputs are always PostgreSQL's, never Kokkiri's. Scripts that
Kokkiri does not pass yet stand in expected_failures.txt, each with its reason; one that passes must leave that list.
"""

import argparse
import difflib
import glob
import os
import sys

from servers import Kokkiri, PostgreSQL, forget_gaps, known_gaps

HERE = os.path.dirname(os.path.abspath(__file__))
# What the witness and Kokkiri are both run with, so that plans and outputs do not depend on the machine.
SETTINGS = ["max_parallel_workers_per_gather=0", "TimeZone=UTC", "autovacuum=off", "jit=off"]


def scripts(names):
    paths = sorted(glob.glob(os.path.join(HERE, "sql", "*.sql")))
    known = {os.path.basename(path)[:-4]: path for path in paths}
    return [(name, known[name]) for name in (names or known)]


def run(server, name, path):
    """What psql prints for a script in a database of its own."""
    database = "t_" + name
    server.psql("-qc", f'drop database if exists "{database}"', "-c", f'create database "{database}"')
    with open(path) as script:
        return server.psql("-a", "-q", "-d", database, stdin=script.read(), check=False)


def answers(kind, names):
    """Each script with its answer."""
    with kind(settings=SETTINGS) as server:
        for name, path in scripts(names):
            yield name, path, run(server, name, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--witness", action="store_true")
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--shrink", action="store_true", help="take what passes out of expected_failures.txt")
    parser.add_argument("--verbose", action="store_true", help="show the differences of known gaps too")
    options = parser.parse_args()
    kind = PostgreSQL if options.witness or options.update else Kokkiri
    gaps = {} if kind is PostgreSQL else known_gaps("sql")
    passed, failed, known, closed = 0, [], [], []
    for name, path, answer in answers(kind, options.names):
        expected_path = path[:-4] + ".out"
        if options.update:
            with open(expected_path, "w") as out:
                out.write(answer)
            continue
        with open(expected_path) as expected:
            wanted = expected.read()
        if answer == wanted:
            passed += 1
            if name in gaps:
                closed.append(name)
            continue
        if name in gaps:
            known.append(name)
            if not options.verbose:
                continue
        else:
            failed.append(name)
        sys.stdout.writelines(difflib.unified_diff(
            wanted.splitlines(True), answer.splitlines(True), f"{name}.out (PostgreSQL)", f"{name} ({kind.name})"))
    if not options.update:
        if options.shrink:
            forget_gaps("sql", closed)
            closed = []
        for name in known:
            print(f"known gap {name}: {gaps[name]}")
        for name in closed:
            print(f"FAILED {name}: it passes, so take it out of expected_failures.txt")
        for name in failed:
            print(f"FAILED {name}")
        print(f"sql: {passed - len(closed)} passed, {len(failed) + len(closed)} failed, {len(known)} known gaps")
    return 1 if failed or closed else 0


if __name__ == "__main__":
    sys.exit(main())
