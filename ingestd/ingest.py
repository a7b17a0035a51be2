"""The one road in: bytes -> parsed -> stored. Listener, import and replay all come through here."""

import asyncio
import hashlib
import time
import traceback
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase

import structlog

from ingestd import metrics
from ingestd.errors import MailError, Permanent, Temporary
from ingestd.mail import Mail, authentication
from ingestd.mail.parse import parse
from ingestd.store import engine, migrate, quarantine, save
from ingestd.store.engine import Connection, Database, Fault
from ingestd.store.values import Arrival, Envelope, Poison, Stored

log = structlog.get_logger()

UNROUTED = "unrouted"  # the list of mail that belongs to none; a list like any other

# A batch holds the ingest lock; these keep others from waiting long for it.
BATCH_MAILS = 200
BATCH_BYTES = 16 * 1024 * 1024
BATCH_ROWS = 20_000

# A List-Id that is longer is none (RFC 2919 section 3 allows 255 octets).
LONGEST_LIST_ID = 255

# So many mails in quarantine, with none stored between, are no longer the mails' fault.
POISON_LIMIT = 20

# So many mails in a row that the database refuses, each alone: it would refuse the rest of the batch as well.
UNSTORABLE_LIMIT = 3

# Seconds for which a batch that could not be stored counts as a fault of the daemon, unless one is stored before.
FAULT_SECONDS = 60.0

# An error's text may quote the mail; more of it helps nobody.
LONGEST_ERROR = 1000

Outcome = list[Stored] | MailError  # on each of its lists, or why not


@dataclass(frozen=True, slots=True)
class ListRule:
    """A configured list: who writes to it, and what it was called before."""

    id: str
    recipients: tuple[str, ...] = ()  # addresses or patterns with *, compared without case
    former_ids: tuple[str, ...] = ()


class Router:
    """The policy: which lists a mail belongs to (architecture.md section 5), and whose word on its sender counts."""

    def __init__(
        self, rules: Sequence[ListRule] = (), *, refuse_unknown: bool = False, trusted: Sequence[str] = ()
    ) -> None:
        """`refuse_unknown`: mail of no configured list is refused, not kept as `unrouted`.

        `trusted`: the hosts whose Authentication-Results count, by authserv-id.
        """
        self.trusted = frozenset(id_.lower() for id_ in trusted)
        self._patterns = [(pattern.lower(), rule.id.lower()) for rule in rules for pattern in rule.recipients]
        self._ids = {id_.lower(): rule.id.lower() for rule in rules for id_ in (rule.id, *rule.former_ids)}
        self._refuse_unknown = refuse_unknown

    def lists_of(self, recipient: str) -> list[str]:
        """The lists that an envelope recipient stands for."""
        address = recipient.lower()
        return list(dict.fromkeys(list_id for pattern, list_id in self._patterns if fnmatchcase(address, pattern)))

    def accepts(self, recipient: str) -> bool:
        """Whether mail for `recipient` is taken: any, unless recipients are configured."""
        return not self._patterns or bool(self.lists_of(recipient))

    def route(self, mail: Mail, recipients: Sequence[str], list_id: str | None) -> dict[str, tuple[str, ...]]:
        """List id -> its recipients: by the word of the operator, else by recipient, else by List-Id, else unrouted.

        Permanent where policy refuses mail of no configured list.
        """
        if list_id is not None:
            return {self._ids.get(list_id.lower(), list_id.lower()): tuple(recipients)}
        by_list: dict[str, tuple[str, ...]] = {}
        for recipient in recipients:
            for found in self.lists_of(recipient):
                by_list[found] = (*by_list.get(found, ()), recipient)
        if by_list:
            return by_list
        named = None if mail.list_id is None else mail.list_id.lower()
        if named is not None and len(named.encode()) > LONGEST_LIST_ID:
            named = None
        if named is not None and (not self._ids or named in self._ids):
            return {self._ids.get(named, named): tuple(recipients)}
        if self._refuse_unknown:
            raise Permanent("mail of no configured list", reply="550 5.7.1 Not a mailing list of ours")
        return {UNROUTED: tuple(recipients)}


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
        trace="".join(traceback.format_tb(error.__traceback__)),  # without the error's text, which may quote the mail
    )
    said = f"{type(error).__name__}: {engine.reason(error)}"[:LONGEST_ERROR]
    # The text may quote what the database cannot hold either, and then the mail would come again for ever.
    storable = said.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    return Poison(raw, digest, storable, tuple(recipients), tuple(lists), envelope)


class Closed(Temporary):
    """Quarantine takes no more: so many mails in a row are our fault."""


class Unstorable(Temporary):
    """The database refuses what we make of this mail. Its mail server keeps it until we are mended."""


