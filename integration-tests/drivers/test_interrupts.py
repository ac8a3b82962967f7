"""Whatever a session is doing, others can end it: by cancel request, pg_cancel_backend, pg_terminate_backend, and by
the timeouts it has set itself. Each answers with PostgreSQL's code and words soon, and the session is usable after it,
or gone."""

import os
import select
import struct
import time

import pytest
import wire
from wire import Wire, fields, message, query, row

# An interrupt is answered within about a second; a loaded machine is given more.
SOON = 6
# Rows of the large table: enough that a scan takes longer than the shortest timeout used here.
ROWS = 60_000

CANCELED = ("ERROR", "57014", "canceling statement due to user request")
STATEMENT_TIMEOUT = ("ERROR", "57014", "canceling statement due to statement timeout")
LOCK_TIMEOUT = ("ERROR", "55P03", "canceling statement due to lock timeout")
TRANSACTION_TIMEOUT = ("FATAL", "25P04", "terminating connection due to transaction timeout")
TERMINATED = ("FATAL", "57P01", "terminating connection due to administrator command")
IDLE_IN_TRANSACTION = ("FATAL", "25P03", "terminating connection due to idle-in-transaction timeout")
IDLE_SESSION = ("FATAL", "57P05", "terminating connection due to idle-session timeout")


class Session(Wire):
    """A connection that knows its pid and can send a statement without waiting for its answer."""

    def __init__(self, server, database, timeout=2 * SOON):
        super().__init__(server.port, database=database, timeout=timeout)
        self.port = server.port
        self.pid = struct.unpack("!i", self.key[:4])[0]

    def run(self, text):
        """The rows of a statement that must succeed."""
        got = self.ask(query(text))
        assert not outcome(got), outcome(got)
        return [row(body) for kind, body in got if kind == b"D"]

    def value(self, text):
        (one,), = self.run(text)
        return one

    def cancel(self):
        """A cancel request, over a connection of its own."""
        other = Wire(self.port, start=False)
        other.send(struct.pack("!ii", 16, wire.CANCEL) + self.key)
        assert other.closed()
        other.close()


def outcome(messages):
    """Severity, code and text of the error among the messages."""
    for kind, body in messages:
        if kind == b"E":
            error = fields(body)
            return error["V"], error["C"], error["M"]
    return None


@pytest.fixture(scope="module")
def shared_database(server):
    """A database with a large table and a few small ones, which no test changes for good."""
    server.query("drop database if exists interrupts with (force)")
    server.query("create database interrupts")
    made = Session(server, "interrupts", timeout=120)
    made.run(f"create table big (k int primary key, v int, t text); insert into big select g, g % 1000, 'row ' || g from generate_series(1, {ROWS}) g")
    made.run("create table small (k int primary key, v int); insert into small select g, g from generate_series(1, 200) g")
    made.run("create table empty (k bigint)")
    made.run("vacuum analyze")
    made.close()
    yield "interrupts"
    server.query("drop database interrupts with (force)")


@pytest.fixture
def session(server, shared_database):
    made = []

    def one():
        made.append(Session(server, shared_database))
        return made[-1]

    yield one
    for connection in made:
        connection.close()


def wait_for(other, condition, *, seconds=2 * SOON):
    deadline = time.monotonic() + seconds
    while other.value(f"select {condition}") != b"t":
        assert time.monotonic() < deadline, f"never: {condition}"
        time.sleep(0.005)


def is_running(other, pid):
    wait_for(other, f"exists (select from pg_stat_activity where pid = {pid} and state = 'active')")
    time.sleep(0.05)


def is_waiting(event):
    return lambda other, pid: wait_for(
        other, f"exists (select from pg_stat_activity where pid = {pid} and wait_event = '{event}')")


def interrupt(victim, other, how):
    """Ends what `victim` does, and says which error it is to answer."""
    if how == "request":
        victim.cancel()
        return CANCELED
    function, answer = {"cancel": ("pg_cancel_backend", CANCELED), "terminate": ("pg_terminate_backend", TERMINATED)}[how]
    assert other.value(f"select {function}({victim.pid})") == b"t"
    return answer


TIMEOUTS = {"statement_timeout": STATEMENT_TIMEOUT, "transaction_timeout": TRANSACTION_TIMEOUT, "lock_timeout": LOCK_TIMEOUT}


def is_answered(victim, other, expected, begun):
    """The error has come soon, and the session goes on, or has ended with it."""
    got = victim.until(b"Z")
    assert outcome(got) == expected
    assert time.monotonic() - begun < SOON
    if expected[0] == "FATAL":
        assert got[-1][0] == b"E" and victim.closed()
        wait_for(other, f"not exists (select from pg_stat_activity where pid = {victim.pid})")
    else:
        assert got[-1] == (b"Z", b"I")
        assert victim.value("select count(*) from small") == b"200"


