#!/usr/bin/env python3
"""Tests of the server around the sessions: starting, stopping, locks, authentication, TLS, bad messages.

Talks to the built binary with real psql and with bytes of its own. `run_server.py [NAME...]` runs the
tests whose names contain one of the words. The last line counts them.
"""

import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time

from servers import Kokkiri, free_port, kokkiri_binary, postgresql_bin

TESTS = []


def test(function):
    TESTS.append(function)
    return function


def run(*arguments, **options):
    """Runs a program; its output and errors in one text, and its exit code."""
    done = subprocess.run([str(a) for a in arguments], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60, **options)
    return done.stdout, done.returncode


def psql(server, *arguments, **environment):
    command = [os.path.join(postgresql_bin(), "psql"), "-X", "-At", *arguments]
    return run(*command, env=dict(server.environment(), **environment))


def expect(text, *parts):
    for part in parts:
        assert part in text, f"{part!r} is missing in {text!r}"


def server_process(server):
    """The process id of the server process: the postmaster's only child."""
    children = f"/proc/{server.process.pid}/task/{server.process.pid}/children"
    with open(children) as found:
        return int(found.read().split()[0])


class Wire:
    """A connection that sends what it is told, byte by byte."""

    def __init__(self, server):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=10)

    def send(self, data):
        self.socket.sendall(data)
        return self

    def startup(self, version=0x30000, **options):
        options = {"user": "postgres", "database": "postgres", **options}
        body = b"".join(f"{k}\0{v}\0".encode() for k, v in options.items()) + b"\0"
        return self.send(struct.pack("!ii", len(body) + 8, version) + body)

    def message(self, kind, body=b""):
        return self.send(kind + struct.pack("!i", len(body) + 4) + body)

    def read(self, length):
        data = b""
        while len(data) < length:
            more = self.socket.recv(length - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def next(self):
        """The next message as (type, body); None at the end of the connection."""
        try:
            kind, length = struct.unpack("!ci", self.read(5))
            return kind, self.read(length - 4)
        except (EOFError, ConnectionResetError):
            return None

    def until(self, *kinds):
        """Messages up to and including the first of these types, or to the end."""
        messages = []
        while (message := self.next()) is not None:
            messages.append(message)
            if message[0] in kinds:
                break
        return messages


def error(messages):
    """Severity, code and text of the first ErrorResponse."""
    for kind, body in messages:
        if kind == b"E":
            fields = {field[:1]: field[1:].decode() for field in body.split(b"\0") if field}
            return fields[b"S"], fields[b"C"], fields[b"M"]
    raise AssertionError(f"no error in {messages}")


@test
def answers_psql_over_both_sockets(server):
    assert psql(server, "-c", "select 1") == ("1\n", 0)
    assert psql(server, "-h", server.directory, "-c", "select 1") == ("1\n", 0)


@test
def refuses_unknown_roles_and_databases(server):
    expect(psql(server, "-U", "nobody", "-c", "select 1")[0], 'FATAL:  role "nobody" does not exist')
    expect(psql(server, "-d", "nothing", "-c", "select 1")[0], 'FATAL:  database "nothing" does not exist')
    expect(psql(server, "-d", "template0", "-c", "select 1")[0],
           'FATAL:  database "template0" is not currently accepting connections')


@test
def a_second_start_is_refused(server):
    output, code = run(kokkiri_binary(), "serve", "-D", server.data, "-p", free_port(), "-k", server.directory)
    assert code != 0
    expect(output, 'FATAL:  lock file "postmaster.pid" already exists',
           f"HINT:  Is another postmaster (PID {server.process.pid}) running in data directory")
    assert psql(server, "-c", "select 1") == ("1\n", 0)


@test
def a_taken_port_is_refused(server):
    other = os.path.join(server.directory, "other")
    output, code = run(kokkiri_binary(), "init", "-D", other)
    assert code == 0, output
    output, code = run(kokkiri_binary(), "serve", "-D", other, "-p", server.port, "-k", server.directory,
                       "-c", "listen_addresses=127.0.0.1")
    assert code != 0
    expect(output, "could not bind IP address", "could not create listen socket")
    assert not os.path.exists(os.path.join(other, "postmaster.pid"))
    output, code = run(kokkiri_binary(), "serve", "-D", other, "-p", server.port, "-k", server.directory,
                       "-c", "listen_addresses=")
    expect(output, f".s.PGSQL.{server.port}.lock\" already exists")


@test
def the_pid_file_has_postgresqls_lines(server):
    with open(os.path.join(server.data, "postmaster.pid")) as file:
        lines = file.read().splitlines()
    assert lines[:2] == [str(server.process.pid), os.path.realpath(server.data)], lines
    assert lines[3:6] == [str(server.port), server.directory, "localhost"], lines
    assert lines[7] == "ready   ", lines
    output, code = run(kokkiri_binary(), "ctl", "status", "-D", server.data)
    assert code == 0
    expect(output, f"server is running (PID: {server.process.pid})")


@test
def a_killed_server_process_is_started_again(server):
    before = server_process(server)
    os.kill(before, signal.SIGKILL)
    server.wait_until_ready()
    assert server_process(server) != before
    assert psql(server, "-c", "select 42") == ("42\n", 0)
    expect(server.log(), "was terminated by signal 9", "database system was interrupted",
           "automatic recovery in progress")


def session(server, **options):
    """A connection that is ready for queries."""
    wire = Wire(server).startup(**options)
    messages = wire.until(b"Z")
    assert messages[-1][0] == b"Z", messages
    return wire


def ask(wire, text):
    return wire.message(b"Q", text.encode() + b"\0").until(b"Z")


def first_row(messages):
    for kind, body in messages:
        if kind == b"D":
            length = struct.unpack_from("!i", body, 2)[0]
            return body[6:6 + length].decode()
    raise AssertionError(f"no row in {messages}")


@test
def a_panic_ends_its_session_alone(server):
    """In the middle of a scan, with a page locked and pinned, in a transaction that holds locks."""
    psql(server, "-c", "create table if not exists panicked (a int primary key); truncate panicked; insert into panicked values (1), (2)")
    before = server_process(server)
    bystander, victim = session(server), session(server)
    ask(bystander, "begin; select 1")
    pid = first_row(ask(victim, "select pg_backend_pid()"))
    left = (f"select (select count(*) from pg_locks where pid = {pid} or relation = 'panicked'::regclass) || ' '"
            f" || (select count(*) from pg_stat_activity where pid = {pid})")
    ask(victim, "select pg_advisory_lock(7)")
    ask(victim, "begin; update panicked set a = 3 where a = 1; lock table panicked")
    held = first_row(ask(bystander, left)).split()
    assert int(held[0]) >= 4 and held[1] == "1", held
    messages = ask(victim, "set kokkiri.debug_panic_at = 'heap_scan'; select * from panicked")
    assert error(messages) == ("FATAL", "XX000", 'backend panicked: fault injected at "heap_scan"'), messages
    assert victim.next() is None
    assert first_row(ask(bystander, left)) == "0 0"
    # What it held is free: the table, the row, the page.
    output, code = psql(server, "-c", "set lock_timeout = '5s'; begin; lock table panicked; rollback",
                        "-c", "update panicked set a = 4 where a = 1", "-c", "vacuum (freeze) panicked",
                        "-c", "select sum(a) from panicked")
    assert code == 0 and output.splitlines()[-1] == "6", output
    assert first_row(ask(bystander, "select count(*) from panicked")) == "2"
    ask(bystander, "commit")
    assert server_process(server) == before
    # So does what a session locks for itself when it just leaves.
    leaving = session(server)
    ask(leaving, "select pg_advisory_lock(7)")
    leaving.send(b"X" + struct.pack("!i", 4))
    assert leaving.next() is None
    assert psql(server, "-c", "select count(*) from pg_locks where locktype = 'advisory'") == ("0\n", 0)
    # Only a superuser can do that.
    psql(server, "-c", "create role nobody_special login")
    output, _ = psql(server, "-U", "nobody_special", "-c", "set kokkiri.debug_panic_at = 'heap_scan'")
    expect(output, 'permission denied to set parameter "kokkiri.debug_panic_at"')
    expect(psql(server, "-U", "nobody_special", PGOPTIONS="-c kokkiri.debug_panic_at=heap_scan")[0], "permission denied")
    expect(psql(server, "-c", "set kokkiri.other = 1")[0], "invalid configuration parameter name")
    psql(server, "-c", "drop role nobody_special; drop table panicked")


@test
def a_panic_in_a_critical_section_restarts_the_engine(server):
    """A page was changed and nothing logged it: memory can't be trusted, so the WAL is replayed, in the same process."""
    psql(server, "-c", "create table if not exists logged (a int)", "-c", "truncate logged", "-c", "insert into logged values (1)")
    before = server_process(server)
    bystander, writer, victim = session(server), session(server), session(server)
    ask(writer, "begin; insert into logged values (50)")
    ask(bystander, "insert into logged values (2)")
    messages = ask(victim, "set kokkiri.debug_panic_at = 'heap_insert'; insert into logged values (100)")
    assert error(messages)[0] == "FATAL", messages
    for other in (bystander, writer):
        assert error(other.until()) == ("FATAL", "57P02", "terminating connection because of crash of another server process")
    server.wait_until_ready()
    assert server_process(server) == before, "it is the same process"
    assert psql(server, "-c", "select a from logged order by a") == ("1\n2\n", 0)
    expect(server.log(), "panic inside a critical section", "all server processes terminated; reinitializing",
           "automatic recovery in progress")
    assert psql(server, "-c", "drop table logged")[1] == 0


@test
def a_killed_postmaster_s_server_process_is_waited_for(server):
    # The orphan still has the directory, for as long as it is stopped.
    postmaster, orphan = server.process, server_process(server)
    os.kill(orphan, signal.SIGSTOP)
    postmaster.kill()
    postmaster.wait()
    server.start_without_waiting()
    time.sleep(0.3)
    assert server.process.poll() is None and not server.accepts(), "two servers have the directory"
    os.kill(orphan, signal.SIGCONT)
    server.wait_until_ready()
    assert server.query("select 1") == "1"
    expect(server.log(), "database system was interrupted")


@test
def clients_reconnect_after_a_killed_server_process(server):
    """Everything that was committed is there; while the WAL is replayed clients are told so."""
    psql(server, "-c", "create table if not exists kept (a int)", "-c", "truncate kept")
    writer = session(server)
    for number in range(20):
        ask(writer, f"insert into kept values ({number})")
    ask(writer, "begin; insert into kept select g from generate_series(100, 30000) g")
    os.kill(server_process(server), signal.SIGKILL)
    refusals = set()
    deadline = time.monotonic() + 30
    while True:
        try:
            messages = Wire(server).startup().until(b"Z", b"E")
        except OSError:
            messages = []
        if messages and messages[-1][0] == b"Z":
            break
        if messages:
            refusals.add(error(messages)[:2])
        assert time.monotonic() < deadline
    assert refusals <= {("FATAL", "57P03")}, refusals
    assert writer.next() is None
    assert psql(server, "-c", "select count(*), sum(a) from kept") == ("20|190\n", 0)
    psql(server, "-c", "drop table kept")


@test
def smart_shutdown_waits_for_clients_and_fast_does_not(server):
    wire = Wire(server).startup()
    wire.until(b"Z")
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    expect(psql(server, "-c", "select 1")[0], "FATAL:  the database system is shutting down")
    wire.message(b"Q", b"select 1\0")
    assert wire.until(b"Z")[-1][0] == b"Z", "the client that was there goes on"
    server.process.send_signal(signal.SIGINT)
    assert error(wire.until()) == ("FATAL", "57P01", "terminating connection due to administrator command")
    assert server.process.wait(30) == 0
    assert not os.path.exists(os.path.join(server.data, "postmaster.pid"))
    assert not os.path.exists(os.path.join(server.directory, f".s.PGSQL.{server.port}"))
    server.start()
    assert "automatic recovery" not in server.log().rsplit("database system is shut down", 1)[1]


@test
def an_immediate_shutdown_needs_recovery(server):
    server.stop(signal.SIGQUIT)
    server.start()
    expect(server.log().rsplit("received immediate shutdown request", 1)[1], "automatic recovery in progress")


@test
def ctl_starts_and_stops(server):
    server.stop()
    options = ["-p", str(server.port), "-k", server.directory]
    with open(server.log_path, "a") as log:
        subprocess.run([kokkiri_binary(), "ctl", "start", "-D", server.data, "--", *options],
                       check=True, stdout=log, stderr=log, timeout=60)
    assert psql(server, "-c", "select 1") == ("1\n", 0)
    output, code = run(kokkiri_binary(), "ctl", "stop", "-D", server.data, "-m", "fast")
    assert code == 0, output
    expect(output, "server stopped")
    output, code = run(kokkiri_binary(), "ctl", "status", "-D", server.data)
    assert code == 3, output
    server.start()


@test
def settings_are_read_again_and_errors_name_their_place(server):
    def time_zone():
        told = Wire(server).startup().until(b"Z")
        return [body.split(b"\0")[1] for kind, body in told if kind == b"S" and body.startswith(b"TimeZone\0")]

    path = os.path.join(server.data, "postgresql.conf")
    with open(path) as file:
        before = file.read()
    lines = before.count("\n")
    try:
        with open(path, "a") as file:
            file.write("timezone = 'Asia/Seoul'\n")
        run(kokkiri_binary(), "ctl", "reload", "-D", server.data)
        time.sleep(0.3)
        assert time_zone() == [b"Asia/Seoul"], time_zone()
        with open(path, "a") as file:
            file.write("timezone = 'Asia/Tokyo' again\n")
        server.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        expect(server.log(), f'line {lines + 2}, near token "again"', "no changes were applied")
        assert time_zone() == [b"Asia/Seoul"], time_zone()
    finally:
        with open(path, "w") as file:
            file.write(before)


@test
def passwords_are_asked_for(_):
    with tempfile.TemporaryDirectory() as directory:
        password = os.path.join(directory, "password")
        with open(password, "w") as file:
            file.write("secret\n")
        server = Kokkiri(directory=os.path.join(directory, "server"))
        output, code = run(kokkiri_binary(), "init", "-D", server.data, "-A", "scram-sha-256", "--pwfile", password)
        assert code == 0, output
        # Without a password nobody is ready to tell; an answer at all is enough.
        with server:
            assert psql(server, "-c", "select 1", PGPASSWORD="secret") == ("1\n", 0)
            failed = 'FATAL:  password authentication failed for user "{}"'
            expect(psql(server, "-c", "select 1", PGPASSWORD="wrong")[0], failed.format("postgres"))
            expect(psql(server, "-U", "nobody", "-c", "select 1", PGPASSWORD="x")[0], failed.format("nobody"))
            expect(server.log(), 'Role "nobody" does not exist.', "Connection matched file")


@test
def hosts_without_a_line_are_refused(server):
    path = os.path.join(server.data, "pg_hba.conf")
    with open(path) as file:
        text = file.read()
    with open(path, "w") as file:
        file.write("local all all trust\nhost all all 10.0.0.0/8 trust\n")
    server.process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    try:
        expect(psql(server, "-c", "select 1")[0], 'FATAL:  no pg_hba.conf entry for host "127.0.0.1", '
               'user "postgres", database "postgres", no encryption')
    finally:
        with open(path, "w") as file:
            file.write(text)
        server.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)


