"""Forgetting a mail equals never having had it, leaves nothing of what it said, and keeps its copies out."""

import hashlib
import random
from datetime import UTC, datetime

import pytest
from end_to_end import made
from mails import mail, patch, series
from sqlalchemy import text
from store.conftest import Store

from ingestd import ingest
from ingestd.errors import InputError
from ingestd.forget import forget
from ingestd.mail.parse import parse
from ingestd.router import Router
from ingestd.store import audit, quarantine, read, relinks, tombstones
from ingestd.store.values import Envelope, Poison

COVER, ONE, TWO = (f"20261102100000.1-{number}-ann@example.org" for number in range(3))
DEMO = "demo.example.org"


async def last_event(store: Store) -> tuple[object, ...]:
    (found,) = await store.ask(
        "SELECT category, message_id, payload FROM ingestd_v1.event "
        "WHERE category = 'message-removed' ORDER BY cursor DESC LIMIT 1"
    )
    return tuple(found)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 10))])
async def test_forgetting_equals_never_having_had_it(store: Store, quiet_store: Store, seed: int) -> None:
    dice = random.Random(seed)
    mails = made.deliveries(made.mailing_list())
    await store.put_batches([mails])
    keys = dice.sample(await store.ask("SELECT key FROM ingestd.message ORDER BY id"), 12)
    gone: set[tuple[str, str]] = set()
    for key in keys:
        identities = await store.ask("SELECT message_id, content_key FROM ingestd.message WHERE key = :key", key=key)
        if identities:  # unless it has another key by now
            gone.update(identities)
            await forget(store.database, key, None, "seed")
    assert len(gone) > 8
    rest = [raw for raw in mails if (parse(raw).message_id, parse(raw).content_key) not in gone]
    await quiet_store.put_batches([rest])
    wanted = await quiet_store.contents()
    assert await store.contents() == wanted
    await store.put_batches([dice.sample(mails, len(mails))])
    deliveries = {line for line in (await store.contents())[1] if line.startswith("d|")}
    assert {line for line in (await store.contents())[1] if not line.startswith("d|")} == {
        line for line in wanted[1] if not line.startswith("d|")
    }
    assert deliveries == {line for line in wanted[1] if line.startswith("d|")}
    assert (await store.contents())[0] == wanted[0]


async def test_people_are_called_what_the_mails_that_are_left_say(store: Store) -> None:
    first = mail("first@example.org", "x", author="Ann <ann@example.org>", date="Mon, 2 Nov 2026 10:00:00 +0000")
    later = mail("later@example.org", "x", author="Secret <Ann@example.org>", date="Tue, 3 Nov 2026 10:00:00 +0000")
    await store.put_batches([[first, later]])
    assert await store.ask("SELECT name, email FROM ingestd.person") == [("Secret", "Ann@example.org")]
    await forget(store.database, "later@example.org", None, "a judge said so")
    assert await store.ask("SELECT name, email FROM ingestd.person") == [("Ann", "ann@example.org")]
    await forget(store.database, "first@example.org", None, "a judge said so")
    assert await store.ask("SELECT name, email FROM ingestd.person") == []


async def test_nothing_that_it_said_is_left(store: Store) -> None:
    word = "Unforgettable"
    secret = patch(
        "secret@example.org", f"[PATCH] {word}", author=f"{word} <{word}@example.org>", headers=[("X-Note", word)]
    )
    await store.put_batches([[secret, *series("20261102100000.1", 2)]])
    poison = Poison(secret, hashlib.sha256(secret).digest(), f"ValueError: {word}", (), (), Envelope(datetime.now(UTC)))
    async with store.database.ingest() as connection:
        await quarantine.keep(connection, poison)
        await quarantine.keep(connection, poison)
        await quarantine.drop(connection, [1], "not needed")
    await forget(store.database, "secret@example.org", None, "a judge said so")
    assert await store.ask("SELECT * FROM ingestd.quarantine") == []
    tables = await store.ask(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'ingestd' AND table_type = 'BASE TABLE'"
    )
    for table in tables:
        for row in await store.ask(f"SELECT (to_jsonb(t) - 'bytes')::text FROM ingestd.{table} t"):
            assert word.lower() not in row.lower(), table
            assert "secret@" not in row, table
    assert all(word.encode() not in raw for raw in await store.ask("SELECT bytes FROM ingestd.raw"))
    (stone,) = await store.ask("SELECT list_id, reason, copies FROM ingestd_v1.tombstone")
    assert stone == (DEMO, "a judge said so", 0)
    category, message_id, payload = await last_event(store)
    assert (category, message_id) == ("message-removed", None)
    assert payload == {"message": 1, "tombstone": 1}


async def test_copies_stay_out_and_are_counted(store: Store) -> None:
    first = mail("a@example.org", "Hello", headers=[("Received", "from a by b with LMTP id FIRST; x")])
    await store.put_batches([[first, mail("b@example.org", "Other")]])
    await forget(store.database, "a@example.org", None, "spam")
    before = await store.contents()
    again = mail("a@example.org", "Hello", headers=[("Received", "from c by d with LMTP id SECOND; y")])
    munged = mail("a@example.org", "[demo] Hello", author="Ann via demo <demo@example.org>")
    outcomes = await store.put(first, again, munged, mail("b@example.org", "Other"))
    messages = [stored.message for outcome in outcomes if isinstance(outcome, list) for stored in outcome]
    assert messages == [None, None, None, 2]
    dump, beside = before
    assert (await store.contents())[0] == dump
    assert set(beside) == set((await store.contents())[1])
    assert await store.ask("SELECT copies, last_copy IS NOT NULL FROM ingestd_v1.tombstone") == [(3, True)]
    assert await store.ask("SELECT queue_ids FROM ingestd.tombstone") == [["FIRST", "FIRST", "SECOND"]]


