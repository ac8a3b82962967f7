#!/usr/bin/env python3
"""What a connection costs: how fast many are opened, and what memory one of them holds.

    measure_connections.py [--count N] [--witness]

Opens N connections over TCP and holds them all; says how long it took from the first connect to the last
ReadyForQuery, and by how much the server's memory has grown for each. Then it measures again after each connection
has run one query, and again after each has run one transaction with an insert.
"""

import argparse
import os
import resource
import selectors
import socket
import struct
import sys
import time

from servers import server_class

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "drivers"))
import wire  # noqa: E402

# Connections being opened at a time: more than the listen queue holds would be refused or retried by the kernel.
OPENING_MAX = 100
QUERIES = {
    "query": "select count(*) from pg_class where relname = 'pg_class'",
    "transaction": "begin; insert into measured values (1); commit",
}


class Client:
    """A connection that is waiting for ReadyForQuery."""

    def __init__(self, port):
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.connect_ex(("127.0.0.1", port))
        self.unread = b""

    def is_ready(self):
        """Reads what has come; true once that ends with ReadyForQuery."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed a connection")
        self.unread += data
        while len(self.unread) >= 5:
            kind, length = struct.unpack_from("!ci", self.unread)
            if len(self.unread) < length + 1:
                return False
            body, self.unread = self.unread[5:length + 1], self.unread[length + 1:]
            if kind == b"E":
                raise ConnectionError(wire.fields(body))
            if kind == b"Z":
                return True
        return False


def open_all(port, count):
    """Opens the connections, some at a time; how many seconds that took."""
    startup = wire.startup_packet(user="postgres", database="postgres")
    clients, opening, begun = [], 0, time.monotonic()
    with selectors.DefaultSelector() as selector:
        while opening or len(clients) < count:
            while opening < OPENING_MAX and len(clients) < count:
                client = Client(port)
                clients.append(client)
                selector.register(client.socket, selectors.EVENT_WRITE, client)
                opening += 1
            for key, events in selector.select():
                client = key.data
                if events & selectors.EVENT_WRITE:
                    client.socket.sendall(startup)
                    selector.modify(client.socket, selectors.EVENT_READ, client)
                elif client.is_ready():
                    selector.unregister(client.socket)
                    opening -= 1
    return clients, time.monotonic() - begun


def run_on_all(clients, statement):
    for client in clients:
        client.socket.setblocking(True)
        client.socket.sendall(wire.query(statement))
        while not client.is_ready():
            pass


def memory_kb(server):
    """Resident memory of all the server's processes, what they share counted once; and their threads."""
    pss = threads = 0
    for pid in server.processes():
        with open(f"/proc/{pid}/smaps_rollup") as lines:
            pss += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        threads += len(os.listdir(f"/proc/{pid}/task"))
    return pss, threads


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--witness", action="store_true", help="measure real PostgreSQL 18")
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most < options.count + 100:
        sys.exit(f"{options.count} connections need as many file descriptors; at most {most} are allowed")
    settings = [f"max_connections={options.count + 100}", "autovacuum=off"]
    with server_class(options.witness)(settings=settings) as server:
        server.query("create table measured (a int)")
        before, threads = memory_kb(server)
        print(f"{server.name}: {before} kB, {threads} threads before")
        clients, seconds = open_all(server.port, options.count)

        def report(what):
            after, threads = memory_kb(server)
            print(f"{what}: {(after - before) / options.count:.1f} kB for each connection, {threads} threads", flush=True)

        print(f"{options.count} connections in {seconds:.2f} s, {seconds / options.count * 1000:.2f} ms each")
        report("idle")
        for what, statement in QUERIES.items():
            run_on_all(clients, statement)
            report(f"after one {what}")
        begun = time.monotonic()
        server.query("select 1")
        print(f"another connection beside them is answered in {(time.monotonic() - begun) * 1000:.0f} ms")
        for client in clients:
            client.socket.close()


if __name__ == "__main__":
    main()
