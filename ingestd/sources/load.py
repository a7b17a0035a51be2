"""Import: read a source in batches and commit them beside live mail."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

import structlog

from ingestd import ingest
from ingestd.errors import MailError, Permanent, UnavailableError
from ingestd.store.values import Arrival, Envelope, Poison, Stored

log = structlog.get_logger()

BATCH = 100
TRIES = 6
PROGRESS_SECONDS = 5.0


@dataclass(slots=True)
class Summary:
    """What an import did, in mails; a mail on two lists counts on each."""

    read: int = 0
    new: int = 0
    repeats: int = 0
    quarantined: int = 0
    refused: int = 0

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"{self.read} read, {self.new} new, {self.repeats} repeats, "
            f"{self.quarantined} quarantined, {self.refused} refused"
        )


async def load(
    mails: Iterable[tuple[str, bytes]],
    committer: ingest.Committer,
    router: ingest.Router,
    *,
    list_id: str | None = None,
    progress: Callable[[Summary], None] = lambda _: None,
) -> Summary:
    """Store every mail of `mails`. UnavailableError when the database stays away: what was committed stays."""
    summary = Summary()
    iterator = iter(mails)
    while batch := list(_read(islice(iterator, BATCH), router, list_id, summary)):
        for outcome in await _commit(committer, [mail for mail in batch if mail is not None]):
            if not outcome:
                summary.quarantined += 1
            for stored in outcome:
                if stored.repeat:
                    summary.repeats += 1
                else:
                    summary.new += 1
        progress(summary)
    return summary


def _read(
    mails: Iterable[tuple[str, bytes]], router: ingest.Router, list_id: str | None, summary: Summary
) -> Iterator[Arrival | Poison | None]:
    """Parse a batch; None for a mail that policy refuses."""
    for origin, raw in mails:
        summary.read += 1
        envelope = Envelope(datetime.now(UTC), None, origin)
        try:
            yield ingest.read(raw, envelope, router, (), list_id)
        except Permanent as error:
            summary.refused += 1
            log.warning("mail_refused", origin=origin, error=str(error))
            yield None


async def _commit(committer: ingest.Committer, batch: list[Arrival | Poison]) -> list[list[Stored]]:
    """Commit a batch; wait and try again while the database is away. What was stored already is a repeat then."""
    outcomes: dict[int, list[Stored]] = {}
    left = list(range(len(batch)))
    failure: MailError | None = None
    for attempt in range(TRIES):
        if attempt:
            await asyncio.sleep(min(2**attempt / 4, 10))
        for index, outcome in zip(left, await committer.commit([batch[index] for index in left]), strict=True):
            if isinstance(outcome, MailError):
                failure = outcome
            else:
                outcomes[index] = outcome
        left = [index for index in left if index not in outcomes]
        if not left:
            return [outcomes[index] for index in range(len(batch))]
    raise UnavailableError(f"the database does not take mail: {failure}")


@contextmanager
def progress() -> Iterator[Callable[[Summary], None]]:
    """Show how an import goes: a line that changes on a terminal, else a log line every few seconds."""
    began = shown = time.monotonic()
    terminal = sys.stderr.isatty()

    def show(summary: Summary) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown < (0.2 if terminal else PROGRESS_SECONDS):
            return
        shown = now
        rate = round(summary.read / (now - began), 1)
        if terminal:
            sys.stderr.write(f"\r{summary}, {rate} mails/s\x1b[K")
            sys.stderr.flush()
        else:
            log.info("import_progress", read=summary.read, new=summary.new, repeats=summary.repeats, rate=rate)

    try:
        yield show
    finally:
        if terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