def ends(session, statement, how, *, setting=(), underway=is_running, timeout="150ms"):
    """Runs what never ends by itself, ends it, and looks at the answer."""
    victim, other = session(), session()
    for assignment in setting:
        victim.run(f"set {assignment}")
    if how in TIMEOUTS:
        expected = TIMEOUTS[how]
        victim.run(f"set {how} = '{timeout}'")
        begun = time.monotonic()
        victim.send(query(statement))
    else:
        victim.send(query(statement))
        underway(other, victim.pid)
        begun = time.monotonic()
        expected = interrupt(victim, other, how)
    is_answered(victim, other, expected, begun)


WAYS = ["request", "cancel", "terminate", "statement_timeout", "transaction_timeout"]


# Waits.

@pytest.mark.parametrize("how", WAYS)
def test_sleep(session, how):
    ends(session, "select pg_sleep(60)", how, underway=is_waiting("PgSleep"))


LOCKS = {
    "row": ("update small set v = 0 where k = 1", "update small set v = 1 where k = 1", "transactionid"),
    "row_queue": ("select from small where k = 2 for share", "delete from small where k = 2", "transactionid"),
    "key_of_a_deleted_row": ("delete from small where k = 3", "select from small where k = 3 for key share", "transactionid"),
    "table": ("lock table small in exclusive mode", "insert into small values (1000, 1)", "relation"),
    "unique": ("insert into small values (2000, 1)", "insert into small values (2000, 2)", "transactionid"),
    "advisory": ("select pg_advisory_xact_lock(7)", "select pg_advisory_lock(7)", "advisory"),
}


@pytest.mark.parametrize("how", WAYS + ["lock_timeout"])
@pytest.mark.parametrize("lock", LOCKS)
def test_locks(session, lock, how):
    held, wanted, event = LOCKS[lock]
    holder = session()
    holder.run(f"begin; {held}")
    ends(session, wanted, how, underway=is_waiting(event))
    holder.run("rollback")
    # The wait has left nothing behind.
    assert holder.value("select count(*) from pg_locks where not granted") == b"0"


def test_tuple_lock(session):
    """The second in the queue for a row waits for the first, not for the row's holder."""
    holder, first = session(), session()
    holder.run("begin; update small set v = 0 where k = 1")
    first.send(query("update small set v = 1 where k = 1"))
    is_waiting("transactionid")(holder, first.pid)
    ends(session, "update small set v = 2 where k = 1", "lock_timeout")
    ends(session, "update small set v = 2 where k = 1", "cancel", underway=is_waiting("tuple"))
    holder.run("rollback")
    assert outcome(first.until(b"Z")) is None


@pytest.mark.parametrize("how", ["request", "statement_timeout"])
def test_concurrent_build_waits_for_transactions(session, how):
    holder = session()
    holder.run("begin; insert into empty values (1)")
    ends(session, "drop index if exists empty_k; create index empty_k on empty (k)", how, underway=is_waiting("relation"))
    holder.run("rollback")


def test_the_shorter_of_two_timeouts_ends_a_wait(session):
    holder = session()
    holder.run("begin; select pg_advisory_xact_lock(8)")
    ends(session, "select pg_advisory_lock(8)", "lock_timeout", setting=["statement_timeout = '20s'"])
    ends(session, "select pg_advisory_lock(8)", "statement_timeout", setting=["lock_timeout = '20s'"])
    holder.run("rollback")


def test_a_lock_timeout_counts_each_wait_alone(session):
    """Two waits of 300 ms each end neither by lock_timeout."""
    holder, waiter = session(), session()
    holder.run("begin; lock table small")
    waiter.run("set lock_timeout = '2s'")
    waiter.send(query("select count(*) from small"))
    is_waiting("relation")(holder, waiter.pid)
    holder.run("commit")
    assert outcome(waiter.until(b"Z")) is None
    assert waiter.run("set lock_timeout = '150ms'; select pg_sleep(0.4)") == [[b""]], "a sleep is no wait for a lock"


# The client.

