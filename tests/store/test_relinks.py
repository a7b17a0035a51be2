"""`ingestd relink`: a human's word moves a mail, survives all that is read and grouped anew, and knows no order."""

import random

import pytest
from mails import mail, patch, reply, series
from store.conftest import Store

from ingestd.errors import InputError
from ingestd.store import events, read, regroup, relinks

FIRST = series("20261102100000.1", 3, title="First")[:3]  # without its last patch
SECOND = series("20261103100000.2", 2, title="Second")
STRAY = patch(
    "stray@example.com", "[PATCH 3/3] by another", author="Bob <bob@example.com>", file="part3.c", new="stray"
)
COVER, HEAD = "20261102100000.1-0-ann@example.org", "20261102100000.1-1-ann@example.org"
OTHER = "20261103100000.2-0-ann@example.org"


async def say(store: Store, message_id: str, series_key: str | None) -> None:
    """Relink; None: a series of its own."""
    async with store.database.ingest() as connection:
        message = await read.find(connection, message_id, None)
        if series_key is None:
            await relinks.set_apart(connection, message)
        else:
            await relinks.move(connection, message, series_key)


async def undo(store: Store, message_id: str) -> None:
    async with store.database.ingest() as connection:
        await relinks.take_back(connection, await read.find(connection, message_id, None))


async def explain(store: Store, message_id: str) -> dict[str, str]:
    async with store.database.transaction() as connection:
        return dict(await read.place(connection, await read.find(connection, message_id, None)))


async def test_a_stray_patch_completes_the_series_it_is_put_into(store: Store) -> None:
    await store.put_batches([FIRST, [STRAY]])
    assert (await store.series())[COVER]["missing"] == [3]
    await say(store, "stray@example.com", COVER)
    found = await store.series()
    assert (found[COVER]["posted"]["3"], found[COVER]["complete"]) == (["stray@example.com"], True)
    assert "stray@example.com" not in found
    lines = await explain(store, "stray@example.com")
    assert lines["series"] == f"{COVER}: posted 3 of 3, version 1 (somebody said so (ingestd relink))"
    assert lines["relinked"].startswith(f"to the series of {COVER}, said on 20")
    assert await store.ask("SELECT message_id, target_message_id FROM ingestd_v1.relink") == [
        ("stray@example.com", COVER)
    ]
    categories = await store.ask("SELECT category FROM ingestd_v1.event ORDER BY cursor")
    assert categories[-5:] == [
        *("mail-relinked", "series-removed", "series-changed"),
        *("patch-completed", "series-completed"),
    ]


async def test_undo_puts_everything_back(store: Store) -> None:
    await store.put_batches([FIRST, [STRAY]])
    before = await store.dump()
    await say(store, "stray@example.com", COVER)
    assert await store.dump() != before
    await undo(store, "stray@example.com")
    assert await store.dump() == before
    assert "relinked" not in await explain(store, "stray@example.com")
    with pytest.raises(InputError, match="nothing was said"):
        await undo(store, "stray@example.com")


async def test_the_last_word_holds(store: Store) -> None:
    await store.put_batches([FIRST, SECOND, [STRAY]])
    await say(store, "stray@example.com", COVER)
    await say(store, "stray@example.com", OTHER)
    found = await store.series()
    assert (found[COVER]["missing"], found[OTHER]["posted"]["3"]) == ([3], ["stray@example.com"])
    await say(store, "stray@example.com", None)
    found = await store.series()
    assert found["stray@example.com"]["posted"] == {"3": ["stray@example.com"]}
    assert (await explain(store, "stray@example.com"))["relinked"].startswith("to a series of its own")


async def test_a_word_survives_a_better_delivery_and_regrouping(store: Store) -> None:
    """Both read the mail anew, or group it anew: as reparse does."""
    munged = STRAY.replace(
        b"From: Bob <bob@example.com>",
        b"From: Bob via demo <demo@example.org>\nReply-To: Bob <bob@example.com>",
    )
    await store.put_batches([FIRST, [munged]])
    await say(store, "stray@example.com", COVER)
    moved = (await store.series())[COVER]
    await store.put_batches([[STRAY]])
    assert await store.ask("SELECT sender_email FROM ingestd_v1.message WHERE message_id = 'stray@example.com'") == [
        "bob@example.com"
    ]
    assert (await store.series())[COVER] == moved
    threads = await store.ask("SELECT id FROM ingestd.thread")
    async with store.database.ingest() as connection:
        assert await regroup.regroup(connection, threads) == []
    assert (await store.series())[COVER] == moved
    munged_again = munged.replace(b"via demo", b"via demo list")
    await store.put_batches([[munged_again]])
    assert (await store.series())[COVER] == moved