@test
def tls_by_request_and_directly(server):
    for name in ("server.crt", "server.key"):
        if os.path.exists(os.path.join(server.data, name)):
            os.remove(os.path.join(server.data, name))
    output, code = run("openssl", "req", "-new", "-x509", "-days", "2", "-nodes", "-subj", "/CN=localhost",
                       "-out", os.path.join(server.data, "server.crt"),
                       "-keyout", os.path.join(server.data, "server.key"))
    assert code == 0, output
    with open(os.path.join(server.data, "postgresql.auto.conf"), "a") as file:
        file.write("ssl = on\n")
    server.process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def secured(wire):
        wire.socket = context.wrap_socket(wire.socket)
        return wire.startup().until(b"Z")[-1]

    asked = Wire(server).send(struct.pack("!ii", 8, 80877103))
    assert asked.read(1) == b"S"
    assert secured(asked) == (b"Z", b"I")
    # Without asking, the client must name the protocol.
    try:
        messages = secured(Wire(server))
    except (OSError, IndexError):
        messages = None
    assert messages is None, messages
    context.set_alpn_protocols(["postgresql"])
    assert secured(Wire(server)) == (b"Z", b"I")
    wire = Wire(server).send(struct.pack("!ii", 8, 80877103) + b"early")
    assert wire.read(1) != b"S", "bytes before the handshake are not taken for bytes under TLS"


