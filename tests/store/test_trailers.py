"""Trailers of replies reach the patches they are about: directly, over the cover, and with the same diff."""

import random
from typing import Any

import pytest
from mails import patch, reply, series
from store.conftest import Store

from ingestd.store import read

V1 = series("20261102100000.1", 2, title="Title")
COVER, ONE, TWO = (f"20261102100000.1-{number}-ann@example.org" for number in range(3))
REVIEW = "Reviewed-by: Rob Reviewer <rob@example.com>"
ACK = "Acked-by: Mia Maintainer <mia@example.net>"

# The second version: part 1 has the very same diff, part 2 another one.
V2 = [
    raw.replace(b"Mon, 2 Nov", b"Thu, 5 Nov").replace(b"+version2", b"+version1") if b"part1.c" in raw else raw
    for raw in (
        one.replace(b"Mon, 2 Nov", b"Thu, 5 Nov") for one in series("20261105100000.2", 2, version=2, title="Title")
    )
]
ONE2, TWO2 = (f"20261105100000.2-{number}-ann@example.org" for number in (1, 2))


def says(message_id: str, to: str, text: str, author: str = "Rob Reviewer <rob@example.com>") -> bytes:
    return reply(message_id, to, "[PATCH 0/2] Title", f"Fine.\n\n{text}\n", author=author)


async def given(store: Store, message_id: str) -> list[Any]:
    """(name, source, reason, via) of what replies gave to a mail."""
    return await store.ask(
        "SELECT name, source_message_id, reason, via_message_id FROM ingestd_v1.trailer"
        " WHERE message_id = :m AND reason <> 'own' ORDER BY 2, 3",
        m=message_id,
    )


async def reviews(store: Store, message_id: str) -> tuple[list[str], list[str]]:
    async with store.database.transaction() as connection:
        return await read.reviews(connection, await read.find(connection, message_id, None))


async def test_a_reply_to_a_reply_climbs_to_the_patch(store: Store) -> None:
    await store.put_batches([V1, [says("r1@x.org", ONE, "Hm."), says("r2@x.org", "r1@x.org", REVIEW)]])
    assert await given(store, ONE) == [("Reviewed-by", "r2@x.org", "reply", None)]
    assert await given(store, TWO) == []


async def test_on_the_cover_it_reaches_all_patches(store: Store) -> None:
    await store.put_batches([V1, [says("r@x.org", COVER, REVIEW)]])
    assert await given(store, COVER) == [("Reviewed-by", "r@x.org", "reply", None)]
    for one in (ONE, TWO):
        assert await given(store, one) == [("Reviewed-by", "r@x.org", "cover", COVER)]
        assert await reviews(store, one) == ([REVIEW], [])


async def test_a_cover_without_a_number_is_one_too(store: Store) -> None:
    """A plain title that patches answer, or what a human made the cover."""
    plain = V1[0].replace(b"[PATCH 0/2] Title", b"What Title is about")
    await store.put_batches([[says("r@x.org", COVER, REVIEW)], [plain], V1[1:]])
    assert await store.ask("SELECT kind FROM ingestd_v1.message WHERE message_id = :m", m=COVER) == ["other"]
    for one in (ONE, TWO):
        assert await given(store, one) == [("Reviewed-by", "r@x.org", "cover", COVER)]


async def test_what_a_cover_does_not_spread(store: Store) -> None:
    """Who signs off a series applied it; Fixes and Link are about one commit; nobody reviews by own cover letter."""
    text = 'Signed-off-by: Rob Reviewer <rob@example.com>\nFixes: 0123456789ab ("x")\nLink: https://example.org/1'
    cover = V1[0].replace(b"What it is about.\n", b"What it is about.\n\nReviewed-by: Ann Author <ann@example.org>\n")
    await store.put_batches([[cover, *V1[1:]], [says("r@x.org", COVER, text)]])
    assert await given(store, ONE) == []
    flags = await store.ask(
        "SELECT name, sender_matches FROM ingestd_v1.trailer WHERE source_message_id = 'r@x.org' ORDER BY name"
    )
    assert flags == [("Fixes", None), ("Link", None), ("Signed-off-by", True)]


async def test_carried_to_the_next_version_with_the_same_diff(store: Store) -> None:
    await store.put_batches([V1, V2, [says("r1@x.org", ONE, REVIEW), says("r2@x.org", TWO, REVIEW)]])
    assert await given(store, ONE2) == [("Reviewed-by", "r1@x.org", "carried", ONE)]
    assert await reviews(store, ONE2) == ([REVIEW], [])
    assert await given(store, TWO2) == [], "another diff is another patch"
    assert await given(store, ONE) == [("Reviewed-by", "r1@x.org", "reply", None)], "never back"