async def test_a_mail_on_two_lists_may_be_forgotten_on_one(store: Store) -> None:
    raw = patch("p@example.org", "[PATCH] x")
    for list_id in ("one.example.org", "two.example.org"):
        await store.put(raw, list_id=list_id)
    assert await forget(store.database, "p@example.org", "one.example.org", "wrong list") == 1
    assert await store.ask("SELECT list_id FROM ingestd_v1.message") == ["two.example.org"]
    assert await store.ask("SELECT bytes FROM ingestd.raw") == [raw]
    await store.put(raw, list_id="one.example.org")
    await store.put(raw, list_id="two.example.org")
    assert await store.ask("SELECT list_id FROM ingestd_v1.message") == ["two.example.org"]
    assert await forget(store.database, "p@example.org", None, "spam") == 1
    assert await store.ask("SELECT count(*) FROM ingestd.raw") == [0]


async def test_no_parser_lets_a_copy_in(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = mail("a@example.org", "Hello")
    await store.put(raw)
    await forget(store.database, "a@example.org", None, "spam")
    monkeypatch.setattr(ingest, "parse", lambda raw: parse(raw)._replace(message_id="b@x.org", content_key="f" * 64))
    await store.put(raw)
    assert await store.ask("SELECT count(*) FROM ingestd.message") == [0]


async def test_a_copy_that_comes_out_of_quarantine_is_gone(store: Store) -> None:
    raw = mail("a@example.org", "Hello")
    other = mail("a@example.org", "Hello", headers=[("Received", "from c by d; y")])
    await store.put(raw)
    poison = Poison(other, hashlib.sha256(other).digest(), "ValueError: Hello", (), (), Envelope(datetime.now(UTC)))
    async with store.database.ingest() as connection:
        await quarantine.keep(connection, poison)
    await forget(store.database, "a@example.org", None, "spam")
    async with store.database.transaction() as connection:
        (entry,) = await quarantine.entries(connection)
    outcome = await ingest.replay(store.committer, Router(), entry, other)
    assert isinstance(outcome, list)
    assert [stored.message for stored in outcome] == [None]
    assert await store.ask("SELECT count(*) FROM ingestd.raw") == [0]
    assert await store.ask("SELECT outcome, error FROM ingestd.quarantine_ended") == [("replayed", "forgotten")]


async def test_a_word_that_a_mail_belongs_to_it_goes_too(store: Store, quiet_store: Store) -> None:
    stray = patch("stray@example.com", "[PATCH] the rest", author="Bob <bob@example.com>", file="part3.c")
    mails = series("20261102100000.1", 2)
    await store.put_batches([[*mails, stray]])
    async with store.database.ingest() as connection:
        await relinks.move(connection, await read.find(connection, "stray@example.com", None), COVER)
    await forget(store.database, COVER, None, "spam")
    await quiet_store.put_batches([[*mails[1:], stray]])
    assert await store.contents() == await quiet_store.contents()
    assert await store.ask("SELECT * FROM ingestd.relink") == []


async def test_an_audit_does_not_miss_it(store: Store) -> None:
    raw = mail("a@example.org", "Hello", headers=[("Received", "from a by b with LMTP id FIRST; x")])
    await store.put(raw)
    await forget(store.database, "a@example.org", None, "spam")
    found = parse(raw)
    async with store.database.transaction() as connection:
        here = [(found.message_id, found.content_key), ("a@example.org", "0" * 64)]
        assert await audit.stored(connection, here, None) == [True, False]
        assert await audit.stored(connection, here, "other.example.org") == [False, False]
        assert await audit.forgotten(connection, ["FIRST", "SECOND"]) == {("FIRST", 1)}


async def test_undo_lets_copies_in_again(store: Store) -> None:
    raw = mail("a@example.org", "Hello")
    await store.put(raw)
    await forget(store.database, "a@example.org", None, "by mistake")
    async with store.database.ingest() as connection:
        with pytest.raises(InputError, match=r"b@example\.org: no such mail was forgotten"):
            await tombstones.lift(connection, "b@example.org", None)
        assert await tombstones.lift(connection, "a@example.org", None) == 1
    await store.put(raw)
    assert await store.ask("SELECT key FROM ingestd.message") == ["a@example.org"]
    assert await store.ask("SELECT lifted_at IS NOT NULL FROM ingestd_v1.tombstone") == [True]
    assert await forget(store.database, "a@example.org", None, "after all") == 1
    await store.put(raw)
    assert await store.ask("SELECT copies FROM ingestd_v1.tombstone ORDER BY id") == [0, 1]


async def test_it_says_what_is_wrong(store: Store) -> None:
    with pytest.raises(InputError, match=r"a@example\.org: no such mail"):
        await forget(store.database, "a@example.org", None, "spam")
    await store.put(mail("a@example.org", "Hello"))
    with pytest.raises(InputError, match=r"no such mail on other\.example\.org"):
        await forget(store.database, "a@example.org", "other.example.org", "spam")
    async with store.database.transaction() as connection:
        await connection.execute(text("UPDATE ingestd.thread SET grouping_version = 999"))
    with pytest.raises(InputError, match="a newer ingestd has read it"):
        await forget(store.database, "a@example.org", None, "spam")