@test
def a_cancel_request_needs_its_key(server):
    wire = Wire(server).startup()
    keys = [body for kind, body in wire.until(b"Z") if kind == b"K"]
    pid, key = keys[0][:4], keys[0][4:]
    wire.message(b"Q", b"select pg_sleep(20)\0")
    time.sleep(0.3)
    Wire(server).send(struct.pack("!ii", 16, 80877102) + pid + bytes(4))
    time.sleep(0.3)
    began = time.monotonic()
    Wire(server).send(struct.pack("!ii", 16, 80877102) + pid + key)
    assert error(wire.until(b"Z")) == ("ERROR", "57014", "canceling statement due to user request")
    assert time.monotonic() - began < 5
    expect(server.log(), "wrong key in cancel request for process")


@test
def bad_startup_packets(server):
    assert Wire(server).send(struct.pack("!i", 3)).next() is None
    assert Wire(server).send(struct.pack("!i", 10_001)).next() is None
    assert Wire(server).send(b"GET / HTTP/1.0\r\n\r\n").next() is None
    # Version 2 is answered in the form of version 2: text without a length.
    outdated = b"EFATAL:  unsupported frontend protocol 2.0: server supports 3.0 to 3.2\n\0"
    assert Wire(server).startup(version=0x20000).read(len(outdated)) == outdated
    messages = Wire(server).send(struct.pack("!ii", 8 + 9, 0x30000) + b"user\0me\0x").until()
    assert error(messages)[:2] == ("FATAL", "08P01"), messages
    newer = Wire(server).startup(version=0x30009).until(b"Z")
    assert newer[0][0] == b"v" and newer[-1][0] == b"Z", newer[:1]


