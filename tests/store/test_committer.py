"""The committer: poison among good mails, faults of the database, batches."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from mails import mail
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from store.conftest import Store

from ingestd import ingest, reception
from ingestd.errors import Full, MailError, Temporary
from ingestd.ingest import Committer
from ingestd.postgres import Postgres
from ingestd.reception import Bounds, Ingest
from ingestd.router import Router
from ingestd.series import group
from ingestd.series.values import Fact, Thread
from ingestd.store import engine, migrate, save
from ingestd.store.engine import Database
from ingestd.store.values import Arrival, Cursor, Envelope, Poison, Stored

GOOD = [mail(f"good{number}@example.org", f"Good {number}", f"{number}\n") for number in range(10)]
ENVELOPE = Envelope(datetime(2026, 11, 2, tzinfo=UTC))
BAD = mail("bad@example.org", "Bad")


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grouping fails on the mail with the subject Bad."""
    real = group.group

    def fail(facts: list[Fact]) -> Thread:
        if any(fact.title == "Bad" for fact in facts):
            raise ZeroDivisionError("the test's own fault")
        return real(facts)

    monkeypatch.setattr(group, "group", fail)


@pytest.mark.usefixtures("poison")
async def test_a_poisonous_mail_goes_to_quarantine_and_the_others_are_stored(store: Store) -> None:
    outcomes = await store.put(*GOOD[:5], BAD, *GOOD[5:])
    assert outcomes[5] == []
    assert all(isinstance(outcome, list) and outcome for outcome in outcomes[:5] + outcomes[6:])
    assert await store.ask("SELECT count(*) FROM ingestd_v1.message") == [10]
    assert await store.ask("SELECT error, size FROM ingestd_v1.quarantine") == [
        ("ZeroDivisionError: the test's own fault", len(BAD))
    ]
    raw = "SELECT bytes FROM ingestd.raw r JOIN ingestd.quarantine q ON q.raw_sha256 = r.sha256"
    assert [bytes(found) for found in await store.ask(raw)] == [BAD]
    assert await store.ask("SELECT count(*) FROM ingestd_v1.event WHERE category = 'mail-quarantined'") == [1]


async def test_a_mail_the_parser_fails_on_goes_to_quarantine(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_raw: bytes) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr(ingest, "parse", fail)
    assert await store.put(BAD) == [[]]
    assert await store.ask("SELECT error FROM ingestd_v1.quarantine") == ["RecursionError: too deep"]


@pytest.mark.usefixtures("poison")
@pytest.mark.parametrize(
    ("received", "queue_id"),
    [("from x\n\tby y with ESMTPS id 4Abc.d1;\n\tMon, 2 Nov", "4Abc.d1"), ("from x by y;\n\tMon, 2 Nov", None)],
)
async def test_the_log_has_the_queue_id_of_a_poisonous_mail(store: Store, received: str, queue_id: str | None) -> None:
    bad = mail("bad@example.org", "Bad", headers=[("Received", received)]).replace(b"\n", b"\r\n")
    taker = Ingest(store.database, Router(), Bounds(100, 10**7, 5))
    running = asyncio.create_task(taker.committer.run())
    with structlog.testing.capture_logs() as logged:
        assert await taker.begin().take(bad, envelope_from="", recipients=["a@b"], peer="test") == "quarantined"
    running.cancel()
    (line,) = (line for line in logged if line["event"] == "mail_quarantined")
    assert line["queue_id"] == queue_id


@pytest.mark.usefixtures("poison")
async def test_many_poisonous_mails_in_a_row_are_our_fault(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "POISON_LIMIT", 3)
    bad = [mail(f"bad{number}@example.org", "Bad", f"{number}\n") for number in range(5)]
    outcomes = [outcome for raw in bad for outcome in await store.put(raw)]
    assert outcomes[:3] == [[], [], []]
    assert all(isinstance(outcome, Temporary) for outcome in outcomes[3:])
    assert str(outcomes[3]) == "3 mails in a row went to quarantine"
    await store.put(GOOD[0])
    assert await store.put(bad[4]) == [[]]


async def test_a_database_that_is_away_is_temporary_for_all_and_comes_back(store: Store) -> None:
    away = Committer(Database(store.database.url.replace("host=", "host=/nowhere"), timeout=2))
    store.committer, here = away, store.committer
    outcomes = await store.put(*GOOD)
    assert len(outcomes) == 10
    assert all(isinstance(outcome, Temporary) for outcome in outcomes)
    assert all(outcome.reply.startswith("451 4.3.0") for outcome in outcomes if isinstance(outcome, MailError))
    store.committer = here
    await store.put_batches([GOOD])


async def _refuse(store: Store, condition: str) -> None:
    """Let the database refuse mails, as it would for a mistake of ours."""
    async with store.database.transaction() as connection:
        await connection.exec_driver_sql(f"ALTER TABLE ingestd.message ADD CONSTRAINT no CHECK (NOT ({condition}))")


