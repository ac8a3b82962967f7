"""lz4 in stored values. Observed on a PostgreSQL that has lz4; one that was built without it is left out.

The codec itself is witnessed by the program `lz4`, where it is installed: it must unpack what the TOAST table holds.
"""

import hashlib
import shutil
import struct
import subprocess

import pytest
from psycopg import errors

WIDE = "repeat('1234567890', 1000)"


@pytest.fixture
def lz4(connection, request):
    try:
        connection.execute("create table by_lz4 (id int, body text compression lz4)")
    except errors.FeatureNotSupported:
        if not request.config.getoption("--witness"):
            raise
        pytest.skip("the witness was built without lz4")
    connection.execute("create table by_pglz (id int, body text compression pglz)")
    return connection


def methods(connection, table, column="body"):
    return [row[0] for row in connection.execute(f"select pg_column_compression({column}) from {table} order by id").fetchall()]


def test_columns_and_setting(lz4):
    lz4.execute(f"insert into by_lz4 values (1, {WIDE}), (2, repeat('abc', 1000000)), (3, 'short')")
    assert methods(lz4, "by_lz4") == ["lz4", "lz4", None]
    assert lz4.execute("select md5(body), substr(body, 9996, 9) from by_lz4 where id = 1").fetchone() == (
        hashlib.md5(b"1234567890" * 1000).hexdigest(), "67890")
    assert lz4.execute("select length(body), substr(body, 2999998, 9), pg_column_toast_chunk_id(body) is not null from by_lz4 where id = 2").fetchone() == (
        3000000, "abc", True)
    assert lz4.execute("select attcompression from pg_attribute where attrelid = 'by_lz4'::regclass and attname = 'body'").fetchone() == ("l",)
    lz4.execute("create table by_default (id int, body text)")
    lz4.execute("set default_toast_compression = 'lz4'")
    lz4.execute(f"insert into by_default values (1, {WIDE})")
    lz4.execute(f"insert into by_pglz values (1, {WIDE})")
    lz4.execute("reset default_toast_compression")
    lz4.execute(f"insert into by_default values (2, {WIDE})")
    assert methods(lz4, "by_default") == ["lz4", "pglz"]
    assert methods(lz4, "by_pglz") == ["pglz"]
    with pytest.raises(errors.InvalidParameterValue) as raised:
        lz4.execute("set default_toast_compression = 'zip'")
    assert raised.value.diag.message_hint == "Available values: pglz, lz4."


def test_copies_keep_their_compression(lz4):
    lz4.execute(f"insert into by_lz4 values (1, {WIDE}), (2, repeat('abc', 1000000))")
    lz4.execute("insert into by_pglz select * from by_lz4")
    lz4.execute("insert into by_pglz select id + 2, body || 'x' from by_lz4")
    lz4.execute("insert into by_pglz select id + 4, body from by_lz4 order by id desc limit 1")
    assert methods(lz4, "by_pglz") == ["lz4", "lz4", "pglz", "pglz", "lz4"]
    assert lz4.execute("select count(*) from by_pglz p join by_lz4 l using (id) where p.body = l.body").fetchone() == (2,)
    # A row that only changes elsewhere keeps its value, too.
    lz4.execute("update by_pglz set id = id + 10 where id = 1")
    assert methods(lz4, "by_pglz") == ["lz4", "pglz", "pglz", "lz4", "lz4"]
    lz4.execute("create table copied as select id, body from by_pglz")
    assert methods(lz4, "copied") == ["lz4", "pglz", "pglz", "lz4", "lz4"]
    lz4.execute("update copied c set body = l.body from by_lz4 l where l.id = 2 and c.id = 3")
    assert methods(lz4, "copied") == ["lz4", "lz4", "pglz", "lz4", "lz4"]
    lz4.execute("update by_pglz set body = body || 'x'")
    assert methods(lz4, "by_pglz") == ["pglz"] * 5


def test_alter_table(lz4):
    lz4.execute(f"insert into by_pglz values (1, {WIDE})")
    lz4.execute("create index on by_pglz (body)")
    lz4.execute("alter table by_pglz alter column body set compression lz4")
    lz4.execute(f"insert into by_pglz values (2, {WIDE} || 'x')")
    assert methods(lz4, "by_pglz") == ["pglz", "lz4"]
    assert lz4.execute("select attrelid::regclass::text, attcompression from pg_attribute where attname = 'body' and attrelid in ('by_pglz'::regclass, 'by_pglz_body_idx'::regclass) order by 1").fetchall() == [
        ("by_pglz", "l"), ("by_pglz_body_idx", "l")]
    lz4.execute("set enable_seqscan = off")
    assert lz4.execute(f"select id from by_pglz where body = {WIDE} || 'x'").fetchall() == [(2,)]
    lz4.execute("create table like_it (like by_pglz including compression)")
    assert lz4.execute("select attcompression from pg_attribute where attrelid = 'like_it'::regclass and attname = 'body'").fetchone() == ("l",)
    lz4.execute("alter table by_pglz add column added int default random()::int")
    assert methods(lz4, "by_pglz") == ["pglz", "lz4"]
    lz4.execute("alter table by_pglz alter column body type varchar")
    assert lz4.execute("select attcompression from pg_attribute where attrelid = 'by_pglz'::regclass and attname = 'body'").fetchone() == ("",)


@pytest.mark.skipif(not shutil.which("lz4"), reason="the program lz4 is not installed")
def test_the_program_lz4_unpacks_chunks(lz4):
    texts = ["abc" * 1000000, "".join(hashlib.md5(b"%d" % i).hexdigest() for i in range(2000)) * 3, "ä€𐍈 und so weiter, " * 50000]
    for number, text in enumerate(texts):
        lz4.execute("insert into by_lz4 values (%s, %s)", [number, text])
    name = lz4.execute("select reltoastrelid::regclass::text from pg_class where oid = 'by_lz4'::regclass").fetchone()[0]
    for number, text in enumerate(texts):
        value, method = lz4.execute("select pg_column_toast_chunk_id(body), pg_column_compression(body) from by_lz4 where id = %s", [number]).fetchone()
        assert (value is not None, method) == (True, "lz4")
        chunks = lz4.execute(f"select chunk_data from {name} where chunk_id = %s order by chunk_seq", [value]).fetchall()
        stored = b"".join(bytes(chunk) for chunk, in chunks)
        info = struct.unpack("<I", stored[:4])[0]
        assert (info >> 30, info & 0x3FFFFFFF) == (1, len(text.encode()))
        # A block in the frame of the legacy format.
        framed = struct.pack("<II", 0x184C2102, len(stored) - 4) + stored[4:]
        unpacked = subprocess.run(["lz4", "-d", "-c"], input=framed, capture_output=True, check=True).stdout
        assert unpacked == text.encode(), number
