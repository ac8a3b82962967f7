#!/usr/bin/env python3
"""Send damaged protocol to PostgreSQL 18 and to Kokkiri: they must answer alike.

    fuzz_wire.py [--seed N] [--count N] [--seconds N] [--alone]

An input is a session's messages, or a start-up: real ones, then left out, repeated, swapped, cut off, their bytes,
types and lengths changed. It is sent, the sending side closed, and everything that comes back is read. Kokkiri must
end the connection in time, send nothing but well-formed messages and no internal error, go on serving another
connection meanwhile, and answer what PostgreSQL answers: the same messages, errors with the same SQLSTATE. Every
input has a seed of its own; a failure prints the command that repeats it.

What Kokkiri answers with 0A000 (not built) is compared up to there. --alone does without PostgreSQL.
"""

import argparse
import os
import random
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "drivers"))

from servers import Kokkiri, PostgreSQL  # noqa: E402
from wire import (CANCEL, FLUSH, GSS, PROTOCOL_3_0, PROTOCOL_3_2, SSL, SYNC, TERMINATE, Wire, bind, close,  # noqa: E402
                  describe, execute, message, parse, query, startup_packet)

SETTINGS = ["TimeZone=UTC", "autovacuum=off", "statement_timeout=5s", "max_connections=50"]
PATIENCE = 20
NOT_BUILT = "0A000"
# In place of the SQLSTATE that an error in the form of old protocols does not tell.
UNTOLD = "-----"
MALFORMED = "08P01"
NO_FORMAT = "E ERROR 22023"
BOUNDARIES = [0, 1, 2, 3, 4, 5, 8, 0x7F, 0x80, 0xFF, 0x100, 1000, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x3FFFFFFF,
              0x40000000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFB, 0xFFFFFFFF]

QUERIES = [
    "select 1", "", ";;", "select 1; select 'two', null; select 3 where false", "begin", "commit", "rollback",
    "insert into wire_t values (1, 'one')", "update wire_t set b = b || 'x'", "delete from wire_t",
    "select a, b from wire_t order by a", "select 1/0", "selec 1", "select * from nowhere", "savepoint s",
    "rollback to s", "select 1; select 1/0; select 2", "set client_min_messages = notice", "show server_version_num",
    "declare c cursor for select generate_series(1, 20)", "fetch 3 from c", "close c", "prepare p as select $1::int",
    "execute p(4)", "deallocate all", "discard all", "copy wire_t to stdout", "select generate_series(1, 100)",
    "start transaction read only; insert into wire_t values (2)", "select repeat('long', 1000)",
]
PARSED = [
    ("select $1::int + 1", [b"41"]), ("select $1", [b"text"]), ("select $1::int4, $2::text, $3::bool", [b"1", b"b", b"t"]),
    ("insert into wire_t values ($1, $2)", [b"5", b"five"]), ("select a, b from wire_t where a = $1", [b"1"]),
    ("select generate_series(1, $1)", [b"10"]), ("select 1", []), ("", []), ("select $1::bytea", [b"\\x00"]),
    ("begin", []), ("commit", []), ("select $1::numeric", [b"1.5"]), ("select 1; select 2", []), ("selec", []),
    ("copy wire_t from stdin", []), ("copy wire_t to stdout", []), ("select $2::int", [b"1", b"2"]),
]
NAMES = ["", "", "s1", "s2"]


def simple(dice):
    return [query(dice.choice(QUERIES))]


def extended(dice):
    """Parse to Execute, most of the time in order and with the right values."""
    statement, portal = dice.choice(NAMES), dice.choice(NAMES)
    text, values = dice.choice(PARSED)
    values = [None if dice.random() < 0.1 else value for value in values]
    binary = dice.random() < 0.15
    formats = [1] if binary else []
    values = [struct.pack("!i", 7) if binary and value is not None else value for value in values]
    types = dice.choice([(), (), (), (23,), (25,), (0,), (20, 23), (999999,)])
    steps = [
        parse(text, statement, types),
        describe(b"S", statement) if dice.random() < 0.4 else b"",
        bind(portal, statement, values, formats, dice.choice([(), (), (1,), (0, 1), (2,)])),
        describe(b"P", portal) if dice.random() < 0.6 else b"",
        execute(portal, dice.choice([0, 0, 1, 3, -1])),
        execute(portal, dice.choice([0, 2])) if dice.random() < 0.3 else b"",
        close(dice.choice([b"S", b"P"]), dice.choice(NAMES)) if dice.random() < 0.3 else b"",
        FLUSH if dice.random() < 0.2 else b"",
        SYNC if dice.random() < 0.85 else b"",
    ]
    return [step for step in steps if step]


