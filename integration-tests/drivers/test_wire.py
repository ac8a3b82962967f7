"""The protocol message by message, without a driver: right order, wrong order, wrong bytes."""

import socket
import struct
import time

import pytest
import wire
from wire import FLUSH, SYNC, Wire, bind, close, describe, execute, fields, message, parse, query, row


@pytest.fixture
def session(server):
    made = []

    def one(**options):
        made.append(Wire(server.port, **options))
        return made[-1]

    yield one
    for connection in made:
        connection.close()


@pytest.fixture
def client(session):
    return session()


def states(messages):
    return [body.decode() for kind, body in messages if kind == b"Z"]


def codes(messages):
    return [fields(body)["C"] for kind, body in messages if kind == b"E"]


def rows(messages):
    return [row(body) for kind, body in messages if kind == b"D"]


def tags(messages):
    return [body[:-1].decode() for kind, body in messages if kind == b"C"]


def alive(server):
    other = Wire(server.port)
    assert rows(other.ask(query("select 'alive'"))) == [[b"alive"]]
    other.close()


# Start-up.

def test_startup_messages(client):
    assert len(client.key) == 8
    assert client.status["server_version"].startswith("18") and client.status["client_encoding"] == "UTF8" or client.status["client_encoding"] == "SQL_ASCII"


def test_protocol_3_2_has_longer_keys(session):
    assert 8 < len(session(version=wire.PROTOCOL_3_2).key) <= 260


def test_newer_minor_version_and_unknown_option_are_negotiated(session):
    client = session(start=False)
    client.send(wire.startup_packet(196608 + 9, user="postgres", database="postgres", **{"_pq_.new_thing": "1"}))
    kind, body = client.read()
    assert kind == b"v"
    assert struct.unpack_from("!ii", body) == (wire.PROTOCOL_3_2, 1) and body[8:] == b"_pq_.new_thing\0"
    assert client.until(b"Z")[-1][0] == b"Z"


def test_ssl_and_gss_requests_are_answered(session):
    client = session(start=False)
    client.send(struct.pack("!ii", 8, wire.GSS))
    assert client.exactly(1) == b"N"
    client.send(struct.pack("!ii", 8, wire.SSL))
    assert client.exactly(1) in (b"N", b"S")


def test_bytes_after_ssl_request_are_refused(session, server):
    """They could have been put there by somebody else, before encryption began."""
    client = session(start=False)
    client.send(struct.pack("!ii", 8, wire.SSL) + wire.startup_packet(user="postgres"))
    assert client.exactly(1) == b"N"
    got = client.until(b"Z")
    assert codes(got) == ["08P01"] and fields(got[0][1])["M"] == "received unencrypted data after SSL request" and client.closed()
    alive(server)


def test_unsupported_major_versions(session):
    client = session(start=False)
    client.send(wire.startup_packet(4 << 16, user="postgres"))
    kind, body = client.read()
    assert kind == b"E" and fields(body)["C"] == "0A000" and client.closed()
    assert fields(body)["M"] == "unsupported frontend protocol 4.0: server supports 3.0 to 3.2"
    # Version 2 gets its answer in the form of version 2.
    client = session(start=False)
    client.send(wire.startup_packet(2 << 16, user="postgres"))
    assert client.exactly(46) == b"EFATAL:  unsupported frontend protocol 2.0: ser"[:46]


@pytest.mark.parametrize("packet", [
    struct.pack("!i", 0), struct.pack("!i", 3), struct.pack("!i", 7) + b"abc", struct.pack("!i", 2_000_000_000), struct.pack("!i", -5),
    struct.pack("!i", 10001) + b"x" * 9997, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\xff" * 64, struct.pack("!ii", 8, 1234),
], ids=["zero", "three", "seven", "huge", "negative", "over_limit", "http", "ones", "nonsense_code"])
def test_bad_startup_packets(session, server, packet):
    client = session(start=False)
    client.send(packet)
    got = client.until(b"E")
    assert [kind for kind, _ in got] in ([], [b"E"])
    assert client.closed()
    alive(server)


def test_startup_without_user(session):
    client = session(start=False)
    client.send(wire.startup_packet(database="postgres"))
    kind, body = client.read()
    assert kind == b"E" and fields(body)["C"] == "28000" and fields(body)["M"] == "no PostgreSQL user name specified in startup packet"


