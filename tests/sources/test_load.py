"""Import: any archive gives the same rows; it goes on where it was left; what fails costs no other mail."""

import asyncio
import gzip
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mails import mail, reply, series
from sqlalchemy import text
from store.conftest import Store

from ingestd.errors import InputError, UnavailableError
from ingestd.router import Router
from ingestd.sources import files, following, load, parsing
from ingestd.sources.load import Load, Options, Summary
from ingestd.sources.parsing import Parser, Settings
from ingestd.store.values import Cursor
from sources import made

FAULTY = (sys.executable, str(Path(__file__).resolve().parent.parent / "faulty_parsing.py"))
MAILS = [
    mail_
    for number in range(8)
    for mail_ in (
        *series(f"2026110210000{number}.1", 3, version=number % 2 + 1, title=f"Title {number // 2}"),
        reply(f"r{number}@x.org", f"2026110210000{number}.1-1-ann@example.org", "A title", "Fine.\n"),
    )
]


async def run(
    store: Store, path: Path, options: Options | None = None, *, jobs: int = 1, stop: bool = False
) -> Summary:
    """Import; `stop`: end after the first batch."""
    options = options or Options()
    parser = Parser(Settings(Router(), options.list_id), jobs)
    loading: Load
    loading = Load(store.database, parser, options, lambda _: loading.stop() if stop else None)
    try:
        await loading.run(files.find([str(path)]))
    finally:
        await parser.close()
    return await loading.tally()


async def deliveries(store: Store) -> int:
    """How many there are."""
    (count,) = await store.ask("SELECT count(*) FROM ingestd.delivery")
    return int(count)


MAKERS: dict[str, Callable[[Path, list[bytes]], object]] = {
    "mbox": lambda path, mails: path.write_bytes(made.mbox(mails)),
    "mbox.gz": lambda path, mails: path.write_bytes(gzip.compress(made.mbox(mails))),
    "files": made.files,
    "maildir": made.maildir,
    "inbox": lambda path, mails: made.inbox(
        path, [[("m", one) for one in mails[:20]], [("m", one) for one in mails[20:]]]
    ),
    "inbox1": lambda path, mails: made.inbox1(path, [("m", one) for one in mails]),
}


async def test_every_kind_of_archive_gives_the_same_rows(store: Store, quiet_store: Store, tmp_path: Path) -> None:
    await quiet_store.put_batches([MAILS])
    wanted = await quiet_store.dump()
    for name, make in MAKERS.items():
        make(tmp_path / name, MAILS)
        summary = await run(store, tmp_path / name, Options(list_id=None))
        new = len(MAILS) if name == "mbox" else 0
        assert (summary.read, summary.new, summary.repeats) == (len(MAILS), new, len(MAILS) - new), name
        assert await store.dump() == wanted, name


@pytest.mark.parametrize("name", MAKERS)
async def test_it_goes_on_where_it_was_left(
    store: Store, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "CHUNK_MAILS", 5)
    monkeypatch.setattr(load, "FEWEST", 5)
    MAKERS[name](tmp_path / "x", MAILS)
    read: list[int] = []
    while not read or read[-1]:
        read.append((await run(store, tmp_path / "x", stop=True)).read)
    assert read[0] == 5
    assert sum(read) == len(MAILS) == await deliveries(store)
    assert (await run(store, tmp_path / "x", Options(resume=False))).repeats == len(MAILS)
    other = await run(store, tmp_path / "x", Options(list_id="other.example.org"))
    assert (other.new, other.repeats) == (len(MAILS), 0)  # into another list it never was read


def _grow(path: Path, name: str) -> None:
    if name == "mbox":
        with path.open("ab") as file:
            file.write(made.mbox(MAILS[30:]))
    elif name == "mbox.gz":
        path.write_bytes(path.read_bytes() + gzip.compress(made.mbox(MAILS[30:])))
    elif name == "files":
        made.files(path / "more", MAILS[30:])
    elif name == "maildir":
        for number, one in enumerate(MAILS[30:]):
            (path / f"new/19{number}.x").write_bytes(one)
    else:
        made.epoch(path / "git/1.git", [("m", one) for one in MAILS[30:36]], parent=True)
        made.epoch(path / "git/2.git", [("m", one) for one in MAILS[36:]])
        made.git(path / "git/1.git", "gc", "--quiet")