@pytest.mark.parametrize("how", WAYS)
def test_copy_from_a_silent_client(session, how):
    """PostgreSQL cancels when the next data comes, Kokkiri at once; both take it for the rest of a COPY that has failed."""
    victim, other = session(), session()
    if how in TIMEOUTS:
        expected = TIMEOUTS[how]
        victim.run(f"set {how} = '150ms'")
    begun = time.monotonic()
    victim.send(query("copy empty from stdin"), message(b"d", b"1\n2\n"))
    assert victim.read()[0] == b"G"
    if how not in TIMEOUTS:
        is_waiting("ClientRead")(other, victim.pid)
        begun = time.monotonic()
        expected = interrupt(victim, other, how)
    if expected != TERMINATED:
        time.sleep(0.2)
        victim.send(message(b"d", b"3\n"))
    is_answered(victim, other, expected, begun)
    assert other.value("select count(*) from empty") == b"0"


def test_copy_from_a_busy_client(session):
    """The client goes on sending; what comes after the error is read and forgotten."""
    victim, other = session(), session()
    victim.send(query("copy empty from stdin"))
    assert victim.read()[0] == b"G"
    data = message(b"d", b"123456\n" * 1000)
    for _ in range(20):
        victim.send(data)
    other.run(f"select pg_cancel_backend({victim.pid})")
    begun = time.monotonic()
    while not select.select([victim.socket], [], [], 0)[0]:
        assert time.monotonic() - begun < SOON
        victim.send(data)
    victim.send(data, message(b"c"))
    assert outcome(victim.until(b"Z")) == CANCELED
    assert victim.value("select count(*) from empty") == b"0"


ENDLESS = "select generate_series(1, 10000000000)"


@pytest.mark.parametrize("statement", [f"{ENDLESS}, repeat('x', 500)", f"copy ({ENDLESS}, repeat('x', 500)) to stdout"],
                         ids=["select", "copy"])
def test_slow_reader(session, statement):
    """A cancel waits until the client reads again; a termination does not wait."""
    victim, other = session(), session()
    victim.send(query(statement))
    is_waiting("ClientWrite")(other, victim.pid)
    victim.cancel()
    begun = time.monotonic()
    is_answered(victim, other, CANCELED, begun)
    victim.send(query(statement))
    is_waiting("ClientWrite")(other, victim.pid)
    assert other.value(f"select pg_terminate_backend({victim.pid})") == b"t"
    wait_for(other, f"not exists (select from pg_stat_activity where pid = {victim.pid})", seconds=SOON)


# Between statements.

def test_idle_sessions(session):
    victim, other = session(), session()
    # Nothing runs: nothing is cancelled, neither now nor later.
    victim.cancel()
    assert other.value(f"select pg_cancel_backend({victim.pid})") == b"t"
    time.sleep(0.1)
    assert victim.value("select 1") == b"1"
    victim.run("begin; select 1")
    assert other.value(f"select pg_terminate_backend({victim.pid})") == b"t"
    is_answered(victim, other, TERMINATED, time.monotonic())


@pytest.mark.parametrize("setting, block, expected", [
    ("idle_session_timeout", "select 1", IDLE_SESSION),
    ("idle_in_transaction_session_timeout", "begin; select 1", IDLE_IN_TRANSACTION),
    ("idle_in_transaction_session_timeout", "begin; select 1/0", IDLE_IN_TRANSACTION),
    ("transaction_timeout", "begin; select 1", TRANSACTION_TIMEOUT),
])
def test_idle_timeouts(session, setting, block, expected):
    victim, other = session(), session()
    victim.run(f"set {setting} = '150ms'")
    begun = time.monotonic()
    victim.ask(query(block))
    is_answered(victim, other, expected, begun)
    assert time.monotonic() - begun > 0.14


@pytest.mark.parametrize("setting, block", [
    ("idle_session_timeout", "begin"), ("idle_in_transaction_session_timeout", "select 1"), ("transaction_timeout", "select 1"),
    ("transaction_timeout", "begin; select 1/0"), ("statement_timeout", "begin"), ("lock_timeout", "begin")])
def test_timeouts_that_do_not_apply(session, setting, block):
    victim = session()
    victim.run(f"set {setting} = '100ms'; select 1")
    victim.ask(query(block))
    time.sleep(0.3)
    victim.run("rollback")
    assert victim.value("select 1") == b"1"


def test_a_statement_timeout_counts_each_statement_alone(session):
    victim = session()
    victim.run("set statement_timeout = '400ms'")
    victim.run("select pg_sleep(0.15);" * 4)
    # Each Execute begins anew.
    victim.send(*[wire.parse("select pg_sleep(0.15)") + wire.bind() + wire.execute() for _ in range(4)], wire.SYNC)
    assert outcome(victim.until(b"Z")) is None
    assert outcome(victim.ask(query("select pg_sleep(0.15); select pg_sleep(1)"))) == STATEMENT_TIMEOUT


# Loops. Each statement would run for hours.

