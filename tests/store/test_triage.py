"""What humans decide stays with its mail, and the migration finds what was there before it."""

import importlib.util
from pathlib import Path

import pytest
from mails import mail, patch, reply, series
from sqlalchemy import text
from store.conftest import Store

from ingestd.errors import InputError
from ingestd.store.api import accounts, triage

MIGRATION = Path(__file__).resolve().parent.parent.parent / "migrations/versions/0008_api.py"
LIST = "demo.example.org"
TABLES = {
    "person": "SELECT lower(email), name FROM ingestd.person ORDER BY 1",
    "submitters": "SELECT m.key, p.email FROM ingestd.message m JOIN ingestd.person p ON p.id = m.submitter ORDER BY 1",
    "series": "SELECT s.key, p.email FROM ingestd.series s JOIN ingestd.person p ON p.id = s.submitter ORDER BY 1",
    "triage": "SELECT message, list, listed, name, date, state FROM ingestd.triage ORDER BY message",
    "project": "SELECT list, link_name FROM ingestd.project ORDER BY list",
}
PULL = (
    "The following changes since commit 1234:\n\n  x (2026-01-01)\n\nare available in the Git repository at:\n\n"
    "  https://example.org/x.git tags/x\n\nfor you to fetch changes up to 5678:\n"
)


async def fill(store: Store) -> None:
    await store.put(
        *series("20261102100000.1", 3),
        patch("a@example.org", "[PATCH] a", headers=[("X-Patchwork-State", "RFC")]),
        patch("b@example.org", "[PATCH] b", file="b.c", headers=[("X-Patchwork-Hint", " Ignore ")]),
        patch("c@example.org", "[PATCH] c", file="c.c", headers=[("X-Patchwork-State", "nonsense")]),
        mail("pull@example.org", "[PULL 0/3] x", PULL),
        reply("r@example.com", "a@example.org", "x", "Fine.\n"),
    )
    later = "Wed, 4 Nov 2026 10:00:00 +0000"
    await store.put(mail("later@example.org", "x", author="Ann Married <ANN@example.org>", date=later))
    await store.put(mail("other@example.org", "x", author="ann@example.org", date=later, list_id="demo.example.net"))


async def look(store: Store) -> dict[str, list[object]]:
    return {name: await store.ask(query) for name, query in TABLES.items()}


async def test_what_a_mail_begins_with(store: Store) -> None:
    await fill(store)
    found = await store.ask("SELECT message_id, state FROM ingestd_v1.triage ORDER BY message")
    states = dict(found)
    assert states.pop("a@example.org") == "rfc"
    assert set(states.values()) == {"new"}
    assert "b@example.org" not in states
    assert "pull@example.org" in states
    assert "r@example.com" not in states
    people = dict(await store.ask("SELECT email, name FROM ingestd.person"))
    assert people == {"ANN@example.org": "Ann Married", "rob@example.com": "Rob Reviewer"}
    assert await store.ask("SELECT link_name FROM ingestd.project ORDER BY list") == ["demo", "demo.example.net"]


async def test_any_order_gives_the_same_people(store: Store, quiet_store: Store) -> None:
    mails = [
        mail(f"m{n}@example.org", "x", author=f"{name} <{address}>", date=f"Mon, {day} Nov 2026 10:00:00 +0000")
        for n, (name, address, day) in enumerate(
            [
                ("A", "ann@x.org", 2),
                ("B", "ANN@x.org", 9),
                ("C", "Ann@x.org", 9),
                ("", "aNN@x.org", 16),
                ("D", "ann@x.org", 2),
            ]
        )
    ]
    await store.put_batches([[raw] for raw in mails])
    await quiet_store.put_batches([[raw] for raw in reversed(mails)])
    query = "SELECT email, name FROM ingestd.person"
    assert await store.ask(query) == await quiet_store.ask(query) == [("Ann@x.org", "C")]


