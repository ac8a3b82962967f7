#!/usr/bin/env python3
"""Let real PostgreSQL 18 work on a data directory that Kokkiri has written, and the reverse.

    run_witness_reads.py

Kokkiri makes tables of many shapes, changes, vacuums and drops, and stops. PostgreSQL's tools look at the files. Then
PostgreSQL is started on copies, of the directory after a crash, so that it replays Kokkiri's log, and after a clean stop:
every table and catalog must read the same by sequential scan and through each index as Kokkiri reads it, and take
changes, VACUUM and REINDEX. Then the reverse: Kokkiri replays PostgreSQL's log, and reads what it has left.
Left out is what PostgreSQL keeps as pg_node_tree: defaults, views, expressions, bodies of functions in SQL (`text || int` is
one); Kokkiri's trees have another text.
"""

import hashlib
import os
import re
import shutil
import struct
import subprocess
import sys

from servers import Kokkiri, PostgreSQL, postgresql_bin

SETTINGS = ["autovacuum=off", "TimeZone=UTC", "max_wal_size=64MB"]

WORK = """
create table numbers (id int primary key, s smallint, b bigint, r real, d double precision, n numeric, m numeric(12, 3), o oid, f bool);
insert into numbers select i, i % 300 - 150, i * 10000000000 - 5, i / 7.0, i * 1e10 / 3, i * 1e20 + 0.0001 * i, i / 3.0, i, i % 3 = 0 from generate_series(1, 3000) i;
insert into numbers values (0, null, null, 'nan', '-infinity', 'nan', null, null, null);
create index numbers_b on numbers (b desc);
create index numbers_mixed on numbers (f, s desc nulls last, id);
create unique index numbers_n on numbers (n);
create table texts (id bigint primary key, t text, v varchar(40), c char(10), n name, x bytea);
insert into texts select i, 'text ' || i, repeat(chr(97 + i % 26), i % 40), 'c' || i % 7, 'name' || i, decode(md5(i::text), 'hex') from generate_series(1, 2000) i;
insert into texts values (-1, '', '', '', '', ''), (-2, null, null, null, null, null), (-3, 'ä€𐍈 Ünïcödé', 'ß', 'é', 'ñ', '\\x00ff');
create index texts_t on texts (t);
create index texts_c on texts (c);
create table times (id int primary key, d date, t timestamp, z timestamptz);
insert into times select i, date '2000-01-01' + i, timestamp '1999-12-31 23:59:59.123456' + i * interval '1 hour', timestamptz '2024-03-31 01:30:00+01' + i * interval '17 minutes' from generate_series(1, 1000) i;
insert into times values (0, 'infinity', '-infinity', 'infinity'), (-1, '4713-01-01 bc', '4713-01-01 00:00:00 bc', null);
create index times_z on times (z);
create table wide (id int primary key, compressed text, plain text, short text);
insert into wide select i, repeat('abcdefgh', 2000 + i), string_agg(md5((i * 1000 + j)::text), ''), 's' || i from generate_series(1, 60) i, generate_series(1, 400) j group by i;
update wide set short = short || 'x' where id % 2 = 0;
update wide set plain = plain || 'end' where id % 5 = 0;
delete from wide where id % 7 = 0;
create table chains (id int primary key, n int, note text) with (fillfactor = 70);
create index chains_n on chains (n);
insert into chains select i, i % 20, 'note ' || i from generate_series(1, 4000) i;
update chains set note = note || '+' where id % 3 = 0;
update chains set n = n + 100 where id % 4 = 0;
update chains set note = 'twice' where id % 6 = 0;
delete from chains where id % 9 = 0;
vacuum chains;
insert into chains select 10000 + i, i % 20, 'again' from generate_series(1, 500) i;
begin; insert into chains values (20000, 1, 'rolled back'); rollback;
begin; insert into chains values (20001, 1, 'kept'); savepoint s; insert into chains values (20002, 1, 'undone'); rollback to s; insert into chains values (20003, 1, 'kept'); commit;
begin; select id from chains where id < 5 for share; savepoint s; update chains set note = 'locked' where id < 5; commit;
create table duplicates (k int, v text);
insert into duplicates select i % 5, 'v' || i from generate_series(1, 5000) i;
create index duplicates_k on duplicates (k);
delete from duplicates where k = 3;
vacuum (freeze) duplicates;
create table packed (id int primary key, by_lz4 text compression lz4, by_pglz text compression pglz, apart text storage external, here text storage main compression lz4);
insert into packed select i, repeat('lz4 ' || i || ' ', 5000 * (i % 20)), repeat('pglz ' || i || ' ', 5000 * (i % 20)), repeat('apart ' || i, 400), repeat('main ' || i, 900) from generate_series(1, 60) i;
insert into packed select id + 100, by_pglz, by_lz4, by_lz4, apart from packed where id % 3 = 0;
set default_toast_compression = 'lz4';
insert into packed select 1000 + i, string_agg(md5((i * 1000 + j)::text), ''), string_agg(md5((i * 1000 + j)::text), ''), 'x', 'y' from generate_series(1, 5) i, generate_series(1, 200) j group by i;
reset default_toast_compression;
update packed set apart = by_lz4 where id % 7 = 0;
delete from packed where id % 11 = 0;
create schema other;
create table other.altered (id int primary key, gone int, kept text);
insert into other.altered select i, i, 'row ' || i from generate_series(1, 100) i;
alter table other.altered drop column gone;
alter table other.altered add column added int;
insert into other.altered values (101, 'after', 5);
create table truncated (id int primary key);
insert into truncated select generate_series(1, 1000);
truncate truncated;
insert into truncated values (1), (2);
create table dropped (id int);
drop table dropped;
create table parent (id int primary key);
create table child (id int primary key, parent int references parent);
insert into parent select generate_series(1, 50);
insert into child select i, i % 50 + 1 from generate_series(1, 200) i;
reindex table chains;
reindex index texts_t;
reindex table packed;
begin; reindex table duplicates; rollback;
analyze;
"""

