"""A sink that keeps mail in memory: the other implementation of `Sink`, for tests of the protocol alone."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from ingestd import errors

# The ways to fail that a dialog can ask for.
FAILURES: dict[str, BaseException] = {
    "fault": RuntimeError("the database at 10.0.0.5 is down\r\n250 really"),
    "temporary": errors.Temporary("the database is down"),
    "permanent": errors.Permanent("no list of ours", reply="550 5.7.1 Not a mailing list of ours"),
    "broken reply": errors.Permanent("a reply that would break the dialog", reply="550 5.7.1 No\r\n250 Ok"),
    "cancelled": asyncio.CancelledError("somebody else gave up"),
    "connection error": ConnectionResetError("the database's, not the peer's"),
}


@dataclass(frozen=True, slots=True)
class Taken:
    """One call of `take`."""

    raw: bytes
    envelope_from: str
    recipients: tuple[str, ...]
    peer: str
    list_id: str | None


class MemorySink:
    """Knows `*@lists.test`. Where it waits and fails is up to the test."""

    def __init__(self, failing: str = "") -> None:
        """`failing`: a key of FAILURES for `take`, or `room`, `room fault`, `room exit`, `accepts` for the others."""
        self.failing = failing
        self.mails: list[Taken] = []
        self.sizes: list[int] = []  # what `hold` was asked for
        self.inside = 0  # mails that have room
        self.waiting = 0  # mails that wait for it
        self.taking = asyncio.Event()  # a take has begun
        self.may_enter = asyncio.Event()
        self.may_take = asyncio.Event()
        self.may_enter.set()
        self.may_take.set()

    def begin(self) -> Self:
        return self

    def accepts(self, recipient: str) -> bool:
        if self.failing == "accepts":
            raise RuntimeError("the map of recipients is broken")
        return recipient.lower().endswith("@lists.test")

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        self.sizes.append(size)
        yield

    @asynccontextmanager
    async def room(self) -> AsyncIterator[None]:
        self.waiting += 1
        try:
            await self.may_enter.wait()
        finally:
            self.waiting -= 1
        if self.failing == "room":
            raise errors.Full
        if self.failing == "room fault":
            raise RuntimeError("no room for a reason nobody foresaw")
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1
        if self.failing == "room exit":
            raise RuntimeError("cannot leave")

    async def take(
        self, raw: bytes, *, envelope_from: str, recipients: Sequence[str], peer: str, list_id: str | None, origin: str
    ) -> None:
        assert origin in ("lmtp", "smtp")
        self.taking.set()
        await self.may_take.wait()
        if self.failing in FAILURES:
            raise FAILURES[self.failing]
        self.mails.append(Taken(raw, envelope_from, tuple(recipients), peer, list_id))
