#!/usr/bin/env python3
"""Run one fixed workload on PostgreSQL 18 and on Kokkiri and compare what each wrote to its WAL.

    compare_wal.py [--small] [--phases] [--write FILE]

Both run with the same settings. Then pg_waldump counts the records of both logs by type. It must find the same types,
and in total and for every type that makes up a hundredth of either log the bytes without page images, and the bytes of
page images, may differ by a tenth. What depends on the moment is left out: records that background workers write by
the clock. `--phases` compares each part of the workload by itself, which shows where a difference comes from; `--write`
puts the table into a file between its two marks.
"""

import argparse
import os
import re
import subprocess
import sys

from servers import Kokkiri, PostgreSQL, postgresql_bin

SETTINGS = ["autovacuum=off", "checkpoint_timeout=1h", "max_wal_size=4GB", "wal_keep_size=4GB", "shared_buffers=128MB",
            "TimeZone=UTC", "max_parallel_maintenance_workers=0", "max_parallel_workers_per_gather=0",
            "bgwriter_delay=10s", "wal_writer_delay=10s"]

# Written by the background writer every 15 s, and by a checkpoint.
BY_THE_CLOCK = {"Standby/RUNNING_XACTS"}

# The parts of the workload: a name, then pgbench's arguments or a script for psql. {n} scales the number of rows.
WORKLOAD = [
    ("pgbench -i", ["-i", "-q", "-s", "1"]),
    ("pgbench TPC-B", ["-n", "-M", "simple", "-c", "1", "-t", "{n}", "--random-seed=18"]),
    ("pgbench TPC-B after a checkpoint", "checkpoint;"),
    ("pgbench TPC-B prepared", ["-n", "-M", "prepared", "-c", "1", "-t", "{n}", "--random-seed=19"]),
    ("create", """
        create table narrow (id int primary key, grp int, note text);
        create index narrow_grp on narrow (grp);
        create table wide (id int primary key, a text, b text, c text, n int);
        create table long (id int primary key, body text);
        create table doomed (id int primary key, note text);
    """),
    ("insert", """
        insert into narrow select i, i % 10, 'note ' || i from generate_series(1, {n}) i;
        insert into narrow values ({n} + 1, 1, 'one'), ({n} + 2, 2, 'two'), ({n} + 3, 3, null);
        insert into wide select i, repeat(md5(i::text), 6), repeat(md5((i + 1)::text), 6), repeat('c', 100), i from generate_series(1, {n} / 2) i;
        insert into doomed select i, 'row ' || i from generate_series(1, {n} / 2) i;
    """),
    ("insert at random", """
        insert into narrow select 1000000 + (i::bigint * 7919 % 100003)::int, (i::bigint * 31 % 1000)::int, md5(i::text) from generate_series(1, {n}) i;
    """),
    ("small updates of wide rows", """
        update wide set n = n + 1 where id % 3 = 0;
        update wide set c = 'd' || c where id % 5 = 0;
        update wide set a = a || 'x', n = 0 where id % 7 = 0;
    """),
    ("updates of indexed columns", """
        update narrow set grp = grp + 1 where id % 4 = 0;
        update narrow set note = 'changed' where id % 6 = 0;
    """),
    ("row locks", """
        begin; select count(*) from (select * from narrow where id <= 50 for update) locked; commit;
        begin; select count(*) from (select * from narrow where id <= 50 for share) locked; commit;
        begin; select count(*) from (select * from narrow where id <= 20 for key share) locked; savepoint s;
        update narrow set note = 'locked, then changed' where id <= 20; commit;
    """),
    ("toast", """
        insert into long select i, string_agg(md5((i * 1000 + j)::text), '') from generate_series(1, {n} / 20) i, generate_series(1, 300) j group by i;
        insert into long select 100000 + i, repeat('compresses well ', 500) from generate_series(1, {n} / 20) i;
        update long set body = body || 'more' where id % 4 = 0;
        delete from long where id % 5 = 0;
    """),
    ("savepoints", """
        begin; insert into doomed values (1000001, 'kept'); savepoint a; insert into doomed values (1000002, 'undone');
        rollback to a; insert into doomed values (1000003, 'kept'); savepoint b; insert into doomed values (1000004, 'kept'); commit;
        begin; insert into doomed values (1000005, 'rolled back'); rollback;
        begin; savepoint a; insert into doomed values (1000006, 'x'); release a; savepoint b; update doomed set note = 'y' where id = 1000006; commit;
    """),
    ("copy", """
        create table copied (id int, grp int, note text);
{copied}
        create index copied_id on copied (id);
{copied}
    """),
    ("delete", """
        delete from doomed where id % 3 <> 0;
        delete from narrow where id > 1000000 and id % 2 = 0;
    """),
    ("vacuum", """
        vacuum doomed; vacuum narrow; vacuum wide; vacuum long; vacuum pgbench_accounts; vacuum copied;
    """),
    ("delete all, vacuum", """
        delete from doomed; vacuum doomed;
        delete from narrow where id <= {n}; vacuum narrow; vacuum narrow;
    """),
    ("checkpoint", "checkpoint;"),
    ("read after a checkpoint", """
        update copied set note = 'seen' where id % 50 = 0;
        checkpoint;
        select count(*) from copied; select count(*) from wide;
    """),
    ("freeze", "vacuum (freeze) wide; vacuum (freeze) copied;"),
    ("analyze", "analyze narrow; analyze wide;"),
    ("schema", """
        create schema s;
        create table s.child (id int primary key, parent int references wide (id), v int not null, u text unique);
        insert into s.child select i, i, i, 'u' || i from generate_series(1, 50) i;
        alter table s.child add column extra text;
        alter table s.child drop column extra;
        alter table s.child rename column v to w;
        truncate copied;
        insert into copied values (1, 1, 'after truncate');
        begin; create table gone (id int primary key); insert into gone values (1); rollback;
        drop table s.child;
        drop schema s;
        drop table doomed;
        drop index narrow_grp;
    """),
]