# Columns whose text differs between the two servers by design, or tells of one moment.
CATALOG_COLUMNS_LEFT_OUT = {"pg_node_tree", "anyarray"}


# How values are stored, asked of both servers; a PostgreSQL without lz4 can answer it, too.
STORED = """
select id, pg_column_compression(by_lz4), pg_column_size(by_lz4), pg_column_toast_chunk_id(by_lz4), pg_column_compression(by_pglz), pg_column_size(by_pglz),
  pg_column_compression(apart), pg_column_size(apart), pg_column_compression(here), pg_column_size(here) from packed order by id"""


class Checks:
    def __init__(self):
        self.passed = self.failed = 0

    def __call__(self, name, problem=None):
        if problem:
            self.failed += 1
            print(f"FAILED {name}: {problem}", flush=True)
        else:
            self.passed += 1

    def same(self, name, one, other):
        if one == other:
            return self(name)
        lines = [f"{a!r} and not {b!r}" for a, b in zip(one.splitlines(), other.splitlines()) if a != b][:3]
        self(name, f"{'; '.join(lines) or 'another number of rows'} ({len(one.splitlines())} and {len(other.splitlines())} lines)")


def tables(server):
    """User tables and catalogs: qualified name, then the columns to read."""
    listed = server.query("""
        select n.nspname || '.' || c.relname, a.attname, t.typname from pg_class c join pg_namespace n on n.oid = c.relnamespace
        join pg_attribute a on a.attrelid = c.oid join pg_type t on t.oid = a.atttypid
        where c.relkind = 'r' and a.attnum > 0 and not a.attisdropped and n.nspname in ('public', 'other', 'pg_catalog')
        order by 1, a.attnum""")
    found = {}
    for line in listed.splitlines():
        table, column, kind = line.split("|")
        found.setdefault(table, [])
        if kind not in CATALOG_COLUMNS_LEFT_OUT:
            found[table].append(f'"{column}"')
    return found


def contents(server, columns):
    """Every table as sorted text, in one run of psql."""
    script = ["set extra_float_digits = 1;"]
    for table, names in columns.items():
        script += [f"\\echo ==== {table}", f"select {', '.join(names)} from {table};"]
    output = server.psql("-Atq", "-P", "null=~", stdin="\n".join(script))
    parts = {}
    for part in output.split("==== ")[1:]:
        name, _, rows = part.partition("\n")
        parts[name] = "\n".join(sorted(rows.splitlines()))
    return parts


