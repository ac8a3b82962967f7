"""What the Python tests share: one server for the run, Kokkiri or, with --witness, real PostgreSQL 18.

A test listed in expected_failures.txt is expected to fail on Kokkiri; once it passes it must leave the list.
"""

import os
import sys

import psycopg
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from servers import forget_gaps, known_gaps, server_class  # noqa: E402

SETTINGS = ["max_parallel_workers_per_gather=0", "TimeZone=UTC", "autovacuum=off", "jit=off", "deadlock_timeout=200ms",
            "max_prepared_transactions=0", "log_min_messages=fatal"]


def pytest_addoption(parser):
    parser.addoption("--witness", action="store_true", default=bool(os.environ.get("WITNESS")),
                     help="run against real PostgreSQL 18, from which the expectations come")
    parser.addoption("--shrink", action="store_true", help="take what passes out of expected_failures.txt")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--witness"):
        return
    gaps = {**known_gaps("drivers"), **known_gaps("isolation")}
    for item in items:
        name = f"{os.path.basename(item.location[0])}::{item.name}"
        if name in gaps:
            item.add_marker(pytest.mark.xfail(reason=gaps[name], strict=False))


def pytest_terminal_summary(terminalreporter, config):
    if config.getoption("--shrink"):
        for report in terminalreporter.getreports("xpassed"):
            path, _, name = report.nodeid.partition("::")
            forget_gaps(os.path.basename(os.path.dirname(path)), [f"{os.path.basename(path)}::{name}"])


@pytest.fixture(scope="session")
def server(request):
    with server_class(request.config.getoption("--witness"))(settings=SETTINGS) as running:
        yield running


@pytest.fixture
def database(server, request):
    """A database of the test's own."""
    name = "d_" + "".join(c if c.isalnum() else "_" for c in request.node.name)[:50].lower()
    server.query(f'drop database if exists "{name}" with (force)')
    server.query(f'create database "{name}"')
    yield name
    server.query(f'drop database if exists "{name}" with (force)')


@pytest.fixture
def connect(server, database):
    """Makes connections to the test's database; closes them at its end."""
    made = []

    def one(**options):
        options = {"host": "127.0.0.1", "port": server.port, "user": "postgres", "dbname": database,
                   "autocommit": True, "connect_timeout": 10, **options}
        made.append(psycopg.connect(**options))
        return made[-1]

    yield one
    for connection in made:
        connection.close()


@pytest.fixture
def connection(connect):
    return connect()