class Committer:
    """Commits what has gathered while the last commit ran: one fsync for many mails, no timers."""

    def __init__(self, database: Database) -> None:
        """Nothing runs before `run`."""
        self._database = database
        self._waiting: list[tuple[Arrival | Poison, asyncio.Future[Outcome]]] = []
        self._arrived: dict[asyncio.Future[Outcome], float] = {}  # in order
        self._bell = asyncio.Event()
        self._poisons = 0  # quarantined, since a mail was stored
        self._poisoned = 0.0  # when the last of them was
        self._unstorable = 0  # refused by the database, each alone, since a mail was stored
        self._failed: float | None = None  # when the last batch could not be stored, if none was since
        self._since: float | None = None  # when the transaction under way began
        self._most = BATCH_MAILS  # in a batch; less after one that took too long, so that a dear mail ends up alone

    @property
    def busy(self) -> float:
        """Seconds that the transaction under way has taken; 0 when there is none."""
        return 0.0 if self._since is None else time.monotonic() - self._since

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        self._since = time.monotonic()
        try:
            with metrics.INGEST_SECONDS.labels("commit").time():
                async with self._database.ingest() as connection:
                    await migrate.require(connection)
                    yield connection
            metrics.LAST_COMMIT.set_to_current_time()
        finally:
            self._since = None

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

    async def commit(self, mails: Sequence[Arrival | Poison]) -> list[Outcome]:
        """Store mails, in as many batches as it takes; answer for each, in order, what became of it.

        Never raises for a database's fault.
        """
        outcomes: list[Outcome] = []
        while mails:
            count = self._fitting(mails)
            outcomes += await self._commit(mails[:count])
            mails = mails[count:]
        return outcomes

    async def _commit(self, mails: Sequence[Arrival | Poison]) -> list[Outcome]:
        stored = iter(await self._store([mail for mail in mails if isinstance(mail, Arrival)]))
        kept = iter(await self._quarantine_all([mail for mail in mails if isinstance(mail, Poison)]))
        return [next(kept) if isinstance(mail, Poison) else next(stored) for mail in mails]

    async def _quarantine_all(self, poisons: Sequence[Poison]) -> list[Outcome]:
        """Keep mails that cannot be stored, one by one. A database that is gone is waited for only once."""
        outcomes: list[Outcome] = []
        for poison in poisons:
            outcomes.append(await self._quarantine(poison))
            if isinstance(outcomes[-1], MailError) and not isinstance(outcomes[-1], Closed):
                break
        return outcomes + [Temporary(str(outcomes[-1])) for _ in poisons[len(outcomes) :]]

    async def _store(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """A batch that fails on one mail is tried again mail by mail; a lost connection or race once as a whole."""
        if not arrivals:
            return []
        for last_try in (False, True):
            try:
                return await self._attempt(arrivals)
            except MailError as error:
                return [error for _ in arrivals]
            except engine.FAILURES as error:
                fault = engine.judge(error)
                if fault is Fault.RETRY and not last_try:
                    continue
                if isinstance(error, TimeoutError):
                    self._most = max(1, len(arrivals) // 2)
                if fault is Fault.OURS and len(arrivals) == 1:
                    return [self._refuse(error)]
                if fault in (Fault.RETRY, Fault.TEMPORARY):
                    failure = self._give_up(error)
                    return [failure, *(Temporary(str(failure)) for _ in arrivals[1:])]
                return await self._one_by_one(arrivals, error)
            except Exception as error:  # noqa: BLE001 - our own code failed on some mail
                return await self._one_by_one(arrivals, error)
        raise AssertionError("the last try returns")

    async def _attempt(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        async with self._transaction() as connection:
            stored = await save.batch(connection, arrivals)
        metrics.BATCH_MAILS.observe(len(arrivals))
        self._poisons = self._unstorable = 0
        self._failed = None
        self._most = min(BATCH_MAILS, self._most * 2)
        return list(stored)

    def _give_up(self, error: BaseException) -> Temporary:
        if engine.judge(error) is Fault.TEMPORARY:  # a look at the database would not see it; it sees the others
            self._failed = time.monotonic()
        log.error("batch_failed", error=engine.reason(error), sqlstate=engine.sqlstate(error))
        return engine.temporary(error)

    def _refuse(self, error: Exception) -> Unstorable:
        """Leave a mail to its mail server. Many in a row are no longer about the mail."""
        log.error("mail_unstorable", error=engine.reason(error), sqlstate=engine.sqlstate(error))
        self._unstorable += 1
        if self._unstorable >= UNSTORABLE_LIMIT:
            self._failed = time.monotonic()
        return Unstorable(engine.reason(error))

    async def _one_by_one(self, arrivals: Sequence[Arrival], error: Exception) -> list[Outcome]:
        """Find the mail that made the batch fail: each alone, and the bad ones to quarantine."""
        if len(arrivals) > 1:
            outcomes: list[Outcome] = []
            unstorable = 0  # in a row, in this batch
            for arrival in arrivals:
                outcomes += await self._store([arrival])
                unstorable = unstorable + 1 if isinstance(outcomes[-1], Unstorable) else 0
                gone = isinstance(outcomes[-1], MailError) and not isinstance(outcomes[-1], Closed | Unstorable)
                if gone or unstorable >= UNSTORABLE_LIMIT:
                    break  # the others would fare the same
            return outcomes + [Temporary(str(outcomes[-1])) for _ in arrivals[len(outcomes) :]]
        (arrival,) = arrivals
        recipients = [recipient for own in arrival.lists.values() for recipient in own]
        poison = _poison(arrival.raw, arrival.raw_sha256, error, recipients, list(arrival.lists), arrival.envelope)
        return [await self._quarantine(poison)]

    async def _quarantine(self, poison: Poison) -> Outcome:
        """Keep a mail that cannot be stored. Many in a row are our fault: then the mail server keeps them."""
        fresh = poison.envelope.entry is None
        if fresh and self.closed:
            log.error("quarantine_closed", poisons=self._poisons)
            return Closed(f"{self._poisons} mails in a row went to quarantine")
        try:
            async with self._transaction() as connection:
                await quarantine.keep(connection, poison)
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