async def test_the_migration_fills_what_was_there(store: Store) -> None:
    await fill(store)
    wanted = await look(store)
    spec = importlib.util.spec_from_file_location("api_migration", MIGRATION)
    assert spec is not None
    assert spec.loader is not None
    migration = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(migration)
    undo = [
        *(f"DROP TRIGGER {name} ON ingestd.{table}" for name, table in (
            ("message_submitter", "message"), ("message_triage", "message"), ("series_submitter", "series"),
            ("patch_triage", "patch"), ("list_project", "list"),
        )),
        *(f"ALTER TABLE ingestd.{table} ALTER COLUMN submitter DROP NOT NULL" for table in ("message", "series")),
        *(f"UPDATE ingestd.{table} SET submitter = NULL" for table in ("message", "series")),
        "DELETE FROM ingestd.triage", "DELETE FROM ingestd.project", "DELETE FROM ingestd.person",
        *(f"DROP INDEX ingestd.{name}" for name in (
            "message_submitter", "series_submitter", "message_cover", "message_cover_list_date", "event_category",
            "event_list", "event_message", "event_series", "event_at",
        )),
    ]  # fmt: skip
    async with store.database.transaction() as connection:
        for statement in [*undo, *migration.FILL]:
            await connection.execute(text(statement))
    assert await look(store) == wanted


async def test_a_better_delivery_leaves_what_was_decided(store: Store) -> None:
    munged = [("Reply-To", "Ann Author <ann@example.org>")]
    await store.put(patch("a@example.org", "[PATCH] a", author="Ann via demo <demo@example.org>", headers=munged))
    (id_,) = await store.ask("SELECT id FROM ingestd.message")
    async with store.database.ingest() as connection:
        await accounts.create_user(connection, "mary")
        found = await triage.standing(connection, [id_])
        await triage.change_patches(connection, [found[id_]], {"state": "accepted", "commit_ref": "abc"}, 1)
    await store.put(patch("a@example.org", "[PATCH] a"))
    assert await store.ask("SELECT state, commit_ref FROM ingestd_v1.triage") == [("accepted", "abc")]


async def test_what_was_said_of_a_mail_goes_with_the_one_it_is(store: Store) -> None:
    await store.put(patch("a@example.org", "[PATCH] a"), patch("b@example.org", "[PATCH] b", file="b.c"))
    gone, stays = await store.ask("SELECT message FROM ingestd.triage ORDER BY message")
    async with store.database.ingest() as connection:
        await accounts.create_user(connection, "mary")
        found = await triage.standing(connection, [gone])
        await triage.change_patches(connection, [found[gone]], {"state": "accepted"}, 1)
        await triage.add_check(
            connection, found[gone], {"state": "fail", "context": "x", "target_url": None, "description": None}, 1
        )
        await triage.create_bundle(connection, 1, found[gone].list, "b", [gone], public=False)
        await triage.follow(connection, {gone: stays})
        await connection.execute(text("DELETE FROM ingestd.triage WHERE message = :id"), {"id": gone})
    assert await store.ask('SELECT state, "check" FROM ingestd_v1.triage') == [("accepted", "fail")]
    assert await store.ask("SELECT message FROM ingestd.patch_check") == [stays]
    assert stays in await store.ask("SELECT message FROM ingestd.bundle_patch")


async def test_what_cannot_be_of_accounts_is_said(store: Store) -> None:
    async with store.database.ingest() as connection:
        for name in ("", "a b", "a/b", "a:b", "a\n"):
            with pytest.raises(InputError, match="not fit for a user name"):
                await accounts.create_user(connection, name)
        with pytest.raises(InputError, match="7: no such token"):
            await accounts.revoke_tokens(connection, [7])
        await accounts.create_user(connection, "mary")
        token = await accounts.create_token(connection, "mary", "")
        assert (await accounts.by_token(connection, token)) is not None
        assert (await accounts.by_token(connection, token[:-1])) is None
        await accounts.change_user(connection, "mary", active=False)
        assert (await accounts.by_token(connection, token)) is None
    assert token not in str(await store.ask("SELECT t::text FROM ingestd.token t"))