@test
def bad_messages_end_or_fail_and_others_go_on(server):
    bystander = Wire(server).startup()
    bystander.until(b"Z")

    def connected():
        wire = Wire(server).startup()
        wire.until(b"Z")
        return wire

    unknown = connected().message(b"y")
    assert error(unknown.until())[:2] == ("FATAL", "08P01")
    # A length that can't be is told to the log only: the stream is out of step.
    assert connected().send(b"Q" + struct.pack("!i", 3)).next() is None
    assert connected().send(b"S" + struct.pack("!i", 0x7FFFFFFF)).next() is None
    unterminated = connected().message(b"Q", b"select 1")
    assert error(unterminated.until(b"Z", b"E"))[1] == "08P01"
    encoding = connected().message(b"Q", b"select '\xff'\0")
    assert error(encoding.until(b"Z")) == \
        ("ERROR", "22021", 'invalid byte sequence for encoding "UTF8": 0xff')
    missing = connected().message(b"E", b"nope\0" + struct.pack("!i", 0)).message(b"S")
    assert error(missing.until(b"Z")) == ("ERROR", "34000", 'portal "nope" does not exist')
    truncated = connected().send(b"Q" + struct.pack("!i", 100) + b"select")
    truncated.socket.close()
    bystander.message(b"Q", b"select 1\0")
    assert bystander.until(b"Z")[-1] == (b"Z", b"I")


