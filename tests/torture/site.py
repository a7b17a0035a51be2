"""All that is tortured: PostgreSQL on a disk of its own, the daemon, the proxy and the mail server."""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from daemon_process import DaemonProcess
from end_to_end.peer import Peer
from mail_servers import recipe
from mail_servers.conftest import free_port
from mail_servers.exim import Exim
from mail_servers.postfix import Postfix
from small_disk import SmallDisk

from ingestd.errors import UnavailableError
from ingestd.postgres import Postgres
from torture.proxy import Proxy

RECIPIENT = "linux-aspeed@ingest.example.org"
DISK = 4096  # MiB, of which only what is used costs memory
DATABASE_TIMEOUT = 3.0  # seconds, so that a PostgreSQL that stands still for 5 is a 451
PATIENCE = 120.0  # seconds

OPEN = """
    SELECT count(*) FROM pg_stat_activity
    WHERE application_name = 'ingestd' AND datname = current_database()
      AND xact_start IS NOT NULL AND state IN ('active', 'idle in transaction')
"""


@dataclass(frozen=True)
class Look:
    """What was under way at one moment."""

    transaction: bool  # of the daemon, open in PostgreSQL
    data: bool  # a mail had begun and not ended
    dotted: bool  # a whole mail waited for its reply


class Site:
    """Start it within an event loop, in the main thread."""

    def __init__(self, directory: Path, server: str, rng: random.Random) -> None:
        """`server` is postfix or exim."""
        self.rng = rng
        self.directory = directory
        (directory / "disk").mkdir()
        self.disk = SmallDisk(directory / "disk", DISK)
        self.no_disk = self.disk.mount()
        place = directory / "disk/data"
        place.mkdir(mode=0o711)
        self.postgres = Postgres(place, settings={"max_wal_size": "64MB", "min_wal_size": "32MB"})
        daemon = directory / "daemon"
        daemon.mkdir()
        self.daemon = DaemonProcess(
            daemon,
            database_url=self.postgres.url,
            config=f"database.timeout = {DATABASE_TIMEOUT}\n[limits]\nqueue_wait = 5.0\n",
        )
        self.proxy = Proxy(self.daemon.lmtp, rng)
        self._kind = server
        self.server: Postfix | Exim | None = None
        self._watch: asyncpg.Connection | None = None

    async def start(self) -> None:
        """Bring all up, from the database to the mail server."""
        await self.postgres.start()
        await asyncio.to_thread(self.daemon.start)
        await self.proxy.start()
        place = self.directory / "server"
        place.mkdir()
        self.server = self._postfix(place) if self._kind == "postfix" else self._exim(place)
        await asyncio.to_thread(self.server.start)

    async def stop(self) -> None:
        """Take all down."""
        if self.server is not None:
            await asyncio.to_thread(self.server.stop)
        await self.proxy.stop()
        await asyncio.to_thread(self.daemon.kill)
        if self._watch is not None:
            self._watch.terminate()
        self.disk.free()
        await self.postgres.stop()
        if self.no_disk is None:
            self.disk.unmount()

    def _postfix(self, place: Path) -> Postfix:
        files = recipe.files("Postfix")
        main = recipe.adapt(
            files["/etc/postfix/main.cf"],
            {"/etc/postfix": str(place / "etc"), "maximal_backoff_time = 600s": "maximal_backoff_time = 1s"},
        )
        maps = {
            "ingestd_transport": recipe.adapt(
                files["/etc/postfix/ingestd_transport"], {"127.0.0.1:8024": f"127.0.0.1:{self.proxy.port}"}
            ),
            "ingestd_recipients": files["/etc/postfix/ingestd_recipients"],
        }
        return Postfix(place, free_port(), main, files["/etc/postfix/master.cf"], maps)

    def _exim(self, place: Path) -> Exim:
        part = {Path(path).parent.name: text for path, text in recipe.files("Exim over TCP").items()}
        transport = recipe.adapt(part["transport"], {"port = 8024": f"port = {self.proxy.port}"})
        return Exim(place, free_port(), part["router"], transport, recipe.adapt(part["retry"], {"5m": "1s"}))

    def give(self, mails: Sequence[bytes]) -> None:
        """Hand mails to the mail server, which takes each."""
        assert self.server is not None
        with Peer(("127.0.0.1", self.server.port), protocol="smtp") as peer:
            for mail in mails:
                (reply,) = peer.send(mail, [RECIPIENT], "bounces@lists.example.org", " BODY=8BITMIME")
                assert reply.startswith("250"), reply

    async def look(self) -> Look:
        """What is under way just now."""
        transaction = await self._transaction_open()
        return Look(transaction, bool(self.proxy.in_data()), bool(self.proxy.dotted()))

    async def _transaction_open(self) -> bool:
        try:
            if self._watch is None or self._watch.is_closed():
                self._watch = await asyncpg.connect(self.postgres.url, timeout=1)
            return bool(await self._watch.fetchval(OPEN, timeout=1))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            return False  # PostgreSQL is away, and nothing is open in it

    def backends(self) -> list[int]:
        """PostgreSQL and all its processes."""
        postmaster = self.postgres.pid
        if postmaster is None:
            return []
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text(encoding="ascii")
        return [postmaster, *map(int, children.split())]

    async def restart_postgres(self) -> None:
        """Start PostgreSQL again after its death; on a full disk only once that is free again."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while True:
            await self.postgres.stop()
            try:
                await self.postgres.start()
            except UnavailableError:
                assert asyncio.get_running_loop().time() < deadline, "PostgreSQL does not come back"
                self.disk.free()
                await asyncio.sleep(0.1)
            else:
                return

    def failures(self) -> int:
        """How many batches the daemon could not store so far."""
        return self.daemon.read_log().count('"batch_failed"')


def send(pids: Sequence[int], number: signal.Signals) -> None:
    """Send a signal to processes, some of which may be gone."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