def copy_in(dice):
    options = dice.choice(["", "", " with (format csv)", " with (format binary)", " (freeze true)"])
    data = dice.choice([b"1\tone\n2\ttwo\n", b"1,one\n", b"3\n", b"x\ty\n", b"\\.\n", b"", b"\\N\t\\N\n", b"9\tq",
                        b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"\0\2\0\0\0\4\0\0\0\7\0\0\0\1b\xff\xff"])
    pieces = [message(b"d", data[at:at + dice.choice([1, 5, 100])]) for at in range(0, len(data), 100)] or [message(b"d")]
    end = dice.choice([message(b"c"), message(b"c"), message(b"f", b"given up\0"), SYNC, query("select 1")])
    return [query("copy wire_t from stdin" + options), *pieces, end]


def function_call(dice):
    function = dice.choice([1598, 177, 89, 0, 4294967295])
    arguments = [dice.choice([None, b"3", b"abc", struct.pack("!i", 4)]) for _ in range(dice.randrange(3))]
    formats = dice.choice([(), (0,), (1,), (0, 1)])
    body = struct.pack(f"!Ih{len(formats)}h", function, len(formats), *formats) + struct.pack("!h", len(arguments))
    for value in arguments:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    return [message(b"F", body + struct.pack("!h", dice.choice([0, 1, 2])))]


def odd(dice):
    return [dice.choice([
        TERMINATE, SYNC, FLUSH, message(b"d", b"stray\n"), message(b"c"), message(b"f", b"stray\0"), message(b"p", b"pw\0"),
        message(bytes([dice.randrange(256)]), dice.randbytes(dice.randrange(20))), execute("nothing"), close(b"P", "nothing"),
        describe(b"X"), bind("", "nothing"), message(b"S", b"more"), message(b"H", b"more"),
    ])]


def session(dice):
    """The messages behind a start-up."""
    makers = [simple, simple, extended, extended, extended, copy_in, function_call, odd]
    messages = []
    for _ in range(dice.randint(1, 6)):
        messages += dice.choice(makers)(dice)
    return messages


def shuffle(dice, messages):
    """Leaves out, repeats, swaps."""
    for _ in range(dice.choice([0, 0, 1, 1, 2])):
        at = dice.randrange(len(messages))
        kind = dice.randrange(3)
        if kind == 0 and len(messages) > 1:
            del messages[at]
        elif kind == 1:
            messages.insert(dice.randrange(len(messages)), messages[at])
        else:
            other = dice.randrange(len(messages))
            messages[at], messages[other] = messages[other], messages[at]


def put_number(dice, data, at):
    width = dice.choice([1, 2, 2, 4, 4])
    old = int.from_bytes(data[at:at + width], "big")
    new = dice.choice([old + dice.randint(-4, 4), dice.choice(BOUNDARIES)]) % (1 << 8 * width)
    data[at:at + width] = new.to_bytes(width, "big")


