#!/usr/bin/env python3
"""Run the SQL scripts in sql/ and compare what psql prints with the expected output beside them.

    run_sql.py [NAME ...]             against Kokkiri
    run_sql.py --witness [NAME ...]   against real PostgreSQL 18, which must agree with every expectation
    run_sql.py --update [NAME ...]    write the expected outputs, from real PostgreSQL 18

Each script runs in a database of its own. Expected outputs are always PostgreSQL's, never Kokkiri's.
"""

import argparse
import difflib
import glob
import os
import sys

from servers import Kokkiri, PostgreSQL

HERE = os.path.dirname(os.path.abspath(__file__))
# What the witness and Kokkiri are both run with, so that plans and outputs do not depend on the machine.
SETTINGS = ["max_parallel_workers_per_gather=0", "TimeZone=UTC", "autovacuum=off", "jit=off"]


def scripts(names):
    paths = sorted(glob.glob(os.path.join(HERE, "sql", "*.sql")))
    known = {os.path.basename(path)[:-4]: path for path in paths}
    return [(name, known[name]) for name in (names or known)]


def run(server, name, path):
    database = "t_" + name
    server.psql("-qc", f'drop database if exists "{database}"', "-c", f'create database "{database}"')
    with open(path) as script:
        return server.psql("-a", "-q", "-d", database, stdin=script.read(), check=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--witness", action="store_true")
    parser.add_argument("--update", action="store_true")
    options = parser.parse_args()
    kind = PostgreSQL if options.witness or options.update else Kokkiri
    passed, failed = 0, []
    with kind(settings=SETTINGS) as server:
        for name, path in scripts(options.names):
            expected_path = path[:-4] + ".out"
            answer = run(server, name, path)
            if options.update:
                with open(expected_path, "w") as out:
                    out.write(answer)
                continue
            with open(expected_path) as expected:
                wanted = expected.read()
            if answer == wanted:
                passed += 1
                continue
            failed.append(name)
            sys.stdout.writelines(difflib.unified_diff(
                wanted.splitlines(True), answer.splitlines(True), f"{name}.out (PostgreSQL)", f"{name} ({server.name})"))
    if not options.update:
        for name in failed:
            print(f"FAILED {name}")
        print(f"sql: {passed} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
