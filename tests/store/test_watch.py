"""What no mail sets off: `series-stalled`, once; and threads that an older program left to a newer one."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import timedelta
from email.utils import formatdate

import pytest
from mails import patch, reply, series
from sqlalchemy import text
from store.conftest import Store

from ingestd.series import group
from ingestd.series.values import GROUPING_VERSION, Fact, Thread
from ingestd.store import regroup, threads, watch

FIRST = series("20261102100000.1", 3, title="First")
COVER, ONE = "20261102100000.1-0-ann@example.org", "20261102100000.1-1-ann@example.org"


async def stalled(store: Store) -> list[str]:
    return await store.ask(
        "SELECT s.key FROM ingestd_v1.event e JOIN ingestd_v1.series s ON s.id = e.series_id"
        " WHERE e.category = 'series-stalled' ORDER BY e.cursor"
    )


async def said_of(store: Store, count: int) -> None:
    """Wait until so many series are said to be stalled."""
    while len(await stalled(store)) < count:  # noqa: ASYNC110 - the database has no event for us to wait for
        await asyncio.sleep(0.02)


async def make_older(store: Store, seconds: float) -> None:
    """As if all mail had come earlier, as soon as it was written."""
    async with store.database.transaction() as connection:
        await connection.exec_driver_sql(
            f"UPDATE ingestd.message SET received_at = received_at - interval '{seconds} seconds',"
            f" date = received_at - interval '{seconds} seconds'"
        )


async def test_a_series_that_waits_is_stalled_once(store: Store, other_store: Store) -> None:
    whole = series("20261103100000.2", 2, title="Second")
    await store.put_batches([FIRST[:3], whole])
    assert await watch.announce_stalled(store.database, 3600) == 0
    await make_older(store, 4000)
    before = await store.dump()
    said = await asyncio.gather(*(watch.announce_stalled(one.database, 3600) for one in (store, other_store)))
    assert sum(said) == 1
    assert await stalled(store) == [COVER]
    assert await store.dump() == before, "it is history: nothing that is stored of mail depends on it"
    await store.put_batches([FIRST[3:]])
    await make_older(store, 4000)
    assert await watch.announce_stalled(store.database, 3600) == 0
    assert await stalled(store) == [COVER]
    assert "series-completed" in await store.ask("SELECT category FROM ingestd_v1.event")


async def test_a_mail_that_comes_late_is_waited_for_anew(store: Store) -> None:
    await store.put_batches([FIRST[:2]])
    await make_older(store, 4000)
    await store.put_batches([FIRST[2:3]])
    assert await watch.announce_stalled(store.database, 3600) == 0


async def test_nobody_waits_for_the_rest_of_an_archive(store: Store) -> None:
    await store.put_batches([FIRST[:2]])
    await make_older(store, 4000)

    async def date(days: int, *message_ids: str) -> None:
        async with store.database.transaction() as connection:
            await connection.execute(
                text(
                    "UPDATE ingestd.message SET date = received_at - CAST(:age AS interval)"
                    " WHERE message_id = ANY (:ids)"
                ),
                {"age": timedelta(days=days), "ids": list(message_ids)},
            )

    await date(watch.ARCHIVED.days + 1, COVER, ONE)
    assert await watch.announce_stalled(store.database, 3600) == 0
    # A mail that comes fresh is waited for, though the others came from an archive.
    await date(watch.ARCHIVED.days - 1, ONE)
    assert await watch.announce_stalled(store.database, 3600) == 1
    assert await stalled(store) == [COVER]


async def test_a_series_of_long_ago_is_not_looked_at(store: Store) -> None:
    await store.put_batches([FIRST[:2]])
    await make_older(store, 4000)
    age = "UPDATE ingestd.series SET date = transaction_timestamp() - interval '{} days'"
    async with store.database.transaction() as connection:
        await connection.exec_driver_sql(age.format(watch.OLD.days + 1))
    assert await watch.announce_stalled(store.database, 3600) == 0
    async with store.database.transaction() as connection:
        await connection.exec_driver_sql(age.format(watch.OLD.days - 1))
    assert await watch.announce_stalled(store.database, 3600) == 1


async def test_many_are_said_in_several_transactions(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MOST", 2)
    await store.put_batches([[patch(f"p{n}@example.org", f"[PATCH 1/2] number {n}", file=f"{n}.c") for n in range(5)]])
    await make_older(store, 4000)
    assert await watch.announce_stalled(store.database, 3600) == 5
    assert len(await stalled(store)) == 5


async def test_the_watcher_looks_by_itself_and_survives_a_database_that_is_away(store: Store) -> None:
    await store.put_batches([FIRST[:3]])
    await make_older(store, 10)
    watcher = asyncio.create_task(watch.watch(store.database, 0.05))
    try:
        async with asyncio.timeout(20):
            await said_of(store, 1)
            assert await store.ask(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await store.put_batches([[patch("next@example.org", "[PATCH 1/2] Next", date=formatdate())]])
            await make_older(store, 10)
            await said_of(store, 2)
        assert not watcher.done()
    finally:
        watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watcher


async def test_an_older_program_links_marks_and_leaves_grouping_to_the_newer(
    store: Store, other_store: Store, quiet_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    review = reply("r@example.com", COVER, "[PATCH 0/3] First", "Reviewed-by: Rob Reviewer <rob@example.com>\n")
    bridge = reply("bridge@example.com", "alone@example.org", "x", "See the other.\n")
    bridge = bridge.replace(b"References: ", f"References: <{COVER}> ".encode())
    alone = patch("alone@example.org", "[PATCH] alone", file="alone.c")
    await quiet_store.put_batches([FIRST, [review, alone, bridge]])

    def program(version: int) -> None:
        monkeypatch.setattr(regroup, "GROUPING_VERSION", version)
        monkeypatch.setattr(threads, "GROUPING_VERSION", version)

    newer = GROUPING_VERSION + 1
    program(newer)
    await store.put_batches([FIRST[:2]])
    program(GROUPING_VERSION)
    await other_store.put_batches([[alone]])
    await other_store.put_batches([[FIRST[2]], [bridge], [FIRST[3]], [review]])
    assert await store.ask("SELECT grouping_version, stale FROM ingestd.thread") == [(newer, True)]
    assert (await store.series())[COVER]["posted"].keys() == {"1"}, "as the newer program left it"
    assert await watch.catch_up(other_store.database) == 0, "not by the older one"
    program(newer)
    assert await watch.catch_up(store.database) == 1
    assert await store.ask("SELECT grouping_version, stale FROM ingestd.thread") == [(newer, False)]
    assert await store.dump() == await quiet_store.dump()


async def test_a_thread_that_our_code_fails_on_keeps_no_other_waiting(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"p{number}@example.org" for number in range(5)]
    await store.put_batches([[patch(name, f"[PATCH] {name}", file=name) for name in names]])
    async with store.database.transaction() as connection:
        await connection.exec_driver_sql("UPDATE ingestd.thread SET stale = true")
    real = group.group

    def fail(facts: Sequence[Fact]) -> Thread:
        if any(fact.message_id == names[1] for fact in facts):
            raise ZeroDivisionError
        return real(facts)

    monkeypatch.setattr(group, "group", fail)
    monkeypatch.setattr(watch, "FEW", 2)
    assert await watch.catch_up(store.database) == 4
    left = "SELECT m.message_id FROM ingestd.message m JOIN ingestd.thread t ON t.id = m.thread WHERE t.stale"
    assert await store.ask(left) == [names[1]]
    monkeypatch.undo()
    assert await watch.catch_up(store.database) == 1


@pytest.mark.parametrize("trouble", ["RAISE check_violation", "PERFORM pg_sleep(5)"])
async def test_nor_does_one_that_the_database_refuses_or_is_slow_with(
    store: Store, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    await store.put_batches([[patch(f"p{n}@example.org", f"[PATCH] {n}", file=f"{n}.c") for n in range(5)]])
    async with store.database.transaction() as connection:
        await connection.exec_driver_sql("UPDATE ingestd.thread SET stale = true")
        await connection.exec_driver_sql(f"""
            CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF NEW.id = (SELECT min(id) FROM ingestd.thread) THEN {trouble}; END IF;
                RETURN NEW;
            END $$
        """)
        await connection.exec_driver_sql(
            "CREATE TRIGGER no BEFORE UPDATE ON ingestd.thread FOR EACH ROW EXECUTE FUNCTION no()"
        )
    monkeypatch.setattr(watch, "FEW", 2)
    monkeypatch.setattr(store.database, "timeout", 1.0)
    assert await watch.catch_up(store.database) == 4


async def test_a_newer_program_groups_what_an_older_one_did(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.put_batches([FIRST[:2]])
    monkeypatch.setattr(regroup, "GROUPING_VERSION", GROUPING_VERSION + 1)
    await store.put_batches([FIRST[2:]])
    assert await store.ask("SELECT grouping_version, stale FROM ingestd.thread") == [(GROUPING_VERSION + 1, False)]
    assert (await store.series())[COVER]["complete"]


async def test_threads_that_come_apart_stay_with_the_newer_program(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    munged = patch(
        "b@example.org",
        "[PATCH] b",
        author="Ann Author via demo <demo@example.org>",
        headers=[("Reply-To", "Ann Author <ann@example.org>")],
        reply_to="a@example.org",
    )
    newer = GROUPING_VERSION + 1
    monkeypatch.setattr(regroup, "GROUPING_VERSION", newer)
    monkeypatch.setattr(threads, "GROUPING_VERSION", newer)
    await store.put_batches([[patch("a@example.org", "[PATCH] a", file="a.c"), munged]])
    monkeypatch.undo()
    await store.put_batches([[patch("b@example.org", "[PATCH] b")]])
    assert await store.ask("SELECT grouping_version, stale FROM ingestd.thread") == [(newer, True), (newer, True)]