def by_indexes(server, check):
    """Each index leads to as many rows as its table has, whichever way it is scanned."""
    columns = dict(line.rsplit("|", 1) for line in server.query("select attrelid, attnum, attname from pg_attribute where attnum > 0").splitlines())
    listed = server.query("""
        select n.nspname || '.' || t.relname, i.relname, t.oid, x.indkey from pg_index x join pg_class i on i.oid = x.indexrelid
        join pg_class t on t.oid = x.indrelid join pg_namespace n on n.oid = t.relnamespace
        where t.relkind = 'r' and n.nspname in ('public', 'other', 'pg_catalog') order by 1, 2""")
    indexes = []
    for line in listed.splitlines():
        table, index, oid, key = line.split("|")
        indexes.append((table, index, columns[f"{oid}|{key.split()[0]}"]))
    script = ["set extra_float_digits = 1; set enable_bitmapscan = off;"]
    for table, index, column in indexes:
        for way, sequential, indexed in (("scan", "on", "off"), ("index", "off", "on")):
            script += [f"set enable_seqscan = {sequential}; set enable_indexscan = {indexed}; set enable_indexonlyscan = {indexed};",
                       f"\\echo ==== {table} {index} {way}", f'select "{column}" from {table} where "{column}" is not null order by "{column}";']
    output = server.psql("-Atq", stdin="\n".join(script), check=False)
    found = {}
    for part in output.split("==== ")[1:]:
        name, _, rows = part.partition("\n")
        found[name] = rows.strip()
    for table, index, _ in indexes:
        scanned, found_by_index = (found.get(f"{table} {index} {way}", "nothing") for way in ("scan", "index"))
        check.same(f"{server.name} by index {index} of {table}", found_by_index, scanned)


def look_at_files(server, check):
    done = server.tool("pg_controldata", "-D", server.data)
    check("pg_controldata", None if done.returncode == 0 and "shut down" in done.stdout and "WARNING" not in done.stdout else done.stdout[:600])
    done = server.tool("pg_checksums", "--check", "-D", server.data)
    check("pg_checksums", None if done.returncode == 0 and re.search(r"Bad checksums:\s+0", done.stdout) else done.stdout[-600:])
    wal = os.path.join(server.data, "pg_wal")
    segments = sorted(name for name in os.listdir(wal) if re.fullmatch("[0-9A-F]{24}", name))
    done = server.tool("pg_waldump", "--quiet", "-p", wal, segments[0])
    # It ends where the log ends, in the zeroes or the old records behind it.
    end = server.tool("pg_controldata", "-D", server.data).stdout
    checkpoint = re.search(r"Latest checkpoint location:\s+(\S+)", end).group(1)
    ended = done.returncode == 0 or re.search(r"error in WAL record at|could not find a valid record|invalid record length|out-of-sequence", done.stdout)
    check("pg_waldump of all segments", None if ended else done.stdout[-600:])
    done = server.waldump(checkpoint, "-n", "1")
    check("pg_waldump of the last checkpoint", None if "CHECKPOINT_SHUTDOWN" in done.stdout else done.stdout[-600:])


def without_lz4(server, columns):
    """What the server can read: one that was built without lz4 can't read the values that it compressed."""
    done = server.psql("-Atq", "-c", "select length(by_lz4) from packed where pg_column_compression(by_lz4) = 'lz4' limit 1", check=False)
    if "lz4 not supported" not in done:
        return columns
    return {name: rest for name, rest in columns.items() if name != "public.packed"}


def unpacked_chunks(server, check, expected):
    """The program lz4 must unpack what the TOAST table of a server holds; `expected` is id and md5 of the values."""
    if not shutil.which("lz4"):
        print("witness reads: the program lz4 is not installed, so it has not unpacked chunks")
        return
    values = server.query("select id, pg_column_toast_chunk_id(by_lz4) from packed where pg_column_compression(by_lz4) = 'lz4' and pg_column_toast_chunk_id(by_lz4) is not null order by id")
    toast = server.query("select reltoastrelid::regclass from pg_class where oid = 'packed'::regclass").strip()
    found = []
    for line in values.splitlines():
        number, value = line.split("|")
        stored = bytes.fromhex("".join(server.query(f"select encode(chunk_data, 'hex') from {toast} where chunk_id = {value} order by chunk_seq").split()))
        # A block, behind size and method, in the frame of the legacy format.
        framed = struct.pack("<II", 0x184C2102, len(stored) - 4) + stored[4:]
        done = subprocess.run(["lz4", "-d", "-c"], input=framed, capture_output=True)
        found.append(f"{number}|{hashlib.md5(done.stdout).hexdigest()}")
    check(f"lz4 unpacks some chunks of {server.name}", None if found else "there are none")
    known = dict(line.split("|") for line in expected.splitlines())
    check.same(f"lz4 unpacks chunks of {server.name}", "\n".join(found), "\n".join(f"{line.split('|')[0]}|{known[line.split('|')[0]]}" for line in found))


def look_at_sizes(server, check):
    done = server.psql("-Atq", "-c", "select sum(pg_relation_size(oid, 'main')) > 0 from pg_class where relkind in ('r', 'i', 't')", check=False)
    check(f"{server.name} relation sizes", None if done.strip() == "t" else done)


