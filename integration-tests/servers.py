"""Starting and stopping the servers that the tests talk to.

Kokkiri runs from a built binary on a data directory of its own; the witness is a real PostgreSQL 18.
Both listen on 127.0.0.1 at a free port and on a Unix socket in their own directory.
"""

import atexit
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def postgresql_bin():
    """Directory of PostgreSQL's programs, fetched on first use."""
    script = os.path.join(ROOT, "integration-tests", "fetch_postgresql.sh")
    return subprocess.run([script], check=True, capture_output=True, text=True).stdout.strip()


def kokkiri_binary():
    """The built server: KOKKIRI names it, else the release build."""
    return os.environ.get("KOKKIRI", os.path.join(ROOT, "target", "release", "kokkiri"))


GAPS = os.path.join(ROOT, "integration-tests", "expected_failures.txt")


def known_gaps(kind):
    """What Kokkiri does not pass yet: the lines `kind/name: reason` of expected_failures.txt, by name."""
    gaps = {}
    with open(GAPS) as listed:
        for line in listed:
            line = line.strip()
            if line and not line.startswith("#"):
                name, _, reason = line.partition(": ")
                if name.startswith(kind + "/"):
                    gaps[name[len(kind) + 1:]] = reason
    return gaps


def forget_gaps(kind, names):
    """Takes names out of the list."""
    with open(GAPS) as listed:
        lines = listed.readlines()
    gone = {f"{kind}/{name}" for name in names}
    with open(GAPS, "w") as listed:
        listed.writelines(line for line in lines if line.partition(": ")[0] not in gone)


def free_port():
    """A port that nobody has. Below those that the kernel gives to clients, or one could take it while a server restarts."""
    while True:
        port = random.SystemRandom().randrange(10000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


class Server:
    """A server on a data directory in a temporary place."""

    def __init__(self, directory=None, settings=()):
        self.directory = directory or tempfile.mkdtemp(prefix="kokkiri-test-")
        os.makedirs(self.directory, exist_ok=True)
        os.chmod(self.directory, 0o755)
        self.data = os.path.join(self.directory, "data")
        self.port = free_port()
        self.settings = list(settings)
        self.log_path = os.path.join(self.directory, "server.log")
        self.process = None
        self.waits = True
        self.user = {}

    def environment(self):
        return dict(os.environ, PGHOST="127.0.0.1", PGPORT=str(self.port), PGUSER="postgres",
                    PGDATABASE="postgres", PGTZ="UTC", PGCONNECT_TIMEOUT="10")

    def accepts(self):
        """True once a client is answered as a running server answers."""
        ready = subprocess.run([os.path.join(postgresql_bin(), "pg_isready"), "-q"], env=self.environment())
        return ready.returncode == 0

    def wait_until_ready(self, seconds=60):
        deadline = time.monotonic() + seconds
        while not self.accepts():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the server does not start:\n" + self.log()[-4000:])
            time.sleep(0.02)

    def log(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()

    def launch(self, command, **options):
        with open(self.log_path, "a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT,
                                            stdin=subprocess.DEVNULL, **options)
        if self.waits:
            self.wait_until_ready()

    def start_without_waiting(self):
        """Starts; whoever calls sees for himself how far it comes."""
        self.waits = False
        try:
            self.start()
        finally:
            self.waits = True

    @staticmethod
    def program(name):
        """Path of one of PostgreSQL's programs."""
        return os.path.join(postgresql_bin(), name)

    def stop(self, how=signal.SIGINT, seconds=60):
        """Stop by signal: SIGTERM smart, SIGINT fast, SIGQUIT immediate, SIGKILL a crash."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(seconds)

    def processes(self):
        """The server's process and all its descendants, parents first."""
        children = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open(f"/proc/{entry}/stat") as stat:
                        parent = int(stat.read().rpartition(")")[2].split()[1])
                except (FileNotFoundError, ProcessLookupError):
                    continue
                children.setdefault(parent, []).append(int(entry))
        found = [self.process.pid]
        for pid in found:
            found.extend(children.get(pid, ()))
        return found

    def kill_all(self):
        """A crash: SIGKILL to every process of the server, its parent first so that nothing is started again."""
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(60)

    def tool(self, name, *arguments):
        """Run one of PostgreSQL's programs against the data directory or the server, as the server's user."""
        return subprocess.run([os.path.join(postgresql_bin(), name), *arguments], env=self.environment(), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/", **self.user)

    def waldump(self, start, *arguments, end=None):
        """pg_waldump from one place of the log to another. It is told the files: else it learns the segments' size from any
        one, be it one that is not in use yet."""
        def segment(lsn, before=0):
            high, low = (int(half, 16) for half in lsn.split("/"))
            return f"{1:08X}{((high << 32 | low) - before) >> 32:08X}{((low - before) & 0xffffffff) >> 24:08X}"

        to = ["-e", end] if end else []
        files = [segment(start)] + ([segment(end, 1)] if end else [])
        return self.tool("pg_waldump", "-p", os.path.join(self.data, "pg_wal"), "-s", start, *to, *arguments, *files)

    def remove(self):
        if self.process and self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill_all()
        shutil.rmtree(self.directory, ignore_errors=True)

    def psql(self, *arguments, stdin=None, check=True):
        command = [os.path.join(postgresql_bin(), "psql"), "-X", *arguments]
        done = subprocess.run(command, env=self.environment(), input=stdin, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if check and done.returncode != 0:
            raise RuntimeError(f"psql {arguments}: {done.stdout}")
        return done.stdout

    def query(self, sql, database="postgres"):
        """The answer as unaligned text without headers."""
        return self.psql("-Atq", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", sql).strip()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.remove()


class Kokkiri(Server):
    name = "Kokkiri"
    # A new cluster, made by init once and copied for each server of this program.
    template = None

    @classmethod
    def new_cluster(cls):
        if cls.template is None:
            cls.template = os.path.join(tempfile.mkdtemp(prefix="kokkiri-template-"), "data")
            atexit.register(shutil.rmtree, os.path.dirname(cls.template), ignore_errors=True)
            subprocess.run([kokkiri_binary(), "init", "-D", cls.template], check=True, stdout=subprocess.DEVNULL)
        return cls.template

    def start(self):
        if not os.path.exists(self.data):
            shutil.copytree(self.new_cluster(), self.data)
        command = [kokkiri_binary(), "serve", "-D", self.data, "-p", str(self.port), "-k", self.directory]
        for setting in self.settings:
            command += ["-c", setting]
        self.launch(command)


class PostgreSQL(Server):
    """The witness. It refuses to run as root, so then it runs as the user `postgres`."""

    name = "PostgreSQL"

    def start(self):
        bin_directory = postgresql_bin()
        if os.geteuid() == 0:
            try:
                user = pwd.getpwnam("postgres")
            except KeyError:
                subprocess.run(["useradd", "--system", "postgres"], check=True)
                user = pwd.getpwnam("postgres")
            os.chown(self.directory, user.pw_uid, user.pw_gid)
            self.user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        if not os.path.exists(self.data):
            subprocess.run([os.path.join(bin_directory, "initdb"), "-D", self.data, "-U", "postgres", "-A", "trust",
                            "--no-locale", "--encoding=UTF8", "--no-sync"],
                           check=True, stdout=subprocess.DEVNULL, cwd="/", **self.user)
        command = [os.path.join(bin_directory, "postgres"), "-D", self.data, "-p", str(self.port),
                   "-k", self.directory]
        for setting in self.settings:
            command += ["-c", setting]
        self.launch(command, cwd="/", **self.user)


def server_class(witness):
    return PostgreSQL if witness else Kokkiri
