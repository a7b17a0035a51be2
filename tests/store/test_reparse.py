"""Reading stored mail anew ends where a fresh import by the same parser ends, says what it does, and keeps ids."""

import json
import random
import re
from collections.abc import Callable

import pytest
from end_to_end import made
from mails import mail, patch, reply, series
from sqlalchemy import text
from store.conftest import Store

from ingestd import ingest, reparse
from ingestd.errors import InputError, UnavailableError
from ingestd.mail import Mail
from ingestd.mail.parse import parse
from ingestd.mail.values import Kind, Person
from ingestd.series.values import GROUPING_VERSION
from ingestd.store import read, relinks, walk

Parser = Callable[[bytes], Mail]

# One each time, more at length.
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 12))]
COVER, ONE, TWO = (f"20261102100000.1-{number}-ann@example.org" for number in range(3))


async def run(store: Store, *, rehearse: bool = False, scope: str = "") -> tuple[list[str], reparse.Totals]:
    """Reparse; the lines it tells, sorted, and its totals."""
    lines: list[str] = []

    async def tell(found: object) -> None:
        lines.extend(" ".join(map(str, line)) for line in found)  # type: ignore[attr-defined]

    one = reparse.Reparse(store.database, scope, rehearse=rehearse)
    await one.run(tell)
    return sorted(lines), one.totals


async def ids(store: Store) -> dict[str, tuple[int, int]]:
    return {row[0]: row[1:] for row in await store.ask("SELECT key, id, thread_id FROM ingestd_v1.message")}


async def last_event(store: Store) -> int:
    (last,) = await store.ask("SELECT value FROM ingestd.counter WHERE name = 'event'")
    return int(last)


async def events_since(store: Store, cursor: int) -> list[str]:
    query = "SELECT category FROM ingestd_v1.event WHERE cursor > :cursor ORDER BY cursor"
    return list(await store.ask(query, cursor=cursor))


def use(monkeypatch: pytest.MonkeyPatch, parser: Parser) -> None:
    """Let everything read mail by another parser."""
    monkeypatch.setattr(reparse, "parse", parser)
    monkeypatch.setattr(ingest, "parse", parser)


# --- nothing to do ---------------------------------------------------------------------------------------------------


async def test_right_after_an_import_nothing_changes(store: Store) -> None:
    await store.put_batches([made.deliveries(made.mailing_list())])
    before = await store.contents(), await ids(store), await last_event(store)
    for rehearse in (True, False):
        lines, totals = await run(store, rehearse=rehearse)
        assert (lines, totals.mails_changed, totals.series_changed) == ([], 0, 0)
        assert totals.read == totals.mails == len(before[1])
    assert (await store.contents(), await ids(store), await last_event(store)) == before


async def test_a_list_that_is_not_there_is_said(store: Store) -> None:
    with pytest.raises(InputError, match=r"nowhere\.example\.org: no such list"):
        await run(store, scope="nowhere.example.org")


async def test_only_one_at_a_time(store: Store, other_store: Store) -> None:
    async with walk.alone(store.database):
        with pytest.raises(UnavailableError, match="another reparse is under way"):
            async with walk.alone(other_store.database):
                raise AssertionError
    async with walk.alone(other_store.database):
        pass


# --- another parser --------------------------------------------------------------------------------------------------


