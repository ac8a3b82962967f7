#!/usr/bin/env python3
"""Run the server on a disk that fills up: a small tmpfs under the tables, then one under the log.

    run_full_disk.py [--witness]

With the tables' disk full a statement is refused as PostgreSQL refuses it (53100, with its hint), what was committed
stays, and with space freed the same session works again. With the log's disk full the server stops with a PANIC and
loses nothing: with space it starts, recovers and has every acknowledged row. Mounting needs root; without, the
program says so and counts one test that was left out.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time

from servers import PostgreSQL, server_class


class Mount:
    """A tmpfs of `megabytes` at a directory."""

    def __init__(self, path, megabytes):
        self.path = path
        os.makedirs(path, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}M,mode=0700", "tmpfs", path], check=True, capture_output=True)

    def resize(self, megabytes):
        subprocess.run(["mount", "-o", f"remount,size={megabytes}M", self.path], check=True)

    def free_bytes(self):
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def fill(self, leave=0):
        """Takes all space but `leave` bytes."""
        with open(os.path.join(self.path, "ballast"), "wb") as ballast:
            left = self.free_bytes() - leave
            while left > 0:
                try:
                    ballast.write(bytes(min(left, 1 << 20)))
                    ballast.flush()
                except OSError:
                    return
                left -= 1 << 20

    def empty(self):
        os.remove(os.path.join(self.path, "ballast"))

    def unmount(self):
        subprocess.run(["umount", "-l", self.path], check=False)


class Checks:
    def __init__(self):
        self.passed = self.failed = 0

    def __call__(self, name, holds, shown=""):
        if holds:
            self.passed += 1
            print(f"ok {name}", flush=True)
        else:
            self.failed += 1
            print(f"FAILED {name}: {shown}", flush=True)


def move_to_mount(server, part, megabytes):
    """Puts a directory of a stopped server on a small disk of its own."""
    path = os.path.join(server.data, part)
    kept = path + ".kept"
    os.rename(path, kept)
    mount = Mount(path, megabytes)
    for name in os.listdir(kept):
        subprocess.run(["cp", "-a", os.path.join(kept, name), path], check=True)
    if server.user:
        subprocess.run(["chown", "-R", "postgres:postgres", path], check=True)
    shutil.rmtree(kept)
    return mount


def full_tables(kind, check):
    server = kind(settings=["autovacuum=off"])
    server.start()
    server.stop()
    mount = move_to_mount(server, "base", 60)
    try:
        server.start()
        server.query("create table t (id int primary key, filler text)")
        server.query("insert into t select i, repeat('x', 500) from generate_series(1, 1000) i")
        server.query("checkpoint")
        mount.fill(leave=300_000)
        answer = server.psql("-v", "VERBOSITY=verbose", "-c", "insert into t select i, repeat('y', 500) from generate_series(1001, 100000) i", check=False)
        check("a full disk refuses the statement with 53100", re.search(r'ERROR:  53100: could not extend file "base/\d+/\d+(\.\d+|_fsm|_vm)?"(: No space left on device|: wrote only \d+ of 8192 bytes| with FileFallocate\(\): No space left on device)', answer), answer)
        check("with PostgreSQL's hint", "HINT:  Check free disk space." in answer, answer)
        check("what was committed is there", server.query("select count(*), count(distinct id), sum(length(filler)) from t") == "1000|1000|500000", "other rows")
        check("reading goes on", server.query("select filler from t where id = 77") == "x" * 500, "another value")
        answer = server.psql("-v", "VERBOSITY=verbose", "-v", "ON_ERROR_STOP=1", "-c", "begin", "-c", "create table other (i int)",
                             "-c", "insert into other select generate_series(1, 1000000)", check=False)
        check("a block with a new table is refused too", "53100" in answer, answer)
        check("and leaves no table", server.query("select count(*) from pg_class where relname = 'other'") == "0", "it is there")
        mount.empty()
        server.query("insert into t select i, 'z' from generate_series(1001, 1100) i")
        check("with space it works again", server.query("select count(*) from t") == "1100", "not all rows")
        mount.fill(leave=0)
        for _ in range(3):
            server.psql("-c", "update t set filler = repeat('w', 600)", check=False)
        server.kill_all()
        mount.empty()
        time.sleep(1)
        server.start()
        check("a crash with a full disk loses nothing", server.query("select count(*) from t") == "1100", server.query("select count(*) from t"))
        check("its index too", server.psql("-Atq", "-c", "set enable_seqscan = off", "-c", "select count(*) from t where id > 0").strip() == "1100", "other rows")
        server.stop()
    except Exception as error:
        check("run on full tables", False, f"{error}\n{server.log()[-2000:]}")
    finally:
        if server.process.poll() is None:
            server.kill_all()
        mount.unmount()
        server.remove()


def full_log(kind, check):
    server = kind(settings=["autovacuum=off", "max_wal_size=2GB", "checkpoint_timeout=1h", "restart_after_crash=off"])
    server.start()
    server.stop()
    mount = move_to_mount(server, "pg_wal", 100)
    acknowledged = 0
    try:
        server.start()
        server.query("create table t (id int primary key, filler text)")
        mount.fill(leave=20 << 20)
        started = time.monotonic()
        while time.monotonic() - started < 120:
            first = acknowledged * 200
            answer = server.psql("-Atq", "-c", f"insert into t select i, md5(i::text) || repeat(md5(i::text), 20) from generate_series({first + 1}, {first + 200}) i returning id", check=False)
            if not answer.strip().endswith(str(first + 200)):
                break
            acknowledged += 1
        check("a full log ends the work", "server closed the connection" in answer or "No space" in answer or "FATAL" in answer, f"after {acknowledged} statements: {answer[-500:]}")
        deadline = time.monotonic() + 60
        while server.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        check("with a PANIC", re.search(r'PANIC:  (53100: )?(could not write to file "pg_wal/xlogtemp\.\w+"|could not write to log file .*|could not extend file "pg_wal/.*): No space left on device', server.log()), server.log()[-1500:])
        if server.process.poll() is None:
            server.kill_all()
        mount.empty()
        server.start()
        there = server.query("select count(*), count(distinct id) from t").split("|")
        check("with space it recovers and has every acknowledged row", int(there[0]) in (acknowledged * 200, acknowledged * 200 + 200) and there[0] == there[1], f"{there} of {acknowledged * 200}")
        server.query("insert into t values (-1, 'goes on')")
        server.stop()
    except Exception as error:
        check("run on a full log", False, f"{error}\n{server.log()[-2000:]}")
    finally:
        if server.process.poll() is None:
            server.kill_all()
        mount.unmount()
        server.remove()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--witness", action="store_true")
    options = parser.parse_args()
    try:
        Mount(os.path.join("/tmp", f"kokkiri-mount-{os.getpid()}"), 1).unmount()
        os.rmdir(f"/tmp/kokkiri-mount-{os.getpid()}")
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"LEFT OUT: a small disk can't be mounted here ({error}), so nothing was tested with a full disk")
        print("full disk: 0 passed, 0 failed, 1 left out")
        return 0
    check = Checks()
    kind = server_class(options.witness)
    full_tables(kind, check)
    full_log(kind, check)
    print(f"full disk: {check.passed} passed, {check.failed} failed")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
