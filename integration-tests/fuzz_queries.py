#!/usr/bin/env python3
"""Run random statements on PostgreSQL 18 and on Kokkiri: their rows and SQLSTATEs must agree.

    fuzz_queries.py [--seed N] [--count N] [--seconds N] [--statements N]

A case is a random schema and some statements over it, each run with the planner's default settings and again with
some of its methods switched off or with so little work_mem that sorts, hashes and materialised rows spill. Every case
has a seed of its own: a failure prints the command that repeats it, the schema and the statement.

What Kokkiri answers with 0A000 (not built) and what runs out of time on either side is counted apart and does not
fail the run.
"""

import argparse
import random
import sys
import time
from collections import Counter

import psycopg

from fuzz.generator import Generator, Schema
from servers import Kokkiri, PostgreSQL

SETTINGS = ["max_parallel_workers_per_gather=0", "TimeZone=UTC", "autovacuum=off", "jit=off", "statement_timeout=10s"]
METHODS = ("hashjoin", "mergejoin", "nestloop", "indexscan", "indexonlyscan", "seqscan", "hashagg", "sort", "material",
           "bitmapscan", "memoize")
NOT_BUILT = "0A000"
CANCELED = "57014"


class Side:
    """One server's connection."""

    def __init__(self, server):
        self.server = server
        self.connection = None

    def connect(self):
        if self.connection is None or self.connection.closed:
            self.connection = psycopg.connect(host="127.0.0.1", port=self.server.port, user="postgres",
                                              dbname="postgres", autocommit=True, prepare_threshold=None)
            self.connection.execute("set client_min_messages = error")

    def run(self, statement):
        """Rows as text, or the SQLSTATE and the message."""
        self.connect()
        try:
            cursor = psycopg.RawCursor(self.connection)
            cursor.execute(statement)
            if cursor.description is None:
                return ("rows", [], cursor.statusmessage)
            result = cursor.pgresult
            rows = [
                tuple(result.get_value(row, column) for column in range(result.nfields))
                for row in range(result.ntuples)
            ]
            return ("rows", rows, cursor.statusmessage)
        except psycopg.Error as error:
            return ("error", error.sqlstate or "connection lost", str(error).splitlines()[0] if str(error) else "")


def comparable(answer, ordered):
    if answer[0] == "error":
        return answer[:2]
    key = lambda row: [(value is None, value or b"") for value in row]
    return ("rows", answer[1] if ordered else sorted(answer[1], key=key), answer[2])


def random_settings(dice):
    chosen = [f"set enable_{method} = off" for method in METHODS if dice.random() < 0.25]
    if dice.random() < 0.5:
        chosen.append("set work_mem = '64kB'")
    return chosen


class Tester:
    def __init__(self, witness, subject):
        self.witness, self.subject = Side(witness), Side(subject)
        self.statements = 0
        self.slow = 0
        self.gaps = Counter()
        self.failures = 0

    def both(self, statement):
        return self.witness.run(statement), self.subject.run(statement)

    def prepare(self, schema):
        for statement in ["reset all", *(f"drop table if exists t{at}" for at in range(4)), *schema.script]:
            expected, found = self.both(statement)
            if expected[0] == "error" or found[0] == "error":
                raise RuntimeError(f"the schema can't be made: {statement}\n{expected}\n{found}")

    def check(self, seed, schema, settings, statement, ordered):
        self.statements += 1
        expected, found = self.both(statement)
        if comparable(expected, ordered) == comparable(found, ordered):
            return expected[0] == "rows"
        if found[0] == "error" and found[1] == NOT_BUILT:
            self.gaps[found[2]] += 1
            return False
        if CANCELED in (expected[1], found[1]):
            self.slow += 1
            if expected[1] != CANCELED:
                print(f"-- too slow here: fuzz_queries.py --seed {seed} --count 1\n{'; '.join([*settings, statement])};\n", flush=True)
            return False
        self.failures += 1
        print(f"-- FAILED: fuzz_queries.py --seed {seed} --count 1")
        for line in [*schema.script, *settings, statement]:
            print(line + ";")
        print(f"-- PostgreSQL: {shown(expected)}\n-- Kokkiri:    {shown(found)}\n", flush=True)
        return False

    def case(self, seed, statements):
        dice = random.Random(seed)
        schema = Schema(dice)
        self.prepare(schema)
        generator = Generator(dice, schema)
        for _ in range(statements):
            settings = random_settings(dice)
            if dice.random() < 0.2:
                table, statement = generator.modification()
                self.modify(seed, schema, settings, table, statement)
                continue
            ordered = dice.random() < 0.4
            statement, _ = generator.select(ordered=ordered)
            self.both("reset all")
            if self.check(seed, schema, [], statement, ordered):
                for setting in settings:
                    self.both(setting)
                self.check(seed, schema, settings, statement, ordered)

    def modify(self, seed, schema, settings, table, statement):
        """A modification and what it leaves behind, then undone."""
        self.both("reset all")
        for setting in [*settings, "begin"]:
            self.both(setting)
        if self.check(seed, schema, settings, statement, ordered=False):
            left = f"select * from {table.name}"
            self.check(seed, schema, [*settings, statement], left, ordered=False)
        self.both("rollback")


def shown(answer):
    if answer[0] == "error":
        return f"{answer[1]} {answer[2]}"
    rows = [tuple(value.decode() if value is not None else None for value in row) for row in answer[1][:12]]
    return f"{answer[2]} {rows}{' ...' if len(answer[1]) > 12 else ''}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, help="of the first case; the following ones count up")
    parser.add_argument("--count", type=int, default=0, help="cases; without it as many as --seconds allows")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--statements", type=int, default=25, help="in each case")
    parser.add_argument("--stop", type=int, default=10, help="after so many failures")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 30)
    first, started = seed, time.monotonic()
    with PostgreSQL(settings=SETTINGS) as witness, Kokkiri(settings=SETTINGS) as subject:
        tester = Tester(witness, subject)
        started = time.monotonic()
        while tester.failures < options.stop:
            if options.count and seed >= first + options.count:
                break
            if not options.count and time.monotonic() - started > options.seconds:
                break
            tester.case(seed, options.statements)
            seed += 1
    for message, times in tester.gaps.most_common():
        print(f"not built, {times} times: {message}")
    print(f"fuzz-sql: seeds {first} to {seed - 1}: {tester.statements} statements, {tester.failures} failed, "
          f"{sum(tester.gaps.values())} not built, {tester.slow} too slow")
    return 1 if tester.failures else 0


if __name__ == "__main__":
    sys.exit(main())
