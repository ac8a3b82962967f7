"""psycopg 3, the way applications use it: parameters, prepared statements, pipelines, COPY, cancel, notices."""

import datetime
import decimal
import threading
import time

import psycopg
import pytest
from psycopg import errors, pq, sql

VALUES = [
    ("boolean", True), ("boolean", False), ("int2", -32768), ("int4", 2147483647), ("int8", -9223372036854775808),
    ("float8", 1.5), ("float8", float("inf")), ("float8", 5e-324), ("numeric", decimal.Decimal("12345678901234567890.0123456789")),
    ("numeric", decimal.Decimal("-0.00001")), ("numeric", decimal.Decimal("1e30")), ("text", "héllo ✓"), ("text", ""),
    ("varchar", "x" * 1000), ("name", "abc"), ("bytea", b"\x00\xff\\'\x80"), ("bytea", b""),
    ("date", datetime.date(2024, 2, 29)), ("date", datetime.date(1, 1, 1)),
    ("timestamp", datetime.datetime(2024, 2, 29, 12, 34, 56, 789012)),
    ("timestamptz", datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)), ("oid", 4294967295), ("int4", None), ("text", None),
]


@pytest.mark.parametrize("binary_result", [False, True], ids=["text_result", "binary_result"])
@pytest.mark.parametrize("placeholder", ["%t", "%b"], ids=["text_parameter", "binary_parameter"])
def test_values_come_back(connection, placeholder, binary_result):
    for type_name, value in VALUES:
        with connection.cursor(binary=binary_result) as cursor:
            got = cursor.execute(f"select {placeholder}::{type_name}", [value]).fetchone()[0]
        assert got == value, type_name


def test_nan_and_infinity(connection):
    row = connection.execute("select 'nan'::float8, 'nan'::numeric, '-infinity'::numeric", binary=True).fetchone()
    assert row[0] != row[0] and row[1].is_nan() and row[2] == decimal.Decimal("-Infinity")


@pytest.mark.parametrize("binary", [False, True])
def test_values_through_a_table(connection, binary):
    connection.execute("create table t (b boolean, s int2, i int4, l int8, f float8, n numeric(20,5), t text, v varchar(9), c char(4),"
                       " y bytea, d date, ts timestamp, tz timestamptz, o oid)")
    row = (True, 1, -2, 3, 0.1, decimal.Decimal("2.50000"), "text", "var", "ch  ", b"\x01", datetime.date(2000, 2, 29),
           datetime.datetime(1999, 12, 31, 23, 59, 59, 1), datetime.datetime(2024, 7, 1, 12, tzinfo=datetime.timezone.utc), 7)
    connection.execute(f"insert into t values ({', '.join(['%s'] * len(row))})", row)
    connection.execute(f"insert into t values ({', '.join(['%s'] * len(row))})", [None] * len(row))
    rows = connection.execute("select * from t order by i", binary=binary).fetchall()
    assert rows == [row, (None,) * len(row)]


def test_description_of_columns(connection):
    connection.execute("create table t (i int, v varchar(7), n numeric(5,2), c char(3))")
    cursor = connection.execute("select *, 1 as one, 'x' from t")
    assert [(c.name, c.type_code, c.internal_size, c.precision, c.scale, c.display_size) for c in cursor.description] == [
        ("i", 23, 4, None, None, None), ("v", 1043, None, None, None, 7), ("n", 1700, None, 5, 2, None),
        ("c", 1042, None, None, None, 3), ("one", 23, 4, None, None, None), ("?column?", 25, None, None, None, None)]
    result = cursor.pgresult
    table = connection.execute("select 't'::regclass::oid").fetchone()[0]
    assert [(result.ftable(i), result.ftablecol(i)) for i in range(5)] == [(table, 1), (table, 2), (table, 3), (table, 4), (0, 0)]