def test_a_missing_database_is_told_behind_the_authentication(session):
    client = session(start=False)
    client.send(wire.startup_packet(user="postgres", database="nowhere"))
    got = client.until(b"E")
    assert [kind for kind, _ in got] == [b"R", b"E"] and codes(got) == ["3D000"]


def test_startup_without_terminator(session):
    client = session(start=False)
    body = struct.pack("!i", wire.PROTOCOL_3_0) + b"user\0postgres\0database\0postgres\0"
    client.send(struct.pack("!i", len(body) + 4) + body)
    kind, body = client.read()
    assert kind == b"E" and fields(body)["C"] == "08P01"
    assert fields(body)["M"] == "invalid startup packet layout: expected terminator as last byte"


def test_startup_cut_off(session, server):
    client = session(start=False)
    client.send(wire.startup_packet(user="postgres")[:10])
    client.socket.shutdown(socket.SHUT_WR)
    client.until(b"Z")
    assert client.closed()
    alive(server)


def test_cancel_with_wrong_key_does_nothing(session, server):
    client = session(start=False)
    client.send(struct.pack("!iiii", 16, wire.CANCEL, 1, 2))
    assert client.closed()
    alive(server)


def test_cancel(session):
    client, other = session(), session(start=False)
    client.send(query("select pg_sleep(60)"))
    time.sleep(0.3)
    other.send(struct.pack("!ii", 8 + len(client.key), wire.CANCEL), client.key)
    assert other.closed()
    assert codes(client.until(b"Z")) == ["57014"]
    assert client.kinds(query("select 1")) == "TDCZ"


# Simple queries.

def test_simple_query(client):
    got = client.ask(query("select 1 as one, null, 'x'::text"))
    assert "".join(kind.decode() for kind, _ in got) == "TDCZ"
    assert got[1][1] == b"\0\3\0\0\0\x011\xff\xff\xff\xff\0\0\0\x01x"
    assert got[0][1] == (b"\0\3one\0" + struct.pack("!IhIhih", 0, 0, 23, 4, -1, 0) + b"?column?\0" + struct.pack("!IhIhih", 0, 0, 25, -1, -1, 0)
                         + b"text\0" + struct.pack("!IhIhih", 0, 0, 25, -1, -1, 0))
    assert tags(got) == ["SELECT 1"] and states(got) == ["I"]


def test_empty_queries(client):
    assert client.kinds(query("")) == "IZ"
    assert client.kinds(query("  ; ; -- nothing\n")) == "IZ"
    assert client.kinds(query("select 1;;")) == "TDCZ"


def test_several_statements_are_one_transaction(client):
    got = client.ask(query("create temp table t (a int); insert into t values (1); select 1 / 0; insert into t values (2)"))
    assert tags(got) == ["CREATE TABLE", "INSERT 0 1"] and codes(got) == ["22012"] and states(got) == ["I"]
    assert codes(client.ask(query("select * from t"))) == ["42P01"]
    got = client.ask(query("create temp table t (a int); insert into t values (1); select a from t; insert into t values (2)"))
    assert tags(got) == ["CREATE TABLE", "INSERT 0 1", "SELECT 1", "INSERT 0 1"] and rows(got) == [[b"1"]]
    got = client.ask(query("insert into t values (3); begin; insert into t values (4); select 1 / 0"))
    assert codes(got) == ["22012"] and states(got) == ["E"]
    assert tags(client.ask(query("rollback; select count(*) from t"))) == ["ROLLBACK", "SELECT 1"]
    assert rows(client.ask(query("select count(*) from t"))) == [[b"2"]]
    got = client.ask(query("insert into t values (3); commit; insert into t values (4); select 1 / 0"))
    assert tags(got) == ["INSERT 0 1", "COMMIT", "INSERT 0 1"]
    assert rows(client.ask(query("select count(*) from t"))) == [[b"3"]]
    assert codes(client.ask(query("vacuum; vacuum"))) == ["25001"]
    # A syntax error anywhere stops the string before its first statement.
    got = client.ask(query("insert into t values (9); selct 1"))
    assert tags(got) == [] and codes(got) == ["42601"]


def test_transaction_state_is_told(client):
    assert states(client.ask(query("begin"))) == ["T"]
    assert states(client.ask(query("nonsense"))) == ["E"]
    assert codes(client.ask(query("select 1"))) == ["25P02"]
    got = client.ask(query("commit"))
    assert tags(got) == ["ROLLBACK"] and states(got) == ["I"]