SOURCE = "(select generate_series(1, 10000000000) g)"
NO_HASH = ["enable_hashjoin = off", "enable_mergejoin = off"]
LOOPS = {
    "series_in_from": ("select count(*) from generate_series(1, 10000000000)", []),
    "series_in_target_list": (f"select count(*) from {SOURCE} s", []),
    "cross_join": ("select count(*) from big a, big b, big c", []),
    "filter_without_rows": ("select a.k from big a, big b, big c where a.v + b.v + c.v < 0", []),
    "nested_loop": ("select count(*) from big a join big b on a.v < b.v join big c on c.v < b.v", NO_HASH),
    "seq_scan": (f"select count((select max(k) from big where k > g % 2 and v < 0)) from {SOURCE} s", ["enable_indexscan = off", "enable_bitmapscan = off"]),
    "index_scan": (f"select count((select max(v) from big where k > g % 2 and v < 0)) from {SOURCE} s", ["enable_seqscan = off", "enable_bitmapscan = off"]),
    "index_only_scan": (f"select count((select sum(k) from big where k > g % 2 and k % 2 = 5)) from {SOURCE} s",
                        ["enable_seqscan = off", "enable_bitmapscan = off"]),
    "index_probes": (f"select count(*) from {SOURCE} s join big on big.k = s.g % 50000", NO_HASH + ["enable_material = off"]),
    "hash_build": (f"select count(*) from big join {SOURCE} s on s.g = big.v", ["enable_mergejoin = off", "enable_nestloop = off"]),
    "hash_build_in_batches": (f"select count(*) from big join {SOURCE} s on s.g = big.v",
                              ["enable_mergejoin = off", "enable_nestloop = off", "work_mem = 64"]),
    "hash_probe": (f"select count(*) from small join {SOURCE} s on s.g = small.k", ["enable_mergejoin = off", "enable_nestloop = off"]),
    "hash_probe_of_one_bucket": ("select count(*) from big a join big b on a.k * 0 = b.k * 0 join big c on b.k * 0 = c.k * 0",
                                 ["enable_mergejoin = off", "enable_nestloop = off"]),
    "merge_join_of_equal_keys": ("select count(*) from big a join big b on a.k * 0 = b.k * 0 join big c on b.k * 0 = c.k * 0",
                                 ["enable_hashjoin = off", "enable_nestloop = off"]),
    "sort": (f"select * from {SOURCE} s order by g desc", ["work_mem = '1GB'"]),
    "spilling_sort": (f"select * from {SOURCE} s order by g desc", ["work_mem = 64"]),
    "bounded_sort": (f"select * from {SOURCE} s order by -g limit 5", []),
    "hash_aggregate": (f"select count(*) from (select g, count(*) from {SOURCE} s group by g) s", ["work_mem = '1GB'"]),
    "spilling_aggregate": (f"select count(*) from (select g, count(*) from {SOURCE} s group by g) s", ["work_mem = 64"]),
    "sorted_aggregate": (f"select g, count(*) from {SOURCE} s group by g", ["enable_hashagg = off"]),
    "distinct_aggregate": (f"select count(distinct g) from {SOURCE} s", []),
    "distinct": (f"select distinct g % 2 from {SOURCE} s", []),
    "intersect": (f"select g from {SOURCE} s intersect select g from {SOURCE} s", []),
    "except_all": (f"select k from small except all select g from {SOURCE} s", []),
    "union_all": (f"select count(*) from (select g from {SOURCE} s union all select g from {SOURCE} s) s", []),
    "offset": (f"select g from {SOURCE} s offset 9000000000", []),
    "exists": (f"select count(*) from {SOURCE} s where not exists (select from big where big.v = s.g and big.k < 0)", []),
    "subplan": ("select (select count(*) from big b where b.v = a.v and b.k <> a.k) from big a order by 1", []),
    "lock_rows": (f"select * from small, {SOURCE} s where s.g < 0 for update of small", []),
    "insert_select": (f"insert into empty select g from {SOURCE} s", []),
    "update_from": (f"update small set v = 0 from {SOURCE} s where s.g = small.v + 1000000000", []),
    "delete_using": (f"delete from small using {SOURCE} s where s.g = small.v + 1000000000", []),
    "create_table_as": (f"create table copied as select g from {SOURCE} s", []),
    "explain_analyze": (f"explain analyze select count(*) from {SOURCE} s", []),
    "many_way_join": ("select count(*) from " + ", ".join(f"small s{i}" for i in range(16)) + " where "
                      + " and ".join(f"s{i}.v + s{i + 1}.v > 0" for i in range(15)), ["join_collapse_limit = 100", "from_collapse_limit = 100", "geqo = off"]),
}