def test_command_tags(connection):
    tags = []
    for statement in ["create table t (a int)", "insert into t values (1), (2)", "select * from t", "update t set a = 3",
                      "delete from t where a = 9", "begin", "savepoint s", "release s", "commit", "set work_mem = '1MB'", "show work_mem",
                      "truncate t", "create index on t (a)", "alter table t add b int", "vacuum t", "analyze t", "prepare p as select 1",
                      "execute p", "deallocate p", "explain select 1", "values (1)", "lock table t", "checkpoint", "drop table t", "reset all"]:
        if statement.startswith("lock"):
            with connection.transaction():
                tags.append(connection.execute(statement).statusmessage)
        else:
            tags.append(connection.execute(statement).statusmessage)
    assert tags == ["CREATE TABLE", "INSERT 0 2", "SELECT 2", "UPDATE 2", "DELETE 0", "BEGIN", "SAVEPOINT", "RELEASE", "COMMIT", "SET", "SHOW",
                    "TRUNCATE TABLE", "CREATE INDEX", "ALTER TABLE", "VACUUM", "ANALYZE", "PREPARE", "SELECT 1", "DEALLOCATE", "EXPLAIN",
                    "SELECT 1", "LOCK TABLE", "CHECKPOINT", "DROP TABLE", "RESET"]


def test_several_statements_without_parameters(connection):
    cursor = connection.execute("select 1; select 2, 3; create table t (a int)")
    assert cursor.fetchall() == [(1,)]
    assert cursor.nextset() and cursor.fetchall() == [(2, 3)]
    assert cursor.nextset() and cursor.statusmessage == "CREATE TABLE" and not cursor.nextset()
    with pytest.raises(errors.SyntaxError, match="cannot insert multiple commands into a prepared statement"):
        connection.execute("select %s; select 2", [1])


def test_prepared_statements(connection):
    connection.prepare_threshold = 1
    connection.execute("create table t (id int primary key, v text)")
    for i in range(20):
        connection.execute("insert into t values (%s, %s)", [i, f"v{i}"])
    for i in range(20):
        assert connection.execute("select v from t where id = %s", [i]).fetchone() == (f"v{i}",)
    prepared = connection.execute("select statement, from_sql from pg_prepared_statements order by 1").fetchall()
    assert ("insert into t values ($1, $2)", False) in prepared and ("select v from t where id = $1", False) in prepared
    connection.execute("alter table t add w int default 5")
    assert connection.execute("select v from t where id = %s", [3], prepare=True).fetchone() == ("v3",)


def test_prepared_statements_keep_no_rows(connection):
    """Whatever joins, sorts and subqueries computed the last time, a statement that runs again sees what is there now."""
    connection.execute("create table t (a int); create table u (a int); insert into t select generate_series(1, 100); insert into u values (1), (2)")
    statements = {
        "select count(*) from t join u using (a)": (2, 3),
        "select count(*) from t where a in (select u.a from u join t x using (a))": (2, 3),
        "select count(*) from t where a not in (select u.a from u join t x using (a))": (98, 97),
        "select (select count(*) from t join u using (a))": (2, 3),
        "select array(select u.a from u join t x using (a) order by 1)": ([1, 2], [1, 2, 7]),
        "select count(*) from t, u where t.a < u.a": (1, 7),
        "select max(n) from (select x.a, (select count(*) from t join u using (a) where t.a <= x.a) n from u x) s": (2, 3),
        "select count(*) from (select distinct a from u order by a) s": (2, 3),
    }
    for join in ["hash", "merge", "loop"]:
        connection.execute(f"set enable_hashjoin = {join == 'hash'}; set enable_mergejoin = {join == 'merge'}")
        for statement, (before, after) in statements.items():
            found = [connection.execute(statement, prepare=True).fetchone()[0] for _ in range(3)]
            connection.execute("insert into u values (7)")
            found.append(connection.execute(statement, prepare=True).fetchone()[0])
            connection.execute("delete from u where a = 7")
            found.append(connection.execute(statement, prepare=True).fetchone()[0])
            assert found == [before, before, before, after, before], (join, statement)