def damage(dice, one):
    """Changes bytes of one message; its length is made right again half of the time."""
    data = bytearray(one)
    for _ in range(dice.choice([1, 1, 1, 2, 3])):
        at = dice.randrange(len(data))
        kind = dice.randrange(8)
        if kind == 0:
            data[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            data[at] = dice.randrange(256)
        elif kind in (2, 3):
            put_number(dice, data, at)
        elif kind == 4:
            del data[at:at + dice.randint(1, 8)]
        elif kind == 5:
            data[at:at] = dice.randbytes(dice.randint(1, 8))
        elif kind == 6:
            data[at:at] = data[at:at + dice.randint(1, 40)]
        else:
            data[at:at + 1] = b"\0"
        data = data or bytearray(b"Q")
    if dice.random() < 0.6 and len(data) >= 5:
        data[1:5] = struct.pack("!i", len(data) - 1)
    return bytes(data)


def startup(dice):
    """A start-up in all its variants, damaged or not."""
    good = {"user": "postgres", "database": "postgres"}
    extra = dice.choice([{}, {}, {"application_name": "x"}, {"options": "-c work_mem=64kB"}, {"options": "-c nothing=1"},
                         {"options": "-c"}, {"_pq_.thing": "1"}, {"client_encoding": "nonsense"}, {"replication": "maybe"},
                         {"datestyle": "ISO"}, {"search_path": "a,b"}])
    version = dice.choice([PROTOCOL_3_0, PROTOCOL_3_0, PROTOCOL_3_2, 0x30063, 0x20000, 0x40000, 0, 0x7FFFFFFF])
    packet = dice.choice([
        startup_packet(version, **good, **extra),
        startup_packet(version, **good, **extra),
        startup_packet(PROTOCOL_3_0, **{**good, **dice.choice([{"user": "nobody"}, {"database": "nowhere"}, {"user": ""}])}),
        startup_packet(PROTOCOL_3_0, **extra),
        struct.pack("!ii", 8, SSL) + startup_packet(version, **good),
        struct.pack("!ii", 8, GSS) + startup_packet(version, **good),
        struct.pack("!iii", 16, CANCEL, dice.getrandbits(31)) + dice.randbytes(4),
    ])
    if dice.random() < 0.7:
        data = bytearray(packet)
        for _ in range(dice.choice([1, 1, 2])):
            at = dice.randrange(len(data))
            if dice.random() < 0.4:
                put_number(dice, data, dice.choice([0, 0, 4, at]))
            elif dice.random() < 0.5:
                data[at] = dice.randrange(256)
            else:
                del data[at:]
                data = data or bytearray(b"\0")
        if dice.random() < 0.5:
            data[:4] = struct.pack("!i", len(data))
        packet = bytes(data)
    return packet + dice.choice([b"", query("select 1"), SYNC])


class Input:
    """What one seed sends."""

    def __init__(self, seed):
        dice = random.Random(seed)
        self.starts = dice.random() >= 0.2
        if self.starts:
            messages = session(dice)
            shuffle(dice, messages)
            for at in range(len(messages)):
                if dice.random() < 1.5 / len(messages):
                    messages[at] = damage(dice, messages[at])
            data = b"".join(messages)
            if dice.random() < 0.15:
                data = data[:dice.randrange(len(data) + 1)]
        else:
            data = startup(dice)
        self.data = data
        self.cuts = sorted(dice.randrange(len(data) + 1) for _ in range(dice.choice([0, 0, 0, 1, 3])))

    def pieces(self):
        at = 0
        for cut in [*self.cuts, len(self.data)]:
            if self.data[at:cut]:
                yield self.data[at:cut]
            at = cut


class Failed(Exception):
    pass


def receive(connection):
    """All that the server sends until it closes."""
    data, deadline = b"", time.monotonic() + PATIENCE
    while True:
        connection.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            piece = connection.recv(1 << 16)
        except ConnectionResetError:
            return data
        except TimeoutError:
            raise Failed(f"the connection is still open after {PATIENCE} s; so far {data[-200:]!r}") from None
        if not piece:
            return data
        data += piece


def split(data):
    """Messages of the server; what comes before the first is the answer to an SSL or GSS request."""
    found = []
    while data[:1] in (b"S", b"N") and len(data) >= 1 and not plausible(data):
        found.append((b"?", data[:1]))
        data = data[1:]
    if data[:6] == b"EFATAL" and data.endswith(b"\n\0"):
        # To a client of protocol 2 or older: text, not fields.
        return [*found, (b"E", b"VFATAL\0C" + UNTOLD.encode() + b"\0M" + data[1:])]
    while data:
        if len(data) < 5:
            raise Failed(f"half a message at the end: {data!r}")
        kind, length = struct.unpack_from("!ci", data)
        if kind not in b"RKSZTDCEINHGWdcstnV123Av" or length < 4 or length + 1 > len(data):
            raise Failed(f"no message: {data[:60]!r}")
        found.append((kind, data[5:length + 1]))
        data = data[length + 1:]
    return found


def fields(body):
    """The fields of an error or notice, by their letter; texts may quote any bytes."""
    return {chr(part[0]): part[1:].decode(errors="replace") for part in body.split(b"\0") if part}


def plausible(data):
    return len(data) >= 5 and 4 <= struct.unpack_from("!i", data, 1)[0] < 1 << 24


def shown(messages):
    """What is compared: kinds, SQLSTATEs, tags and states. Values and texts are the SQL tests' business."""
    lines = []
    for kind, body in messages:
        if kind in b"EN":
            found = fields(body)
            lines.append(f"{kind.decode()} {found.get('V')} {found.get('C')}")
        elif kind in b"CZ":
            lines.append(f"{kind.decode()} {body.rstrip(bytes(1)).decode(errors='replace')}")
        elif kind == b"S":
            continue
        elif kind in b"RTtnG?DHsd" or kind in b"123IcVAWv":
            lines.append(f"{kind.decode()} {len(body) if kind in b'TtR' else ''}".rstrip())
    return lines


def agree(expected, found):
    """Whether the answers are alike, as far as they can be compared."""
    if NO_FORMAT in found:
        # A format that doesn't exist is refused with Bind, not with the first row.
        at = found.index(NO_FORMAT)
        expected, found = expected[:at], found[:at]
    for one, other in zip(expected, found):
        if other.endswith(NOT_BUILT) or one.endswith("XX000"):
            return True
        # A message that is wrong in two ways: PostgreSQL may find the other one first.
        if one != other and not (one[:7] == other[:7] and other.endswith(MALFORMED)):
            return False
    # What nobody has asked it to flush PostgreSQL keeps for itself at the end.
    return len(found) >= len(expected) and not any(line.startswith("E") for line in found[len(expected):])


class Side:
    def __init__(self, server):
        self.server = server
        self.other = None

    def prepare(self):
        self.serves("drop table if exists wire_t; create table wire_t (a int, b text); insert into wire_t values (1, 'a')")

    def serves(self, text="select 'served'"):
        """Another connection is served."""
        try:
            self.other = self.other or Wire(self.server.port, timeout=PATIENCE)
            kinds = [kind for kind, _ in self.other.ask(query(text))]
        except (OSError, EOFError) as error:
            self.other = None
            raise Failed(f"another connection is not served: {error!r}") from error
        if kinds[-1:] != [b"Z"] or b"E" in kinds:
            self.other = None
            raise Failed(f"another connection is not served: {kinds}")

    def answer(self, one):
        if one.starts:
            client = Wire(self.server.port, timeout=PATIENCE)
            connection = client.socket
        else:
            connection = socket.create_connection(("127.0.0.1", self.server.port), timeout=PATIENCE)
        with connection:
            try:
                for piece in one.pieces():
                    connection.sendall(piece)
                connection.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError, OSError):
                pass
            return split(receive(connection))


