"""What `explain` and `export` ask of the database, and what they make of it."""

import pytest
from mails import mail, patch, reply, series
from store.conftest import Store

from ingestd.errors import InputError
from ingestd.mail.export import mbox_entry
from ingestd.store import read

FIRST = series("20261102100000.1", 2)
REROLL = patch(
    "reroll@example.org",
    "[PATCH v1.1 2/2] A title: part 2",
    file="part2.c",
    new="again",
    reply_to="20261102100000.1-2-ann@example.org",
    date="Tue, 3 Nov 2026 10:00:00 +0000",
)
SECOND = series("20261105100000.2", 2, version=2)


async def place(store: Store, key: str) -> dict[str, str]:
    async with store.database.transaction() as connection:
        return dict(await read.place(connection, await read.find(connection, f"<{key}>", None)))


async def export(store: Store, key: str, *, trailers: bool = False) -> tuple[list[str], tuple[int, ...]]:
    async with store.database.transaction() as connection:
        messages, missing = await read.series_of(connection, await read.find(connection, key, None))
        patches = [await read.patch(connection, id_) for id_ in messages]
        reviews = [(await read.reviews(connection, id_))[0] if trailers else [] for id_ in messages]
    return [mbox_entry(*one).decode() for one in zip(patches, reviews, strict=True)], missing


async def test_a_member_is_explained_by_its_series_and_what_that_supersedes(store: Store) -> None:
    await store.put_batches([FIRST, SECOND])
    found = await place(store, "20261105100000.2-1-ann@example.org")
    assert found["stored on"] == "demo.example.org"
    assert found["answers"] == "20261105100000.2-0-ann@example.org"
    assert found["series"].startswith("20261105100000.2-0-ann@example.org: posted 1 of 2, version 2 (")
    assert found["supersedes"] == "20261102100000.1-0-ann@example.org (by title, confidence medium)"
    found = await place(store, "20261105100000.2-0-ann@example.org")
    assert found["series"].startswith("20261105100000.2-0-ann@example.org: cover 0 of 2, version 2 (")
    assert found["answers"] == "nothing that is there"


async def test_a_mail_of_no_series_is_in_none(store: Store) -> None:
    await store.put(mail("a@example.org", "Hello"))
    assert "series" not in await place(store, "a@example.org")
    with pytest.raises(InputError, match="belongs to no series"):
        await export(store, "a@example.org")
    with pytest.raises(InputError, match="no such mail"):
        await place(store, "nobody@example.org")


async def test_a_series_is_exported_in_order_with_re_rolls_laid_over(store: Store) -> None:
    await store.put_batches([FIRST[::-1], [REROLL]])
    for key in ("20261102100000.1-0-ann@example.org", "20261102100000.1-2-ann@example.org", "reroll@example.org"):
        entries, missing = await export(store, key)
        assert missing == ()
        assert ["+version1" in entries[0], "+again" in entries[1]] == [True, True]


async def test_missing_patches_are_said(store: Store) -> None:
    await store.put_batches([FIRST[:2]])
    entries, missing = await export(store, "20261102100000.1-1-ann@example.org")
    assert (len(entries), missing) == (1, (2,))


async def test_reviews_of_the_patch_and_of_the_cover_are_added_once_above_the_separator(store: Store) -> None:
    cover, first = "20261102100000.1-0-ann@example.org", "20261102100000.1-1-ann@example.org"
    review, ack = "Reviewed-by: Rob Reviewer <rob@example.com>", "Acked-by: Mia Maintainer <mia@example.net>"
    await store.put_batches(
        [
            FIRST,
            [reply("r1@example.com", first, "x", f"{review}\n"), reply("r2@example.com", first, "x", f"{review}\n")],
            [reply("r3@example.net", cover, "x", f"For all:\n\n{ack}\n", author="Mia Maintainer <mia@example.net>")],
        ]
    )
    entries, _ = await export(store, cover, trailers=True)
    assert f"Signed-off-by: Ann Author <ann@example.org>\n{review}\n{ack}\n---\n" in entries[0]
    assert entries[0].count(review) == 1
    assert review not in entries[1]
    assert ack in entries[1]