class Log:
    """One server's log: where each part of the workload begins and ends, and what pg_waldump counts there."""

    def __init__(self, kind, rows):
        self.server = kind(settings=SETTINGS)
        self.rows = rows
        self.marks = []

    def position(self):
        return self.server.query("select pg_current_wal_insert_lsn()")

    def copied(self):
        rows = "".join(f"{i}\t{i % 7}\tcopied row {i}\n" for i in range(1, self.rows + 1))
        return f"copy copied from stdin;\n{rows}\\."

    def write(self):
        server = self.server
        server.start()
        self.marks.append(("", self.position()))
        for name, work in WORKLOAD:
            if isinstance(work, list):
                done = server.tool("pgbench", *[word.replace("{n}", str(self.rows)) for word in work])
                problem = done.returncode != 0
                output = done.stdout
            else:
                script = work.replace("{n}", str(self.rows)).replace("{copied}", self.copied())
                done = subprocess.run([os.path.join(postgresql_bin(), "psql"), "-X", "-q", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1"],
                                      input=script, env=server.environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                problem = done.returncode != 0
                output = done.stdout
            if problem:
                raise RuntimeError(f"{server.name}, {name}: {output[-1500:]}")
            self.marks.append((name, self.position()))
        server.stop()

    def statistics(self, start, end):
        """By record type: count, bytes of records, bytes of page images."""
        done = self.server.waldump(start, "--stats=record", end=end)
        if done.returncode != 0:
            raise RuntimeError(f"{self.server.name}: pg_waldump: {done.stdout[-1000:]}")
        found = {}
        for line in done.stdout.splitlines():
            row = re.match(r"(\S+/\S+)\s+(\d+) \([^)]*\)\s+(\d+) \([^)]*\)\s+(\d+) \(", line)
            if row and row.group(2) != "0":
                found[row.group(1)] = tuple(map(int, row.group(2, 3, 4)))
        return found


class Comparison:
    """PostgreSQL's and Kokkiri's records, type by type."""

    TENTH = 0.10
    # Types that make up less than this share of both logs may differ more: a few records of a kind.
    NOTABLE = 0.01

    def __init__(self, theirs, ours):
        self.rows = [(name, theirs.get(name, (0, 0, 0)), ours.get(name, (0, 0, 0))) for name in sorted({*theirs, *ours})]
        self.total = tuple(tuple(sum(row[side][i] for row in self.rows if row[0] not in BY_THE_CLOCK) for i in range(3)) for side in (1, 2))

    @staticmethod
    def apart(theirs, ours):
        return abs(ours - theirs) / theirs if theirs else (1.0 if ours else 0.0)

    def problems(self):
        found = []
        for what, i in (("bytes of records", 1), ("bytes of page images", 2)):
            theirs, ours = self.total[0][i], self.total[1][i]
            if self.apart(theirs, ours) > self.TENTH:
                found.append(f"in total PostgreSQL writes {theirs} {what}, Kokkiri {ours}")
        for name, theirs, ours in self.rows:
            if name in BY_THE_CLOCK:
                continue
            if not theirs[0] or not ours[0]:
                found.append(f"{name}: {theirs[0]} of PostgreSQL, {ours[0]} of Kokkiri")
                continue
            for what, i in (("bytes of records", 1), ("bytes of page images", 2)):
                notable = max(theirs[i], ours[i]) >= self.NOTABLE * sum(self.total[0][1:])
                if notable and self.apart(theirs[i], ours[i]) > self.TENTH:
                    found.append(f"{name}: {theirs[i]} {what} of PostgreSQL, {ours[i]} of Kokkiri")
        return found

    def table(self):
        lines = ["| record | PostgreSQL: records | bytes | page images | Kokkiri: records | bytes | page images | bytes, ratio |",
                 "|---|---:|---:|---:|---:|---:|---:|---:|"]
        for name, theirs, ours in [*self.rows, ("**total**", *self.total)]:
            ratio = f"{sum(ours[1:]) / sum(theirs[1:]):.2f}" if sum(theirs[1:]) else "-"
            lines.append("| " + " | ".join([name, *map(str, theirs), *map(str, ours), ratio]) + " |")
        return "\n".join(lines)

    def differences(self):
        """The types whose records or bytes are not the same, for reading."""
        lines = []
        for name, theirs, ours in self.rows:
            if theirs != ours:
                lines.append(f"    {name:<34} {theirs[0]:>7} {theirs[1]:>9} {theirs[2]:>9}   {ours[0]:>7} {ours[1]:>9} {ours[2]:>9}")
        return "\n".join(lines)


BEGIN, END = "<!-- compare_wal.py: begin -->", "<!-- compare_wal.py: end -->"


def write_table(path, table):
    with open(path) as document:
        text = document.read()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    with open(path, "w") as document:
        document.write(f"{before}{BEGIN}\n{table}\n{END}{after}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a tenth of the rows")
    parser.add_argument("--phases", action="store_true", help="show the differences of each part of the workload")
    parser.add_argument("--write", metavar="FILE", help="put the table into this document")
    options = parser.parse_args()
    logs = [Log(kind, 200 if options.small else 2000) for kind in (PostgreSQL, Kokkiri)]
    problems = []
    try:
        for log in logs:
            log.write()
        if options.phases:
            for i, (name, _) in enumerate(WORKLOAD):
                part = Comparison(*(log.statistics(log.marks[i][1], log.marks[i + 1][1]) for log in logs))
                print(f"{name}: {sum(part.total[0][1:])} bytes, {sum(part.total[1][1:])} bytes\n{part.differences()}")
        whole = Comparison(*(log.statistics(log.marks[0][1], log.marks[-1][1]) for log in logs))
        problems = whole.problems()
        print(whole.table())
        if options.write:
            write_table(options.write, whole.table())
        checks = len(whole.rows) + 2
    except Exception as error:
        problems, checks = [f"{error}\n--- end of Kokkiri's log\n{logs[1].server.log()[-6000:]}"], 1
    finally:
        for log in logs:
            log.server.remove()
    for problem in problems:
        print(f"FAILED {problem}")
    print(f"wal: {checks - len(problems)} passed, {len(problems)} failed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