def test_query_without_terminating_zero(session, server):
    client = session()
    assert codes(client.ask(message(b"Q", b"select 1"))) == ["08P01"]
    alive(server)


def test_query_with_zero_inside(client):
    assert codes(client.ask(message(b"Q", b"select 1\0; select 2\0"))) == ["08P01"]
    assert client.kinds(query("select 1")) == "TDCZ"


def test_invalid_utf8(client):
    assert codes(client.ask(message(b"Q", b"select '\xff\xfe'\0"))) == ["22021"]
    assert client.kinds(query("select 1")) == "TDCZ"


# Extended queries.

def test_extended_query(client):
    got = client.ask(parse("select $1::int + 1, $2::text"), describe(b"S"), bind(values=[b"41", None]), describe(b"P"), execute(), SYNC)
    assert "".join(kind.decode() for kind, _ in got) == "1tT2TDCZ"
    assert got[1][1] == struct.pack("!hII", 2, 23, 25) and rows(got) == [[b"42", None]]


def test_binary_in_and_out(client):
    got = client.ask(parse("select $1::int8 * 2, $2::text, $3::float8, true", types=[20, 25, 701]),
                     bind(values=[struct.pack("!q", 21), b"txt", struct.pack("!d", 0.5)], formats=[1, 0, 1], results=[1]), execute(), SYNC)
    assert rows(got) == [[struct.pack("!q", 42), b"txt", struct.pack("!d", 0.5), b"\1"]]
    got = client.ask(bind(values=[b"1", b"t", b"0.25"], results=[0, 1, 0, 1]), execute(), SYNC)
    assert rows(got) == [[b"2", b"t", b"0.25", b"\1"]]
    assert codes(client.ask(bind(values=[b"1", b"t", b"2"], results=[0, 1]), SYNC)) == ["08P01"]
    assert codes(client.ask(bind(values=[b"1", b"t", b"2"], formats=[0, 1]), SYNC)) == ["08P01"]
    assert codes(client.ask(bind(values=[b"1", b"t", b"2"], formats=[7]), SYNC)) == ["22023"]
    assert codes(client.ask(bind(values=[b"123", b"t", b"2"], formats=[1, 0, 0]), SYNC)) == ["08P01"]


def test_no_data_and_empty(client):
    assert client.kinds(parse("create temp table t (a int)"), describe(b"S"), bind(), describe(b"P"), execute(), SYNC) == "1tn2nCZ"
    assert client.kinds(parse(""), bind(), execute(), SYNC) == "12IZ"
    assert client.kinds(parse("  -- comment"), bind(), describe(b"P"), execute(), SYNC) == "12nIZ"


def test_portal_suspension(client):
    client.ask(query("begin"))
    got = client.ask(parse("select generate_series(1, 5)"), bind("p"), execute("p", 2), execute("p", 2), execute("p", 2), execute("p", 2), SYNC)
    assert "".join(kind.decode() for kind, _ in got) == "12DDsDDsDCCZ"
    assert tags(got) == ["SELECT 1", "SELECT 0"] and states(got) == ["T"]
    got = client.ask(parse("select * from generate_series(1, 100000)"), bind("q"), execute("q", 1), SYNC)
    assert rows(got) == [[b"1"]]
    # The portal waits as long as its transaction.
    assert rows(client.ask(execute("q", 3), SYNC)) == [[b"2"], [b"3"], [b"4"]]
    assert client.kinds(query("commit")) == "CZ"
    assert codes(client.ask(execute("q", 1), SYNC)) == ["34000"]


def test_row_limit_reached_exactly(client):
    got = client.ask(parse("select generate_series(1, 2)"), bind(), execute("", 2), execute("", 0), SYNC)
    assert "".join(kind.decode() for kind, _ in got) == "12DDsCZ"
    got = client.ask(query("create temp table t (a int)"))
    got = client.ask(parse("insert into t values (1), (2), (3) returning a"), bind(), execute("", 2), SYNC)
    assert "".join(kind.decode() for kind, _ in got) == "12DDsZ"
    assert rows(client.ask(query("select count(*) from t"))) == [[b"3"]]


def test_portals_end_with_their_transaction(client):
    assert client.kinds(parse("select 1"), bind("p"), SYNC) == "12Z"
    assert codes(client.ask(execute("p"), SYNC)) == ["34000"]