CHANGES = """
insert into chains select 30000 + i, i, 'by the other' from generate_series(1, 300) i;
update chains set note = 'changed by the other' where id % 5 = 0;
update numbers set n = n + 1 where id % 10 = 0;
delete from texts where id % 4 = 0;
insert into wide select 1000 + i, repeat('zyxw', 5000), string_agg(md5((i * 7 + j)::text), ''), 'new' from generate_series(1, 10) i, generate_series(1, 300) j group by i;
update wide set short = 'touched' where id < 30;
insert into duplicates select 3, 'filled again' from generate_series(1, 500) i;
create table made_there (id int primary key, note text);
insert into made_there select i, 'made ' || i::text from generate_series(1, 1000) i;
create index made_there_note on made_there (note);
vacuum;
analyze;
reindex table chains;
vacuum full texts;
update made_there set note = note || ' again' where id % 2 = 0;
"""


def take_over(kind, source, check):
    """A server of the other kind on a copy of a stopped one's directory."""
    server = kind(settings=SETTINGS)
    shutil.copytree(source.data, server.data, symlinks=True)
    if os.path.exists(os.path.join(server.data, "postmaster.pid")):
        os.remove(os.path.join(server.data, "postmaster.pid"))
    if os.geteuid() == 0 and kind is PostgreSQL:
        subprocess.run(["chown", "-R", "postgres", server.directory], check=True)
    os.chmod(server.data, 0o700)
    try:
        server.start()
    except RuntimeError as error:
        check(f"{server.name} starts on {source.name}'s directory", str(error)[-1500:])
        server.remove()
        return None
    check(f"{server.name} starts on {source.name}'s directory")
    return server


def with_copy(kind, source, check, servers, work):
    server = take_over(kind, source, check)
    if server:
        servers.append(server)
        work(server)
        if server.process.poll() is None:
            server.stop()


def compare(check, name, before, server, columns):
    after = contents(server, columns)
    for table in columns:
        check.same(f"{name}, {table}", after.get(table, "unreadable"), before.get(table, "unreadable"))


def main():
    postgresql_bin()
    check = Checks()
    servers = []
    try:
        ours = Kokkiri(settings=SETTINGS)
        servers.append(ours)
        ours.start()
        done = ours.psql("-q", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1", stdin=WORK, check=False)
        if done.strip():
            raise RuntimeError(f"Kokkiri: {done[-1500:]}")
        columns = tables(ours)
        before = contents(ours, columns)
        by_indexes(ours, check)
        stored = ours.query(STORED)
        check("some values are compressed by lz4", None if "lz4" in stored else stored[:500])
        packed = ours.query("select id, md5(by_lz4) from packed where by_lz4 is not null order by id")
        ours.kill_all()

        def read(theirs):
            compare(check, "PostgreSQL replays and reads", before, theirs, without_lz4(theirs, columns))
            check.same("PostgreSQL replays and sees stored", theirs.query(STORED), stored)
            unpacked_chunks(theirs, check, packed)

        with_copy(PostgreSQL, ours, check, servers, read)
        ours.start()
        compare(check, "Kokkiri replays and reads", before, ours, columns)
        ours.stop()
        look_at_files(ours, check)

        def change(theirs):
            compare(check, "PostgreSQL reads", before, theirs, without_lz4(theirs, columns))
            check.same("PostgreSQL sees stored", theirs.query(STORED), stored)
            by_indexes(theirs, check)
            look_at_sizes(theirs, check)
            done = theirs.psql("-q", "-v", "ON_ERROR_STOP=1", stdin=CHANGES, check=False)
            check("PostgreSQL changes", done.strip())
            after_columns = without_lz4(theirs, tables(theirs))
            after = contents(theirs, after_columns)
            theirs.kill_all()

            def read_again(how):
                def read(back):
                    compare(check, how, after, back, after_columns)
                    check.same(f"{how}, packed", back.query("select id, md5(by_lz4) from packed where by_lz4 is not null order by id"), packed)
                    by_indexes(back, check)
                return read

            with_copy(Kokkiri, theirs, check, servers, read_again("Kokkiri replays PostgreSQL's log and reads"))
            theirs.start()
            theirs.stop()
            with_copy(Kokkiri, theirs, check, servers, read_again("Kokkiri reads what PostgreSQL left"))

        with_copy(PostgreSQL, ours, check, servers, change)
    except Exception as error:
        check("run", f"{error}\n" + "".join(f"--- end of {server.name}'s log\n{server.log()[-1500:]}" for server in servers))
    finally:
        for server in servers:
            server.remove()
    print(f"witness reads: {check.passed} passed, {check.failed} failed")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
