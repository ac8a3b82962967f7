"""Scripts for several sessions. Each line is `session: statement`; what every statement answers is written below it:

    s1: begin
    s1: update t set a = 1      (waits: the runner goes on with the next line)
    s2: commit

A statement that does not answer within the patience of the runner waits, and its answer is reported as soon as it
comes, after the line that let it go on. The outcome is a list of lines: `s1 rows (1,)`, `s1 UPDATE 1`, `s1 waits`,
`s1 error 40P01`.
"""

import concurrent.futures
import time

import psycopg


class Session:
    def __init__(self, name, connection):
        self.name = name
        self.connection = connection
        self.worker = concurrent.futures.ThreadPoolExecutor(1)
        self.running = None

    def start(self, statement):
        assert self.running is None, f"{self.name} still waits"
        self.running = self.worker.submit(self.run, statement)

    def run(self, statement):
        try:
            cursor = self.connection.execute(statement)
        except psycopg.Error as error:
            return f"{self.name} error {error.sqlstate}"
        if cursor.description is None:
            return f"{self.name} {cursor.statusmessage}"
        return f"{self.name} rows {' '.join('(' + ', '.join(map(str, row)) + ')' for row in cursor.fetchall())}".rstrip()


class Runner:
    def __init__(self, connect):
        self.connect = connect
        self.observer = connect()
        self.sessions = {}

    def session(self, name):
        if name not in self.sessions:
            self.sessions[name] = Session(name, self.connect())
        return self.sessions[name]

    def waits_for_lock(self, session):
        pid = session.connection.info.backend_pid
        return self.observer.execute("select wait_event_type = 'Lock' from pg_stat_activity where pid = %s", [pid]).fetchone() == (True,)

    def settle(self, session, patience=20):
        """The answer of the session's statement, or None once it waits for a lock."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            try:
                answer = session.running.result(0.01)
                session.running = None
                return answer
            except concurrent.futures.TimeoutError:
                if self.waits_for_lock(session):
                    # A waiter may be about to fail or go on (deadlock check): look again a little later.
                    time.sleep(0.05)
                    if not session.running.done() and self.waits_for_lock(session):
                        return None
        raise AssertionError(f"{session.name} neither answers nor waits for a lock")

    def run(self, script):
        outcome = []
        for line in script.strip().splitlines():
            name, _, statement = line.strip().partition(": ")
            if statement == "(deadlock)":
                # The waiters get deadlock_timeout to find out.
                concurrent.futures.wait([s.running for s in self.sessions.values() if s.running], 10, concurrent.futures.FIRST_COMPLETED)
                self.collect(outcome)
                continue
            session = self.session(name)
            session.start(statement)
            answer = self.settle(session)
            outcome.append(answer if answer is not None else f"{name} waits")
            if answer is not None:
                self.collect(outcome)
        for session in self.sessions.values():
            assert session.running is None, f"{session.name} still waits at the end: {outcome}"
        return outcome

    def collect(self, outcome):
        """Answers of sessions that waited and were let go on."""
        for session in self.sessions.values():
            if session.running is not None:
                answer = self.settle(session)
                if answer is not None:
                    outcome.append(answer)