@test
def idle_before_authentication_is_timed_out(server):
    """Whatever part of the start-up has come: nothing, a byte, half a packet, a request and nothing after it."""
    began = time.monotonic()
    half = struct.pack("!ii", 40, 0x30000) + b"user\0post"
    waiting = [Wire(server).send(data) for data in (b"", b"\0", half)]
    asked = Wire(server).send(struct.pack("!ii", 8, 80877104))
    assert asked.read(1) == b"N"
    for wire in [*waiting, asked]:
        wire.socket.settimeout(15)
        assert wire.next() is None
    assert 2 < time.monotonic() - began < 10
    # Others get in meanwhile and afterwards, and whoever is in stays.
    assert psql(server, "-c", "select pg_sleep(4)", "-c", "select 1")[0].endswith("1\n")


def resident_kb(server):
    """Memory of the server process that is not a file's or shared."""
    with open(f"/proc/{server_process(server)}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon:"))


def stays_within(server, most_kb, work):
    """The server's memory grows by no more than that while `work` goes on."""
    before = resident_kb(server)
    peak = before
    for step in range(40):
        work(step)
        peak = max(peak, resident_kb(server))
        time.sleep(0.02)
    assert peak - before < most_kb, f"memory grew by {peak - before} kB"


@test
def slow_readers_stop_only_themselves(server):
    """Results of a gigabyte each, which nobody reads: their queries wait, others go on, and nothing piles up."""
    bystander = session(server)
    ask(bystander, "select 1")
    statements = ["select g, repeat('x', 1000) from generate_series(1, 1000000) g",
                  "copy (select g, repeat('x', 1000) from generate_series(1, 1000000) g) to stdout"]
    slow = [session(server) for _ in statements * 3]
    for wire, statement in zip(slow, statements * 3):
        wire.message(b"Q", statement.encode() + b"\0")
    stays_within(server, 64 * 1024, lambda step: ask(bystander, f"select {step}"))
    waiting = "select count(*) from pg_stat_activity where wait_event = 'ClientWrite'"
    assert first_row(ask(bystander, waiting)) == str(len(slow))
    # One that begins to read is given more.
    received = 0
    while received < 20_000:
        received += slow[0].next()[0] == b"D"
    for wire in slow:
        wire.socket.close()


