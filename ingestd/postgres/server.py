"""The server: made, started, watched and stopped as our child."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import asyncpg
import structlog

from ingestd.errors import ConfigError, UnavailableError
from ingestd.postgres import child, programs
from ingestd.postgres.directory import (
    make_socket_directory,
    open_lock,
    open_private,
    remove_socket_directory,
    socket_directory,
    wait_lock,
)

log = structlog.get_logger()

NAME = "ingestd"  # of the superuser and of the database
PORT = 5432  # only a part of the socket's name
LOG_LIMIT = 16 * 1024 * 1024
OWNER_PATIENCE = 2.0  # seconds another ingestd gets to let go of the directory
STOP_LIMIT = 60.0  # seconds for the last checkpoint; then it ends without one, and recovers at the next start
LONGEST_PAUSE = 10.0  # seconds between attempts to start again
STEADY = 60.0  # seconds of service after which a crash counts as the first
POLL = 0.02  # seconds
# The server sees nothing of our environment but this: no PG* settings, no NOTIFY_SOCKET, no secrets.
KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "LD_PRELOAD")
# What connecting may meet while a server starts or ends.
NOT_YET = (
    OSError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "64MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_checkpoints": "off",
    # Details and statements of errors show what mails say; a log must not.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}


class InUse(UnavailableError):  # noqa: N818 - a state, and the caller's branch
    """Another ingestd runs a server in this directory."""


class Postgres:
    """One server in one directory. Start it from the main thread: it ends with the thread that started it."""

    def __init__(
        self, directory: Path, *, bindir: Path | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        """`settings`: PostgreSQL's own, over ours. Nothing is touched before `start`."""
        self.directory = directory.absolute()
        self.cluster = self.directory / "postgres"
        self._bindir = bindir
        self._programs = Path()
        self._account = programs.Account(os.geteuid(), os.getegid())
        self._settings = {**SETTINGS, **(settings or {})}
        self._log = self.directory / "postgres.log"
        self._log_start = 0
        self._owner: int | None = None  # holding this lock makes the directory ours
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where to connect, for SQLAlchemy, asyncpg and libpq alike. It stays as long as we run."""
        return f"postgresql://{NAME}@/{NAME}?host={socket_directory(self.directory)}&port={PORT}"

    @property
    def pid(self) -> int | None:
        """The server's process, while it runs."""
        return self._process.pid if self._process is not None and self._runs() else None

    def _runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def start(self, waiting: Callable[[], None] | None = None, *, patience: float = OWNER_PATIENCE) -> None:
        """Start the server; return when it takes connections. Crash recovery may take as long as it needs.

        `waiting` is called once a second until then. ConfigError when the directory cannot be used; InUse when another
        ingestd still does after `patience` seconds; UnavailableError when the server does not start.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("PostgreSQL must be started from the main thread")
        pulse = asyncio.create_task(_repeat(waiting)) if waiting is not None else None
        try:
            with _one_line(self.directory):
                await self._claim(patience)
                await self._prepare()
                await self._launch()
        except BaseException:
            await self.stop()
            raise
        finally:
            if pulse is not None:
                pulse.cancel()

    async def supervise(self, down: Callable[[], None] | None = None, up: Callable[[], None] | None = None) -> None:
        """Start the server again whenever it dies, for ever; cancel this before `stop`.

        `down` is called when it died, `up` when it takes connections again. Attempts that fail follow ever more slowly.
        """
        pause, since = 0.0, time.monotonic()
        while True:
            await asyncio.sleep(0.1)
            self._trim_log()
            if self._runs():
                continue
            log.error("postgresql_died", reason=self._reason())
            if down is not None:
                down()
            if time.monotonic() - since > STEADY:
                pause = 0.0
            while not self._runs():
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2 or 0.25)
                try:
                    with _one_line(self.directory):
                        await self._launch()
                except UnavailableError as error:
                    log.warning("postgresql_not_restarted", reason=str(error))
            since = time.monotonic()
            log.warning("postgresql_restarted", pid=self.pid)
            if up is not None:
                up()

    async def stop(self) -> None:
        """Stop the server: sessions end, what they did not commit is rolled back. Nothing happens when none runs."""
        process, self._process = self._process, None
        try:
            if process is not None:
                await _end(process)
        finally:
            if self._owner is not None:
                remove_socket_directory(self.directory, self._account)
                os.close(self._owner)
                self._owner = None

    async def answers(self) -> bool:
        """Say whether the server takes connections to our database, whoever runs it."""
        return await self._connects(NAME)

    # The directory

    async def _claim(self, patience: float) -> None:
        """Take the directory for this process: two servers on one cluster would destroy it."""
        if not self.directory.exists():
            self.directory.mkdir(parents=True)
            # Root's server runs as somebody else, who has to get through.
            self.directory.chmod(0o711 if os.geteuid() == 0 else 0o700)
        owner = open_lock(self.directory / "owner.lock")
        try:
            if not await wait_lock(owner, limit=patience):
                holder = os.pread(owner, 20, 0).decode(errors="replace").strip()
                raise InUse(f"{self.directory}: in use by another ingestd, process {holder}")
            os.truncate(owner, 0)
            os.pwrite(owner, f"{os.getpid()}\n".encode(), 0)
        except BaseException:
            os.close(owner)
            raise
        self._owner = owner

    async def _prepare(self) -> None:
        """An account, programs that it may run, a cluster of their version, a directory for the socket."""
        self._account = programs.choose_account(self.cluster)
        if not self._account.may_enter(self.directory):
            raise ConfigError(
                f"{self.directory}: user {self._account.name}, who runs PostgreSQL, may not enter it or one above it"
            )
        bindir = programs.find_binaries(self._bindir)
        self._programs = programs.runnable(bindir, self._account, self.directory)
        if not self.cluster.exists():
            await self._make_cluster()
        ours = programs.major(bindir)
        try:
            theirs = (self.cluster / "PG_VERSION").read_text(encoding="ascii").strip()
        except FileNotFoundError:
            raise ConfigError(f"{self.cluster}: not a PostgreSQL data directory") from None
        if theirs != str(ours):
            raise ConfigError(
                f"{self.cluster}: data of PostgreSQL {theirs}, but the programs in {bindir} are PostgreSQL {ours}: "
                "`ingestd backup DIR`, then `ingestd restore DIR` with another database.data_directory"
            )
        make_socket_directory(self.directory, self._account)

    async def _make_cluster(self) -> None:
        """Make the cluster under another name first, so that one half made never bears the name of a whole one."""
        new = self.directory / "postgres.new"
        if programs.major(self._programs) >= 17:
            locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        else:
            locale = ["--locale=C.UTF-8"]
        options = [f"--username={NAME}", "--encoding=UTF8", *locale, "--data-checksums", "--no-instructions"]
        lock = await self._server_lock()
        try:
            if new.exists():
                shutil.rmtree(new)
            new.mkdir(mode=0o700)
            self._account.own(new)
            # Anybody is trusted who gets to the socket, and only the server's user and root do.
            process = self._spawn(
                ["initdb", "-D", str(new), "--auth-local=trust", "--auth-host=reject", *options], lock
            )
        finally:
            os.close(lock)
        try:
            await _ended(process)
        finally:
            await _end(process)
        if process.returncode != 0:
            raise UnavailableError(f"{self.cluster}: cannot be made: {self._reason()}")
        new.rename(self.cluster)
        directory = os.open(self.directory, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)

    # The server

    async def _launch(self) -> None:
        """Start the server and wait until it takes connections. UnavailableError when it ends instead."""
        settings = {**self._settings, "unix_socket_directories": str(socket_directory(self.directory))}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        lock = await self._server_lock()
        try:
            self._forget_dead_server()
            self._process = process = self._spawn(["postgres", "-D", str(self.cluster), *options], lock)
        finally:
            os.close(lock)
        while not await self._connects("postgres"):
            if process.poll() is not None:
                raise UnavailableError(f"{self.cluster}: PostgreSQL does not start: {self._reason()}")
            await asyncio.sleep(POLL)
        if not await self.answers():
            await self._execute("postgres", f"CREATE DATABASE {NAME}")

    def _spawn(self, command: Sequence[str], lock: int) -> subprocess.Popen[bytes]:
        """Run one of the programs as the account's user, its output into our log. It has `lock`, and ends with us."""
        program, *arguments = command
        who = [os.getpid(), self._account.uid, self._account.gid]
        with open(self._log, "ab", opener=open_private) as output:
            self._log_start = output.tell()
            return subprocess.Popen(  # noqa: S603 - our own arguments, no shell
                [sys.executable, "-I", "-S", child.__file__, *map(str, who), self._programs / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env={"LC_ALL": "C", **{name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}},
                pass_fds=[lock],
                start_new_session=True,  # ^C on our terminal is ours alone: the server must outlive the last mail
            )

    async def _server_lock(self) -> int:
        """A locked descriptor, once no process of an earlier server is left; one that should have ended is told to.

        The server and all its processes inherit the lock, and we close ours. So it is free when the last of them is
        gone, also when the server itself was killed and its processes still write for a moment.
        """
        lock = open_lock(self.directory / "server.lock")
        try:
            while not await wait_lock(lock, limit=1):
                orphan = self._orphan()
                log.warning("postgresql_still_stopping", pid=orphan)
                if orphan is not None:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(orphan, signal.SIGINT)
        except BaseException:
            os.close(lock)
            raise
        return lock

    def _orphan(self) -> int | None:
        """The server that postmaster.pid names, if it runs: not a zombie, not another process that got its number."""
        try:
            pid = int((self.cluster / "postmaster.pid").read_text(encoding="ascii").split()[0])
        except (FileNotFoundError, ValueError, IndexError):
            return None
        process = Path(f"/proc/{pid}")
        try:
            try:
                here = (process / "cwd").samefile(self.cluster)
            except PermissionError:  # root of a container may not look; what anybody may see has to do
                name, _, state = (process / "stat").read_text(encoding="utf-8").partition("(")[2].rpartition(")")
                here = name == "postgres" and state.split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return None
        return pid if here else None

    def _forget_dead_server(self) -> None:
        """Remove the lock files of a dead server: PostgreSQL does not when a zombie or a stranger has its number.

        We hold the server lock, so ours is dead. One started by hand has no lock, but stands in the cluster.
        """
        stranger = self._orphan()
        if stranger is not None:
            raise UnavailableError(f"{self.cluster}: in use by a PostgreSQL that is not ours, process {stranger}")
        (self.cluster / "postmaster.pid").unlink(missing_ok=True)
        for left in socket_directory(self.directory).glob(".s.PGSQL.*"):
            left.unlink()

    async def _connects(self, database: str) -> bool:
        try:
            await self._execute(database, "SELECT")
        except asyncpg.TooManyConnectionsError:
            return True
        except (*NOT_YET, asyncpg.InvalidCatalogNameError):
            return False
        except asyncpg.PostgresError as error:
            raise UnavailableError(f"{self.cluster}: PostgreSQL refuses us: {error}") from error
        return True

    async def _execute(self, database: str, statement: str) -> None:
        host = str(socket_directory(self.directory))
        connection = await asyncpg.connect(host=host, port=PORT, user=NAME, database=database, ssl=False, timeout=10)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    # The log

    def _reason(self) -> str:
        """Why the last program ended, in its own words: its last fatal line, else the last one."""
        with open(self._log, "rb", opener=open_private) as file:
            file.seek(max(self._log_start, os.fstat(file.fileno()).st_size - 64 * 1024))
            lines = file.read().decode(errors="replace").splitlines()
        marks = ("FATAL:  ", "PANIC:  ", "error: ")
        fatal = [line.partition(mark)[2] for line in lines for mark in marks if mark in line]
        return (fatal or lines or ["it said nothing"])[-1].strip()

    def _trim_log(self) -> None:
        with contextlib.suppress(FileNotFoundError):  # somebody tidied up; the server has its own descriptor
            if self._log.stat().st_size > LOG_LIMIT:
                os.truncate(self._log, 0)  # the server appends, so it goes on at the new end
                self._log_start = 0


async def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program: politely, then without its last checkpoint."""
    for number, limit in ((signal.SIGINT, STOP_LIMIT), (signal.SIGQUIT, STOP_LIMIT)):
        if process.poll() is None:
            process.send_signal(number)
        if await _ended(process, limit):
            return
    log.error("postgresql_does_not_stop", pid=process.pid)


async def _ended(process: subprocess.Popen[bytes], limit: float | None = None) -> bool:
    """Wait for the end of a program, at most `limit` seconds. By polling: the process may outlive this event loop."""
    deadline = None if limit is None else time.monotonic() + limit
    while process.poll() is None:
        if deadline is not None and time.monotonic() > deadline:
            return False
        await asyncio.sleep(POLL)
    return True


async def _repeat(call: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(1)
        call()


@contextlib.contextmanager
def _one_line(directory: Path) -> Iterator[None]:
    """Say what the operating system refused as one line for people."""
    try:
        yield
    except OSError as error:
        raise UnavailableError(f"{error.filename or directory}: {error.strerror or error}") from error