@pytest.mark.parametrize("how", ["request", "terminate", "statement_timeout"])
@pytest.mark.parametrize("loop", LOOPS)
def test_loops(session, loop, how):
    statement, setting = LOOPS[loop]
    ends(session, statement, how, setting=setting, timeout="80ms")


@pytest.mark.parametrize("how", ["cancel", "transaction_timeout"])
@pytest.mark.parametrize("loop", ["cross_join", "spilling_sort", "insert_select"])
def test_loops_end_in_other_ways_as_well(session, loop, how):
    statement, setting = LOOPS[loop]
    ends(session, statement, how, setting=setting)


# Commands over a large table. SLOW takes some tenths of a millisecond for a row.

SLOW = "md5(repeat(t, 8000))"
COMMANDS = {
    "update": (f"update big set t = {SLOW}", []),
    "delete": (f"delete from big where {SLOW} = ''", []),
    "insert_into_itself": (f"insert into big select k + 1000000, v, {SLOW} from big", []),
    "add_check": (f"alter table big add check ({SLOW} <> '')", []),
    "change_type": (f"alter table big alter t type text using {SLOW}", []),
    "copy_query": (f"copy (select k from big where {SLOW} = '') to stdout", []),
    "vacuum": ("vacuum (disable_page_skipping) big", ["vacuum_cost_delay = 100", "vacuum_cost_limit = 1"]),
    "analyze": ("analyze big", ["vacuum_cost_delay = 100", "vacuum_cost_limit = 1"]),
    "factorial": ("select factorial(32000)", []),
    "product": (f"select ('1' || repeat('7', 65000))::numeric * ('1' || repeat('7', 65000 + (g % 2)::int))::numeric from {SOURCE} s", []),
    "quotient": (f"select ('1' || repeat('7', 130000))::numeric / ('1' || repeat('7', 65000 + (g % 2)::int))::numeric from {SOURCE} s", []),
    "logarithm": (f"select log(1 + ('0.' || repeat('0', 16000) || '1')::numeric, 2 + g % 2) from {SOURCE} s", []),
    "exponential": (f"select exp(('5999.' || repeat('7', 1000 + (g % 2)::int))::numeric) from {SOURCE} s", []),
    "root": (f"select sqrt(('1' || repeat('7', 130000 + (g % 2)::int))::numeric) from {SOURCE} s", []),
    "match": ("select length(regexp_replace(repeat('ab', 2000000), 'a|.*c', 'x', 'g'))", []),
    "match_of_many_states": ("select repeat('xy', 10000000) ~ '((x|y){1,100}){1,60}z'", []),
}


@pytest.mark.parametrize("how", ["request", "terminate", "statement_timeout"])
@pytest.mark.parametrize("command", COMMANDS)
def test_commands(session, command, how):
    statement, setting = COMMANDS[command]
    ends(session, statement, how, setting=setting, timeout="80ms")
    assert session().value("select count(*) from big where t like 'row%'") == str(ROWS).encode()


@pytest.mark.parametrize("statement", ["create index on big (t)", "create index on big (v, t)", "update big set v = v + 1",
                                       "delete from big", "analyze big", "select k from big order by t"])
def test_commands_that_are_soon_done(session, statement):
    """Without a slow function: the loop of the command itself looks for interrupts."""
    victim = session()
    victim.run("set default_statistics_target = 10000; set statement_timeout = 5")
    begun = time.monotonic()
    assert outcome(victim.ask(query(statement))) == STATEMENT_TIMEOUT
    assert time.monotonic() - begun < SOON
    assert session().value("select sum(v) from big") == str(sum(g % 1000 for g in range(1, ROWS + 1))).encode()


# Many at once.

def test_computations_leave_timers_and_newcomers_their_turn(session, server):
    """More endless computations than the machine has processors: timeouts still come in time, and so do new clients."""
    busy = [session() for _ in range(os.cpu_count() + 1)]
    other = session()
    for one in busy:
        one.send(query("select count(*) from big a, big b, big c"))
    for one in busy:
        is_running(other, one.pid)
    for statement in ["select pg_sleep(60)", "select count(*) from big a, big b, big c"]:
        for _ in range(3):
            ends(session, statement, "statement_timeout", timeout="100ms")
            newcomer = session()
            begun = time.monotonic()
            assert newcomer.value("select 1") == b"1"
            assert time.monotonic() - begun < 2
    for one in busy:
        begun = time.monotonic()
        interrupt(one, other, "cancel")
        is_answered(one, other, CANCELED, begun)
