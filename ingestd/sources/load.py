"""Import: read archives, parse in several processes, commit in batches beside live mail."""

import asyncio
import threading
import time
from array import array
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

import structlog

from ingestd import ingest
from ingestd.errors import MailError, UnavailableError
from ingestd.sources.parsing import Parsed, Parser
from ingestd.sources.source import Changed, Item, LeftOut, Place, Source
from ingestd.store import cursors
from ingestd.store.engine import Database
from ingestd.store.values import Arrival, Cursor, Envelope, Poison, Stored

log = structlog.get_logger()

CHUNK_MAILS = 50  # that a process parses at once
CHUNK_BYTES = 1 << 20
TINY = 200  # mails that are parsed here, before it is worth to start processes
READ = 2  # chunks that are read ahead
PARSED = ingest.ARCHIVE_MAILS // CHUNK_MAILS  # chunks that are parsed, or wait for it, while others are committed

# A batch holds the ingest lock, and live mail waits for it, which gets it next: seconds that a batch may take while
# there is other mail, and while there is none. While there is, we leave the lock alone for as long as we held it.
HOLD = 0.05
QUIET_HOLD = 0.25
# Mails in a batch, however long it takes: each has costs that a smaller one would not save.
FEWEST = 20
QUIET_FEWEST = 100
LONGEST_PAUSE = 10.0

TRIES = 6
TALLY = 10_000  # mails that are asked about at once


@dataclass(slots=True)
class Summary:
    """What an import did, in mails; a mail on two lists counts on each, but for `read`."""

    read: int = 0
    new: int = 0
    repeats: int = 0
    quarantined: int = 0
    refused: int = 0  # by policy
    deleted: int = 0  # in their archive
    forgotten: int = 0  # here, for good
    too_big: int = 0
    variants: int | None = None  # of the new ones: other content under a Message-ID that was there; None: not counted
    series: int | None = None  # that new mails are in; None: not counted
    done: float | None = None  # share of the source that is being read
    where: str = ""  # the source that is being read
    messages: "array[int]" = field(default_factory=lambda: array("q"))  # the new ones

    def __str__(self) -> str:
        """One line for people."""
        parts = [
            f"{self.read} read, {self.new} new, {self.repeats} repeats",
            f"{self.quarantined} quarantined, {self.refused} refused",
            f"{self.deleted} deleted in the archive, {self.forgotten} forgotten, {self.too_big} too big",
        ]
        if self.variants is not None:
            parts.append(f"{self.variants} variants, {self.series} series touched")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Options:
    """How to import."""

    list_id: str | None = None  # where all mails go, whatever they say
    resume: bool = True  # go on where each source was left
    rate: float | None = None  # mails a second, at most


