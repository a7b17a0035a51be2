"""The parts of a running daemon that the configuration shapes, and what a changed configuration does to them."""

import asyncio
import resource
import socket
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
import structlog

from ingestd import config as configuration
from ingestd import logs, metrics
from ingestd.config import Config
from ingestd.errors import ConfigError, UserError
from ingestd.mail.values import PARSER_VERSION
from ingestd.monitor import Monitor
from ingestd.receive.limits import Access, Connections, Limits, load_certificate
from ingestd.receive.listener import Listener
from ingestd.reception import Bounds, Ingest
from ingestd.router import ListRule, Router
from ingestd.series.values import GROUPING_VERSION
from ingestd.store import engine, migrate, save
from ingestd.store.engine import Database

log = structlog.get_logger()

HANDED = ("lmtp", "smtp", "metrics")  # what the sockets of systemd may be called
AGAIN = 10.0  # seconds after which the lists are written again, when the database was away

# Sections and keys that a running daemon takes over; the rest wants a restart.
LIVE = ("limits", "lists", "lmtp.networks", "log.level", "mail", "smtp.networks", "tls")


class Service:
    """The running daemon. `config` is what it goes by: a change that wants a restart is not in it."""

    def __init__(self, config: Config, database: Database) -> None:
        """Nothing listens before `listen`."""
        self.config = config
        self.database = database
        self.ingest = Ingest(database, router(config), bounds(config))
        self.connections = Connections(config.limits.connections)
        self.listeners: list[Listener] = []
        self.draining = False
        self.monitor = Monitor(database, self._fault, self._status)
        self._lists: asyncio.Task[None] | None = None
        self._show()

    def _fault(self) -> str | None:
        """Why no mail would be taken now, the database apart."""
        if self.draining:
            return "shutting down"
        if self.ingest.committer.closed:
            return "too many mails in a row went to quarantine"
        if self.ingest.committer.failing:
            return "mail could not be stored a moment ago"
        return None

    def _status(self) -> str:
        """One line for `systemctl status`."""
        counts = f"{self.connections.count} connections, {self.ingest.mails.used} mails under way"
        return f"{counts}; {', '.join(self.addresses)}"

    def _pool(self, state: str) -> int:
        return self.database.pool[state]

    def _show(self) -> None:
        """Connect the gauges that are looked at when somebody asks."""
        ingest, committer = self.ingest, self.ingest.committer
        metrics.QUEUE_MAILS.set_function(lambda: ingest.mails.used)
        metrics.QUEUE_BYTES.set_function(lambda: ingest.memory.used)
        metrics.QUEUE_MAILS_LIMIT.set_function(lambda: self.config.limits.queue_mails)
        metrics.QUEUE_BYTES_LIMIT.set_function(lambda: self.config.limits.queue_bytes)
        metrics.WAITING_SECONDS.set_function(lambda: committer.oldest)
        metrics.SESSIONS_LIMIT.set_function(lambda: self.config.limits.connections)
        for state in ("idle", "used"):
            metrics.POOL_CONNECTIONS.labels(state).set_function(partial(self._pool, state))
        metrics.BUILD_INFO.labels(metrics.VERSION, migrate.head(), str(PARSER_VERSION), str(GROUPING_VERSION)).set(1)

    @property
    def addresses(self) -> list[str]:
        """Where mail is taken and monitoring is answered, each with its protocol."""
        mail = [f"{listener.protocol} {address}" for listener in self.listeners for address in listener.addresses]
        return [*mail, *(f"metrics {address}" for address in self.monitor.addresses)]

    async def listen(self, handed: Sequence[tuple[str, socket.socket]] = ()) -> None:
        """Open every configured address; on UnavailableError none stays open.

        A protocol for which systemd has `handed` over sockets listens on these, and on no address of its own.
        """
        allowed = access(self.config)
        for protocol, section in (("lmtp", self.config.lmtp), ("smtp", self.config.smtp)):
            listener = Listener(
                self.ingest,
                protocol="lmtp" if protocol == "lmtp" else "smtp",
                hostname=self.config.hostname,
                limits=limits(self.config),
                connections=self.connections,
                access=allowed[protocol],
            )
            self.listeners.append(listener)
            metrics.SESSIONS.labels(protocol).set_function(partial(getattr, listener, "sessions"))
            own = [listening for name, listening in handed if name == protocol]
            try:
                for listening in own:
                    await listener.start_socket(listening)
                if section.address and not own:
                    await listener.start_tcp(*configuration.split_address(section.address))
                if section.socket and not own:
                    await listener.start_unix(section.socket, int(section.socket_mode, 8), section.socket_group)
            except BaseException:
                await self._close_all()
                raise
        own = [listening for name, listening in handed if name == "metrics"]
        try:
            for listening in own:
                await self.monitor.listen(listening)
            if self.config.metrics.address and not own:
                await self.monitor.listen(configuration.split_address(self.config.metrics.address))
        except BaseException:
            await self._close_all()
            raise

    async def _close_all(self) -> None:
        for listener in self.listeners:
            await listener.drain(0)

    async def drain(self, grace: float) -> int:
        """Finish the mails under way, for at most `grace` seconds; how many connections had to be cut."""
        self.draining = True
        return sum(await asyncio.gather(*(listener.drain(grace) for listener in self.listeners)))

    async def adopt(self, new: Config) -> None:
        """Take over what a running daemon can of a changed configuration; say in the log what it is."""
        changed = differences(self.config, new)
        live = [key for key in changed if _is_live(key)]
        # Whatever fails does so before anything changes.
        routes, each, all_, allowed = router(new), limits(new), bounds(new), access(new)
        self.config = merge(self.config, new)
        logs.set_level(new.log.level)
        self.connections.limit = new.limits.connections
        raise_descriptors(new.limits.connections)
        for listener in self.listeners:
            listener.limits = each
            listener.access = allowed[listener.protocol]
        self.ingest.router = routes
        self.ingest.rebound(all_)
        if "lists" in live:
            await self._stop_writing()
            self._lists = asyncio.create_task(self._write_lists(), name="lists")
        log.info("reloaded", changed=live)
        if left := [key for key in changed if not _is_live(key)]:
            log.warning("restart_needed", changed=left)

    async def _write_lists(self) -> None:
        """Write the configured lists down, for readers; a database that is away is asked again."""
        while True:
            try:
                await write_lists(self.config, self.database)
            except (UserError, *engine.FAILURES) as error:
                log.warning("lists_not_written", error=engine.reason(error))
                await asyncio.sleep(AGAIN)
            else:
                return

    async def close(self) -> None:
        """End what goes on beside the listeners."""
        await self.monitor.close()
        await self._stop_writing()

    async def _stop_writing(self) -> None:
        if self._lists is not None:
            self._lists.cancel()
            await asyncio.wait({self._lists})
            self._lists = None