@pytest.mark.parametrize("ending", ["commit", "rollback"])
@pytest.mark.parametrize("block", [True, False])
def test_what_ends_a_transaction_ends_its_own_portal(client, ending, block):
    if block:
        client.ask(query("begin"))
    got = client.ask(parse(ending), bind("p"), execute("p"), execute("p"), SYNC)
    assert tags(got) == [ending.upper()] and codes(got)[-1:] == ["34000"]
    got = client.ask(parse("begin"), bind("p"), execute("p"), execute("p"), SYNC)
    assert tags(got) == ["BEGIN"] and codes(got) == ["55000"]


def test_skip_to_sync(client):
    got = client.ask(parse("select nothing"), bind(), execute(), parse("select 1"), bind(), execute(), SYNC)
    assert "".join(kind.decode() for kind, _ in got) == "EZ" and codes(got) == ["42703"]
    got = client.ask(parse("select 1 / $1::int"), bind(values=[b"0"]), execute(), execute(), bind(values=[b"1"]), execute(), SYNC)
    # The value is known when the plan is made, at Bind.
    assert "".join(kind.decode() for kind, _ in got) == "1EZ" and codes(got) == ["22012"]
    # Even a simple query is skipped.
    client.send(parse("nonsense"), query("select 1"), SYNC)
    assert "".join(kind.decode() for kind, _ in client.until(b"Z")) == "EZ"
    assert client.kinds(query("select 2")) == "TDCZ"


def test_pipelined_work_is_one_transaction_up_to_sync(client):
    client.ask(query("create temp table t (a int primary key)"))
    insert = [parse("insert into t values ($1::int)", "i")]
    got = client.ask(*insert, bind(statement="i", values=[b"1"]), execute(), bind(statement="i", values=[b"1"]), execute(), SYNC)
    assert codes(got) == ["23505"]
    assert rows(client.ask(query("select count(*) from t"))) == [[b"0"]]
    client.send(bind(statement="i", values=[b"1"]), execute(), SYNC, bind(statement="i", values=[b"1"]), execute(), SYNC,
                bind(statement="i", values=[b"2"]), execute(), SYNC)
    assert [codes(client.until(b"Z")) for _ in range(3)] == [[], ["23505"], []]
    assert rows(client.ask(query("select a from t order by a"))) == [[b"1"], [b"2"]]


def test_query_in_a_pipeline_leaves_its_transaction_open(client):
    pipelined = [parse("select 1"), bind(), execute()]
    assert states(client.ask(*pipelined, query("select 2"))) == ["T"]
    assert states(client.ask(SYNC)) == ["I"]
    assert states(client.ask(*pipelined, query("select 2; select 3"))) == ["I"]
    assert states(client.ask(parse("select 1"), bind(), query("select 2"))) == ["I"]
    assert states(client.ask(*pipelined, query("select 1/0"))) == ["I"]


def test_statements_and_portals_by_name(client):
    assert codes(client.ask(bind(statement="missing"), SYNC)) == ["26000"]
    assert codes(client.ask(describe(b"S", "missing"), SYNC)) == ["26000"]
    assert codes(client.ask(describe(b"P", "missing"), SYNC)) == ["34000"]
    assert codes(client.ask(execute("missing"), SYNC)) == ["34000"]
    assert client.kinds(close(b"S", "missing"), close(b"P", "missing"), SYNC) == "33Z"
    assert client.kinds(parse("select 1", "s"), SYNC) == "1Z"
    assert codes(client.ask(parse("select 2", "s"), SYNC)) == ["42P05"]
    assert client.kinds(close(b"S", "s"), parse("select 2", "s"), SYNC) == "31Z"
    assert codes(client.ask(bind("p", "s"), bind("p", "s"), SYNC)) == ["42P03"]
    # The unnamed ones are replaced.
    assert client.kinds(parse("select 1"), parse("select 2"), bind(), bind(), execute(), SYNC) == "1122DCZ"
    assert codes(client.ask(describe(b"Q", "s"), SYNC)) == ["08P01"]
    assert codes(client.ask(close(b"Q", "s"), SYNC)) == ["08P01"]
    assert rows(client.ask(query("execute s"))) == [[b"2"]]
    assert client.kinds(query("deallocate all"), ) == "CZ"
    assert codes(client.ask(bind(statement="s"), SYNC)) == ["26000"]


def test_flush(client):
    client.send(parse("select 1"), FLUSH)
    assert client.read()[0] == b"1"
    client.send(bind(), execute(), FLUSH)
    assert [client.read()[0] for _ in range(3)] == [b"2", b"D", b"C"]
    assert client.kinds(SYNC) == "Z"


