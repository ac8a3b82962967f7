"""A bare client of the frontend/backend protocol: it sends what it is told, right or wrong, and reads messages."""

import socket
import struct

PROTOCOL_3_0 = 196608
PROTOCOL_3_2 = 196610
CANCEL, SSL, GSS = 80877102, 80877103, 80877104


def message(kind, body=b""):
    return kind + struct.pack("!i", len(body) + 4) + body


def startup_packet(version=PROTOCOL_3_0, **parameters):
    body = struct.pack("!i", version) + b"".join(k.encode() + b"\0" + v.encode() + b"\0" for k, v in parameters.items()) + b"\0"
    return struct.pack("!i", len(body) + 4) + body


def query(text):
    return message(b"Q", text.encode() + b"\0")


def parse(text, name="", types=()):
    return message(b"P", name.encode() + b"\0" + text.encode() + b"\0" + struct.pack(f"!h{len(types)}I", len(types), *types))


def bind(portal="", statement="", values=(), formats=(), results=()):
    body = portal.encode() + b"\0" + statement.encode() + b"\0" + struct.pack(f"!h{len(formats)}h", len(formats), *formats)
    body += struct.pack("!h", len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    return message(b"B", body + struct.pack(f"!h{len(results)}h", len(results), *results))


def describe(kind, name=""):
    return message(b"D", kind + name.encode() + b"\0")


def execute(portal="", rows=0):
    return message(b"E", portal.encode() + b"\0" + struct.pack("!i", rows))


def close(kind, name=""):
    return message(b"C", kind + name.encode() + b"\0")


SYNC, FLUSH, TERMINATE = message(b"S"), message(b"H"), message(b"X")


def fields(body):
    """The fields of an ErrorResponse or NoticeResponse, by their letter."""
    return {part[:1].decode(): part[1:].decode() for part in body.split(b"\0") if part}


def row(body):
    (count,), at, values = struct.unpack_from("!h", body), 2, []
    for _ in range(count):
        (length,) = struct.unpack_from("!i", body, at)
        at += 4
        values.append(None if length < 0 else body[at:at + length])
        at += max(length, 0)
    return values


class Wire:
    """A connection; with `start` it has gone through start-up."""

    def __init__(self, port, start=True, version=PROTOCOL_3_0, timeout=20, **parameters):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.key = None
        self.status = {}
        if start:
            self.send(startup_packet(version, **{"user": "postgres", "database": "postgres", **parameters}))
            for kind, body in self.until(b"Z"):
                if kind == b"K":
                    self.key = body
                elif kind == b"S":
                    name, value = body.split(b"\0")[:2]
                    self.status[name.decode()] = value.decode()
                elif kind == b"E":
                    raise ConnectionError(fields(body))

    def send(self, *parts):
        self.socket.sendall(b"".join(parts))

    def exactly(self, count):
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def read(self):
        """One message, or None when the server has closed the connection."""
        try:
            kind, length = struct.unpack("!ci", self.exactly(5))
            return kind, self.exactly(length - 4)
        except (EOFError, ConnectionResetError):
            return None

    def until(self, last):
        """Messages up to one of the kind `last`, or up to the end."""
        got = []
        while True:
            one = self.read()
            if one is None:
                return got
            got.append(one)
            if one[0] == last:
                return got

    def ask(self, *parts):
        """Send, and read up to ReadyForQuery."""
        self.send(*parts)
        return self.until(b"Z")

    def kinds(self, *parts):
        return b"".join(kind for kind, _ in self.ask(*parts)).decode()

    def closed(self):
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self):
        self.socket.close()
