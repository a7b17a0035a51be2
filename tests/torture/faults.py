"""The faults. Each strikes, mends what does not mend itself, and counts what was under way when it struck."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from torture.proxy import Dialog
from torture.site import Look, Site, send

AIM = 2.0  # seconds to wait for something to be under way
STANDSTILL = 5.0  # seconds PostgreSQL is stopped
FULL = 4.0  # seconds a disk may be full without a mail that notices


@dataclass
class Tally:
    """What one kind of fault met."""

    count: int = 0
    transaction: int = 0
    data: int = 0
    dotted: int = 0
    either: int = 0  # a transaction open or a DATA unfinished
    hurt: int = 0  # of a disk and a standstill: batches failed; of a cut: there was a connection to cut

    def add(self, look: Look) -> None:
        """Count one fault."""
        self.count += 1
        self.transaction += look.transaction
        self.data += look.data
        self.dotted += look.dotted
        self.either += look.transaction or look.data


@dataclass
class Tallies:
    """All kinds."""

    by_kind: dict[str, Tally] = field(default_factory=dict)

    def of(self, kind: str) -> Tally:
        """The tally of a kind."""
        return self.by_kind.setdefault(kind, Tally())


async def _aim(site: Site) -> Look:
    """Wait until something is under way, or at times for no reason; what is under way then."""
    loop = asyncio.get_running_loop()
    if site.rng.random() < 0.2:
        await asyncio.sleep(site.rng.random() * 0.3)
        return await site.look()
    deadline = loop.time() + AIM
    while True:
        look = await site.look()
        if look.transaction or look.data or loop.time() > deadline:
            return look
        await asyncio.sleep(0.002)


async def kill_ingestd(site: Site, tally: Tally) -> None:
    """The daemon gets kill -9. It is stopped first, so that what is under way then is known exactly."""
    await _aim(site)
    os.kill(site.daemon.pid, signal.SIGSTOP)
    tally.add(await site.look())
    await asyncio.to_thread(site.daemon.kill)
    await asyncio.to_thread(site.daemon.start)


async def kill_postgres(site: Site, tally: Tally) -> None:
    """PostgreSQL gets kill -9, with all its processes or alone."""
    look = await _aim(site)
    victims = site.backends()
    send(victims if site.rng.random() < 0.5 else victims[:1], signal.SIGKILL)
    tally.add(look)
    await site.restart_postgres()


async def stop_postgres(site: Site, tally: Tally) -> None:
    """PostgreSQL stands still for longer than the daemon waits for it."""
    look = await _aim(site)
    before = site.failures()
    victims = site.backends()
    send(victims, signal.SIGSTOP)
    tally.add(look)
    try:
        await asyncio.sleep(STANDSTILL)
    finally:
        send(victims, signal.SIGCONT)
    tally.hurt += site.failures() > before


async def fill_disk(site: Site, tally: Tally) -> None:
    """The disk of the database is full until a batch failed for it, and a moment longer."""
    look = await _aim(site)
    before = site.failures()
    tally.add(look)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + FULL
    try:
        while site.failures() == before and loop.time() < deadline:
            site.disk.fill()
            await asyncio.sleep(0.05)
        await asyncio.sleep(site.rng.random())
    finally:
        site.disk.free()
    tally.hurt += site.failures() > before
    if site.postgres.pid is None:  # it could not write its log, and gave up
        await site.restart_postgres()


async def cut_data(site: Site, tally: Tally) -> None:
    """A connection is reset in the middle of a mail."""
    await _cut(site, tally, site.proxy.in_data)


async def cut_reply(site: Site, tally: Tally) -> None:
    """A connection is reset between the final dot and the reply: the mail server must send the mail again."""
    await _cut(site, tally, site.proxy.dotted)


async def _cut(site: Site, tally: Tally, candidates: Callable[[], list[Dialog]]) -> None:
    """Reset up to three of the dialogs that are at this point, once there are any."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + AIM
    while True:
        transaction = (await site.look()).transaction
        victims = candidates()  # of this very moment: nothing else runs until they are reset
        if victims or loop.time() > deadline:
            break
        await asyncio.sleep(0.001)
    tally.add(Look(transaction, bool(site.proxy.in_data()), bool(site.proxy.dotted())))
    for dialog in victims[: site.rng.randint(1, 3)]:
        dialog.end()
    tally.hurt += bool(victims)


Fault = Callable[[Site, Tally], Awaitable[None]]

# Each with how often it comes beyond its least number: what mends slowly comes less often.
KINDS: dict[str, tuple[Fault, int]] = {
    "ingestd killed": (kill_ingestd, 4),
    "PostgreSQL killed": (kill_postgres, 4),
    "PostgreSQL stopped": (stop_postgres, 0),
    "disk full": (fill_disk, 1),
    "cut within DATA": (cut_data, 4),
    "cut before the reply": (cut_reply, 3),
}