def test_several_commands_in_one_parse(client):
    assert codes(client.ask(parse("select 1; select 2"), SYNC)) == ["42601"]


def test_wrong_parameter_counts(client):
    assert codes(client.ask(parse("select $1::int"), bind(values=[]), SYNC)) == ["08P01"]
    assert codes(client.ask(parse("select $1::int"), bind(values=[b"1", b"2"]), SYNC)) == ["08P01"]
    assert codes(client.ask(parse("select $1::int", types=[20]), bind(values=[b"x"]), SYNC)) == ["22P02"]
    assert codes(client.ask(parse("select 1", types=[23]), bind(), SYNC)) == ["08P01"]


def test_plan_change_is_noticed(client):
    client.ask(query("create temp table t (a int)"))
    client.ask(parse("select * from t", "s"), SYNC)
    client.ask(query("alter table t add b int"))
    got = client.ask(bind(statement="s"), execute(), SYNC)
    assert codes(got) == ["0A000"] and [fields(b)["M"] for k, b in got if k == b"E"] == ["cached plan must not change result type"]


# COPY.

def test_copy_in(client):
    client.ask(query("create temp table t (a int, b text)"))
    client.send(query("copy t from stdin"))
    assert client.read() == (b"G", b"\0\0\2\0\0\0\0")
    client.send(message(b"d", b"1\ton"), message(b"d", b"e\n2\t\\N\n3\tlast"), FLUSH, SYNC, message(b"c"))
    got = client.until(b"Z")
    assert tags(got) == ["COPY 3"]
    assert rows(client.ask(query("select * from t order by a"))) == [[b"1", b"one"], [b"2", None], [b"3", b"last"]]


def test_copy_in_fails(client):
    client.ask(query("create temp table t (a int)"))
    client.send(query("copy t from stdin"), message(b"d", b"1\n"), message(b"f", b"no more\0"))
    got = client.until(b"Z")
    assert codes(got) == ["57014"] and [fields(b)["M"] for k, b in got if k == b"E"] == ["COPY from stdin failed: no more"]
    # The rest of the data is thrown away after an error.
    client.send(query("copy t from stdin"), message(b"d", b"x\n"), message(b"d", b"2\n"), message(b"c"))
    assert codes(client.until(b"Z")) == ["22P02"]
    assert rows(client.ask(query("select count(*) from t"))) == [[b"0"]]


@pytest.mark.parametrize("options", ["", " with (format csv)"])
def test_copy_in_of_what_is_no_text(client, options):
    client.ask(query("create temp table texts (a text)"))
    # Refused as soon as it is there: the end of its line is not awaited.
    client.send(query("copy texts from stdin" + options), message(b"d", b"one\ntwo\xff"))
    assert codes(client.until(b"Z")) == ["22021"]
    # A character may come in two pieces, and bad bytes behind a bad line are not met.
    got = client.ask(query("copy texts from stdin" + options), message(b"d", b"\xc3"), message(b"d", b"\xa4\n"), message(b"c"))
    assert tags(got) == ["COPY 1"]
    got = client.ask(query("copy texts from stdin" + options), message(b"d", b"one\ttwo\n\xff" if not options else b"one,two\n\xff"))
    assert codes(got) == ["22P04"]


def test_copy_in_with_other_messages(session):
    client = session()
    client.ask(query("create temp table t (a int)"))
    client.send(query("copy t from stdin"), query("select 1"))
    got = client.until(b"Z")
    assert codes(got) == ["08P01", "08P01"] and client.closed()
    assert [fields(b)["M"] for k, b in got if k == b"E"] == ["unexpected message type 0x51 during COPY from stdin",
                                                             "terminating connection because protocol synchronization was lost"]
    # Outside of COPY its messages are ignored.
    client = session()
    assert client.kinds(message(b"d", b"1\n"), message(b"c"), message(b"f", b"x\0"), query("select 1")) == "TDCZ"


def test_copy_out(client):
    got = client.ask(query("copy (values (1, 'a'), (2, null)) to stdout"))
    assert "".join(kind.decode() for kind, _ in got) == "HddcCZ"
    assert [body for kind, body in got if kind == b"d"] == [b"1\ta\n", b"2\t\\N\n"] and tags(got) == ["COPY 2"]
    got = client.ask(parse("copy (select 1) to stdout"), bind(), execute(), SYNC)
    assert "".join(kind.decode() for kind, _ in got) == "12HdcCZ"