def test_describe_prepared(connection):
    result = connection.pgconn.prepare(b"one", b"select $1::int + $2, $3 || 'x'")
    assert result.status == pq.ExecStatus.COMMAND_OK
    described = connection.pgconn.describe_prepared(b"one")
    assert [described.param_type(i) for i in range(described.nparams)] == [23, 23, 25]
    assert [described.ftype(i) for i in range(described.nfields)] == [23, 25]
    result = connection.pgconn.exec_prepared(b"one", [b"1", b"2", b"y"])
    assert result.get_value(0, 0) == b"3" and result.get_value(0, 1) == b"yx"
    again = connection.pgconn.prepare(b"one", b"select 1")
    assert again.error_field(pq.DiagnosticField.SQLSTATE) == b"42P05"
    missing = connection.pgconn.exec_prepared(b"two", [])
    assert missing.error_field(pq.DiagnosticField.SQLSTATE) == b"26000"
    assert connection.pgconn.close_prepared(b"one").status == pq.ExecStatus.COMMAND_OK
    assert connection.pgconn.describe_prepared(b"one").error_field(pq.DiagnosticField.SQLSTATE) == b"26000"


def test_wrong_number_of_parameters(connection):
    result = connection.pgconn.exec_params(b"select $1::int, $2::int", [b"1"])
    assert result.error_field(pq.DiagnosticField.SQLSTATE) == b"08P01"
    assert b"bind message supplies 1 parameters, but prepared statement" in result.error_message
    result = connection.pgconn.exec_params(b"select $1::int", [b"\0\0\0"], param_formats=[1])
    assert result.error_field(pq.DiagnosticField.SQLSTATE) == b"08P01"
    result = connection.pgconn.exec_params(b"select $1::text", [b"\xff"])
    assert result.error_field(pq.DiagnosticField.SQLSTATE) == b"22021"
    result = connection.pgconn.exec_params(b"select $1", [b"untyped"])
    assert result.get_value(0, 0) == b"untyped" and result.ftype(0) == 25


def test_pipeline(connection):
    connection.execute("create table t (a int primary key)")
    with connection.pipeline():
        for i in range(500):
            connection.execute("insert into t values (%s)", [i])
        total = connection.execute("select count(*), sum(a) from t")
    assert total.fetchone() == (500, 124750)


def test_pipeline_error_skips_to_sync(connection):
    connection.execute("create table t (a int primary key)")
    with pytest.raises(errors.UniqueViolation):
        with connection.pipeline() as pipeline:
            connection.execute("insert into t values (1)")
            pipeline.sync()
            connection.execute("insert into t values (2)")
            connection.execute("insert into t values (1)")
            connection.execute("insert into t values (3)")
            pipeline.sync()
    assert connection.execute("select a from t order by a").fetchall() == [(1,)]


def test_executemany_and_returning(connection):
    connection.execute("create table t (id int primary key, v text)")
    cursor = connection.cursor()
    cursor.executemany("insert into t values (%s, %s) returning id * 10", [(i, str(i)) for i in range(100)], returning=True)
    got = [cursor.fetchone()[0]]
    while cursor.nextset():
        got.append(cursor.fetchone()[0])
    assert got == [i * 10 for i in range(100)]


def test_copy_out(connection):
    connection.execute("create table t (a int, b text)")
    connection.execute("insert into t select g, repeat('x', g % 50) from generate_series(1, 5000) g")
    with connection.cursor() as cursor, cursor.copy("copy t to stdout") as copy:
        lines = b"".join(bytes(block) for block in copy).splitlines()
    assert len(lines) == 5000 and lines[0] == b"1\tx" and lines[4999] == b"5000\t"
    with connection.cursor() as cursor, cursor.copy("copy (select a, b from t where a < 3) to stdout") as copy:
        copy.set_types(["int4", "text"])
        assert list(copy.rows()) == [(1, "x"), (2, "xx")]


def test_copy_in(connection):
    connection.execute("create table t (a int primary key, b text, c date)")
    with connection.cursor() as cursor:
        with cursor.copy("copy t from stdin") as copy:
            for i in range(3000):
                copy.write_row((i, f"tab\t{i}\n\\", datetime.date(2024, 1, 1)))
        assert cursor.statusmessage == "COPY 3000"
    assert connection.execute("select count(*), sum(a), min(b), max(c) from t").fetchone() == (3000, 4498500, "tab\t0\n\\", datetime.date(2024, 1, 1))


