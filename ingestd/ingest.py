"""The one road in: bytes -> parsed -> stored. Listener, import and replay all come through here."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog

from ingestd import logs, metrics
from ingestd.errors import MailError, Permanent, Temporary
from ingestd.mail import authentication
from ingestd.mail.parse import parse
from ingestd.router import Router
from ingestd.store import cursors, engine, migrate, quarantine, save
from ingestd.store.engine import Connection, Database, Fault
from ingestd.store.values import Arrival, Cursor, Envelope, Poison, Stored

log = structlog.get_logger()

# A batch holds the ingest lock; these keep others from waiting long for it.
BATCH_MAILS = 200
ARCHIVE_MAILS = 1000  # of an import, which sees to that itself
BATCH_BYTES = 16 * 1024 * 1024
BATCH_ROWS = 20_000

# So many mails in quarantine, with none stored between, are no longer the mails' fault.
POISON_LIMIT = 20

# So many mails in a row that the database refuses, each alone: it would refuse the rest of the batch as well.
UNSTORABLE_LIMIT = 3

# Seconds for which a batch that could not be stored counts as a fault of the daemon, unless one is stored before.
FAULT_SECONDS = 60.0

# An error's text may quote the mail; more of it helps nobody.
LONGEST_ERROR = 1000

Outcome = list[Stored] | MailError  # on each of its lists, or why not


def read(
    raw: bytes, envelope: Envelope, router: Router, recipients: Sequence[str] = (), list_id: str | None = None
) -> Arrival | Poison:
    """Parse and route one mail. Poison when our code fails on it; Permanent where policy refuses it."""
    digest = hashlib.sha256(raw).digest()
    try:
        mail = parse(raw)
        evidence = authentication.results(mail.headers, router.trusted)
        return Arrival(raw, digest, mail, router.route(mail, recipients, list_id), envelope, evidence)
    except Permanent:
        raise
    except Exception as error:  # noqa: BLE001 - whatever our code fails on is kept, and said
        return _poison(raw, digest, error, recipients, () if list_id is None else (list_id,), envelope)


def _poison(
    raw: bytes, digest: bytes, error: Exception, recipients: Sequence[str], lists: Sequence[str], envelope: Envelope
) -> Poison:
    log.error(
        "mail_poisonous",
        raw_sha256=digest.hex(),
        error=type(error).__name__,
        sqlstate=engine.sqlstate(error),
        trace=logs.trace(error),
    )
    said = f"{type(error).__name__}: {engine.reason(error)}"[:LONGEST_ERROR]
    # The text may quote what the database cannot hold either, and then the mail would come again for ever.
    storable = said.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    return Poison(raw, digest, storable, tuple(recipients), tuple(lists), envelope)


def poison(raw: bytes, error: str, lists: Sequence[str], envelope: Envelope) -> Poison:
    """A mail that our code failed on where no exception can say it."""
    return Poison(raw, hashlib.sha256(raw).digest(), error, (), tuple(lists), envelope)


def _unstored(arrival: Arrival, error: Exception) -> Poison:
    recipients = [recipient for own in arrival.lists.values() for recipient in own]
    return _poison(arrival.raw, arrival.raw_sha256, error, recipients, list(arrival.lists), arrival.envelope)


def _all_stored(outcomes: Sequence[Outcome]) -> bool:
    return not any(isinstance(outcome, MailError) for outcome in outcomes)


class Closed(Temporary):
    """Quarantine takes no more: so many mails in a row are our fault."""


class Unstorable(Temporary):
    """The database refuses what we make of this mail. Its mail server keeps it until we are mended."""


class Committer:
    """Commits what has gathered while the last commit ran: one fsync for many mails, no timers."""

    def __init__(self, database: Database, *, most: int = BATCH_MAILS, archived: bool = False) -> None:
        """Nothing runs before `run`.

        `most`: mails in a batch. `archived`: no mail server keeps what the database refuses, so quarantine does.
        """
        self._database = database
        self._archived = archived
        self.waited = 0.0  # seconds for which an archive's batches have waited for others, since this was set back
        self._asked = 0.0  # when the one under way began to wait; 0: it does not
        self._waiting: list[tuple[Arrival | Poison, asyncio.Future[Outcome]]] = []
        self._arrived: dict[asyncio.Future[Outcome], float] = {}  # in order
        self._bell = asyncio.Event()
        self._poisons = 0  # quarantined, since a mail was stored
        self._poisoned = 0.0  # when the last of them was
        self._unstorable = 0  # refused by the database, each alone, since a mail was stored
        self._failed: float | None = None  # when the last batch could not be stored, if none was since
        self._since: float | None = None  # when the transaction under way began
        # In a batch; less after one that took too long, so that a dear mail ends up alone.
        self._limit = self._most = most

    @property
    def busy(self) -> float:
        """Seconds that the transaction under way has taken; 0 when there is none."""
        return 0.0 if self._since is None else time.monotonic() - self._since

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        self._since = time.monotonic()
        try:
            with metrics.INGEST_SECONDS.labels("commit").time():
                async with self._database.ingest(self._waits if self._archived else None) as connection:
                    if self._asked:
                        self.waited += time.monotonic() - self._asked
                        self._asked = 0.0
                    await migrate.require(connection)
                    yield connection
            metrics.LAST_COMMIT.set_to_current_time()
        finally:
            self._since = None

    def _waits(self) -> None:
        self._asked = time.monotonic()

    @property
    def closed(self) -> bool:
        """Whether so many mails in a row went to quarantine that we must be at fault: no more of these is taken.

        Until one is stored; or for a minute, after which one more is tried: nobody may send any while we say so.
        """
        return self._poisons >= POISON_LIMIT and time.monotonic() - self._poisoned < FAULT_SECONDS

    @property
    def failing(self) -> bool:
        """Whether the last batch could not be stored, a short while ago: a full disk, a standby that is missing."""
        return self._failed is not None and time.monotonic() - self._failed < FAULT_SECONDS

    @property
    def oldest(self) -> float:
        """Seconds that the oldest mail which is not committed yet has waited; 0 when there is none."""
        return time.monotonic() - next(iter(self._arrived.values())) if self._arrived else 0.0

    async def put(self, mail: Arrival | Poison) -> Outcome:
        """Wait until `mail` is committed, or is known not to be."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((mail, future))
        self._arrived[future] = time.monotonic()
        self._bell.set()
        try:
            return await future
        finally:
            del self._arrived[future]

    async def run(self) -> None:
        """Commit batches until cancelled; a cancelled committer answers those who wait with Temporary."""
        try:
            while True:
                await self._bell.wait()
                batch = self._next_batch()
                try:
                    outcomes = await self.commit([mail for mail, _ in batch])
                except BaseException:
                    self._waiting = batch + self._waiting
                    raise
                for (_, future), outcome in zip(batch, outcomes, strict=True):
                    if not future.done():
                        future.set_result(outcome)
        finally:
            for _, future in self._waiting:
                if not future.done():
                    future.set_result(Temporary("shutting down"))

    def _next_batch(self) -> list[tuple[Arrival | Poison, asyncio.Future[Outcome]]]:
        count = self._fitting([mail for mail, _ in self._waiting[: self._most]])
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        if not self._waiting:
            self._bell.clear()
        return batch

    def _fitting(self, mails: Sequence[Arrival | Poison]) -> int:
        """How many of `mails`, from the first, make one batch: one at least."""
        size = rows = count = 0
        for mail in mails[: self._most]:
            size += len(mail.raw)
            rows += _rows(mail)
            if count and (size > BATCH_BYTES or rows > BATCH_ROWS):
                break
            count += 1
        return count

    async def commit(self, mails: Sequence[Arrival | Poison], cursor: Cursor | None = None) -> list[Outcome]:
        """Store mails, in as many batches as it takes; answer for each, in order, what became of it.

        `cursor` is written in the transaction of the last of them, if all others are stored. Never raises for a
        database's fault.
        """
        outcomes: list[Outcome] = []
        while mails:
            count = self._fitting(mails)
            last = cursor if count == len(mails) and _all_stored(outcomes) else None
            outcomes += await self._commit(mails[:count], last)
            mails = mails[count:]
        return outcomes

    async def _commit(self, mails: Sequence[Arrival | Poison], cursor: Cursor | None) -> list[Outcome]:
        poisons = [mail for mail in mails if isinstance(mail, Poison)]
        arrivals = [mail for mail in mails if isinstance(mail, Arrival)]
        outcomes = await self._store(arrivals, None if poisons else cursor)
        outcomes += await self._quarantine_all(poisons, cursor if _all_stored(outcomes) else None)
        of = dict(zip(map(id, (*arrivals, *poisons)), outcomes, strict=True))
        return [of[id(mail)] for mail in mails]

    async def _quarantine_all(self, poisons: Sequence[Poison], cursor: Cursor | None) -> list[Outcome]:
        """Keep mails that cannot be stored, one by one. A database that is gone is waited for only once."""
        outcomes: list[Outcome] = []
        for poison in poisons:
            last = cursor if poison is poisons[-1] and _all_stored(outcomes) else None
            outcomes.append(await self._quarantine(poison, last))
            if isinstance(outcomes[-1], MailError) and not isinstance(outcomes[-1], Closed):
                break
        return outcomes + [Temporary(str(outcomes[-1])) for _ in poisons[len(outcomes) :]]

    async def _store(self, arrivals: Sequence[Arrival], cursor: Cursor | None = None) -> list[Outcome]:
        """A batch that fails on one mail is tried again mail by mail; a lost connection or race once as a whole."""
        if not arrivals:
            return []
        for last_try in (False, True):
            try:
                return await self._attempt(arrivals, cursor)
            except MailError as error:
                return [error for _ in arrivals]
            except engine.FAILURES as error:
                fault = engine.judge(error)
                if fault is Fault.RETRY and not last_try:
                    continue
                if isinstance(error, TimeoutError):
                    self._most = max(1, len(arrivals) // 2)
                if fault is Fault.OURS and len(arrivals) == 1:
                    return [await self._refuse(arrivals[0], error, cursor)]
                if fault in (Fault.RETRY, Fault.TEMPORARY):
                    failure = self._give_up(error)
                    return [failure, *(Temporary(str(failure)) for _ in arrivals[1:])]
                return await self._one_by_one(arrivals, error, cursor)
            except Exception as error:  # noqa: BLE001 - our own code failed on some mail
                return await self._one_by_one(arrivals, error, cursor)
        raise AssertionError("the last try returns")

    async def _attempt(self, arrivals: Sequence[Arrival], cursor: Cursor | None) -> list[Outcome]:
        async with self._transaction() as connection:
            stored = await save.batch(connection, arrivals)
            if cursor is not None:
                await cursors.write(connection, cursor)
        metrics.BATCH_MAILS.observe(len(arrivals))
        self._poisons = self._unstorable = 0
        self._failed = None
        self._most = min(self._limit, self._most * 2)
        return list(stored)

    def _give_up(self, error: BaseException) -> Temporary:
        if engine.is_hidden(error):
            self._failed = time.monotonic()
        log.error("batch_failed", error=engine.reason(error), sqlstate=engine.sqlstate(error))
        return engine.temporary(error)

    async def _refuse(self, arrival: Arrival, error: Exception, cursor: Cursor | None) -> Outcome:
        """Leave a mail to its mail server, where it has one. Many in a row are no longer about the mail."""
        if self._archived:
            return await self._quarantine(_unstored(arrival, error), cursor)
        log.error("mail_unstorable", error=engine.reason(error), sqlstate=engine.sqlstate(error))
        self._unstorable += 1
        if self._unstorable >= UNSTORABLE_LIMIT:
            self._failed = time.monotonic()
        return Unstorable(engine.reason(error))

    async def _one_by_one(self, arrivals: Sequence[Arrival], error: Exception, cursor: Cursor | None) -> list[Outcome]:
        """Find the mail that made the batch fail: each alone, and the bad ones to quarantine."""
        if len(arrivals) > 1:
            outcomes: list[Outcome] = []
            unstorable = 0  # in a row, in this batch
            for arrival in arrivals:
                last = cursor if arrival is arrivals[-1] and _all_stored(outcomes) else None
                outcomes += await self._store([arrival], last)
                unstorable = unstorable + 1 if isinstance(outcomes[-1], Unstorable) else 0
                gone = isinstance(outcomes[-1], MailError) and not isinstance(outcomes[-1], Closed | Unstorable)
                if gone or unstorable >= UNSTORABLE_LIMIT:
                    break  # the others would fare the same
            return outcomes + [Temporary(str(outcomes[-1])) for _ in arrivals[len(outcomes) :]]
        return [await self._quarantine(_unstored(arrivals[0], error), cursor)]

    async def _quarantine(self, poison: Poison, cursor: Cursor | None = None) -> Outcome:
        """Keep a mail that cannot be stored. Many in a row are our fault: then the mail server keeps them."""
        fresh = poison.envelope.entry is None
        if fresh and self.closed:
            log.error("quarantine_closed", poisons=self._poisons)
            return Closed(f"{self._poisons} mails in a row went to quarantine")
        try:
            async with self._transaction() as connection:
                await quarantine.keep(connection, poison)
                if cursor is not None:
                    await cursors.write(connection, cursor)
        except MailError as error:
            return error
        except Exception as error:  # noqa: BLE001 - whatever it is, the mail is not stored: the mail server keeps it
            return self._give_up(error)
        if fresh:
            self._poisons += 1
            self._poisoned = time.monotonic()
        return []


async def replay(committer: Committer, router: Router, entry: quarantine.Entry, raw: bytes) -> Outcome:
    """Take a mail out of quarantine as if it had just come, but with the delivery facts it came with.

    It goes to the list it was for; where that is not known, or where it was for several, as mail goes today.
    An empty outcome: it failed again, and stays with its new error. MailError: it stays as it was.
    """
    envelope = Envelope(entry.received_at, entry.envelope_from, entry.peer, entry.id)
    list_id = entry.lists[0] if len(entry.lists) == 1 else None
    try:
        mail = read(raw, envelope, router, entry.recipients, list_id)
    except Permanent as error:
        return error
    (outcome,) = await committer.commit([mail])
    return outcome


def _rows(mail: Arrival | Poison) -> int:
    """About how many rows a mail makes."""
    if isinstance(mail, Poison):
        return 1
    return 10 + len(mail.mail.files) + len(mail.mail.trailers) + len(mail.mail.links) + len(mail.mail.references)
