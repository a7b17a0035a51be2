"""Quarantine: what is kept, how it comes back, and what a dropped mail leaves."""

import asyncio
from datetime import UTC, datetime

import pytest
from mails import mail, series
from sqlalchemy.ext.asyncio import AsyncConnection
from store.conftest import Store

from ingestd import ingest
from ingestd.errors import InputError, MailError
from ingestd.ingest import Outcome
from ingestd.mail import Mail
from ingestd.mail.parse import parse
from ingestd.router import ListRule, Router
from ingestd.store import quarantine, save
from ingestd.store.values import Arrival, Envelope

BAD = mail("bad@example.org", "Bad")
GOOD = mail("good@example.org", "Good")
CAME = datetime(2026, 11, 2, 10, tzinfo=UTC)


class Parser:
    """A parser that fails on the mails with the subject Bad until it is mended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.broken = True
        self._real = parse
        monkeypatch.setattr(ingest, "parse", self)

    def __call__(self, raw: bytes) -> Mail:
        if self.broken and b"Subject: Bad" in raw:
            raise ValueError("broken")
        return self._real(raw)


@pytest.fixture
def parser(monkeypatch: pytest.MonkeyPatch) -> Parser:
    return Parser(monkeypatch)


async def _entries(store: Store) -> list[quarantine.Entry]:
    async with store.database.transaction() as connection:
        return await quarantine.entries(connection)


async def _replay(store: Store, entry: quarantine.Entry, router: Router | None = None) -> Outcome:
    async with store.database.transaction() as connection:
        raw = await quarantine.raw(connection, entry)
    return await ingest.replay(store.committer, router or Router(), entry, raw)


async def _drop(store: Store, ids: list[int], reason: str = "spam") -> None:
    async with store.database.ingest() as connection:
        await quarantine.drop(connection, ids, reason)


async def test_a_replayed_mail_has_the_delivery_facts_it_came_with(store: Store, parser: Parser) -> None:
    envelope = Envelope(CAME, "peer@example.org", "192.0.2.1")
    router = Router([ListRule("demo.example.org", ("demo@example.net",))])
    arrival = ingest.read(BAD, envelope, router, ["demo@example.net"])
    assert await store.committer.commit([arrival]) == [[]]
    (entry,) = await _entries(store)
    parser.broken = False
    outcome = await _replay(store, entry, router)
    assert isinstance(outcome, list)
    assert [(one.list_id, one.repeat) for one in outcome] == [("demo.example.org", False)]
    assert await store.ask(
        "SELECT list_id, message_id, received_at, envelope_from, recipients, peer, repeat FROM ingestd_v1.delivery"
    ) == [("demo.example.org", "bad@example.org", CAME, "peer@example.org", ["demo@example.net"], "192.0.2.1", False)]
    assert await _entries(store) == []
    assert await store.ask(
        "SELECT category, list_id, message_id, payload FROM ingestd_v1.event WHERE payload ? 'quarantine' ORDER BY 1"
    ) == [
        ("mail-quarantined", None, None, {"quarantine": entry.id}),
        ("mail-replayed", "demo.example.org", "bad@example.org", {"quarantine": entry.id}),
    ]
    async with store.database.transaction() as connection:
        (ended,) = await quarantine.ended(connection)
    assert (ended.id, ended.outcome, ended.reason, ended.error) == (entry.id, "replayed", None, "ValueError: broken")


async def test_the_word_of_the_operator_holds_over_quarantine(store: Store, parser: Parser) -> None:
    assert await store.put(BAD, list_id="chosen.example.org") == [[]]
    parser.broken = False
    (entry,) = await _entries(store)
    await _replay(store, entry)
    assert await store.ask("SELECT list_id FROM ingestd_v1.message") == ["chosen.example.org"]


async def test_a_mail_for_two_lists_comes_back_to_both(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    router = Router([ListRule("one.example.org", ("one@x",)), ListRule("two.example.org", ("two@x",))])
    arrival = ingest.read(BAD, Envelope(CAME), router, ["one@x", "two@x"])
    with monkeypatch.context() as patch:
        patch.setattr(save, "batch", None)  # what stores mails is broken
        assert await store.committer.commit([arrival]) == [[]]
    (entry,) = await _entries(store)
    outcome = await _replay(store, entry, router)
    assert isinstance(outcome, list)
    assert sorted(one.list_id for one in outcome) == ["one.example.org", "two.example.org"]


async def test_replay_ends_where_a_quiet_import_ends(store: Store, quiet_store: Store, parser: Parser) -> None:
    mails = [written.replace(b"Subject: [PATCH 2/3]", b"Subject: Bad: [PATCH 2/3]") for written in series("x.1", 3)]
    mails = [written.replace(b"Bad: [", b"[") for written in mails]
    broken = mails[2].replace(b"Subject: ", b"Subject: Bad\n ", 1)
    all_ = [*mails[:2], broken, mails[3], BAD, GOOD]
    parser.broken = False
    await quiet_store.put_batches([all_])
    parser.broken = True
    assert [bool(outcome) for outcome in await store.put(*all_)] == [True, True, False, True, False, True]
    assert await store.dump() != await quiet_store.dump()
    parser.broken = False
    for entry in await _entries(store):
        assert await _replay(store, entry)
    assert await store.dump() == await quiet_store.dump()


async def test_what_fails_again_stays_the_same_entry(store: Store, parser: Parser) -> None:
    await store.put(BAD)
    (entry,) = await _entries(store)
    parser._real = lambda _raw: None  # type: ignore[assignment, return-value]
    parser.broken = False
    assert await _replay(store, entry) == []
    (after,) = await _entries(store)
    assert (after.id, after.received_at) == (entry.id, entry.received_at)
    assert after.error.startswith("AttributeError: ")
    assert await store.ask("SELECT count(*) FROM ingestd_v1.event") == [1]


async def test_replay_is_not_counted_as_mails_that_fail_in_a_row(
    store: Store, parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "POISON_LIMIT", 2)
    await store.put(BAD)
    (entry,) = await _entries(store)
    for _ in range(5):
        assert await _replay(store, entry) == []
    assert parser.broken
    assert await store.put(BAD) == [[]]


async def test_replay_that_policy_refuses_leaves_the_mail_where_it_is(store: Store, parser: Parser) -> None:
    await store.put(BAD)
    parser.broken = False
    (entry,) = await _entries(store)
    outcome = await _replay(store, entry, Router([ListRule("other.example.org")], refuse_unknown=True))
    assert isinstance(outcome, MailError)
    assert await _entries(store) == [entry]


async def test_two_who_replay_one_mail_store_it_once(store: Store, other_store: Store, parser: Parser) -> None:
    await store.put(BAD)
    parser.broken = False
    (entry,) = await _entries(store)
    outcomes = await asyncio.gather(_replay(store, entry), _replay(other_store, entry))
    assert sorted(isinstance(outcome, MailError) for outcome in outcomes) == [False, True]
    assert await store.ask("SELECT repeat FROM ingestd_v1.delivery") == [False]


async def test_what_was_dropped_is_not_replayed(store: Store, parser: Parser) -> None:
    await store.put(BAD)
    (entry,) = await _entries(store)
    await _drop(store, [entry.id])
    for parser.broken in (True, False):
        outcome = await ingest.replay(store.committer, Router(), entry, BAD)
        assert str(outcome) == f"no longer in quarantine: {entry.id}"
    assert await store.ask("SELECT count(*) FROM ingestd_v1.message") == [0]
    assert await store.ask("SELECT count(*) FROM ingestd.raw") == [0]


@pytest.mark.usefixtures("parser")
async def test_a_dropped_mail_leaves_a_trace_and_no_bytes(store: Store) -> None:
    await store.put(BAD, GOOD)
    (entry,) = await _entries(store)
    with pytest.raises(InputError, match="not in quarantine: 999"):
        await _drop(store, [entry.id, 999])
    assert await _entries(store) == [entry]
    await _drop(store, [entry.id], "sent by a machine")
    async with store.database.transaction() as connection:
        (ended,) = await quarantine.ended(connection)
        with pytest.raises(InputError, match=f"not in quarantine: {entry.id}"):
            await quarantine.raw(connection, entry)
    assert (ended.outcome, ended.reason, ended.raw_sha256) == ("dropped", "sent by a machine", entry.raw_sha256)
    assert await store.ask("SELECT payload FROM ingestd_v1.event WHERE category = 'mail-dropped'") == [
        {"quarantine": entry.id, "raw_sha256": entry.raw_sha256.hex()}
    ]
    assert [bytes(raw) for raw in await store.ask("SELECT bytes FROM ingestd.raw")] == [GOOD]


async def test_bytes_that_somebody_else_needs_stay(store: Store, parser: Parser) -> None:
    """The same bytes in quarantine twice, and stored as well."""
    await store.put(BAD, BAD)
    first, second = await _entries(store)
    await _drop(store, [first.id])
    parser.broken = False
    assert await _replay(store, second)
    parser.broken = True
    await store.put(BAD)
    (third,) = await _entries(store)
    await _drop(store, [third.id])
    assert [bytes(raw) for raw in await store.ask("SELECT bytes FROM ingestd.raw")] == [BAD]


async def test_a_closed_quarantine_does_not_keep_good_mail_out(
    store: Store, parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mails that only storing finds to be bad: those beside them in the batch are stored, whatever their place."""
    monkeypatch.setattr(ingest, "POISON_LIMIT", 2)
    parser.broken = False
    real = save.batch

    async def fail(connection: AsyncConnection, arrivals: list[Arrival]) -> object:
        if any(arrival.mail.subject.text == "Bad" for arrival in arrivals):
            raise ValueError("broken")
        return await real(connection, arrivals)

    monkeypatch.setattr(save, "batch", fail)
    bad = [mail(f"bad{number}@example.org", "Bad") for number in range(4)]
    outcomes = await store.put(*bad, GOOD)
    assert [isinstance(outcome, ingest.Closed) for outcome in outcomes] == [False, False, True, True, False]
    assert outcomes[-1] != []
    assert await store.ask("SELECT message_id FROM ingestd_v1.message") == ["good@example.org"]