class Load:
    """An import. It may be called again for what has come to its sources since."""

    def __init__(
        self, database: Database, parser: Parser, options: Options, progress: Callable[[Summary], None] = lambda _: None
    ) -> None:
        """`progress` is told of every batch."""
        self.summary = Summary()
        self._database = database
        self._committer = ingest.Committer(database, most=ingest.ARCHIVE_MAILS, archived=True)
        self._parser = parser
        self._options = options
        self._progress = progress
        self._hold = HOLD
        self._most = FEWEST
        self._begun: set[str | None] = set()  # sources that were read before, by this import
        self._stop = False

    def stop(self) -> None:
        """End after the batch that is under way."""
        self._stop = True

    async def run(self, sources: Iterable[Source]) -> None:
        """Store every mail of `sources`, but for those that stood before the place where a source was left.

        UnavailableError when the database stays away, InputError when a source cannot be read on: what was committed
        stays, and the next import goes on behind it.
        """
        try:
            for source in sources:
                if not self._stop:
                    await self._read(source)
        finally:
            self.summary.done = None

    async def _read(self, source: Source) -> None:
        place = await self._place(source)
        self._begun.add(source.name)
        try:
            await self._store(source, place)
        except Changed:
            log.warning("archive_changed", source=source.name, since=place)
            await self._store(source, None)

    async def _place(self, source: Source) -> Place | None:
        if source.name is None or not (self._options.resume or source.name in self._begun):
            return None
        async with self._database.transaction() as connection:
            return await cursors.read(connection, source.name, self._options.list_id)

    async def _store(self, source: Source, place: Place | None) -> None:
        self.summary.where = source.name or "-"
        failure: Exception | None = None
        async with aclosing(self._batches(source, place)) as batches:
            async for batch in batches:
                if isinstance(batch, Exception):  # what came before it is good, and stored by now
                    failure = batch
                    break
                began = time.monotonic()
                await self._commit(source, batch)
                took = time.monotonic() - began
                pause = self._adapt(len(batch), took)
                self._progress(self.summary)
                if self._stop:
                    return
                if self._options.rate:
                    pause = max(pause, len(batch) / self._options.rate - took)
                if pause > 0:
                    await asyncio.sleep(pause)
        if failure is not None:
            raise failure

    def _adapt(self, mails: int, took: float) -> float:
        """Make the next batch as big as may be; seconds to leave to others."""
        waited, self._committer.waited = self._committer.waited, 0.0
        held = max(took - waited, 0.001)
        self._hold = HOLD if waited else min(QUIET_HOLD, self._hold * 1.5)
        fewest = FEWEST if waited else min(QUIET_FEWEST, 2 * self._most)
        self._most = max(fewest, min(ingest.ARCHIVE_MAILS, round(mails / held * self._hold), 2 * self._most))
        # Others that held the lock for long have much to do, or a slow machine.
        return min(max(held, 3 * waited), LONGEST_PAUSE) if waited else 0.0

    async def _batches(
        self, source: Source, place: Place | None
    ) -> AsyncGenerator[list[tuple[Item, Parsed | None]] | Exception, None]:
        """The mails of a source, parsed, in as many as are ready: up to as many as fit into HOLD. An error ends it."""
        ready: asyncio.Queue[asyncio.Task[list[tuple[Item, Parsed | None]]] | Exception | None] = asyncio.Queue(PARSED)
        feeder = asyncio.create_task(self._feed(_Reader(source.read(place)), ready))
        left: list[tuple[Item, Parsed | None]] = []
        end: Exception | None = None
        try:
            open_ = True
            while open_ or left:
                most = self._limit()
                while open_ and _is_room(left, most) and (not left or not ready.empty()):
                    chunk = await ready.get()
                    if isinstance(chunk, asyncio.Task):
                        left += await chunk
                    else:
                        open_, end = False, chunk
                if left:
                    yield left[:most]
                    left = left[most:]
            if end is not None:
                yield end
        finally:
            feeder.cancel()
            with suppress(asyncio.CancelledError):
                await feeder
            while not ready.empty():
                if isinstance(chunk := ready.get_nowait(), asyncio.Task):
                    chunk.cancel()
                    await asyncio.wait({chunk})

    def _limit(self) -> int:
        """Mails in the next batch."""
        return self._most if self._options.rate is None else max(1, min(self._most, round(self._options.rate / 4)))

    async def _feed(
        self,
        reader: "_Reader",
        ready: "asyncio.Queue[asyncio.Task[list[tuple[Item, Parsed | None]]] | Exception | None]",
    ) -> None:
        seen = 0
        try:
            while isinstance(chunk := await reader.get(), list):
                seen += len(chunk)
                await ready.put(asyncio.create_task(self._parse(chunk, here=seen <= TINY)))
            await ready.put(chunk)
        finally:
            reader.close()

    async def _parse(self, chunk: Sequence[Item], *, here: bool) -> list[tuple[Item, Parsed | None]]:
        now = datetime.now(UTC)
        letters = [(item.raw, Envelope(now, None, item.origin)) for item in chunk if item.left_out is None]
        parsed = iter(await self._parser.parse(letters, here=here) if letters else [])
        return [(item, next(parsed) if item.left_out is None else None) for item in chunk]

    async def _commit(self, source: Source, batch: Sequence[tuple[Item, Parsed | None]]) -> None:
        """Store a batch and where it ends, and count."""
        mails = [mail for _, mail in batch if isinstance(mail, Arrival | Poison)]
        place = next((item.place for item, _ in reversed(batch) if item.place is not None), None)
        cursor = None
        if source.name is not None and place is not None:
            cursor = Cursor(source.name, self._options.list_id, place)
        if cursor is not None and not mails:
            async with self._database.ingest() as connection:
                await cursors.write(connection, cursor)
        for outcome in await self._persist(mails, cursor):
            self._count(outcome)
        for item, mail in batch:
            self._count_read(item, mail)

    def _count(self, outcome: Sequence[Stored]) -> None:
        self.summary.quarantined += not outcome
        for stored in outcome:
            if stored.message is None:
                self.summary.forgotten += 1
            elif stored.repeat:
                self.summary.repeats += 1
            else:
                self.summary.new += 1
                self.summary.messages.append(stored.message)

    def _count_read(self, item: Item, mail: Parsed | None) -> None:
        self.summary.read += item.left_out is not LeftOut.NOTHING
        self.summary.done = item.done if item.done is not None else self.summary.done
        if item.left_out is LeftOut.DELETED:
            self.summary.deleted += 1
        elif item.left_out is LeftOut.TOO_BIG:
            self.summary.too_big += 1
            log.warning("mail_too_big", origin=item.origin)
        elif isinstance(mail, str):
            self.summary.refused += 1
            log.warning("mail_refused", origin=item.origin, error=mail)

    async def _persist(self, batch: Sequence[Arrival | Poison], cursor: Cursor | None) -> list[list[Stored]]:
        """Commit a batch; wait and try again while the database is away. What was stored already is a repeat then."""
        outcomes: dict[int, list[Stored]] = {}
        left = list(range(len(batch)))
        failure: MailError | None = None
        if not batch:
            return []
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(min(2**attempt / 4, 10))
            for index, outcome in zip(
                left, await self._committer.commit([batch[index] for index in left], cursor), strict=True
            ):
                if isinstance(outcome, ingest.Closed):
                    raise UnavailableError(str(outcome))
                if isinstance(outcome, MailError):
                    failure = outcome
                else:
                    outcomes[index] = outcome
            left = [index for index in left if index not in outcomes]
            if not left:
                return [outcomes[index] for index in range(len(batch))]
        raise UnavailableError(f"the database does not take mail: {failure}")

    async def tally(self) -> Summary:
        """Count what only the database knows: variants and series."""
        variants, series = 0, set[int]()
        for start in range(0, len(self.summary.messages), TALLY):
            async with self._database.transaction() as connection:
                more, some = await cursors.tally(connection, self.summary.messages[start : start + TALLY])
            variants += more
            series |= some
        self.summary.variants, self.summary.series = variants, len(series)
        return self.summary