@test
def announced_lengths_take_no_memory(server):
    """A message as long as is allowed, which never comes: room is made only for what has come."""
    wires = [session(server) for _ in range(20)]

    def announce(step):
        if step < len(wires):
            wires[step].send(b"Q" + struct.pack("!i", 0x3FFFFFF0) + b"select 1")

    stays_within(server, 16 * 1024, announce)
    # The same before authentication.
    early = [Wire(server).send(struct.pack("!ii", 10_000, 0x30000)) for _ in range(20)]
    assert psql(server, "-c", "select 1") == ("1\n", 0)
    for wire in wires + early:
        wire.socket.close()


@test
def a_directory_that_is_none_is_refused(server):
    nothing = os.path.join(server.directory, "nothing")
    os.makedirs(nothing, exist_ok=True)
    with open(os.path.join(nothing, "file"), "w") as file:
        file.write("x")
    output, code = run(kokkiri_binary(), "serve", "-D", nothing)
    assert code != 0
    expect(output, "is not a valid data directory")
    output, code = run(kokkiri_binary(), "init", "-D", nothing)
    assert code != 0
    expect(output, "exists but is not empty")


def main():
    words = sys.argv[1:]
    chosen = [t for t in TESTS if not words or any(word in t.__name__ for word in words)]
    passed = failed = 0
    with Kokkiri(settings=["authentication_timeout=3s"]) as server:
        for function in chosen:
            try:
                function(server)
                passed += 1
            except Exception as wrong:  # the other tests still tell something
                failed += 1
                print(f"FAILED {function.__name__}: {type(wrong).__name__}: {wrong}", flush=True)
                if server.process.poll() is not None:
                    server.start()
        if failed:
            print(server.log()[-3000:])
    print(f"server: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
