"""The daemon: start, serve, drain. Read from top to bottom it is docs/flow.md."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import structlog

from ingestd import metrics, systemd
from ingestd.config import Config, split_address
from ingestd.errors import ConfigError, IngestdError, UnavailableError, UserError
from ingestd.postgres import Postgres, attach, default_directory
from ingestd.service import HANDED, Service, check_handed, raise_descriptors, write_lists
from ingestd.store import engine, migrate, watch
from ingestd.store.engine import Database

log = structlog.get_logger()

EXTENSION = 30.0  # seconds that systemd grants us more, again and again, while a start is at work
STALL = 60.0  # seconds past its time-outs after which a part counts as stuck


class BrokenError(IngestdError):
    """A part of the daemon ended that should not."""


async def serve(
    config: Config,
    ready: Callable[[list[str]], None] = lambda _: None,
    reread: Callable[[], Config] | None = None,
    *,
    with_api: bool = False,
) -> None:
    """Take mail until SIGTERM or SIGINT, and with `with_api` answer HTTP. `ready` is told the addresses then.

    At SIGHUP `reread` reads the configuration again.
    UserError, before anything is accepted, when the database, the schema or an address cannot be used.
    """
    # Start: the database first, then its schema, then the sockets. A signal ends us at once until mail is accepted.
    raise_descriptors(config.limits.connections)
    handed = systemd.sockets()
    check_handed(handed, (*HANDED, "api") if with_api else HANDED)
    stop, hangup = asyncio.Event(), asyncio.Event()
    _on_hangup(stop, hangup)
    async with contextlib.AsyncExitStack() as stack:
        patience = asyncio.create_task(_ask_for_time(), name="start")
        stack.push_async_callback(_cancel, patience)
        database, supervisor = await stack.enter_async_context(own_database(config))
        await prepare(config, database)
        service = Service(config, database)
        stack.push_async_callback(service.close)
        committer = asyncio.create_task(service.ingest.committer.run(), name="committer")
        stack.push_async_callback(_cancel, committer)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await service.listen(handed)
        addresses = service.addresses
        site = None
        if with_api:
            held = [listening for name, listening in handed if name == "api"]
            site, where = await stack.enter_async_context(_site(config, database.url, held))
            addresses += where
        await _cancel(patience)
        log.info("serving", addresses=addresses, database=database.name)
        systemd.notify("READY=1", f"STATUS=serving {', '.join(addresses)}")
        ready(addresses)

        # Serve: sessions and the committer do all the work.
        committer_busy = partial(getattr, service.ingest.committer, "busy")
        watchdog = asyncio.create_task(_pet_watchdog(committer_busy, database.timeout + STALL), name="watchdog")
        reloader = asyncio.create_task(_reload(service, hangup, reread), name="reload")
        monitor = asyncio.create_task(service.monitor.run(), name="monitor")
        watcher = asyncio.create_task(watch.watch(database, config.series.stalled_after), name="watcher")
        for task in (watchdog, reloader, monitor, watcher):
            stack.push_async_callback(_cancel, task)
        stopped = asyncio.create_task(stop.wait(), name="stop")
        parts = {committer, supervisor, watchdog, reloader, monitor, watcher} | ({site} if site else set())
        await asyncio.wait({stopped, *parts}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()

        # Drain: no new mail, what is under way is finished, then the database goes.
        log.info("draining")
        grace = service.config.limits.drain
        systemd.notify("STOPPING=1", "STATUS=finishing the mails under way", systemd.extension(grace + EXTENSION))
        if cut := await service.drain(grace):
            log.warning("connections_cut", count=cut)
        for part in parts:
            if part.done():
                raise BrokenError(f"a part of the daemon ended: {part.get_name()}") from part.exception()
    log.info("stopped")


async def serve_api(config: Config, ready: Callable[[list[str]], None] = lambda _: None) -> None:
    """Answer HTTP until SIGTERM or SIGINT, beside a daemon that takes the mail, or without one."""
    handed = systemd.sockets()
    check_handed(handed, ("api",))
    held = [listening for _, listening in handed]
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_store(config) as database, _site(config, database.url, held) as (site, addresses):
        log.info("serving", addresses=addresses, database=database.name)
        systemd.notify("READY=1", f"STATUS=serving {', '.join(addresses)}")
        ready(addresses)
        watchdog = asyncio.create_task(_pet_watchdog(lambda: 0.0, STALL), name="watchdog")
        stopped = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait({stopped, site}, return_when=asyncio.FIRST_COMPLETED)
        await _cancel(watchdog)
        stopped.cancel()
        systemd.notify("STOPPING=1")
        if site.done():
            raise BrokenError("a part of the daemon ended: api") from site.exception()
    log.info("stopped")


@asynccontextmanager
async def _site(
    config: Config, url: str, held: Sequence[socket.socket]
) -> AsyncIterator[tuple["asyncio.Task[None]", list[str]]]:
    """The HTTP API, on connections of its own, so that it takes none from the mail: its task, and where it answers.

    It listens on the sockets that systemd has `held`, or else on its own address.
    """
    try:
        from ingestd import web  # noqa: PLC0415 - its libraries are an extra
    except ImportError as error:
        raise ConfigError(f"the API needs `pip install 'ingestd[api]'`: {error}") from error
    async with contextlib.AsyncExitStack() as stack:
        database = await stack.enter_async_context(_connect(config, url))
        reader = database
        if config.database.read_url:
            reader = await stack.enter_async_context(_connect(config, config.database.read_url))
        section = config.api
        settings = web.Settings(
            open_reads=section.read == "open",
            url=section.url,
            largest_body=section.body_size,
            insecure_writes=section.insecure_writes,
            rate=section.rate,
        )
        server = web.Server(
            web.make(database, reader, settings), proxies=section.proxies, connections=section.connections
        )
        for listening in held:
            server.open(listening)
        if not held:
            server.open(split_address(section.address))
        task = asyncio.create_task(server.run(), name="api")
        try:
            yield task, [f"http {address}" for address in server.addresses]
        finally:
            await server.stop(task)


def _on_hangup(stop: asyncio.Event, hangup: asyncio.Event) -> None:
    """SIGHUP asks for a reload; but where it comes since our terminal was closed, nobody is left to serve."""
    terminal = os.isatty(0)

    def decide() -> None:
        (stop if terminal and not os.isatty(0) else hangup).set()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, decide)


async def _reload(service: Service, hangup: asyncio.Event, reread: Callable[[], Config] | None) -> None:
    """Take over what can be of a changed configuration, at each hangup; one that cannot be used changes nothing."""
    while True:
        await hangup.wait()
        hangup.clear()
        systemd.notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
        try:
            if reread is not None:
                await service.adopt(reread())
            metrics.RELOADS.labels("done").inc()
        except UserError as error:
            metrics.RELOADS.labels("failed").inc()
            log.error("reload_failed", error=str(error))  # noqa: TRY400 - it is for a person to mend
        except Exception as error:
            metrics.RELOADS.labels("failed").inc()
            log.exception("reload_failed", error=repr(error))
        systemd.notify("READY=1")


async def _ask_for_time() -> None:
    """Tell systemd that the start is at work: crash recovery and migrations take as long as they need."""
    while True:
        systemd.notify("STATUS=preparing the database", systemd.extension(EXTENSION))
        await asyncio.sleep(EXTENSION / 3)


async def _pet_watchdog(busy: Callable[[], float], limit: float) -> None:
    """Tell systemd that we work: this loop turns, and nothing is `busy` longer, in seconds, than its time-outs allow.

    A database that is away is no reason to be killed: batches fail in time, and mail servers hear 451.
    """
    interval = systemd.watchdog()
    if interval is None:
        await _forever()
        return
    while True:
        if busy() < limit:
            systemd.notify("WATCHDOG=1")
        else:
            log.error("committer_stuck", seconds=round(busy()))
        await asyncio.sleep(interval / 3)


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
            directory, bindir = embedded(config)
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
            directory, bindir = embedded(config)
            url = await stack.enter_async_context(attach(directory, bindir=bindir))
        database = await stack.enter_async_context(_connect(config, url))
        try:
            yield database
        except BrokenPipeError:  # who read our output has left
            raise
        except engine.FAILURES as error:
            raise UnavailableError(f"database {database.name}: {engine.reason(error)}") from error


@asynccontextmanager
async def open_store(config: Config) -> AsyncIterator[Database]:
    """The same with a schema that fits. ConfigError when it does not."""
    async with open_database(config) as database:
        await migrate.check(database)
        yield database


def embedded(config: Config) -> tuple[Path, Path | None]:
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
        await write_lists(config, database)
    except engine.FAILURES as error:
        raise UnavailableError(f"database {database.name}: {engine.reason(error)}") from error


def announce_api(addresses: list[str]) -> None:
    """Tell a person at a terminal where HTTP is answered."""
    _print(f"listening on {address}" for address in addresses)


def announce(addresses: list[str]) -> None:
    """Tell a person at a terminal where mail goes, and how to send a first patch."""
    announce_api(addresses)
    command = f"git format-patch -1 --stdout | {sys.executable} -m ingestd deliver --list demo.example.org"
    _print([f"try it, in any git checkout: {command}"])


def _print(lines: Iterable[str]) -> None:
    with contextlib.suppress(OSError):  # nobody may be there to read it
        print(*(f"ingestd: {line}" for line in lines), sep="\n", flush=True)  # noqa: T201 - for who started it