def internal_errors(messages):
    for kind, body in messages:
        if kind == b"E":
            found = fields(body)
            if found.get("C", "").startswith("XX") or "panic" in found.get("M", ""):
                yield f"{found.get('C')} {found.get('M')}"


def check(one, subject, witness):
    """Returns what is wrong, or None."""
    try:
        subject.prepare()
        messages = subject.answer(one)
        subject.serves()
    except Failed as failed:
        return str(failed)
    wrong = next(internal_errors(messages), None)
    if wrong or witness is None:
        return wrong
    witness.prepare()
    expected_messages = witness.answer(one)
    found, expected = shown(messages), shown(expected_messages)
    if agree(expected, found):
        return None
    return "PostgreSQL:\n  " + "\n  ".join(expected) + "\nKokkiri:\n  " + "\n  ".join(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, help="of the first input; the following ones count up")
    parser.add_argument("--count", type=int, default=0, help="inputs; without it as many as --seconds allows")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--stop", type=int, default=10, help="after so many failures")
    parser.add_argument("--alone", action="store_true", help="without PostgreSQL")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 30)
    first, failures = seed, 0
    with Kokkiri(settings=SETTINGS) as server:
        witness = None if options.alone else PostgreSQL(settings=SETTINGS)
        try:
            if witness:
                witness.start()
            subject, witness_side = Side(server), Side(witness) if witness else None
            started = time.monotonic()
            while failures < options.stop:
                if options.count and seed >= first + options.count:
                    break
                if not options.count and time.monotonic() - started > options.seconds:
                    break
                one = Input(seed)
                wrong = check(one, subject, witness_side)
                if wrong:
                    failures += 1
                    print(f"-- FAILED: fuzz_wire.py --seed {seed} --count 1\n{one.data!r}\n{wrong}\n", flush=True)
                seed += 1
            if "panicked" in server.log():
                failures += 1
                print("-- FAILED: a panic in the server's log:\n" +
                      "\n".join(line for line in server.log().splitlines() if "panicked" in line))
        finally:
            if witness:
                witness.remove()
    print(f"fuzz-wire: seeds {first} to {seed - 1}: {seed - first} inputs, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