@pytest.mark.parametrize("name", ["mbox", "mbox.gz", "files", "maildir", "inbox"])
async def test_an_archive_that_has_grown_is_read_on(store: Store, tmp_path: Path, name: str) -> None:
    path = tmp_path / "x"
    MAKERS[name](path, MAILS[:30])
    assert (await run(store, path)).new == 30
    assert (await run(store, path)).read == 0
    _grow(path, name)
    summary = await run(store, path)
    assert (summary.read, summary.new) == (len(MAILS) - 30, len(MAILS) - 30)


@pytest.mark.parametrize("name", MAKERS)
async def test_an_archive_that_was_changed_is_read_anew(store: Store, tmp_path: Path, name: str) -> None:
    path = tmp_path / "x"
    MAKERS[name](path, MAILS[:30])
    assert (await run(store, path)).new == 30
    (tmp_path / "x").rename(tmp_path / "old")
    MAKERS[name](path, [MAILS[39], *MAILS[:10], *MAILS[11:29]])
    summary = await run(store, path)
    assert (summary.read, summary.new, summary.repeats) == (29, 1, 28)
    assert (await run(store, path)).read == 0
    path.rename(tmp_path / "older")
    MAKERS[name](path, MAILS[:3])  # it has shrunk
    assert (await run(store, path)).repeats == 3


async def test_a_mail_that_was_not_all_there_is_read_again(store: Store, tmp_path: Path) -> None:
    whole = made.mbox(MAILS[:3])
    (tmp_path / "x").write_bytes(whole[:-40])
    await run(store, tmp_path / "x")
    (tmp_path / "x").write_bytes(whole)
    assert (await run(store, tmp_path / "x")).new == 1


async def test_what_is_deleted_later_is_not_looked_at_twice(store: Store, tmp_path: Path) -> None:
    path = made.inbox(tmp_path / "x", [[("m", one) for one in MAILS[:3]]])
    await run(store, path)
    made.epoch(path / "git/0.git", [("d", MAILS[0])], parent=True)
    assert (await run(store, path)).read == 0
    ((place,),) = [await store.ask("SELECT place ->> 'commit' FROM ingestd_v1.archive")]
    assert place == made.git(path / "git/0.git", "rev-parse", "HEAD").decode().strip()


async def test_what_is_cut_off_gives_what_is_whole_and_goes_on_when_mended(store: Store, tmp_path: Path) -> None:
    mails = [mail(f"{number}@example.org", "x", os.urandom(4000).hex() + "\n") for number in range(400)]
    whole = gzip.compress(made.mbox(mails))
    (tmp_path / "x").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(InputError, match="damaged"):
        await run(store, tmp_path / "x", jobs=2)
    stored = await deliveries(store)
    assert 100 < stored < 300
    (tmp_path / "x").write_bytes(whole)
    summary = await run(store, tmp_path / "x")
    assert (summary.read, summary.new) == (400 - stored, 400 - stored)


async def test_several_processes_parse(store: Store, quiet_store: Store, tmp_path: Path) -> None:
    mails = [mail(f"{number}@example.org", f"Number {number}") for number in range(700)]
    (tmp_path / "x").write_bytes(made.mbox(mails))
    summary = await run(store, tmp_path / "x", jobs=2)
    assert (summary.read, summary.new) == (700, 700)
    await quiet_store.put_batches([mails])
    assert await store.dump() == await quiet_store.dump()
    raws = await store.ask("SELECT sha256, sha256(bytes) FROM ingestd.raw")
    assert all(digest == made_of for digest, made_of in raws)


async def test_a_mail_on_which_the_process_dies_goes_to_quarantine_alone(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "TINY", 0)
    monkeypatch.setattr(parsing, "COMMAND", FAULTY)
    bad = mail("crash@example.org", "x", headers=[("X-Fault", "crash")])
    (tmp_path / "x").write_bytes(made.mbox([*MAILS[:4], bad, *MAILS[4:9]]))
    summary = await run(store, tmp_path / "x", jobs=2)
    assert (summary.new, summary.quarantined) == (9, 1)
    assert await store.ask("SELECT error FROM ingestd.quarantine") == ["parsing ends the process with -11"]
    kept = await store.ask("SELECT r.bytes FROM ingestd.quarantine q JOIN ingestd.raw r ON r.sha256 = q.raw_sha256")
    assert [bytes(one) for one in kept] == [bad]