async def test_a_word_holds_when_the_cover_comes_later(store: Store) -> None:
    """The key of the series is another one then."""
    await store.put_batches([FIRST[1:], [STRAY]])
    await say(store, "stray@example.com", HEAD)
    await store.put_batches([FIRST[:1]])
    assert (await store.series())[COVER]["posted"]["3"] == ["stray@example.com"]


async def test_a_mail_may_be_held_where_it_is(store: Store) -> None:
    """The series has the key of the very mail: it stays with the others."""
    await store.put_batches([FIRST[1:]])
    await say(store, HEAD, HEAD)
    assert sorted((await store.series())[HEAD]["posted"]) == ["1", "2"]


async def test_words_on_each_other_are_followed(store: Store) -> None:
    """The series has the key of a mail that was put there before: that one is no circle."""
    second = patch("second@example.com", "[PATCH 2/3] by a third", author="Cyd <cyd@example.com>", file="part2.c")
    await store.put_batches([[STRAY, second]])
    await say(store, "second@example.com", "stray@example.com")
    assert (await store.series())["second@example.com"]["posted"] == {
        "2": ["second@example.com"],
        "3": ["stray@example.com"],
    }
    await say(store, "stray@example.com", "second@example.com")
    assert sorted(await store.series()) == ["second@example.com"]
    await store.put_batches([FIRST])
    await say(store, "second@example.com", COVER)
    found = await store.series()
    assert (found[COVER]["effective"]["2"], found[COVER]["missing"]) == ("second@example.com", [3])
    assert found["stray@example.com"]["posted"] == {"3": ["stray@example.com"]}, "held where it was, alone now"


async def test_what_cannot_be_said_changes_nothing(store: Store) -> None:
    answer = reply("ok@example.com", COVER, "[PATCH 0/3] First", "Looks good.\n")
    elsewhere = patch("far@example.org", "[PATCH] far", list_id="other.example.org")
    await store.put_batches([FIRST, [answer, elsewhere]])
    before = await store.dump()
    with pytest.raises(InputError, match="no diff and is no cover"):
        await say(store, "ok@example.com", COVER)
    with pytest.raises(InputError, match="no series has this key on the mail's list"):
        await say(store, "far@example.org", COVER)
    with pytest.raises(InputError, match="no series has this key"):
        await say(store, HEAD, HEAD)
    assert await store.dump() == before
    assert await store.ask("SELECT count(*) FROM ingestd_v1.relink") == [0]


@pytest.mark.parametrize("seed", range(3))
async def test_words_and_mails_in_any_order(store: Store, quiet_store: Store, seed: int) -> None:
    """A word is said as soon as mail and series are there; whatever comes after, the end is the same."""
    words = [
        ("stray@example.com", COVER),
        ("20261103100000.2-2-ann@example.org", COVER),
        ("fix@example.com", OTHER),
        (COVER, COVER),
    ]
    fix = mail("fix@example.com", "a cover of no number", "Why.\n", author="Cyd <cyd@example.com>")
    again = series("20261109100000.3", 3, version=2, title="First")
    answer = reply("ok@example.com", "stray@example.com", "[PATCH 3/3] by another", "Fine.\n")
    mails = [*FIRST, *SECOND, STRAY, fix, *again, answer]
    await quiet_store.put_batches([mails])
    for one in words:
        await say(quiet_store, *one)
    dice = random.Random(seed)
    mails = [*mails, *dice.sample(mails, 4)]
    dice.shuffle(mails)
    unsaid = dict(words)
    for raw in mails:
        await store.put_batches([[raw]])
        for message_id, key in list(unsaid.items()):
            there = await store.ask(
                "SELECT (SELECT count(*) FROM ingestd.message WHERE key = :m) * (SELECT count(*) FROM ingestd.series"
                " WHERE key = :k)",
                m=message_id,
                k=key,
            )
            if there == [1] and dice.random() < 0.5:
                await say(store, message_id, key)
                del unsaid[message_id]
    for one in dice.sample(sorted(unsaid.items()), len(unsaid)):
        await say(store, *one)
    assert await store.dump() == await quiet_store.dump()


async def test_the_word_of_one_list_is_not_that_of_another(store: Store) -> None:
    copies = [raw.replace(b"<demo.example.org>", b"<other.example.org>") for raw in (*FIRST, STRAY)]
    await store.put_batches([[*FIRST, STRAY], copies])
    await say(store, "stray@example.com", COVER)  # on the list that sorts first
    found = await store.ask(
        "SELECT l.list_id, s.received FROM ingestd.series s JOIN ingestd.list l ON l.id = s.list WHERE s.key = :key"
        " ORDER BY 1",
        key=COVER,
    )
    assert found == [("demo.example.org", 3), ("other.example.org", 2)]
    assert set(await store.ask("SELECT category FROM ingestd_v1.event")) <= set(events.CATEGORIES)
