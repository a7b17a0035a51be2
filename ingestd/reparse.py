"""Reparse: read stored mail again with the parser of today, in batches beside live mail, or say what that would do."""

import contextlib
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ingestd.errors import IngestdError
from ingestd.mail import Mail
from ingestd.mail.parse import parse
from ingestd.store import engine, reparse, walk
from ingestd.store.changes import Changes
from ingestd.store.engine import Connection, Database, Fault
from ingestd.store.reparse import Held

MOST_TOLD = 10_000  # mails whose changes wait to be told together with what other batches do to them
MOST_TOGETHER = 1000  # mails of several batches that are rehearsed together
LONGEST_ERROR = 200  # characters; an error may quote a mail

Line = tuple[str, int, str, str]  # mail or series, list, key, what happened


class RehearsedError(IngestdError):
    """Ends a transaction that must not stand."""


@dataclass(slots=True)
class Totals:
    """What a reparse did."""

    mails: int = 0  # that there are to read
    read: int = 0
    after: int = 0  # where it began: 0 from the start, else where the last one was stopped
    mails_changed: int = 0
    series_changed: int = 0
    failed: dict[int, tuple[int, str, str]] = field(default_factory=dict)  # mail -> list, key, what our code said
    newer: set[int] = field(default_factory=set)  # mails that are left to a newer ingestd
    parted: int = 0  # mails that hang together with more than could be rehearsed at once
    seconds: float = 0.0

    def __str__(self) -> str:
        """One line for people."""
        said = f"{self.read} mails read, {self.mails_changed} changed, {self.series_changed} series changed"
        said += f", {len(self.failed)} that our code fails on" if self.failed else ""
        said += f", {len(self.newer)} left to a newer ingestd" if self.newer else ""
        said += f", {self.parted} looked at in parts" if self.parted else ""
        return f"{said}, {self.read / self.seconds if self.seconds else 0:.0f} mails/s"


class _Reader:
    """Reads the bytes of deliveries, each once."""

    def __init__(self) -> None:
        self.mails: dict[bytes, Mail | None] = {}
        self.errors: dict[bytes, str] = {}

    async def fetch(self, connection: Connection, held: Mapping[int, Held]) -> dict[bytes, bytes]:
        """The deliveries of mails that were not read yet: digest -> bytes."""
        new = {digest for one in held.values() for digest in one.deliveries} - self.mails.keys()
        return await reparse.raws(connection, new) if new else {}

    def read(self, raws: Mapping[bytes, bytes]) -> None:
        """Read deliveries. One that our parser fails on is None, with the error."""
        for digest, raw in raws.items():
            try:
                self.mails[digest] = parse(raw)
            except Exception as error:  # noqa: BLE001 - whatever our code fails on stays as it was, and is named
                self.mails[digest] = None
                self.errors[digest] = _why(error)


class Reparse:
    """One run over the mails of one list, or of all."""

    def __init__(
        self, database: Database, scope: str, *, rehearse: bool, progress: Callable[[Totals], None] = lambda _: None
    ) -> None:
        """`scope`: a List-Id, or "" for all lists. `rehearse`: nothing stays written."""
        self._database = database
        self._scope = scope
        self._rehearse = rehearse
        self._progress = progress
        self.totals = Totals()

    async def run(self, tell: Callable[[Iterable[Line]], Awaitable[None]]) -> None:
        """Read every mail. `tell` hears what changed, or would: at the end, when it is known.

        Each batch is a transaction, and holds the position behind it: a run that was stopped goes on there.
        """
        began = time.monotonic()
        rehearsal, changes = Rehearsal(self), Changes()
        async with self._database.transaction() as connection:
            after = await walk.position(connection, self._scope) if not self._rehearse else 0
            self.totals.mails = await walk.count(connection, self._scope, after)
        self.totals.after = after
        ahead: frozenset[int] = frozenset()
        while True:
            async with self._database.transaction() as connection:
                batch = await walk.following(connection, self._scope, after, ahead)
            if batch is None:
                break
            if self._rehearse:
                await rehearsal.take(batch.threads)
            else:
                changes.follow(await self.take(batch.threads, batch.after))
                changes.ties.clear()
                if len(changes.mails) > MOST_TOLD:
                    await self._tell(tell, Changes(mails=changes.mails))
                    changes.mails = {}
            after, ahead = batch.after, batch.ahead
            self.totals.read += sum(map(len, batch.threads))
            self.totals.seconds = time.monotonic() - began
            self._progress(self.totals)
        if self._rehearse:
            changes = await rehearsal.end()
        else:
            async with self._database.ingest() as connection:
                await walk.move_on(connection, self._scope, None)
        self.totals.seconds = time.monotonic() - began
        await self._tell(tell, changes)
        await tell(
            ("mail", list_, key, f"our code fails on it: {why}") for list_, key, why in self.totals.failed.values()
        )

    async def _tell(self, tell: Callable[[Iterable[Line]], Awaitable[None]], changes: Changes) -> None:
        lines = list(changes.lines())
        self.totals.mails_changed += sum(line[0] == "mail" for line in lines)
        self.totals.series_changed += sum(line[0] == "series" for line in lines)
        await tell(lines)

    async def take(self, threads: Sequence[Sequence[int]], after: int | None = None) -> Changes:
        """Read a batch. What our code or the server fails on is tried thread by thread, then mail by mail.

        `after`: the position behind it.
        """
        messages = [id_ for thread in threads for id_ in thread]
        if not messages:
            return Changes()
        try:
            return await self.attempt(messages, after)
        except Exception as error:
            if not _is_of_a_mail(error, len(messages)):
                raise
            changes = Changes()
            if len(messages) == 1:
                await self._fail(messages[0], _why(error))
            else:
                for part in threads if len(threads) > 1 else [[id_] for id_ in messages]:
                    changes.follow(await self.take([part]))
        if after is not None:
            async with self._database.ingest() as connection:
                await walk.move_on(connection, self._scope, after)
        return changes

    async def _fail(self, message: int, why: str) -> None:
        async with self._database.transaction() as connection:
            for one in (await reparse.hold(connection, [message])).values():
                self.totals.failed[one.id] = (one.list, one.key, why)

    async def attempt(self, messages: Collection[int], after: int | None = None) -> Changes:
        """Read mails in one transaction; a lost connection or a race gets a second chance."""
        reader = _Reader()
        async with self._database.transaction() as connection:
            raws = await reader.fetch(connection, await reparse.hold(connection, messages))
        reader.read(raws)  # without the lock: this is where the time goes
        del raws
        try:
            return await self._write(messages, reader, after)
        except engine.FAILURES as error:
            if engine.judge(error) is not Fault.RETRY:
                raise
            return await self._write(messages, reader, after)

    async def _write(self, messages: Collection[int], reader: _Reader, after: int | None) -> Changes:
        changes = Changes()
        with contextlib.suppress(RehearsedError):
            async with self._database.ingest() as connection:
                # As they are now: a delivery may have come meanwhile, or a mail that binds others to them.
                there = await reparse.hold(connection, messages)
                self.totals.newer.update(one.id for one in there.values() if one.newer)
                held = {one.id: one for one in there.values() if not one.newer}
                reader.read(await reader.fetch(connection, held))
                while more := await reparse.involved(connection, held, reader.mails):
                    held |= more
                    reader.read(await reader.fetch(connection, held))
                changes = await reparse.apply(connection, held, reader.mails)
                for one in held.values():
                    for digest in one.deliveries & reader.errors.keys():
                        self.totals.failed[one.id] = (one.list, one.key, reader.errors[digest])
                if self._rehearse:
                    raise RehearsedError
                if after is not None:
                    await walk.move_on(connection, self._scope, after)
        return changes


