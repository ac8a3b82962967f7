#!/usr/bin/env python3
"""Kill the server with SIGKILL while pgbench works, start it again, and look for what must never be lost.

    run_kill.py [--witness] [--rounds N] [--seconds N] [--clients N]

Rounds take turns in what else is under way: CREATE INDEX, VACUUM, CREATE DATABASE, COPY (kill_aims.py), and and in most
rounds the server is killed again while it recovers.

In every round, while `pgbench -c 8` runs, two recording clients commit numbered rows and note each one that the server
has acknowledged. Every process of the server is killed at a random moment. After the restart
  - accounts, tellers and branches have the same sum of balances, and the history says the same,
  - every acknowledged row is there, and none that was never sent,
  - pg_waldump reads the log from the last checkpoint to its end, pg_controldata reads the control file.
In the end the server is stopped cleanly and pg_checksums looks at every page.
"""

import argparse
import os
import random
import re
import subprocess
import sys
import threading
import time

from drivers import wire
from kill_aims import AIMS
from run_pgbench import sums
from servers import postgresql_bin, server_class


class Recorder(threading.Thread):
    """Commits numbered rows on a connection of its own until the server is gone."""

    def __init__(self, port, number):
        super().__init__(daemon=True)
        self.port = port
        self.number = number
        self.acknowledged = []
        self.sent = None

    def run(self):
        try:
            client = wire.Wire(self.port, timeout=60)
        except OSError:
            return
        step = 0
        while True:
            step += 1
            key = self.number * 1_000_000_000 + step
            # Single statements and blocks; some with a savepoint that is undone, some that are rolled back whole.
            if step % 7 == 0:
                text = f"begin; insert into recorded values ({key}, 'block'); savepoint s; insert into recorded values (-{key}, 'undone'); rollback to s; commit"
            elif step % 11 == 0:
                text = f"begin; insert into recorded values (-{key}, 'rolled back'); rollback"
            else:
                text = f"insert into recorded values ({key}, repeat('x', {step % 300}))"
            self.sent = key
            try:
                answer = client.ask(wire.query(text))
            except OSError:
                return
            if not answer or answer[-1][0] != b"Z":
                return
            if any(kind == b"E" for kind, _ in answer):
                self.acknowledged = None
                return
            if step % 11 != 0 or step % 7 == 0:
                self.acknowledged.append(key)


