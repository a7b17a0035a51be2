#!/usr/bin/env python3
"""How fast an archive gets into PostgreSQL, beside a bare COPY of the same rows, and what it costs where.

usage: ./dev bench import [--mails N] [--jobs N] [--corpus DIR] [--profile]

The mails are those of DIR/linux-aspeed.tar.xz (default: shared/corpus beside the checkout), else made up, as a
public-inbox. First `ingestd import` puts them into an empty PostgreSQL of its own with durable commits: mails a second,
CPU time of a mail by stage, and memory as it goes on. Then the rows it made are written by COPY, table after table,
into another empty database with the same schema: what the server alone can do with indexes and references.
"""

import argparse
import asyncio
import cProfile
import os
import pstats
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "tests")]

import asyncpg  # noqa: E402 - runs from a checkout that is not installed
import mails as made_up  # noqa: E402
from mail.corpus import unpack  # noqa: E402
from scratch import open_directory  # noqa: E402
from sources import made  # noqa: E402
from sqlalchemy import make_url  # noqa: E402

from ingestd.postgres import Postgres  # noqa: E402
from ingestd.router import Router  # noqa: E402
from ingestd.sources import files  # noqa: E402
from ingestd.sources.load import Load, Options, Summary  # noqa: E402
from ingestd.sources.parsing import Parser, Settings, spare_collector  # noqa: E402
from ingestd.store import migrate, schema  # noqa: E402
from ingestd.store.engine import Database  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
PATCHWORK = 30  # mails a second: its `parsearchive` on the mails of linux-aspeed, measured once on such a machine


def main() -> None:
    """Import, copy, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mails", type=int, default=20_000)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--corpus", type=Path, default=CHECKOUT.parent / "shared/corpus")
    parser.add_argument("--profile", action="store_true", help="where the importing process spends its time")
    arguments = parser.parse_args()
    archive = arguments.corpus / "linux-aspeed.tar.xz"
    with tempfile.TemporaryDirectory(prefix="ingestd-bench-") as place:
        inbox = Path(place) / "inbox"
        mails = list(islice(_real(archive) if archive.exists() else _made(), arguments.mails))
        made.inbox(inbox, [[("m", mail) for mail in mails]])
        count, size = len(mails), sum(map(len, mails))
        mails.clear()
        print(f"{count} mails, {size / count:.0f} octets each, {arguments.jobs} processes parse", flush=True)
        asyncio.run(_measure(inbox, count, arguments.jobs, profiled=arguments.profile))


def _real(archive: Path) -> Iterator[bytes]:
    return (file.read_bytes() for file in sorted(unpack(archive).iterdir()))


def _made() -> Iterator[bytes]:
    return (
        mail for topic in range(10**9) for mail in made_up.series(f"20261102.{topic}", 4, title=f"A topic of {topic}")
    )


async def _measure(inbox: Path, count: int, jobs: int, *, profiled: bool) -> None:
    with open_directory() as directory:
        server = Postgres(directory)
        await server.start()
        try:
            imported = await _import(server, inbox, count, jobs, profiled=profiled)
            copied = await _copy(server)
        finally:
            await server.stop()
    print(f"import: {count / imported:.0f} mails/s, {count / imported / PATCHWORK:.0f} times Patchwork's {PATCHWORK}")
    print(f"bare COPY of the same rows: {count / copied:.0f} mails/s, {imported / copied:.1f} times as fast")


async def _import(server: Postgres, inbox: Path, count: int, jobs: int, *, profiled: bool) -> float:
    """Seconds it takes."""
    database = Database(server.url)
    await migrate.upgrade(database)
    spare_collector()
    parser = Parser(Settings(Router(), None, "warning"), jobs)
    resident: list[tuple[int, int]] = []

    def note(summary: Summary) -> None:
        if summary.read >= (len(resident) + 1) * count / 8:
            resident.append((summary.read, _resident()))

    load = Load(database, parser, Options(), note)
    before, own = _server_seconds(server), time.process_time()
    profile = cProfile.Profile()
    began = time.perf_counter()
    if profiled:
        profile.enable()
    await load.run(files.find([str(inbox)]))
    profile.disable()
    seconds = time.perf_counter() - began
    own = time.process_time() - own
    pids = parser.pids
    parsing = sum(_seconds(pid) for pid in pids)
    served = _server_seconds(server) - before
    await parser.close()
    await database.close()
    reading = resource.getrusage(resource.RUSAGE_CHILDREN)
    stages = {
        "parse": parsing,
        "read, link, group, write": own,
        "PostgreSQL": served,
    }
    print("CPU of a mail, us: " + ", ".join(f"{name} {1e6 * cpu / count:.0f}" for name, cpu in stages.items()))
    print("MB of memory after so many mails: " + ", ".join(f"{read}: {octets >> 20}" for read, octets in resident))
    print(f"(git's CPU and what was started before are in no stage: {reading.ru_utime + reading.ru_stime:.1f} s)")
    if profiled:
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)
    return seconds


async def _copy(server: Postgres) -> float:
    """Seconds that COPY takes for all rows of all tables, each table in a transaction, into an empty database."""
    source = await asyncpg.connect(server.url)
    await source.execute("CREATE DATABASE copied")
    url = make_url(server.url).set(database="copied").render_as_string(hide_password=False)
    database = Database(url)
    await migrate.upgrade(database)
    await database.close()
    target = await asyncpg.connect(url)
    seconds = 0.0
    with tempfile.TemporaryDirectory(prefix="ingestd-bench-") as place:
        for table in schema.metadata.sorted_tables:
            file = Path(place) / table.name
            await source.copy_from_table(table.name, schema_name="ingestd", output=file, format="binary")
            await target.execute(f'TRUNCATE ingestd."{table.name}" CASCADE')
            began = time.perf_counter()
            await target.copy_to_table(table.name, schema_name="ingestd", source=file, format="binary")
            seconds += time.perf_counter() - began
            file.unlink()
    await source.close()
    await target.close()
    return seconds


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _fields(pid: int) -> list[str]:
    """Of /proc/PID/stat, from the third (proc(5))."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()


def _seconds(pid: int) -> float:
    """CPU of a process and of its children that have ended."""
    return sum(map(int, _fields(pid)[11:15])) / TICK


def _server_seconds(server: Postgres) -> float:
    """CPU of PostgreSQL: of the postmaster, the children it has, and those it had."""
    postmaster = int((server.directory / "postgres/postmaster.pid").read_text(encoding="ascii").split()[0])
    children = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if int(_fields(int(path.name))[1]) == postmaster:
                children.append(int(path.name))
        except OSError:  # it has ended meanwhile
            continue
    return sum(_seconds(pid) for pid in (postmaster, *children))


if __name__ == "__main__":
    main()