async def test_what_the_database_refuses_of_one_mail_costs_the_others_nothing(store: Store) -> None:
    await _refuse(store, "message_id = 'bad@example.org'")
    outcomes = await store.put(*GOOD[:5], BAD, *GOOD[5:])
    assert isinstance(outcomes[5], Temporary)
    assert await store.ask("SELECT count(*) FROM ingestd_v1.message") == [10]
    assert await store.ask("SELECT count(*) FROM ingestd_v1.quarantine") == [0]
    assert not store.committer.failing


async def test_what_the_database_refuses_of_an_archive_goes_to_quarantine(store: Store) -> None:
    await _refuse(store, "message_id = 'bad@example.org'")
    store.committer = Committer(store.database, archived=True)
    outcomes = await store.put(*GOOD[:5], BAD, *GOOD[5:])
    assert outcomes[5] == []
    assert await store.ask("SELECT count(*) FROM ingestd_v1.message") == [10]
    assert await store.ask("SELECT raw_size FROM ingestd.quarantine") == [len(BAD)]


async def test_a_database_that_refuses_many_mails_is_not_asked_for_each(store: Store) -> None:
    await _refuse(store, "true")
    with structlog.testing.capture_logs() as logged:
        outcomes = await store.put(*GOOD)
    assert all(isinstance(outcome, Temporary) for outcome in outcomes)
    assert [line["event"] for line in logged].count("mail_unstorable") == ingest.UNSTORABLE_LIMIT
    assert store.committer.failing
    async with store.database.transaction() as connection:
        await connection.exec_driver_sql("ALTER TABLE ingestd.message DROP CONSTRAINT no")
    await store.put_batches([GOOD])
    assert not store.committer.failing


async def test_bad_mails_of_one_batch_keep_no_good_ones_of_the_next_out(store: Store) -> None:
    await _refuse(store, "message_id LIKE 'bad%'")
    bad = [mail(f"bad{number}@example.org", "Bad", f"{number}\n") for number in range(ingest.UNSTORABLE_LIMIT)]
    for raw in bad:
        await store.put(raw)
    assert store.committer.failing
    outcomes = await store.put(bad[0], *GOOD)
    assert [isinstance(outcome, Temporary) for outcome in outcomes] == [True, *(False for _ in GOOD)]
    assert not store.committer.failing


@pytest.mark.usefixtures("poison")
async def test_a_database_that_is_gone_is_waited_for_once_for_all_bad_mails(store: Store, other_store: Store) -> None:
    poisons = [Poison(BAD, bytes([number]) * 32, "x", (), (), ENVELOPE) for number in range(5)]
    store.database.timeout = 0.5
    began = time.monotonic()
    async with other_store.database.ingest():
        outcomes = await store.committer.commit(poisons)
    assert time.monotonic() - began < 2
    assert {str(outcome) for outcome in outcomes} == {"no answer in time"}


@pytest.mark.usefixtures("poison")
async def test_a_closed_quarantine_tries_one_more_after_a_while(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "POISON_LIMIT", 1)
    bad = [mail(f"bad{number}@example.org", "Bad", f"{number}\n") for number in range(3)]
    closed = []
    for raw, seconds in zip(bad, (60.0, 0.0, 60.0), strict=True):
        monkeypatch.setattr(ingest, "FAULT_SECONDS", seconds)
        closed.append(store.committer.closed)
        (outcome,) = await store.put(raw)
        assert isinstance(outcome, Temporary) is closed[-1]
    assert closed == [False, False, True]


async def test_a_table_that_a_migration_has_just_changed_costs_no_mail(store: Store) -> None:
    await store.put_batches([GOOD[:5]])
    async with store.database.transaction() as connection:
        await connection.exec_driver_sql("ALTER TABLE ingestd.series ADD COLUMN more int")
    await store.put_batches([GOOD[5:]])


async def test_nothing_is_written_to_a_schema_that_asks_for_a_newer_program(store: Store) -> None:
    await store.put_batches([GOOD[:5]])
    async with store.database.transaction() as connection:
        await connection.exec_driver_sql("UPDATE ingestd.alembic_version SET version_num = '9999'")
    await store.put_batches([GOOD[5:]])
    async with store.database.transaction() as connection:
        await connection.exec_driver_sql("UPDATE ingestd.schema_floor SET revision = '9999'")
    (outcome,) = await store.put(BAD)
    assert isinstance(outcome, Temporary)
    assert "schema 9999 is newer than" in str(outcome)