def test_copy_in_errors(connection):
    connection.execute("create table t (a int primary key)")
    with pytest.raises(errors.InvalidTextRepresentation) as caught:
        with connection.cursor() as cursor, cursor.copy("copy t from stdin") as copy:
            copy.write("1\nx\n3\n")
    assert caught.value.diag.context == 'COPY t, line 2, column a: "x"'
    with pytest.raises(ZeroDivisionError):
        with connection.cursor() as cursor, cursor.copy("copy t from stdin") as copy:
            copy.write("1\n")
            raise ZeroDivisionError
    with pytest.raises(errors.UniqueViolation):
        with connection.cursor() as cursor, cursor.copy("copy t from stdin") as copy:
            copy.write("5\n5\n")
    assert connection.execute("select count(*) from t").fetchone() == (0,)


def test_cancel(connection):
    started = time.monotonic()
    timer = threading.Timer(0.3, connection.cancel)
    timer.start()
    with pytest.raises(errors.QueryCanceled, match="canceling statement due to user request"):
        connection.execute("select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b")
    assert time.monotonic() - started < 20
    timer = threading.Timer(0.3, connection.cancel)
    timer.start()
    with pytest.raises(errors.QueryCanceled):
        connection.execute("select pg_sleep(60)")
    assert connection.execute("select 1").fetchone() == (1,)


def test_statement_timeout(connection):
    connection.execute("set statement_timeout = '200ms'")
    with pytest.raises(errors.QueryCanceled, match="canceling statement due to statement timeout"):
        connection.execute("select pg_sleep(60)")
    with pytest.raises(errors.QueryCanceled):
        connection.execute("select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b")
    connection.execute("reset statement_timeout")


def test_lock_timeout(connect):
    one, two = connect(), connect()
    one.execute("create table t (a int)")
    one.execute("begin")
    one.execute("lock table t")
    two.execute("set lock_timeout = '100ms'")
    with pytest.raises(errors.LockNotAvailable, match="canceling statement due to lock timeout"):
        two.execute("select * from t")
    one.execute("rollback")
    assert two.execute("select count(*) from t").fetchone() == (0,)


def test_terminate_and_cancel_backend(connect):
    one, two = connect(), connect()
    pid = two.info.backend_pid
    assert one.execute("select pg_cancel_backend(%s)", [pid]).fetchone() == (True,)
    waiter = {}

    def sleep():
        try:
            two.execute("select pg_sleep(60)")
        except psycopg.Error as error:
            waiter["error"] = error

    thread = threading.Thread(target=sleep)
    thread.start()
    while one.execute("select state, wait_event from pg_stat_activity where pid = %s", [pid]).fetchone() != ("active", "PgSleep"):
        time.sleep(0.01)
    assert one.execute("select pg_terminate_backend(%s)", [pid]).fetchone() == (True,)
    thread.join(20)
    assert isinstance(waiter["error"], errors.AdminShutdown)
    assert "terminating connection due to administrator command" in str(waiter["error"])
    for _ in range(200):
        if one.execute("select count(*) from pg_stat_activity where pid = %s", [pid]).fetchone() == (0,):
            break
        time.sleep(0.01)
    else:
        pytest.fail("the terminated backend is still listed")
    assert one.execute("select pg_terminate_backend(%s)", [999999]).fetchone() == (False,)


def test_notices(connection):
    seen = []
    connection.add_notice_handler(lambda diag: seen.append((diag.severity, diag.severity_nonlocalized, diag.sqlstate, diag.message_primary)))
    connection.execute("drop table if exists nowhere")
    connection.execute("create table t (a int)")
    connection.execute("create table if not exists t (a int)")
    connection.execute("rollback")
    assert seen == [("NOTICE", "NOTICE", "00000", 'table "nowhere" does not exist, skipping'),
                    ("NOTICE", "NOTICE", "42P07", 'relation "t" already exists, skipping'),
                    ("WARNING", "WARNING", "25P01", "there is no transaction in progress")]
    connection.execute("set client_min_messages = error")
    connection.execute("drop table if exists nowhere")
    assert len(seen) == 3