def test_copy_in_by_extended_query(client):
    client.ask(query("create temp table t (a int)"))
    client.send(parse("copy t from stdin"), bind(), execute(), SYNC)
    assert [client.read()[0] for _ in range(3)] == [b"1", b"2", b"G"]
    client.send(message(b"d", b"7\n"), message(b"c"), SYNC)
    got = client.until(b"Z")
    assert tags(got) == ["COPY 1"]
    assert rows(client.ask(query("select a from t"))) == [[b"7"]]


# Broken messages.

def test_unknown_message_type(session, server):
    client = session()
    client.send(message(b"~", b"junk"))
    got = client.until(b"Z")
    assert codes(got) == ["08P01"] and client.closed()
    alive(server)


@pytest.mark.parametrize("kind, length", [(b"Q", 3), (b"Q", 0), (b"Q", -1), (b"P", 2_000_000_000), (b"S", 2_000_000_000), (b"X", 100000000), (b"D", -2147483648)])
def test_impossible_lengths(session, server, kind, length):
    client = session()
    client.send(kind + struct.pack("!i", length) + b"abcdefgh")
    client.socket.shutdown(socket.SHUT_WR)
    # The server's log says why.
    assert client.until(b"Z") == [] and client.closed()
    alive(server)


@pytest.mark.parametrize("packet", [
    message(b"B", b"p"), message(b"B", b"p\0s\0"), message(b"B", b"\0\0\0\1"), message(b"B", b"\0\0\0\0\0\1\0\0\0\5ab"),
    message(b"B", b"\0\0\0\0\0\1\x7f\xff\xff\xff"), message(b"P", b"name"), message(b"P", b"n\0select 1\0\x7f\xff"), message(b"P", b""),
    message(b"E", b"p\0\0"), message(b"E", b""), message(b"D", b""), message(b"C", b"S"), message(b"B", b"\0\0\0\0\x7f\xff"),
    message(b"P", b"\0select 1\0\0\0trailing"), message(b"E", b"\0\0\0\0\0more"), message(b"D", b"Sname"),
], ids=range(16))
def test_truncated_bodies(session, server, packet):
    client = session()
    got = client.ask(packet, SYNC)
    assert codes(got) in (["08P01"], ["22021"], ["26000"])
    if got[-1][0] == b"Z":
        assert client.kinds(query("select 1")) == "TDCZ"
    alive(server)


def test_sync_body_is_checked(client):
    assert codes(client.ask(message(b"S", b"extra"))) == ["08P01"]


def test_connection_dropped_in_a_message(session, server):
    for part in (1, 4, 6):
        client = session()
        client.send(query("select 1")[:part])
        client.close()
    alive(server)


def test_connection_dropped_in_a_transaction(session, server):
    client = session()
    client.ask(query("drop table if exists wire_dropped; create table wire_dropped (a int)"))
    client.ask(query("begin; insert into wire_dropped values (1); lock table wire_dropped"))
    client.close()
    other = session()
    assert rows(other.ask(query("set lock_timeout = '10s'; select count(*) from wire_dropped; drop table wire_dropped"))) == [[b"0"]]


def test_function_call_message(client):
    # abs(integer) is function 1397.
    got = client.ask(message(b"F", struct.pack("!Ihhhi", 1397, 1, 1, 1, 4) + struct.pack("!i", -5) + struct.pack("!h", 1)))
    assert got[0] == (b"V", struct.pack("!ii", 4, 5)) and states(got) == ["I"]


def test_slow_reader_stops_only_itself(session, server):
    slow = session(timeout=60)
    slow.send(query("select g, repeat('x', 1000) from generate_series(1, 100000) g"))
    for _ in range(5):
        alive(server)
    got = slow.until(b"Z")
    assert tags(got) == ["SELECT 100000"]


def test_terminate_message(session):
    client = session()
    client.send(wire.TERMINATE)
    assert client.closed()


def test_many_small_messages_in_one_write(client):
    client.send(*[query(f"select {i}") for i in range(500)])
    for i in range(500):
        assert rows(client.until(b"Z")) == [[str(i).encode()]]


def test_messages_byte_by_byte(client):
    for byte in query("select 'slowly'"):
        client.send(bytes([byte]))
    assert rows(client.until(b"Z")) == [[b"slowly"]]
