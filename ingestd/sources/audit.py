"""Compare what we have with an archive, or with the log of the mail server before us."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from ingestd import ingest
from ingestd.router import Router
from ingestd.sources import files, maillog
from ingestd.store import audit
from ingestd.store.engine import Database
from ingestd.store.values import Arrival, Envelope

BATCH = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """One mail that was looked for."""

    mail: str  # its Message-ID, else what else names it
    where: str  # in the archive, or its queue id
    lacking: str | None  # why it is not here; None: it is


async def compare(
    database: Database, source: str, *, list_id: str | None = None, recipients: Iterable[str] = ()
) -> AsyncIterator[Finding]:
    """Look for each mail of `source`: an archive, or a log (then those for `recipients`, and those we said 250 to).

    An archive's mails are looked for on `list_id`, or on any list. InputError when the source cannot be read.
    """
    if source != "-" and maillog.is_log(Path(source)):
        async for finding in _log(database, Path(source), recipients):
            yield finding
        return
    mails = files.read(source)
    while batch := list(islice(mails, BATCH)):
        for finding in await _archive(database, batch, list_id):
            yield finding


async def _archive(database: Database, batch: list[tuple[str, bytes]], list_id: str | None) -> list[Finding]:
    envelope, router = Envelope(datetime.now(UTC)), Router()
    read = [(origin, ingest.read(raw, envelope, router)) for origin, raw in batch]
    good = [(origin, mail.mail) for origin, mail in read if isinstance(mail, Arrival)]
    bad = [(origin, mail) for origin, mail in read if not isinstance(mail, Arrival)]
    async with database.transaction() as connection:
        identities = [(mail.message_id, mail.content_key) for _, mail in good]
        here = await audit.stored(connection, identities, None if list_id is None else list_id.lower())
        absent = [mail.message_id for (_, mail), there in zip(good, here, strict=True) if not there]
        known = await audit.known(connection, absent) if absent else set()
        kept = await audit.quarantined(connection, [mail.raw_sha256 for _, mail in bad]) if bad else set()
    findings = []
    for (origin, mail), there in zip(good, here, strict=True):
        why = None if there else "other content under this id" if mail.message_id in known else "missing"
        findings.append(Finding(mail.message_id, origin, why))
    for origin, poison in bad:
        why = None if poison.raw_sha256 in kept else f"cannot be read: {poison.error}"
        findings.append(Finding(poison.raw_sha256.hex(), origin, why))
    return findings


async def _log(database: Database, path: Path, recipients: Iterable[str]) -> AsyncIterator[Finding]:
    handovers = maillog.read(path, recipients)
    async with database.transaction() as connection:
        here = await audit.delivered(connection, [handover.queue_id for handover in handovers])
        kept = await audit.queue_ids_in_quarantine(connection)
        gone = await audit.forgotten(connection, [handover.queue_id for handover in handovers])
    times = Counter(handover.queue_id for handover in handovers)
    named = {(queue_id, message_id) for queue_id, message_id, _ in here}
    stored = {(queue_id, row) for queue_id, _, row in here} | gone
    delivered = {queue_id for queue_id, _ in stored}
    for handover in handovers:
        # A log may have the Message-ID otherwise than we read it: then the rows decide that our reply named. Where it
        # named none, in older logs, the queue id alone, if it came once: it comes again after a while.
        there = (handover.queue_id, handover.message_id) in named
        if handover.rows:
            there = there or all((handover.queue_id, row) in stored for row in handover.rows)
        else:
            there = there or (handover.queue_id in delivered and times[handover.queue_id] == 1)
        why = "acknowledged but missing" if handover.ours else handover.status
        yield Finding(
            handover.message_id or "no Message-ID",
            handover.queue_id,
            None if there or handover.queue_id in kept else why,
        )
