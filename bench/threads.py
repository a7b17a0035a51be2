#!/usr/bin/env python3
"""What a thread's length costs: pure grouping of big made-up threads, and one more mail in the database.

usage: ./dev bench threads [--pure]

First, milliseconds to group a thread of 20, 200 and 2,000 mails, for each shape. Then, on a PostgreSQL of its own with
durable commits: milliseconds to store one more mail (the median of several) in threads of these lengths, the ratio
of the longest to the shortest, and mails a second for importing the whole thread in batches and mail by mail.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "tests")]

from mails import patch, reply  # noqa: E402 - runs from a checkout that is not installed
from scratch import open_directory  # noqa: E402
from series.made import SHAPES, mails  # noqa: E402

from ingestd import ingest  # noqa: E402
from ingestd.ingest import Committer  # noqa: E402
from ingestd.postgres import Postgres  # noqa: E402
from ingestd.router import Router  # noqa: E402
from ingestd.series import group, link  # noqa: E402
from ingestd.series.values import Fact  # noqa: E402
from ingestd.store import migrate  # noqa: E402
from ingestd.store.engine import Database  # noqa: E402
from ingestd.store.values import Envelope  # noqa: E402

SIZES = (20, 200, 2_000)
MORE = 15  # mails that are stored one by one in each thread
WHOLE = (("import, in batches of 200", 2_000, 200), ("mail by mail", 400, 1))  # mails, and mails in a batch

Make = Callable[[str, int, int], bytes]


def main() -> None:
    """Print a row a shape: the best of three."""
    print(f"{'milliseconds to group a thread of':36}" + "".join(f"{size:>8} mails" for size in SIZES))
    for name, table in SHAPES.items():
        row = ""
        for size in SIZES:
            facts = mails(table(size))
            row += f"{1000 * min(_time(facts) for _ in range(3)):>14.1f}"
        print(f"{name:36}{row}")
    facts = mails(SHAPES["series below its cover"](2_000))
    started = time.perf_counter()
    for fact in facts:
        link.keys(fact)
    print(f"link keys of one mail: {1_000_000 * (time.perf_counter() - started) / len(facts):.0f} us")
    if "--pure" not in sys.argv:
        asyncio.run(_stored())


def _time(facts: list[Fact]) -> float:
    started = time.perf_counter()
    group.group(facts)
    return time.perf_counter() - started


# --- in the database -------------------------------------------------------------------------------------------------


def _date(minutes: int) -> str:
    return format_datetime(datetime(2026, 4, 1, tzinfo=UTC) + timedelta(minutes=minutes))


def _part(thread: str, number: int, total: int) -> bytes:
    """Patch N of M below the first one."""
    return patch(
        f"{thread}-{number}@example.org",
        f"[PATCH {number + 1}/{total}] {thread}: part {number}",
        file=f"{thread}{number}.c",
        date=_date(number),
        reply_to=f"{thread}-0@example.org" if number else None,
    )


def _answer(thread: str, number: int, _total: int) -> bytes:
    """A patch, then answers to answers."""
    if not number:
        return _part(thread, 0, 1)
    return reply(f"{thread}-{number}@example.org", f"{thread}-{number - 1}@example.org", thread, f"Answer {number}.\n")


def _version(thread: str, number: int, _total: int) -> bytes:
    """Version N of a patch below the last one."""
    return patch(
        f"{thread}-{number}@example.org",
        f"[PATCH v{number % 900 + 1}] {thread}: foo",
        new=f"version{number}",
        date=_date(number * 600),
        reply_to=f"{thread}-{number - 1}@example.org" if number else None,
    )


def _single(run: str, number: int) -> bytes:
    """A patch that has nothing to do with any other."""
    return patch(
        f"{run}-{number}@example.org", f"[PATCH] {run} {number}", file=f"{run}{number}.c", date=_date(number * 60)
    )


STORED: dict[str, Make] = {
    "one more patch of a series": _part,
    "one more answer to answers": _answer,
    "one more version of a patch": _version,
}


async def _stored() -> None:
    with open_directory() as directory:
        server = Postgres(directory)
        await server.start()
        try:
            database = Database(server.url, timeout=300)
            await migrate.upgrade(database)
            await _one_more(database)
            await _whole(database)
            await database.close()
        finally:
            await server.stop()


async def _one_more(database: Database) -> None:
    print(f"\n{'milliseconds to store in a thread of':36}" + "".join(f"{size:>8} mails" for size in SIZES) + "   ratio")
    for name, make in STORED.items():
        medians = []
        for size in SIZES:
            thread = f"{make.__name__.strip('_')}{size}"
            await _put(database, [make(thread, number, size + MORE) for number in range(size)])
            async with database.engine.connect() as connection:  # as autovacuum does on a server that runs for long
                await connection.execution_options(isolation_level="AUTOCOMMIT")
                await connection.exec_driver_sql("ANALYZE")
            times = [await _put(database, [make(thread, number, size + MORE)]) for number in range(size, size + MORE)]
            medians.append(1000 * statistics.median(times))
        row = "".join(f"{median:>14.1f}" for median in medians)
        print(f"{name:36}{row}{medians[-1] / medians[0]:>8.1f}")


async def _whole(database: Database) -> None:
    print(f"\n{'mails a second':36}{'one thread':>14}{'singles':>14}   ratio")
    for name, count, batch in WHOLE:
        one = [_part(f"whole{batch}", number, count) for number in range(count)]
        singles = [_single(f"single{batch}", number) for number in range(count)]
        speeds = []
        for raws in (one, singles):
            times = [await _put(database, raws[at : at + batch]) for at in range(0, count, batch)]
            speeds.append(count / sum(times))
        row = "".join(f"{speed:>14.0f}" for speed in speeds)
        print(f"{name + ', ' + str(count):36}{row}{speeds[1] / speeds[0]:>8.1f}", flush=True)


async def _put(database: Database, raws: list[bytes]) -> float:
    """Seconds to store mails, parsing apart."""
    envelope = Envelope(datetime.now(UTC), "", "bench")
    read = [ingest.read(raw, envelope, Router()) for raw in raws]
    started = time.perf_counter()
    outcomes = await Committer(database).commit(read)
    seconds = time.perf_counter() - started
    if not all(isinstance(outcome, list) and outcome for outcome in outcomes):
        sys.exit(f"not stored: {outcomes[0]}")
    return seconds


if __name__ == "__main__":
    main()