def router(config: Config) -> Router:
    """Which mail belongs to which list, as configured."""
    rules = [ListRule(list_.id, list_.recipients, list_.former_ids) for list_ in config.lists]
    mail = config.mail
    return Router(rules, refuse_unknown=mail.unknown_list == "refuse", trusted=mail.authserv_ids)


def limits(config: Config) -> Limits:
    """What each connection may ask of us, as configured."""
    return Limits(
        max_size=config.limits.message_size,
        max_recipients=config.limits.recipients,
        idle_timeout=config.limits.idle_timeout,
        data_timeout=config.limits.data_timeout,
    )


def access(config: Config) -> dict[str, Access]:
    """Who may connect, by protocol; the certificate is read anew. ConfigError when it cannot be used."""
    tls = load_certificate(config.tls.certificate, config.tls.key) if config.tls.certificate else None
    return {"lmtp": Access(config.lmtp.networks, tls), "smtp": Access(config.smtp.networks, tls)}


def bounds(config: Config) -> Bounds:
    """How much mail is taken at once, as configured."""
    return Bounds(config.limits.queue_mails, config.limits.queue_bytes, config.limits.queue_wait)


async def write_lists(config: Config, database: Database) -> None:
    """Write the configured lists into the database."""
    lists = [(list_.id.lower(), list_.name or None, list_.address or None) for list_ in config.lists]
    async with database.ingest() as connection:
        await save.configure_lists(connection, lists)
        await save.name_projects(connection, {list_.id.lower(): list_.link_name for list_ in config.lists})


def raise_descriptors(connections: int) -> None:
    """Allow as many open files as we may, and say when that is too few: a connection, its long mail, and some."""
    wanted = 2 * connections + 100
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        try:
            most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
        except (OSError, ValueError) as error:  # a unit may forbid it; it has LimitNOFILE
            log.info("descriptors_not_raised", error=str(error))
    if soft < wanted:
        log.warning("few_descriptors", allowed=soft, wanted=wanted)


def check_handed(handed: Sequence[tuple[str, socket.socket]], names: Sequence[str]) -> None:
    """ConfigError unless systemd has handed over listening sockets with these names."""
    for name, listening in handed:
        if name not in names:
            raise ConfigError(f"socket {name!r} of systemd: expected FileDescriptorName={' or '.join(names)}")
        if not listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise ConfigError(f"socket {name!r} of systemd: expected ListenStream= and Accept=no")
        if name == "api" and listening.family == socket.AF_UNIX:  # who asks would be unknown, and how
            raise ConfigError("socket 'api' of systemd: expected a TCP address in ListenStream=")


def _flat(tree: dict[str, Any]) -> dict[str, Any]:
    """`section.key` -> value; the lists are one value."""
    return {
        f"{name}.{key}" if isinstance(value, dict) else name: inner
        for name, value in tree.items()
        for key, inner in (value.items() if isinstance(value, dict) else [("", value)])
    }


def differences(old: Config, new: Config) -> list[str]:
    """The keys whose values differ."""
    before, after = _flat(msgspec.to_builtins(old)), _flat(msgspec.to_builtins(new))
    return [key for key in before if before[key] != after[key]]


def _is_live(key: str) -> bool:
    return key in LIVE or key.partition(".")[0] in LIVE


def merge(old: Config, new: Config) -> Config:
    """`old` with the values of `new` that a running daemon takes over."""
    tree: dict[str, Any] = msgspec.to_builtins(old)
    after = msgspec.to_builtins(new)
    for key in filter(_is_live, differences(old, new)):
        section, dot, name = key.partition(".")
        if dot:
            tree[section][name] = after[section][name]
        else:
            tree[section] = after[section]
    return msgspec.convert(tree, Config)