async def test_the_rehearsal_names_what_differs_and_the_run_changes_that_and_no_other(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = series("20261102100000.1", 2, title="First")
    second = [raw.replace(b"Mon, 2 Nov", b"Wed, 4 Nov") for raw in series("20261103100000.2", 2, title="Second")]
    await store.put_batches([[*first, *second]])
    before, dumped = await ids(store), await store.dump()
    (series_id,) = await store.ask("SELECT id FROM ingestd_v1.series WHERE key = :key", key=COVER)

    def renamed(raw: bytes) -> Mail:
        found = parse(raw)
        if found.message_id == TWO:
            return found._replace(subject=found.subject._replace(name="[2/3] Another", total=3))
        if found.message_id in (COVER, ONE):
            return found._replace(subject=found.subject._replace(total=3))
        return found

    use(monkeypatch, renamed)
    lines, totals = await run(store, rehearse=True)
    assert lines == [
        f"mail 1 {COVER} total 2 -> 3",
        f"mail 1 {ONE} total 2 -> 3",
        f"mail 1 {TWO} name [2/2] First: part 2 -> [2/3] Another; total 2 -> 3",
        f"series 1 {COVER} complete True -> False; total 2 -> 3",
    ]
    assert (totals.mails_changed, totals.series_changed) == (3, 1)
    assert (await store.dump(), await ids(store)) == (dumped, before)
    cursor = await last_event(store)
    assert (await run(store))[0] == lines
    assert await ids(store) == before
    assert await store.ask("SELECT id FROM ingestd_v1.series WHERE key = :key", key=COVER) == [series_id]
    assert sorted(await events_since(store, cursor)) == ["message-changed"] * 3 + ["series-changed"]
    changed = {line for line in await store.dump() if line not in dumped}
    assert len(changed) == 4
    assert (await run(store))[0] == []


async def test_what_a_person_said_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stray = patch("stray@example.com", "[PATCH 3/3] by another", author="Bob <bob@example.com>", file="part3.c")
    await store.put_batches([[*series("20261102100000.1", 3, title="First")[:3], stray]])
    async with store.database.ingest() as connection:
        await relinks.move(connection, await read.find(connection, "stray@example.com", None), COVER)
    said = await store.ask("SELECT message, target, at FROM ingestd.relink")

    def other(raw: bytes) -> Mail:
        found = parse(raw)
        # The ids of the mail and of the one it is said to belong to.
        new = {"stray@example.com": "astray@example.com", COVER: "cover@example.org"}
        return found._replace(message_id=new.get(found.message_id, found.message_id))

    for parser in (parse, other):
        use(monkeypatch, parser)
        await run(store)
        assert await store.ask("SELECT message, target, at FROM ingestd.relink") == said
        (key,) = await store.ask(
            "SELECT s.key FROM ingestd_v1.series_patch p JOIN ingestd_v1.series s ON s.id = p.series_id "
            "WHERE p.message = :message",
            message=said[0][0],
        )
        assert key == {parse: COVER, other: "cover@example.org"}[parser]


async def test_mails_that_turn_out_to_be_one_become_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    one = mail("a@example.org", "[PATCH 0/1] x", "Text.\n")
    other = mail("a@example.org", "[PATCH 0/1] x", "Text.\n\n--\nthe list\n", headers=[("X-Hop", "2")])
    answer = reply("r@example.com", "a@example.org", "x", "Fine.\n")
    apart = series("20261102100000.1", 2, title="First")
    await store.put_batches([[one], [answer, *apart], [other]])
    first, second = await store.ask("SELECT id FROM ingestd_v1.message WHERE message_id = 'a@example.org' ORDER BY id")
    async with store.database.ingest() as connection:
        await relinks.move(connection, second, COVER)

    def without_footer(raw: bytes) -> Mail:
        return parse(raw.replace(b"\n\n--\nthe list\n", b"\n"))

    use(monkeypatch, without_footer)
    told, _ = await run(store, rehearse=True)
    cursor = await last_event(store)
    lines, _ = await run(store)
    assert lines == told
    assert any("the same mail as a@example.org" in line for line in lines)
    assert await store.ask("SELECT id FROM ingestd_v1.message WHERE message_id = 'a@example.org'") == [first]
    assert await store.ask("SELECT count(*) FROM ingestd_v1.delivery WHERE message = :id", id=first) == [2]
    assert await store.ask("SELECT message FROM ingestd.relink") == [first]
    removed = await store.ask(
        "SELECT payload FROM ingestd_v1.event WHERE cursor > :cursor AND category = 'message-removed'", cursor=cursor
    )
    assert removed == [{"message": second, "into": first}]


async def test_what_was_decided_about_a_mail_holds_for_the_one_that_it_is(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.put_batches([[patch("a@example.org", "[PATCH] x"), patch("b@example.org", "[PATCH] x")]])
    async with store.database.ingest() as connection:
        for statement in (
            "INSERT INTO ingestd.account (username) VALUES ('ann')",
            "UPDATE ingestd.triage SET state = 'accepted', delegate = 1, commit_ref = 'abc' WHERE message = 2",
            "INSERT INTO ingestd.patch_check (message, account, state, context) VALUES (2, 1, 'fail', 'ci')",
            "INSERT INTO ingestd.comment_triage (message, addressed) VALUES (2, true)",
            "INSERT INTO ingestd.bundle (account, list, name) SELECT 1, id, 'mine' FROM ingestd.list",
            "INSERT INTO ingestd.bundle_patch (bundle, message, position) VALUES (1, 2, 1)",
        ):
            await connection.execute(text(statement))
    await run(store)
    use(monkeypatch, lambda raw: parse(raw.replace(b"<b@example.org>", b"<a@example.org>")))
    await run(store)
    assert await store.ask("SELECT message, state, delegate, commit_ref, verdict FROM ingestd.triage") == [
        (1, "accepted", 1, "abc", "fail")
    ]
    for table in ("patch_check", "comment_triage", "bundle_patch"):
        assert await store.ask(f"SELECT message FROM ingestd.{table}") == [1], table


async def test_people_whom_no_mail_names_any_more_go(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    bob = mail("b@example.org", "y", author="Bob <bob@x.org>")
    await store.put_batches([[patch("a@example.org", "[PATCH] x"), bob]])

    def other(raw: bytes) -> Mail:
        found = parse(raw)
        return found._replace(submitter=Person("Zoe", "zoe@x.org"), kind=Kind.REPLY if found.diff else found.kind)

    use(monkeypatch, other)
    await run(store)
    # Who sent what was a patch once stays, with what people decided about it.
    assert sorted(await store.ask("SELECT email FROM ingestd.person")) == ["ann@example.org", "zoe@x.org"]


async def test_a_word_that_a_mail_belongs_to_itself_goes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    one = patch("a@example.org", "[PATCH] x", new="one")
    other = patch("b@example.org", "[PATCH] x", new="one")
    await store.put_batches([[one, other]])
    async with store.database.ingest() as connection:
        await relinks.move(connection, await read.find(connection, "b@example.org", None), "a@example.org")
    use(monkeypatch, lambda raw: parse(raw.replace(b"<b@example.org>", b"<a@example.org>")))
    await run(store)
    assert await store.ask("SELECT message_id FROM ingestd_v1.message") == ["a@example.org"]
    assert await store.ask("SELECT * FROM ingestd.relink") == []


async def test_a_delivery_that_turns_out_to_be_another_mail_becomes_one(
    store: Store, quiet_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = mail("a@example.org", "[PATCH 0/1] x", "Text.\n")
    other = mail("a@example.org", "[PATCH 0/1] x", "Text.\n", headers=[("X-Content", "other")])
    await store.put_batches([[one], [other]])

    def strict(raw: bytes) -> Mail:
        found = parse(raw)
        return found._replace(content_key="f" * 64) if b"X-Content: other" in raw else found

    use(monkeypatch, strict)
    told, _ = await run(store, rehearse=True)
    assert (await run(store))[0] == told
    await quiet_store.put_batches([[one, other]])
    assert await store.contents() == await quiet_store.contents()


async def test_another_delivery_may_be_the_better_one_now(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    munged = mail("a@example.org", "[demo] x", author="Ann via demo <demo@example.org>")
    await store.put_batches([[munged], [mail("a@example.org", "x")]])
    assert await store.ask("SELECT subject FROM ingestd_v1.message") == ["x"]

    def turned(raw: bytes) -> Mail:
        found = parse(raw)
        return found._replace(munged=not found.munged)

    use(monkeypatch, turned)
    await run(store)
    assert await store.ask("SELECT sender_email FROM ingestd_v1.message") == ["demo@example.org"]


# --- what goes wrong -------------------------------------------------------------------------------------------------


async def test_a_mail_that_our_parser_fails_on_stays_as_it_was_and_is_named(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.put_batches([series("20261102100000.1", 2, title="First"), [mail("other@example.org", "x")]])
    dumped = await store.dump()

    def broken(raw: bytes) -> Mail:
        found = parse(raw)
        if found.message_id == ONE:
            raise ValueError("a fault of ours")
        return found

    use(monkeypatch, broken)
    for rehearse in (True, False):
        lines, totals = await run(store, rehearse=rehearse)
        assert lines == [f"mail 1 {ONE} our code fails on it: ValueError: a fault of ours"]
        assert len(totals.failed) == 1
        assert await store.dump() == dumped


async def test_what_the_database_refuses_stays_as_it_was_and_the_rest_is_done(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.put_batches([series("20261102100000.1", 2, title="First"), [mail("other@example.org", "x")]])

    def odd(raw: bytes) -> Mail:
        found = parse(raw)
        return found._replace(content="\0" if found.message_id == ONE else "new")

    use(monkeypatch, odd)
    lines, totals = await run(store)
    assert [one[1] for one in totals.failed.values()] == [ONE]
    assert await store.ask("SELECT key FROM ingestd_v1.message WHERE content <> 'new'") == [ONE]
    assert sum("content changed" in line for line in lines) == 3
    assert await store.ask("SELECT * FROM ingestd.reparse") == []


async def test_mail_of_a_newer_ingestd_is_left_to_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.put_batches([series("20261102100000.1", 2, title="First"), [mail("other@example.org", "x")]])
    async with store.database.transaction() as connection:
        await connection.execute(
            text("UPDATE ingestd.message SET parser_version = 999 WHERE key = :key"), {"key": "other@example.org"}
        )
        await connection.execute(
            text("UPDATE ingestd.thread SET grouping_version = 999 "
                 "WHERE id = (SELECT thread FROM ingestd.message WHERE key = :key)"),
            {"key": COVER},
        )  # fmt: skip
    dumped = await store.dump()
    use(monkeypatch, lambda raw: parse(raw)._replace(content="new"))
    lines, totals = await run(store)
    assert (lines, len(totals.newer), await store.dump()) == ([], 4, dumped)


# --- older versions --------------------------------------------------------------------------------------------------


async def test_threads_of_an_older_grouping_are_grouped_anew(store: Store) -> None:
    mails = [*series("20261102100000.1", 2, title="First"), *series("20261103100000.2", 2, version=2, title="First")]
    await store.put_batches([mails])
    dumped = await store.dump()
    async with store.database.transaction() as connection:
        for statement in (
            "UPDATE ingestd.thread SET grouping_version = 0",
            "UPDATE ingestd.series SET name = 'old', supersedes = NULL, evidence = NULL",
            "UPDATE ingestd.message SET parent = NULL, parser_version = 0",
            "DELETE FROM ingestd.series_patch WHERE number = 2",
            "DELETE FROM ingestd.link_key WHERE key LIKE 's:%'",
        ):
            await connection.execute(text(statement))
    assert await store.dump() != dumped
    told, _ = await run(store, rehearse=True)
    lines, _ = await run(store)
    assert lines == told
    assert any("name old -> First" in line for line in lines)
    assert await store.dump() == dumped
    assert await store.ask("SELECT DISTINCT grouping_version FROM ingestd.thread") == [GROUPING_VERSION]
    assert await store.ask("SELECT count(*) FROM ingestd.message WHERE parser_version = 0") == [0]
    assert (await run(store))[0] == []


# --- any change ------------------------------------------------------------------------------------------------------


def mutation(seed: int, kinds: int = 9) -> Parser:
    """A parser that reads some mails otherwise, by what they are and not by when it sees them.

    `kinds`: 3 changes neither identities nor threads.
    """

    def other(raw: bytes) -> Mail:
        found = parse(raw)
        dice = random.Random(f"{seed} {found.message_id} {found.content_key}")
        if dice.random() < 0.6:
            return found
        subject = found.subject
        delivery = random.Random(f"{seed} {found.mail_sha256}")
        match dice.randrange(kinds):
            case 0:
                return found._replace(
                    subject=subject._replace(number=dice.choice((None, 1, 2)), total=dice.choice((2, 3)))
                )
            case 1:
                return found._replace(subject=subject._replace(name="Renamed", title="Renamed"))
            case 2:
                return found._replace(subject=subject._replace(version=dice.choice((1, 2, 3)), version_written=True))
            case 3:
                return found._replace(message_id=f"new-{found.message_id}")
            case 4:  # may be another mail's id: two become one, or variants of one id
                return found._replace(message_id=dice.choice((ONE, "topic@example.org")))
            case 5:
                return found._replace(in_reply_to=(), references=())
            case 6:
                return found._replace(in_reply_to=("review-1@example.com",), references=("topic@example.org",))
            case 7:  # deliveries of one mail become several
                return found._replace(content_key=f"{delivery.randrange(2):064}")
            case _:  # mails become one
                return found._replace(
                    message_id="one@example.org", content_key="0" * 64, munged=delivery.random() < 0.5
                )

    return other


@pytest.mark.parametrize("seed", SEEDS)
async def test_any_change_ends_where_a_fresh_import_ends(
    store: Store, quiet_store: Store, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    dice = random.Random(seed)
    mails = made.deliveries(made.mailing_list())
    use(monkeypatch, mutation(-1 - seed) if seed % 2 else parse)
    await store.put_batches([mails])
    for bound in ("MOST_MAILS", "WHOLE"):
        monkeypatch.setattr(walk, bound, dice.choice((3, 10, 50)))
    use(monkeypatch, mutation(seed))
    before = await store.contents()
    await run(store, rehearse=True)
    assert await store.contents() == before
    _, totals = await run(store)
    assert not totals.failed
    await quiet_store.put_batches([mails])
    assert await store.contents() == await quiet_store.contents()
    assert (await run(store))[0] == []
    empty = "SELECT id FROM ingestd.thread t WHERE NOT EXISTS (SELECT FROM ingestd.message m WHERE m.thread = t.id)"
    assert await store.ask(empty) == []


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_change_within_threads_is_rehearsed_truly_and_nothing_else_changes(
    store: Store, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    await store.put_batches([made.deliveries(made.mailing_list())])
    monkeypatch.setattr(walk, "MOST_MAILS", random.Random(seed).choice((3, 10, 50)))
    use(monkeypatch, mutation(seed, 3))
    before = [json.loads(line) for line in await store.dump()]
    known = await ids(store)
    told, rehearsed = await run(store, rehearse=True)
    lines, totals = await run(store)
    assert lines == told
    assert (rehearsed.mails_changed, rehearsed.series_changed) == (totals.mails_changed, totals.series_changed)
    assert {key: id_ for key, (id_, _) in (await ids(store)).items()} == {key: id_ for key, (id_, _) in known.items()}
    after = [json.loads(line) for line in await store.dump()]
    for kind, what in (("message", "mail"), ("series", "series")):
        was, now = (
            {line["list"] + line["key"]: line for line in dump if line["type"] == kind} for dump in (before, after)
        )
        # Which series a mail is in is said of the series; what its thread is called hangs on other mails of it.
        bare = {"series": None, "thread": None}
        different = {
            (was.get(key) or now[key])["key"]
            for key in was.keys() | now.keys()
            if {**was.get(key, {}), **bare} != {**now.get(key, {}), **bare}
        }
        named = {line.split()[2] for line in lines if line.split()[0] == what}
        named |= {new for line in lines if line.startswith(what) for new in re.findall(r"\bkey \S+ -> ([^ ;]+)", line)}
        assert different
        assert different <= named, kind
        if kind == "message":
            unseen = ("thread", "about", "version_written", "title")  # of which the dump says nothing
            words = [line.split() for line in lines if line.startswith("mail ")]
            assert all(line[3] in unseen for line in words if line[2] in named - different)