async def test_connections_that_the_server_closed_are_tried_again_at_once(store: Store) -> None:
    await store.put(GOOD[0])
    await store.ask(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await store.put_batches([GOOD])


async def test_a_read_only_server_is_temporary(store: Store) -> None:
    (name,) = await store.ask("SELECT current_database()")
    async with store.database.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await store.database.engine.dispose()
    (outcome,) = await store.put(GOOD[0])
    assert isinstance(outcome, Temporary)
    async with store.database.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.exec_driver_sql("SET default_transaction_read_only = off")
        await connection.exec_driver_sql(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    await store.database.engine.dispose()
    await store.put_batches([GOOD])


async def test_mails_that_gather_while_a_commit_runs_are_one_batch(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    real = save.batch

    async def count(connection: AsyncConnection, arrivals: Sequence[Arrival]) -> list[list[Stored]]:
        sizes.append(len(arrivals))
        return await real(connection, arrivals)

    monkeypatch.setattr(save, "batch", count)
    taker = Ingest(store.database, Router(), Bounds(100, 10**7, 5))
    running = asyncio.create_task(taker.committer.run())
    take = [
        asyncio.create_task(taker.begin().take(raw, envelope_from="", recipients=["a@b"], peer="test"))
        for raw in [*GOOD, BAD]
    ]
    await asyncio.gather(*take)
    running.cancel()
    assert sum(sizes) == 11
    assert len(sizes) < 11
    assert await store.ask("SELECT count(*) FROM ingestd_v1.message") == [11]


async def test_a_stopped_committer_answers_those_who_wait(store: Store) -> None:
    taker = Ingest(store.database, Router(), Bounds(100, 10**7, 5))
    running = asyncio.create_task(taker.committer.run())
    waiting = asyncio.create_task(taker.begin().take(BAD, envelope_from="", recipients=["a@b"], peer="test"))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(Temporary):
        await waiting


async def test_a_committer_that_waits_for_the_database_can_be_stopped(store: Store, other_store: Store) -> None:
    running = asyncio.create_task(store.committer.run())
    async with other_store.database.ingest():  # somebody else holds the lock
        waiting = asyncio.create_task(store.committer.put(ingest.read(BAD, ENVELOPE, Router())))
        await asyncio.sleep(0.3)
        running.cancel()
        async with asyncio.timeout(5):
            with pytest.raises(asyncio.CancelledError):
                await running
            assert isinstance(await waiting, Temporary)
    await store.put_batches([GOOD])


async def test_a_database_that_is_slow_is_said_to_be_slow(store: Store, other_store: Store) -> None:
    store.database.timeout = 0.3
    async with other_store.database.ingest():
        (outcome,) = await store.put(BAD)
    assert str(outcome) == "no answer in time"


async def test_after_a_batch_that_takes_too_long_come_smaller_ones(store: Store, other_store: Store) -> None:
    store.database.timeout = 0.3
    async with other_store.database.ingest():
        assert {str(outcome) for outcome in await store.put(*GOOD)} == {"no answer in time"}
    store.database.timeout = 30
    sizes = []
    real = store.committer._attempt

    async def count(arrivals: Sequence[Arrival], cursor: Cursor | None) -> list[ingest.Outcome]:
        sizes.append(len(arrivals))
        return await real(arrivals, cursor)

    store.committer._attempt = count  # type: ignore[method-assign]
    await store.put_batches([GOOD])
    assert sizes == [5, 5]


async def test_there_is_room_for_so_many_mails_and_then_it_is_full(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reception, "HOLD_WAIT", 0.05)
    taker = Ingest(store.database, Router(), Bounds(2, reception.COST * 1000, 0.05))
    async with taker.room(), taker.room():
        with pytest.raises(Full, match="full"):
            async with taker.room():
                pass
        taker.rebound(Bounds(3, reception.COST * 1000, 0.05))
        async with taker.room():
            pass
    async with taker.hold(600):
        with pytest.raises(Full):
            async with taker.hold(500):
                pass
        async with taker.hold(400):
            pass
    assert (taker.mails.used, taker.memory.used) == (0, 0)
    # A mail larger than all the memory there is would wait for ever: alone it gets in.
    async with taker.hold(5000):
        with pytest.raises(Full):
            async with taker.hold(1):
                pass


async def test_a_server_that_hangs_is_temporary_within_the_time_limit(server_process: Postgres) -> None:
    database = Database(server_process.url, timeout=2)
    await migrate.upgrade(database)
    store = Store(database)
    await store.put_batches([GOOD[:1]])
    assert server_process.pid is not None
    processes = [server_process.pid, *await store.ask("SELECT pid FROM pg_stat_activity WHERE datname IS NOT NULL")]
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        async with asyncio.timeout(10):
            (outcome,) = await store.put(GOOD[1])
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)
    assert isinstance(outcome, Temporary)
    await store.put_batches([GOOD])
    assert await store.ask("SELECT count(*) FROM ingestd_v1.message") == [10]
    await database.close()


@pytest.fixture
async def server_process(data_directory: Path) -> AsyncIterator[Postgres]:
    server = Postgres(data_directory)
    await server.start()
    yield server
    await server.stop()


async def test_faults_are_said_without_the_mail(store: Store) -> None:
    with pytest.raises(DBAPIError) as caught:
        await store.ask("SELECT CAST(:secret AS text), 1 / 0", secret="what somebody wrote")
    assert "what somebody wrote" not in str(caught.value)
    assert engine.reason(caught.value) == "division by zero"


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_queue_id_is_sought_in_linear_time(end: bytes) -> None:
    folded = b"Received: from a" + (end + b"\tby b") * 1_000
    assert reception.QUEUE_ID.search(folded) is None
    found = reception.QUEUE_ID.search(folded + end + b" with LMTP id 4frYJG6rJ4" + end)
    assert found is not None
    assert found.group(1) == b"4frYJG6rJ4"