async def test_a_mail_on_which_the_process_hangs_goes_to_quarantine(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "TINY", 0)
    monkeypatch.setattr(parsing, "PATIENCE", 1.0)
    monkeypatch.setattr(parsing, "COMMAND", FAULTY)
    (tmp_path / "x").write_bytes(made.mbox([mail("hang@example.org", "x", headers=[("X-Fault", "hang")])]))
    assert (await run(store, tmp_path / "x", jobs=2)).quarantined == 1
    assert await store.ask("SELECT error FROM ingestd.quarantine") == ["parsing takes longer than 1 seconds"]


async def test_too_many_mails_in_quarantine_end_an_import(store: Store, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(made.mbox(MAILS))
    async with store.database.transaction() as connection:
        await connection.execute(text("ALTER TABLE ingestd.message ADD CONSTRAINT no CHECK (false)"))
    with pytest.raises(UnavailableError, match="20 mails in a row went to quarantine"):
        await run(store, tmp_path / "x")
    async with store.database.transaction() as connection:
        await connection.execute(text("ALTER TABLE ingestd.message DROP CONSTRAINT no"))
    await run(store, tmp_path / "x")
    (left,) = await store.ask("SELECT count(*) FROM ingestd.message")
    assert left + 20 >= len(MAILS)
    assert (await run(store, tmp_path / "x", Options(resume=False))).new == len(MAILS) - left


async def test_processes_that_cannot_work_are_said(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "TINY", 0)
    monkeypatch.setattr(parsing, "COMMAND", (sys.executable, "-c", "raise SystemExit(3)"))
    (tmp_path / "x").write_bytes(made.mbox(MAILS))
    with pytest.raises(UnavailableError, match="a process that parses mail ends with 3"):
        await run(store, tmp_path / "x", jobs=2)
    assert await store.ask("SELECT count(*) FROM ingestd.quarantine") == [0]


async def test_a_cursor_is_written_with_the_last_of_its_mails_only(store: Store) -> None:
    cursor = Cursor("x", None, {"count": 1})
    read = [parsing.read(raw, made.ENVELOPE, Settings(Router(), None)) for raw in MAILS[:3]]
    good = [one for one in read if not isinstance(one, str)]
    async with store.database.transaction() as connection:  # nothing can be stored without it
        await connection.execute(text("ALTER TABLE ingestd.raw RENAME TO hidden"))
        await connection.commit()
    await store.committer.commit(good, cursor)
    assert await store.ask("SELECT count(*) FROM ingestd.archive") == [0]
    async with store.database.transaction() as connection:
        await connection.execute(text("ALTER TABLE ingestd.hidden RENAME TO raw"))
        await connection.commit()
    await store.committer.commit(good, cursor)
    assert await store.ask("SELECT xmin FROM ingestd.archive") == await store.ask(
        "SELECT DISTINCT xmin FROM ingestd.delivery"
    )


async def test_a_public_inbox_is_followed_until_sigterm(store: Store, tmp_path: Path) -> None:
    path = made.inbox(tmp_path / "x", [[("m", one) for one in MAILS[:3]]])
    parser = Parser(Settings(Router(), None), 1)
    loading = Load(store.database, parser, Options(resume=False))
    task = asyncio.create_task(following.follow(loading, lambda: files.find([str(path)]), interval=0.05))

    async def until(count: int) -> None:
        async with asyncio.timeout(20):
            while await deliveries(store) < count:
                assert not task.done()
                await asyncio.sleep(0.02)

    await until(3)
    made.epoch(path / "git/0.git", [("m", MAILS[3])], parent=True)
    await until(4)
    path.rename(tmp_path / "away")  # out of order for a while
    await asyncio.sleep(0.2)
    (tmp_path / "away").rename(path)
    made.epoch(path / "git/1.git", [("m", MAILS[4])])
    await until(5)
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(20):
        await task
    assert loading.summary.new == loading.summary.read == await deliveries(store) == 5


async def test_a_rate_is_kept(store: Store, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(made.mbox(MAILS[:20]))
    loop = asyncio.get_running_loop()
    began = loop.time()
    await run(store, tmp_path / "x", Options(rate=40))
    assert loop.time() - began > 0.4


async def test_a_summary_counts_variants_and_series(store: Store, tmp_path: Path) -> None:
    again = MAILS[1].replace(b"Change part1.c", b"Change it")
    (tmp_path / "x").write_bytes(made.mbox([*MAILS[:5], MAILS[0], again]))
    summary = await run(store, tmp_path / "x")
    assert str(summary) == (
        "7 read, 6 new, 1 repeats, 0 quarantined, 0 refused, 0 deleted in the archive, 0 forgotten, 0 too big, "
        "2 variants, 2 series touched"
    )
