#!/usr/bin/env python3
"""What reading a whole list again costs, beside importing it, and what it does to mail that comes meanwhile.

usage: ./dev bench reparse [MAILS]

On a PostgreSQL of its own with durable commits, with the first MAILS (all) of linux-aspeed: mails a second of storing
them, of a dry run and of a reparse, each in one process, and the ratio to storing. Then milliseconds from handing over
a mail to its commit, 20 mails a second, alone and while another process reparses: median and 99th percentile.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "tests")]

from mail.corpus import unpack  # noqa: E402 - runs from a checkout that is not installed
from mails import patch  # noqa: E402
from scratch import open_directory  # noqa: E402

from ingestd import ingest  # noqa: E402
from ingestd.ingest import Committer  # noqa: E402
from ingestd.postgres import Postgres  # noqa: E402
from ingestd.reparse import Reparse  # noqa: E402
from ingestd.router import Router  # noqa: E402
from ingestd.store import migrate  # noqa: E402
from ingestd.store.engine import Database  # noqa: E402
from ingestd.store.values import Arrival, Envelope, Poison  # noqa: E402

CORPUS = CHECKOUT.parent / "shared/corpus/linux-aspeed.tar.xz"
BATCH = 200
LIVE = 200  # mails
PAUSE = 0.05  # seconds between two


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else None
    paths = sorted(unpack(CORPUS).iterdir())[:count]
    with open_directory() as directory:
        asyncio.run(_measure([path.read_bytes() for path in paths], directory))


async def _measure(mails: list[bytes], directory: Path) -> None:
    server = Postgres(directory)
    await server.start()
    database = Database(server.url)
    try:
        await migrate.upgrade(database)
        began = time.perf_counter()
        committer = Committer(database)
        for first in range(0, len(mails), BATCH):
            await committer.commit([_arrival(raw) for raw in mails[first : first + BATCH]])
        whole = time.perf_counter() - began
        print(f"{'store':12}{len(mails) / whole:8.0f} mails/s")
        for name, rehearse in (("dry run", True), ("reparse", False)):
            one = Reparse(database, "", rehearse=rehearse)
            await one.run(_tell)
            totals = one.totals
            print(
                f"{name:12}{totals.read / totals.seconds:8.0f} mails/s, {whole / totals.seconds:.2f} times storing; "
                f"{totals.mails_changed} mails and {totals.series_changed} series changed"
            )
        print(_said("live mail alone", await _live(database, "a")))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ingestd", "reparse"),
            cwd=CHECKOUT,
            env={**os.environ, "INGESTD_DATABASE_URL": server.url},
            stderr=subprocess.DEVNULL,
        )
        await asyncio.sleep(1)
        taken = await _live(database, "b")
        print(_said("beside a reparse" if process.returncode is None else "beside the end of a reparse", taken))
        process.terminate()
        await process.wait()
    finally:
        await database.close()
        await server.stop()


def _arrival(raw: bytes) -> Arrival | Poison:
    return ingest.read(raw, Envelope(datetime.now(UTC)), Router())


async def _tell(lines: object) -> None:
    """Nothing changes here."""


async def _live(database: Database, name: str) -> list[float]:
    committer, taken = Committer(database), []
    for number in range(LIVE):
        raw = patch(f"{name}{number}@example.org", f"[PATCH] {name} {number}", file=f"{name}{number}.c")
        began = time.perf_counter()
        await committer.commit([_arrival(raw)])
        taken.append(1000 * (time.perf_counter() - began))
        await asyncio.sleep(max(0.0, PAUSE - taken[-1] / 1000))
    return taken


def _said(what: str, taken: list[float]) -> str:
    last = statistics.quantiles(taken, n=100)[98]
    return f"{what}: median {statistics.median(taken):.1f} ms, 99th percentile {last:.1f} ms"


if __name__ == "__main__":
    main()
