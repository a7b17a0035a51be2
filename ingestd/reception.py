"""What the listener hands mail to: room for it, memory, and the road in."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from ingestd import metrics
from ingestd.errors import Full, MailError, Permanent
from ingestd.gate import Gate
from ingestd.ingest import Committer, Router, read
from ingestd.store.engine import Database
from ingestd.store.values import Arrival, Envelope, Poison, Stored

log = structlog.get_logger()

# A mail longer than this is parsed in a thread, so that the listener goes on answering.
LONG_MAIL = 256 * 1024

# What parsing and storing a mail takes of memory, in octets for each of its own: bench/memory.py measures it.
# The dearest is text with a character outside the basic plane, which Python keeps in four octets for every character.
COST = 24

# Seconds that a mail which has come in whole waits for memory. Its mail server waits ten minutes (RFC 5321 4.5.3.2.6).
HOLD_WAIT = 300.0

# The queue id of a mail that could not be parsed: of its topmost Received, among its first octets. A CR counts as part
# of its line; were it told apart, the time would double with each line.
QUEUE_ID = re.compile(rb"^Received:[^\n]*(?:\n[ \t][^\n]*)*?\sid\s+([\w.:+-]{1,100})", re.IGNORECASE | re.MULTILINE)
HEAD = 4096


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much mail is taken at once."""

    mails: int
    bytes: int  # of memory, while mails are parsed and stored
    wait: float  # seconds that a peer waits for room before its mail


class Ingest:
    """What the listener hands mail to."""

    def __init__(self, database: Database, router: Router, bounds: Bounds) -> None:
        """`router` may be replaced; `bounds` by `rebound`."""
        self.router = router
        self.committer = Committer(database)
        self.mails = Gate(bounds.mails)
        self.memory = Gate(bounds.bytes)
        self._wait = bounds.wait

    def rebound(self, bounds: Bounds) -> None:
        """Replace the bounds."""
        self._wait = bounds.wait
        self.mails.limit = bounds.mails
        self.memory.limit = bounds.bytes

    def begin(self) -> "Reception":
        """What takes the next mail of a session."""
        return Reception(self.committer, self.router)

    @asynccontextmanager
    async def room(self) -> AsyncIterator[None]:
        """Room for one mail, from before its first octet to its outcome. Full when none comes free in time."""
        async with self._full(self.mails, 1, self._wait):
            yield

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        """Memory for a mail of `size` octets that has come in whole, until its outcome. Full when it took too long.

        How much a mail takes while it is parsed and stored: measured, COST times its octets at most.
        """
        async with self._full(self.memory, size * COST, HOLD_WAIT):
            yield

    @asynccontextmanager
    async def _full(self, gate: Gate, size: int, patience: float) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(gate.enter(size, patience))
            except TimeoutError as error:
                log.warning("queue_full", mails=self.mails.used, bytes=self.memory.used)
                raise Full from error
            yield


@dataclass(frozen=True, slots=True)
class Reception:
    """One mail from its MAIL command on: what RCPT was told holds, whatever a reload changes meanwhile."""

    committer: Committer
    router: Router

    def accepts(self, recipient: str) -> bool:
        """Whether mail for `recipient` is taken."""
        return self.router.accepts(recipient)

    async def take(
        self,
        raw: bytes,
        *,
        envelope_from: str | None,
        recipients: Sequence[str],
        peer: str,
        list_id: str | None = None,
        origin: str = "lmtp",
    ) -> str:
        """Store one mail; return once it is committed. MailError, with the reply for the peer, when it is not.

        Returns what it is called in the log and in the rows: `message 17`, one number for each list, or `quarantined`;
        nothing for a copy of a mail that was forgotten.
        """
        began = time.monotonic()
        envelope = Envelope(datetime.now(UTC), envelope_from, peer)
        metrics.MESSAGE_BYTES.observe(len(raw))
        try:
            with metrics.INGEST_SECONDS.labels("parse").time():
                if len(raw) > LONG_MAIL:
                    mail = await asyncio.to_thread(read, raw, envelope, self.router, recipients, list_id)
                else:
                    mail = read(raw, envelope, self.router, recipients, list_id)
        except Permanent:
            metrics.MESSAGES.labels(origin, "refused").inc()
            raise
        outcome = await self.committer.put(mail)
        facts: dict[str, object] = {"peer": peer, "recipients": len(recipients), "bytes": len(raw)} | _facts(mail)
        seconds = round(time.monotonic() - began, 4)
        if isinstance(outcome, MailError):
            metrics.MESSAGES.labels(origin, "deferred").inc()
            log.warning("mail_deferred", error=str(outcome), seconds=seconds, **facts)
            raise outcome
        metrics.INGEST_SECONDS.labels("total").observe(seconds)
        if not outcome:
            metrics.MESSAGES.labels(origin, "quarantined").inc()
            log.warning("mail_quarantined", seconds=seconds, **facts)
        else:
            repeat = all(stored.repeat for stored in outcome)
            metrics.MESSAGES.labels(origin, _became(outcome)).inc()
            for defect in mail.mail.defects if isinstance(mail, Arrival) and not repeat else ():
                metrics.PARSE_DEFECTS.labels(defect).inc()
        for stored in outcome:
            log.info(
                "mail_stored",
                list=stored.list_id,
                outcome=_became([stored]),
                message=stored.message,
                seconds=seconds,
                **facts,
            )
        if not outcome:
            return "quarantined"
        ids = [str(stored.message) for stored in outcome if stored.message is not None]
        return f"message {','.join(ids)}" if ids else ""


def _became(outcome: Sequence[Stored]) -> str:
    """What became of a mail on these lists, in a word."""
    if all(stored.message is None for stored in outcome):
        return "forgotten"
    return "repeat" if all(stored.repeat for stored in outcome) else "new"


def _facts(mail: Arrival | Poison) -> dict[str, object]:
    """What a log line says of a mail: ids, never text. The queue id is the mail server's name for it."""
    if isinstance(mail, Poison):
        found = QUEUE_ID.search(mail.raw[:HEAD])
        return {"raw_sha256": mail.raw_sha256.hex(), "queue_id": None if found is None else found[1].decode()}
    return {"message_id": mail.mail.message_id, "queue_id": mail.mail.queue_id}
