"""The daemon: start, serve, drain. Read from top to bottom it is docs/flow.md."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from ingestd import config as configuration
from ingestd import systemd
from ingestd.config import Config
from ingestd.errors import ConfigError, IngestdError, UnavailableError
from ingestd.ingest import Ingest, ListRule, Router
from ingestd.postgres import Postgres, attach, default_directory
from ingestd.receive.limits import Connections, Limits
from ingestd.receive.listener import Listener
from ingestd.store import engine, migrate, save
from ingestd.store.engine import Database

log = structlog.get_logger()

HANDED = ("lmtp", "smtp")  # what the sockets of systemd may be called
EXTENSION = 30.0  # seconds that systemd grants us more, again and again, while a start is at work
STALL = 60.0  # seconds past its time-outs after which the committer counts as stuck


class BrokenError(IngestdError):
    """A part of the daemon ended that should not."""


async def serve(config: Config, ready: Callable[[list[str]], None] = lambda _: None) -> None:
    """Take mail until SIGTERM or SIGINT. `ready` is told the addresses once mail is accepted.

    UserError, before anything is accepted, when the database, the schema or an address cannot be used.
    """
    # Start: the database first, then its schema, then the sockets. A signal ends us at once until mail is accepted.
    handed = systemd.sockets()
    async with contextlib.AsyncExitStack() as stack:
        patience = asyncio.create_task(_ask_for_time(), name="start")
        stack.push_async_callback(_cancel, patience)
        database, supervisor = await stack.enter_async_context(own_database(config))
        await prepare(config, database)
        ingest = Ingest(
            database,
            router(config),
            queue_mails=config.limits.queue_mails,
            queue_bytes=config.limits.queue_bytes,
            queue_wait=config.limits.queue_wait,
        )
        committer = asyncio.create_task(ingest.committer.run(), name="committer")
        stack.push_async_callback(_cancel, committer)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        listeners, addresses = await listen(config, ingest, handed)
        await _cancel(patience)
        log.info("serving", addresses=addresses, database=database.name)
        systemd.notify("READY=1", f"STATUS=serving {', '.join(addresses)}")
        ready(addresses)

        # Serve: sessions and the committer do all the work.
        watchdog = asyncio.create_task(_pet_watchdog(ingest, database), name="watchdog")
        stack.push_async_callback(_cancel, watchdog)
        stopped = asyncio.create_task(stop.wait(), name="stop")
        parts = {committer, supervisor, watchdog}
        await asyncio.wait({stopped, *parts}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()

        # Drain: no new mail, what is under way is finished, then the database goes.
        log.info("draining")
        systemd.notify(
            "STOPPING=1", "STATUS=finishing the mails under way", systemd.extension(config.limits.drain + EXTENSION)
        )
        for cut in await asyncio.gather(*(listener.drain(config.limits.drain) for listener in listeners)):
            if cut:
                log.warning("connections_cut", count=cut)
        for part in parts:
            if part.done():
                raise BrokenError(f"a part of the daemon ended: {part.get_name()}") from part.exception()
    log.info("stopped")


async def _ask_for_time() -> None:
    """Tell systemd that the start is at work: crash recovery and migrations take as long as they need."""
    while True:
        systemd.notify("STATUS=preparing the database", systemd.extension(EXTENSION))
        await asyncio.sleep(EXTENSION / 3)


async def _pet_watchdog(ingest: Ingest, database: Database) -> None:
    """Tell systemd that we work: this loop turns, and no batch takes longer than its time-outs allow.

    A database that is away is no reason to be killed: batches fail in time, and mail servers hear 451.
    """
    limit = systemd.watchdog()
    if limit is None:
        await _forever()
        return
    while True:
        busy = ingest.committer.busy
        if busy < database.timeout + STALL:
            systemd.notify("WATCHDOG=1")
        else:
            log.error("committer_stuck", seconds=round(busy))
        await asyncio.sleep(limit / 3)


@asynccontextmanager
async def own_database(config: Config) -> AsyncIterator[tuple[Database, asyncio.Task[None]]]:
    """The database of the daemon, and the task that keeps it up: it never ends by itself.

    That is the configured database, else an embedded one that is started again when it dies.
    """
    async with contextlib.AsyncExitStack() as stack:
        url = config.database.url
        if url:
            keeper = _forever()
        else:
            directory, bindir = _embedded(config)
            server = Postgres(directory, bindir=bindir)
            await server.start()
            stack.push_async_callback(server.stop)
            url, keeper = server.url, server.supervise()
        supervisor = asyncio.create_task(keeper, name="PostgreSQL's supervisor")
        stack.push_async_callback(_cancel, supervisor)
        yield await stack.enter_async_context(_connect(config, url)), supervisor


async def _forever() -> None:
    """Nothing to supervise: somebody else looks after a database that is configured."""
    await asyncio.Event().wait()


async def _cancel(task: "asyncio.Task[None]") -> None:
    """Cancel a task and wait for its end; how it ended before is not asked here."""
    task.cancel()
    await asyncio.wait({task})


@asynccontextmanager
async def open_database(config: Config) -> AsyncIterator[Database]:
    """The database for a command: the configured one, else the embedded one, which a daemon may be running.

    UnavailableError when it fails within the block.
    """
    async with contextlib.AsyncExitStack() as stack:
        url = config.database.url
        if not url:
            directory, bindir = _embedded(config)
            url = await stack.enter_async_context(attach(directory, bindir=bindir))
        database = await stack.enter_async_context(_connect(config, url))
        try:
            yield database
        except BrokenPipeError:  # who read our output has left
            raise
        except engine.FAILURES as error:
            raise UnavailableError(f"database {database.name}: {engine.reason(error)}") from error


def _embedded(config: Config) -> tuple[Path, Path | None]:
    """Where the embedded PostgreSQL keeps its data and has its programs."""
    section = config.database
    directory = Path(section.data_directory) if section.data_directory else default_directory()
    return directory, Path(section.bindir) if section.bindir else None


@asynccontextmanager
async def _connect(config: Config, url: str) -> AsyncIterator[Database]:
    database = Database(url, pool_size=config.database.pool_size, timeout=config.database.timeout)
    try:
        yield database
    finally:
        await database.close()


async def prepare(config: Config, database: Database) -> None:
    """Bring the schema to our version, or check that it is; write down the configured lists."""
    try:
        if config.database.migrate == "auto":
            if await migrate.upgrade(database):
                log.info("migrated", schema=migrate.head())
        else:
            await database.check_server()
            await migrate.check(database)
        async with database.ingest() as connection:
            await save.configure_lists(
                connection,
                [(list_.id.lower(), list_.name or None, list_.address or None) for list_ in config.lists],
            )
    except engine.FAILURES as error:
        raise UnavailableError(f"database {database.name}: {engine.reason(error)}") from error


def router(config: Config) -> Router:
    """Which mail belongs to which list, as configured."""
    rules = [ListRule(list_.id, list_.recipients, list_.former_ids) for list_ in config.lists]
    return Router(rules, refuse_unknown=config.mail.unknown_list == "refuse")


async def listen(
    config: Config, ingest: Ingest, handed: Sequence[tuple[str, socket.socket]] = ()
) -> tuple[list[Listener], list[str]]:
    """Open every configured address; answer the listeners and what they listen on.

    A protocol for which systemd has `handed` over sockets listens on these, and on no address of its own.
    ConfigError when one of them has no name of ours.
    """
    connections = Connections(config.limits.connections)
    limits = Limits(
        max_size=config.limits.message_size,
        max_recipients=config.limits.recipients,
        idle_timeout=config.limits.idle_timeout,
        data_timeout=config.limits.data_timeout,
    )
    check_handed(handed)
    listeners: list[Listener] = []
    addresses: list[str] = []
    for protocol, section in (("lmtp", config.lmtp), ("smtp", config.smtp)):
        listener = Listener(
            ingest,
            protocol="lmtp" if protocol == "lmtp" else "smtp",
            hostname=config.hostname,
            limits=limits,
            connections=connections,
        )
        listeners.append(listener)
        own = [listening for name, listening in handed if name == protocol]
        try:
            for listening in own:
                await listener.start_socket(listening)
            if section.address and not own:
                await listener.start_tcp(*configuration.split_address(section.address))
            if section.socket and not own:
                await listener.start_unix(section.socket, int(section.socket_mode, 8))
        except BaseException:
            for opened in listeners:
                await opened.drain(0)
            raise
        addresses += [f"{protocol} {address}" for address in listener.addresses]
    return listeners, addresses


def check_handed(handed: Sequence[tuple[str, socket.socket]]) -> None:
    """ConfigError unless systemd has handed over listening sockets with names that we know."""
    for name, listening in handed:
        if name not in HANDED:
            raise ConfigError(f"socket {name!r} of systemd: expected FileDescriptorName={' or '.join(HANDED)}")
        if not listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise ConfigError(f"socket {name!r} of systemd: expected ListenStream= and Accept=no")


def announce(addresses: list[str]) -> None:
    """Tell a person at a terminal where mail goes, and how to send a first patch."""
    for address in addresses:
        print(f"ingestd: listening on {address}", flush=True)  # noqa: T201 - this is for the person who started it
    command = f"git format-patch -1 --stdout | {sys.executable} -m ingestd deliver --list demo.example.org"
    print(f"ingestd: try it, in any git checkout: {command}", flush=True)  # noqa: T201