def error_of(connection, statement, *parameters):
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(statement, *parameters)
    return caught.value.diag


def test_error_fields(connection):
    connection.execute("create table parent (id int primary key)")
    connection.execute("create table child (id int primary key, p int constraint child_p references parent, n int not null, c int constraint c_small check (c < 10))")
    connection.execute("insert into parent values (1)")
    connection.execute("insert into child values (1, 1, 1, 1)")
    diag = error_of(connection, "insert into child values (1, 1, 1, 1)")
    assert (diag.severity, diag.sqlstate, diag.schema_name, diag.table_name, diag.constraint_name) == ("ERROR", "23505", "public", "child", "child_pkey")
    assert diag.message_detail == "Key (id)=(1) already exists."
    diag = error_of(connection, "insert into child values (2, 5, 1, 1)")
    assert (diag.sqlstate, diag.table_name, diag.constraint_name) == ("23503", "child", "child_p")
    assert diag.message_detail == 'Key (p)=(5) is not present in table "parent".'
    diag = error_of(connection, "delete from parent")
    assert (diag.sqlstate, diag.table_name, diag.constraint_name) == ("23503", "child", "child_p")
    diag = error_of(connection, "insert into child values (2, 1, null, 1)")
    assert (diag.sqlstate, diag.table_name, diag.column_name, diag.message_detail) == ("23502", "child", "n", "Failing row contains (2, 1, null, 1).")
    diag = error_of(connection, "insert into child values (2, 1, 1, 100)")
    assert (diag.sqlstate, diag.constraint_name) == ("23514", "c_small")
    diag = error_of(connection, "select nothing from child")
    assert (diag.sqlstate, diag.statement_position, diag.message_primary) == ("42703", "8", 'column "nothing" does not exist')
    diag = error_of(connection, "select child.idd from child")
    assert diag.message_hint == 'Perhaps you meant to reference the column "child.id".'
    diag = error_of(connection, "select 1 + %s", ["x"])
    assert diag.sqlstate == "22P02"
    assert diag.source_file and diag.source_line and diag.source_function


def test_row_limits_of_portals(connection):
    """psycopg fetches single rows from the socket, and stops reading early."""
    connection.execute("create table t (a int)")
    connection.execute("insert into t select generate_series(1, 10000)")
    seen = 0
    for (value,) in connection.cursor().stream("select a from t"):
        seen += 1
        if seen == 10:
            break
    assert connection.execute("select count(*) from t").fetchone() == (10000,)


def test_large_result_and_large_parameter(connection):
    big = "é" * 3_000_000
    assert connection.execute("select length(%s::text), %s::text", [big, big]).fetchone() == (3_000_000, big)
    rows = connection.execute("select g, repeat('y', 100) from generate_series(1, 100000) g").fetchall()
    assert len(rows) == 100000 and rows[99999] == (100000, "y" * 100)


def test_transactions(connect):
    one, two = connect(autocommit=False), connect()
    two.execute("create table t (a int)")
    one.execute("insert into t values (1)")
    assert one.info.transaction_status == pq.TransactionStatus.INTRANS
    assert two.execute("select count(*) from t").fetchone() == (0,)
    one.commit()
    assert two.execute("select count(*) from t").fetchone() == (1,)
    with pytest.raises(errors.DivisionByZero):
        one.execute("select 1 / 0")
    assert one.info.transaction_status == pq.TransactionStatus.INERROR
    with pytest.raises(errors.InFailedSqlTransaction):
        one.execute("select 1")
    one.rollback()
    with one.transaction():
        one.execute("insert into t values (2)")
        with pytest.raises(errors.DivisionByZero):
            with one.transaction():
                one.execute("insert into t values (3)")
                one.execute("select 1 / 0")
        one.execute("insert into t values (4)")
    one.commit()
    assert two.execute("select a from t order by a").fetchall() == [(1,), (2,), (4,)]