class Round:
    def __init__(self, server):
        self.server = server
        self.problems = []

    def expect(self, holds, text):
        if not holds:
            self.problems.append(text)

    def work_and_kill(self, clients, seconds, first, aim):
        bench = subprocess.Popen([os.path.join(postgresql_bin(), "pgbench"), "-n", "-c", str(clients), "-j", "2", "-T", "600", "-M",
                                  random.choice(["simple", "prepared"])],
                                 env=self.server.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        recorders = [Recorder(self.server.port, first + i) for i in range(2)]
        for recorder in recorders:
            recorder.start()
        aim.begin()
        pause = random.uniform(0.3, 1) * seconds
        if random.random() < 0.5:
            time.sleep(pause / 2)
            checkpoint = threading.Thread(target=lambda: self.server.psql("-qc", "checkpoint", check=False))
            checkpoint.start()
            pause /= 2
        time.sleep(pause)
        self.expect(bench.poll() is None, "pgbench ended before the kill")
        self.server.kill_all()
        output, _ = bench.communicate(timeout=60)
        for recorder in recorders:
            recorder.join(60)
        aim.join(60)
        wrong = [line for line in output.splitlines() if "ERROR" in line]
        self.expect(not wrong, f"pgbench saw {wrong[:3]}")
        return recorders

    def kill_in_recovery(self):
        """Starts and kills at once, or after a moment: somewhere between the first read and the first client."""
        self.server.start_without_waiting()
        time.sleep(random.choice([0.02, 0.1, 0.4]) * random.random())
        self.server.kill_all()

    def check(self, recorders, aim):
        server = self.server
        self.problems.extend(aim.problems())
        accounts, tellers, branches, history = sums(server)
        self.expect(accounts == tellers == branches == history, f"balances: accounts {accounts}, tellers {tellers}, branches {branches}, history {history}")
        for recorder in recorders:
            if recorder.acknowledged is None:
                self.problems.append("a recording client got an error")
                continue
            low, high = recorder.number * 1_000_000_000, (recorder.number + 1) * 1_000_000_000
            there = {int(key) for key in server.query(f"select id from recorded where id >= {low} and id < {high}").split()}
            lost = set(recorder.acknowledged) - there
            extra = there - set(recorder.acknowledged) - {recorder.sent}
            self.expect(not lost, f"{len(lost)} of {len(recorder.acknowledged)} acknowledged rows are lost, first {min(lost, default=None)}")
            self.expect(not extra, f"{len(extra)} rows that were not acknowledged are there, first {min(extra, default=None)}")
        self.expect(server.query("select count(*) from recorded where id < 0") == "0", "rolled back rows are there")
        by_index = server.psql("-Atq", "-c", "set enable_seqscan = off", "-c", "select count(*) from recorded where id > 0").strip()
        by_table = server.psql("-Atq", "-c", "set enable_indexscan = off", "-c", "set enable_indexonlyscan = off",
                               "-c", "set enable_bitmapscan = off", "-c", "select count(*) from recorded where id > 0").strip()
        self.expect(by_index == by_table, f"the index has {by_index} rows, the table {by_table}")
        self.expect("in production" in self.control_file(), "pg_controldata does not say that the server runs")

    def control_file(self):
        done = self.server.tool("pg_controldata", "-D", self.server.data)
        self.expect(done.returncode == 0 and "WARNING" not in done.stdout, f"pg_controldata: {done.stdout[:500]}")
        return done.stdout

    def read_log(self):
        """pg_waldump from the last checkpoint's redo point: it must end where zeroes or older pages begin, not in a broken record."""
        redo = re.search(r"REDO location:\s+(\S+)", self.control_file())
        if not redo:
            return
        end = self.server.query("select pg_current_wal_flush_lsn()")
        done = self.server.waldump(redo.group(1), "--quiet", end=end)
        self.expect(done.returncode == 0, f"pg_waldump up to {end}: {done.stdout[-500:]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--witness", action="store_true")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=4, help="at most, of work before each kill")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    random.seed(seed)
    print(f"seed {seed}")
    passed = failed = 0
    server = server_class(options.witness)(settings=["max_wal_size=64MB", "checkpoint_timeout=30s"])
    server.start()
    try:
        done = server.tool("pgbench", "-i", "-q", "-s", "1")
        if done.returncode != 0:
            raise RuntimeError(f"pgbench -i: {done.stdout}")
        server.query("create table recorded (id bigint primary key, filler text)")
        for number in range(options.rounds):
            this = Round(server)
            aim = AIMS[number % len(AIMS)](server)
            recorders = this.work_and_kill(options.clients, options.seconds, number * 2, aim)
            for _ in range(random.choice([0, 1, 1, 3])):
                this.kill_in_recovery()
            started = time.monotonic()
            server.start()
            recovery = time.monotonic() - started
            this.check(recorders, aim)
            this.read_log()
            count = sum(len(r.acknowledged or ()) for r in recorders)
            print(f"round {number + 1}, {type(aim).__name__}: {'ok' if not this.problems else 'FAILED: ' + '; '.join(this.problems)}"
                  f" ({count} recorded commits, up again in {recovery:.2f} s)", flush=True)
            passed, failed = passed + (not this.problems), failed + bool(this.problems)
        server.stop()
        checked = server.tool("pg_checksums", "--check", "-D", server.data)
        if checked.returncode == 0 and re.search(r"Bad checksums:\s+0", checked.stdout):
            passed += 1
        else:
            failed += 1
            print(f"FAILED pg_checksums: {checked.stdout[-1500:]}")
    except Exception as error:
        failed += 1
        print(f"FAILED: {error}\n--- end of the server's log\n{server.log()[-3000:]}")
    finally:
        if failed:
            print(f"the data directory stays in {server.directory}")
            if server.process.poll() is None:
                server.kill_all()
        else:
            server.remove()
    print(f"kill: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