async def test_carried_from_the_cover_and_over_two_versions(store: Store) -> None:
    v3 = [
        raw.replace(b"Thu, 5 Nov", b"Sat, 7 Nov")
        .replace(b"20261105100000.2", b"20261107100000.3")
        .replace(b"v2", b"v3")
        for raw in V2
    ]
    await store.put_batches([v3, V2, V1, [says("a@x.org", COVER, ACK, "Mia Maintainer <mia@example.net>")]])
    assert await given(store, "20261107100000.3-1-ann@example.org") == [("Acked-by", "a@x.org", "carried", ONE)]
    assert await given(store, "20261107100000.3-2-ann@example.org") == []


async def test_the_same_diff_of_a_series_that_is_no_older_version_carries_nothing(store: Store) -> None:
    other = patch("x@example.org", "[PATCH] something else", file="part1.c", new="version1")
    await store.put_batches([V1, [other, says("r@x.org", ONE, REVIEW)]])
    assert await store.ask("SELECT count(DISTINCT patch_id) FROM ingestd_v1.patch WHERE patch_id IS NOT NULL") == [2]
    assert await given(store, "x@example.org") == []


async def test_a_cover_reaches_only_re_rolls_that_were_there(store: Store) -> None:
    reroll = patch(
        "again@example.org",
        "[PATCH v1.1 2/2] Title: part 2",
        file="part2.c",
        new="again",
        reply_to=TWO,
        date="Wed, 4 Nov 2026 10:00:00 +0000",
    )
    early = says("early@x.org", COVER, REVIEW)
    late = says("late@x.org", COVER, ACK, "Mia Maintainer <mia@example.net>").replace(b"Tue, 3 Nov", b"Fri, 6 Nov")
    await store.put_batches([V1, [reroll, early, late]])
    assert await given(store, "again@example.org") == [("Acked-by", "late@x.org", "cover", COVER)]
    assert [one[1] for one in await given(store, TWO)] == ["early@x.org", "late@x.org"]


async def test_a_re_roll_with_the_same_diff_keeps_what_was_given(store: Store) -> None:
    reworded = V1[2].replace(TWO.encode(), b"again@example.org").replace(b"[PATCH 2/2]", b"[PATCH v1.1 2/2]")
    reworded = reworded.replace(f"<{COVER}>".encode(), f"<{TWO}>".encode()).replace(b"Mon, 2 Nov", b"Wed, 4 Nov")
    await store.put_batches([V1, [reworded, says("r@x.org", TWO, REVIEW)]])
    assert (await store.series())[COVER]["effective"]["2"] == "again@example.org"
    assert await given(store, "again@example.org") == [("Reviewed-by", "r@x.org", "carried", TWO)]
    assert await given(store, TWO) == [("Reviewed-by", "r@x.org", "reply", None)]


async def test_who_stands_for_a_trailer(store: Store) -> None:
    authors = {
        "Rob Reviewer <rob@example.com>": True,
        "Rob Reviewer <rob@home.example.net>": True,  # by name
        '"Reviewer, Rob" <rob@home.example.net>': True,
        "rob <rob+lists@example.com>": True,
        "rob <rob@mail.example.com>": True,
        "rob <rob@a.mail.example.com>": False,
        "rob <bob@example.com>": False,
        "Eve Else <eve@example.com>": False,
    }
    answers = [says(f"r{number}@x.org", ONE, REVIEW, author) for number, author in enumerate(authors)]
    await store.put_batches([V1, answers])
    assert await store.ask(
        "SELECT sender_matches FROM ingestd_v1.trailer WHERE reason = 'reply' ORDER BY source_message_id"
    ) == list(authors.values())


async def test_what_its_sender_does_not_stand_for_is_kept_apart(store: Store) -> None:
    await store.put_batches([V1, [says("r@x.org", ONE, REVIEW, "Eve Else <eve@example.com>")]])
    assert await reviews(store, ONE) == ([], [f"{REVIEW} (in r@x.org)"])


async def test_a_single_word_is_no_proof(store: Store) -> None:
    await store.put_batches([V1, [says("r@x.org", ONE, "Reviewed-by: rob <rob@example.com>", "rob <rob@else.net>")]])
    assert (await reviews(store, ONE))[0] == []


async def test_explain_says_where_trailers_are_from(store: Store) -> None:
    forged = says("r2@x.org", ONE, ACK)
    await store.put_batches([V1, V2, [says("r1@x.org", ONE, REVIEW), forged]])
    async with store.database.transaction() as connection:
        found = await read.place(connection, await read.find(connection, ONE2, None))
    assert [value for name, value in found if name == "trailer"] == [
        f"{REVIEW} (in r1@x.org, to the same diff {ONE})",
        f"{ACK} (in r2@x.org, to the same diff {ONE}; not by its sender)",
    ]


@pytest.mark.parametrize("seed", range(3))
async def test_any_order_gives_the_same_trailers(store: Store, seed: int) -> None:
    mails = [*V1, *V2, says("r1@x.org", ONE, REVIEW), says("a@x.org", COVER, ACK, "Mia Maintainer <mia@example.net>")]
    random.Random(seed).shuffle(mails)
    await store.put_batches([[raw] for raw in mails])
    assert [await reviews(store, one) for one in (ONE2, TWO2)] == [([ACK, REVIEW], []), ([], [])]