def test_connection_parameters(connect):
    connection = connect(application_name="my app", options="-c work_mem=3MB -c search_path=pg_catalog")
    assert connection.execute("select current_setting('work_mem'), current_setting('application_name'), current_setting('search_path')").fetchone() == ("3MB", "my app", "pg_catalog")
    for name, value in [("server_version", "18."), ("server_encoding", "UTF8"), ("client_encoding", "UTF8"), ("DateStyle", "ISO"), ("IntervalStyle", "postgres"),
                        ("TimeZone", "UTC"), ("integer_datetimes", "on"), ("standard_conforming_strings", "on"), ("is_superuser", "on"),
                        ("session_authorization", "postgres"), ("application_name", "my app"), ("in_hot_standby", "off"),
                        ("default_transaction_read_only", "off"), ("scram_iterations", "4096"), ("search_path", "pg_catalog")]:
        assert connection.info.parameter_status(name).startswith(value), name
    connection.execute("set application_name = 'renamed'")
    assert connection.info.parameter_status("application_name") == "renamed"
    connection.execute("set timezone = 'Asia/Tokyo'")
    assert connection.info.parameter_status("TimeZone") == "Asia/Tokyo"
    connection.execute("reset all")
    assert connection.info.parameter_status("application_name") == "my app"


@pytest.mark.parametrize("options, message", [
    ({"dbname": "no_such_database"}, 'FATAL:  database "no_such_database" does not exist'),
    ({"user": "no_such_role"}, 'FATAL:  role "no_such_role" does not exist'),
    ({"options": "-c no_such=1"}, 'FATAL:  unrecognized configuration parameter "no_such"'),
    ({"options": "-c work_mem=1parsec"}, 'FATAL:  invalid value for parameter "work_mem": "1parsec"'),
    ({"sslmode": "require"}, "server does not support SSL, but SSL was required"),
    ({"client_encoding": "nonsense"}, 'FATAL:  invalid value for parameter "client_encoding": "nonsense"'),
], ids=["database", "role", "parameter", "value", "ssl", "encoding"])
def test_refused_connections(connect, options, message):
    with pytest.raises(psycopg.OperationalError) as caught:
        connect(**options)
    assert message in str(caught.value)


def test_unix_socket(server, database):
    with psycopg.connect(host=server.directory, port=server.port, user="postgres", dbname=database) as connection:
        assert connection.execute("select inet_client_addr() is null, current_database()").fetchone() == (True, database)


def test_many_connections(connect):
    connections = [connect() for _ in range(50)]
    pids = {c.execute("select pg_backend_pid()").fetchone()[0] for c in connections}
    assert len(pids) == 50 and {c.info.backend_pid for c in connections} == pids
    assert connections[0].execute("select count(*) from pg_stat_activity where datname = current_database()").fetchone() == (50,)


def test_identifiers_and_literals_composed(connection):
    name = 'odd "name" \'x'
    connection.execute(sql.SQL("create table {} (a text)").format(sql.Identifier(name)))
    connection.execute(sql.SQL("insert into {} values ({})").format(sql.Identifier(name), sql.Literal("it's \\ done")))
    assert connection.execute(sql.SQL("select a from {}").format(sql.Identifier(name))).fetchone() == ("it's \\ done",)


@pytest.mark.parametrize("statement", [
    "select " + "(" * 50000 + "1" + ")" * 50000, "select " + "- " * 50000 + "1", "select " + "abs(" * 50000 + "1" + ")" * 50000,
    "select " + "case when true then " * 50000 + "1" + " end" * 50000, "select * from " + "(select * from " * 20000 + "(select 1) s" + ") s" * 20000,
    "select 1" + " + 1" * 100000, "select 1 where " + "not exists (select 1 where " * 20000 + "true" + ")" * 20000], ids=range(7))
def test_deep_statements_are_refused(connection, statement):
    """PostgreSQL answers the deepest ones with its grammar's limit (42601), the others with 54001."""
    assert error_of(connection, statement).sqlstate in ("54001", "42601")
    assert connection.execute("select 1").fetchone() == (1,)
