"""What Patchwork and Patchew get wrong when mail comes in parallel, with the right answer.

What they get wrong in any order is in tests/series/test_peers.py, links that resolve late in test_links.py.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import pytest
from mails import patch, reply, series
from store.conftest import Store

from ingestd.store.engine import Database

TOTAL = 14
STEM = "20261102100000.1"
HEAD = f"{STEM}-0-ann@example.org"


def bare(number: int) -> bytes:
    """A patch without reference, of no send run."""
    return patch(
        f"bare-{number}@example.org",
        f"[PATCH {number}/{TOTAL}] bare: part {number}",
        file=f"part{number}.c",
        date=f"Mon, 2 Nov 2026 10:{number:02}:00 +0000",
    )


SHAPES = {
    "with cover": series(STEM, TOTAL),
    "below patches only": series(STEM, TOTAL, cover=False),
    "below a cover that is not here": series(STEM, TOTAL)[1:],
    "without references": [bare(number) for number in range(1, TOTAL + 1)],
}


@pytest.fixture
async def processes(store: Store) -> AsyncIterator[list[Store]]:
    """As many users of one database as there are mails, each with connections of its own."""
    async with contextlib.AsyncExitStack() as stack:
        made = []
        for _ in range(TOTAL + 1):
            database = Database(store.database.url, pool_size=2)
            stack.push_async_callback(database.close)
            made.append(Store(database))
        yield made


@pytest.mark.parametrize("shape", SHAPES)
async def test_patches_delivered_at_once_are_1_to_14_series(store: Store, processes: list[Store], shape: str) -> None:
    """Patchwork 241 and 529, measured: 1, 6, 4, 14, 1, 14, 12, 3 series in eight runs, and mails lost in two."""
    mails = list(SHAPES[shape])
    random.Random(shape).shuffle(mails)
    await asyncio.gather(*(one.put_batches([[raw]]) for one, raw in zip(processes, mails, strict=False)))
    assert await store.ask("SELECT count(*) FROM ingestd_v1.message") == [len(mails)]
    (found,) = (await store.series()).values()
    assert (sorted(map(int, found["posted"])), found["complete"]) == (list(range(1, TOTAL + 1)), True)
    assert all(len(keys) == 1 for keys in found["posted"].values())
    assert await store.ask(
        "SELECT category, count(*) FROM ingestd_v1.event WHERE category = 'series-completed' GROUP BY 1"
    ) == [("series-completed", 1)]


async def test_versions_and_answers_at_once_are_an_error(store: Store, processes: list[Store]) -> None:
    """Patchew 127: "Topic matching query does not exist"."""
    second = [raw.replace(b"Mon, 2 Nov", b"Thu, 5 Nov") for raw in series("20261105100000.2", 3, version=2)]
    mails = [
        *series(STEM, 3),
        *second,
        reply("r1@example.com", HEAD, "[PATCH 0/3] A title", "Hm.\n"),
        reply("r2@example.com", "r1@example.com", "[PATCH 0/3] A title", "Hm.\n"),
    ]
    await asyncio.gather(*(one.put_batches([[raw]]) for one, raw in zip(processes, mails[::-1], strict=False)))
    found = await store.series()
    assert {key: (one["complete"], one["supersedes"]) for key, one in found.items()} == {
        HEAD: (True, None),
        "20261105100000.2-0-ann@example.org": (True, HEAD),
    }


async def test_one_mail_by_many_at_once_is_stored_many_times(store: Store, processes: list[Store]) -> None:
    """Patchew has it once a project, and swallows the error of the race."""
    await asyncio.gather(*(one.put_batches([series(STEM, 1)]) for one in processes))
    assert await store.ask("SELECT count(*) FROM ingestd_v1.message") == [2]
    assert await store.ask("SELECT count(*), count(*) FILTER (WHERE NOT repeat) FROM ingestd_v1.delivery") == [
        (2 * len(processes), 2)
    ]