def _is_of_a_mail(error: Exception, mails: int) -> bool:
    """Whether it may be one mail of a batch that makes it fail, and not the database."""
    if isinstance(error, TimeoutError):
        return mails > 1
    return not isinstance(error, engine.FAILURES) or engine.judge(error) in (Fault.DATA, Fault.OURS)


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {engine.reason(error)}"[:LONGEST_ERROR]


class Rehearsal:
    """Batches that are rolled back, each as if no other had been.

    Where one hangs together with another, by a thread, a key or an older version, what becomes of both is only seen
    when both are read at once: that is done in the end.
    """

    def __init__(self, reparse: Reparse) -> None:
        """Nothing was rehearsed yet."""
        self._reparse = reparse
        self._parts: list[tuple[set[int], Changes]] = []  # mails, and what would become of them

    async def take(self, threads: Sequence[Sequence[int]]) -> None:
        """Try a batch."""
        changes = await self._reparse.take(threads)
        if changes.ties and len(threads) > 1:
            for thread in threads:
                await self.take([thread])
        elif changes.mails or changes.series:
            self._parts.append(({id_ for thread in threads for id_ in thread}, changes))

    async def end(self) -> Changes:
        """What all of it would change."""
        while len(groups := self._together()) < len(self._parts):
            self._parts = [await self._join(group) if len(group) > 1 else group[0] for group in groups]
        changes = Changes()
        for _, part in self._parts:
            changes.follow(part)
        return changes

    def _together(self) -> list[list[tuple[set[int], Changes]]]:
        """The parts that hang together."""
        above = list(range(len(self._parts)))

        def root(part: int) -> int:
            while above[part] != part:
                above[part] = part = above[above[part]]
            return part

        first: dict[tuple[int, str], int] = {}
        for number, (_, changes) in enumerate(self._parts):
            for tie in changes.ties:
                above[root(number)] = root(first.setdefault(tie, number))
        groups: dict[int, list[tuple[set[int], Changes]]] = defaultdict(list)
        for number, part in enumerate(self._parts):
            groups[root(number)].append(part)
        return list(groups.values())

    async def _join(self, group: Sequence[tuple[set[int], Changes]]) -> tuple[set[int], Changes]:
        """Try several parts at once; where that is too much, or fails, what each of them alone would change."""
        messages = set().union(*(mails for mails, _ in group))
        joined = await self._at_once(messages) if len(messages) <= MOST_TOGETHER else None
        if joined is None:
            self._reparse.totals.parted += len(messages)
            joined = Changes()
            for _, changes in group:
                joined.follow(changes)
        for _, changes in group:
            joined.ties |= changes.ties
        return messages, joined

    async def _at_once(self, messages: Collection[int]) -> Changes | None:
        try:
            return await self._reparse.attempt(messages)
        except Exception as error:
            if not _is_of_a_mail(error, len(messages)):
                raise
            return None
