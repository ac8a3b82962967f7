"""What a kill may be aimed at, besides pgbench: statements of many steps, and recovery itself.

An aim is a client that keeps the server in the middle of such a statement until it is gone, and knows what must be true
afterwards.
"""

import subprocess
import threading


class Aim(threading.Thread):
    """A client that repeats a script until the connection ends."""

    prepare = ""
    script = ""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server = server

    def run(self):
        self.server.psql("-q", "-v", "ON_ERROR_STOP=1", "-f", "-", stdin=f"{self.script}\n" * 2000, check=False)

    def begin(self):
        if self.prepare:
            self.server.psql("-q", "-v", "ON_ERROR_STOP=1", "-c", self.prepare)
        self.start()

    def problems(self):
        """What is wrong now that the server is up again."""
        raise NotImplementedError


class CreateIndex(Aim):
    prepare = ("create table if not exists aim_index (a int, b text); truncate aim_index;"
               " insert into aim_index select g, 'value ' || g % 977 from generate_series(1, 20000) g")
    script = "create index aim_index_b on aim_index (b, a); drop index aim_index_b;"

    def problems(self):
        invalid = self.server.query("select count(*) from pg_index where not indisvalid or not indisready")
        if invalid != "0":
            yield f"{invalid} invalid indexes"
        by_table = self.server.query("set enable_indexscan = off; set enable_indexonlyscan = off; set enable_bitmapscan = off;"
                                     " select count(*) from aim_index where b >= ''")
        by_index = self.server.query("set enable_seqscan = off; select count(*) from aim_index where b >= ''")
        if by_table != "20000" or by_index != "20000":
            yield f"{by_table} rows of 20000, {by_index} by index"
        self.server.query("drop index if exists aim_index_b")


class Vacuum(Aim):
    prepare = ("create table if not exists aim_vacuum (a int primary key, b text); truncate aim_vacuum;"
               " insert into aim_vacuum select g, repeat('x', 100) from generate_series(1, 10000) g")
    # The sum is the same after each transaction; the tail is emptied, cut off, and filled again.
    script = ("begin; delete from aim_vacuum where a > 5000; insert into aim_vacuum select g, 'y' from generate_series(5001, 10000) g;"
              " delete from aim_vacuum where a <= 5000; insert into aim_vacuum select g, 'z' from generate_series(1, 5000) g; commit;\n"
              "vacuum aim_vacuum;")

    def problems(self):
        for way in ("enable_seqscan", "enable_indexonlyscan"):
            found = self.server.query(f"set {way} = off; set enable_bitmapscan = off; select count(*), sum(a), count(distinct a) from aim_vacuum where a > 0")
            if found != "10000|50005000|10000":
                yield f"a vacuumed table shows {found} with {way} off"


class CreateDatabase(Aim):
    script = "create database aim_database;\ndrop database aim_database;"

    def problems(self):
        there = self.server.query("select count(*), coalesce(max(datconnlimit), 0) from pg_database where datname = 'aim_database'")
        if there == "1|-1":
            relations = self.server.query("select count(*) from pg_class", database="aim_database")
            if int(relations) < 300:
                yield f"a new database has {relations} relations"
            self.server.query("create table t as select 1 as a; select sum(a) from t", database="aim_database")
        if there != "0|0":
            self.server.query("drop database aim_database")


class Copy(Aim):
    prepare = "create table if not exists aim_copy (a int primary key, b text); truncate aim_copy"

    def run(self):
        """Each COPY brings a thousand rows; psql ends when the server does."""
        for first in range(0, 10_000_000, 1000):
            rows = "".join(f"{n}\t{'c' * (n % 200)}\n" for n in range(first, first + 1000))
            done = subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", "copy aim_copy from stdin"],
                                  executable=self.server.program("psql"), env=self.server.environment(), input=rows, text=True,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if done.returncode != 0:
                return
            self.acknowledged = first + 1000

    def begin(self):
        self.acknowledged = 0
        super().begin()

    def problems(self):
        count, last = (int(n) for n in self.server.query("select count(*), coalesce(max(a) + 1, 0) from aim_copy").split("|"))
        if count != last or count % 1000 != 0 or not self.acknowledged <= count <= self.acknowledged + 1000:
            yield f"COPY of whole thousands: {count} rows up to {last}, {self.acknowledged} acknowledged"


AIMS = [CreateIndex, Vacuum, CreateDatabase, Copy]