class _Reader:
    """Reads items in a thread of its own, some chunks ahead."""

    def __init__(self, items: Iterator[Item]) -> None:
        self._room = threading.Semaphore(READ)
        self._ready: asyncio.Queue[list[Item] | Exception | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._closed = False
        # A daemon: one that waits for standard input must not keep us from ending.
        threading.Thread(target=self._run, args=(items,), name="reader", daemon=True).start()

    def _run(self, items: Iterator[Item]) -> None:
        end: Exception | None = None
        try:
            for chunk in _chunks(items):
                self._room.acquire()
                if self._closed:
                    return
                self._put(chunk)
        except Exception as error:  # noqa: BLE001 - it is raised where the mails are awaited
            end = error
        self._put(end)

    def _put(self, chunk: list[Item] | Exception | None) -> None:
        with suppress(RuntimeError):  # nobody is left to tell
            self._loop.call_soon_threadsafe(self._ready.put_nowait, chunk)

    async def get(self) -> list[Item] | Exception | None:
        """The next chunk; what went wrong; None at the end."""
        chunk = await self._ready.get()
        self._room.release()
        return chunk

    def close(self) -> None:
        """Read no more."""
        self._closed = True
        self._room.release()


def _is_room(batch: Sequence[tuple[Item, Parsed | None]], most: int) -> bool:
    """Whether more mails may be in a batch; what is over goes into the next."""
    return len(batch) < most and sum(len(item.raw) for item, _ in batch) < ingest.BATCH_BYTES


def _chunks(items: Iterator[Item]) -> Iterator[list[Item]]:
    """The items in chunks; those before an error are a chunk, too."""
    while True:
        chunk: list[Item] = []
        size = 0
        try:
            for item in islice(items, CHUNK_MAILS):
                chunk.append(item)
                size += len(item.raw)
                if size > CHUNK_BYTES:
                    break
        except Exception:
            if chunk:
                yield chunk
            raise
        if not chunk:
            return
        yield chunk
