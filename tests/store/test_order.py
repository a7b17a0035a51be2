"""The database is a function of the mails: order, batches, repetition and parallelism don't change it."""

import asyncio
import json
import random

import pytest
from mails import diff, mail, patch, reply, series
from store.conftest import Store

from ingestd.store import revisions

REVIEW = "Reviewed-by: Rob Reviewer <rob@example.com>\n"

THREADS = [
    *series("20261102100000.1", 3, title="First"),
    *series("20261102110000.2", 3, version=2, title="First"),
    *series("20261102120000.3", 4, title="Without cover", cover=False),
    reply("r1@example.com", "20261102100000.1-2-ann@example.org", "[PATCH 2/3] First: part 2", REVIEW),
    reply("r2@example.com", "r1@example.com", "[PATCH 2/3] First: part 2", "Thanks.\n"),
    reply("r3@example.com", "nobody-has-sent-this@example.com", "something", "A reply to a mail that never came.\n"),
    patch("single@example.org", "[PATCH] One alone", file="alone.c"),
    patch("single2@example.org", "[PATCH v2] One alone", file="alone.c", new="4", reply_to="single@example.org"),
    patch(
        "reroll@example.org",
        "[PATCH v2.1 2/3] First: part 2",
        file="part2.c",
        new="again",
        reply_to="20261102110000.2-2-ann@example.org",
        date="Wed, 4 Nov 2026 09:00:00 +0000",
    ),
    mail("same@example.org", "First under this id", "One.\n"),
    mail("same@example.org", "Second under this id", "Two.\n", date="Mon, 2 Nov 2026 11:00:00 +0000"),
    mail(None, "No id", "A mail without Message-ID.\n"),
    mail("elsewhere@example.org", "On another list", list_id="other.example.org"),
]


async def expected(store: Store) -> list[str]:
    await store.put_batches([THREADS])
    return await store.dump()


@pytest.mark.parametrize("seed", range(6))
async def test_any_order_in_any_batches_with_repeats_is_the_same(
    store: Store, seed: int, quiet_dump: list[str]
) -> None:
    dice = random.Random(seed)
    mails = THREADS + dice.sample(THREADS, 8)
    dice.shuffle(mails)
    batches = []
    while mails:
        size = dice.choice((1, 1, 2, 5, 9))
        batches.append(mails[:size])
        mails = mails[size:]
    await store.put_batches(batches)
    assert await store.dump() == quiet_dump


async def test_two_daemons_at_once_are_the_same(store: Store, other_store: Store, quiet_dump: list[str]) -> None:
    async def some(one: Store, mails: list[bytes]) -> None:
        for raw in mails:
            await one.put_batches([[raw]])

    await asyncio.gather(some(store, THREADS[::2]), some(other_store, THREADS[1::2]), some(store, THREADS[::-3]))
    assert await store.dump() == quiet_dump


async def test_crlf_and_a_missing_last_newline_are_the_same_mail(store: Store, quiet_dump: list[str]) -> None:
    await store.put_batches([[raw.replace(b"\n", b"\r\n").removesuffix(b"\r\n") for raw in THREADS]])
    assert await store.dump() == quiet_dump


@pytest.fixture
async def quiet_dump(quiet_store: Store) -> list[str]:
    return await expected(quiet_store)


async def test_the_expected_series_are_there(store: Store) -> None:
    await expected(store)
    found = await store.series()
    first, second = found["20261102100000.1-0-ann@example.org"], found["20261102110000.2-0-ann@example.org"]
    assert (first["name"], first["total"], first["complete"], first["supersedes"]) == ("First", 3, True, None)
    assert (second["version"], second["supersedes"]) == (2, first["key"])
    assert second["effective"]["2"] == "reroll@example.org"
    without = found["20261102120000.3-1-ann@example.org"]
    assert (without["cover"], sorted(without["posted"]), without["complete"]) == (None, ["1", "2", "3", "4"], True)
    assert found["single2@example.org"]["supersedes"] == "single@example.org"
    assert all(line["kind"] in {"series", "single"} for line in found.values())


async def test_a_title_that_very_many_share_says_nothing_in_any_order(
    store: Store, quiet_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revisions, "WIDELY_SHARED", 5)
    mails = [
        patch(
            f"p{number}@example.org",
            "[PATCH] Fix typo",
            file=f"{number}.c",
            date=f"Mon, {number} Nov 2026 10:00:00 +0000",
        )
        for number in range(1, 9)
    ]
    await store.put_batches([mails[:4]])
    few = await store.series()
    assert [few[key]["supersedes"] for key in sorted(few)] == [
        None,
        "p1@example.org",
        "p2@example.org",
        "p3@example.org",
    ]
    await store.put_batches([[raw] for raw in mails[4:]])
    assert {line["supersedes"] for line in (await store.series()).values()} == {None}
    await quiet_store.put_batches([[raw] for raw in reversed(mails)])
    assert await quiet_store.dump() == await store.dump()


async def test_who_superseded_a_series_that_is_gone_falls_back_in_any_order(store: Store, quiet_store: Store) -> None:
    old = patch("old@example.org", "[PATCH] Title", date="Sun, 1 Nov 2026 10:00:00 +0000")
    # The munged delivery looks like a patch of the author's; the better one says that it is somebody's answer.
    munged = patch(
        "x@example.org",
        "[PATCH v2] Another",
        author="Ann Author via demo <demo@example.org>",
        headers=[("Reply-To", "Ann Author <ann@example.org>")],
    )
    plain = patch("x@example.org", "Re: [PATCH v2] Another")
    new = mail(
        "new@example.org",
        "[PATCH v3] Title",
        f"Text.\n\nSupersedes: <x@example.org>\n---\n{diff()}",
        date="Wed, 4 Nov 2026 10:00:00 +0000",
    )
    await store.put_batches([[old], [munged], [new], [plain]])
    await quiet_store.put_batches([[plain], [new], [old], [munged]])
    assert await store.dump() == await quiet_store.dump()
    assert (await store.series())["new@example.org"]["supersedes"] == "old@example.org"


async def test_nobody_can_forge_the_key_of_another_mail_in_any_order(store: Store, quiet_store: Store) -> None:
    variants = [
        patch("used@example.org", "[PATCH] First", file="a.c"),
        patch("used@example.org", "[PATCH] Second", file="b.c", new="4", date="Tue, 3 Nov 2026 10:00:00 +0000"),
    ]
    await store.put_batches([variants])
    (key,) = [line for line in await store.series() if "#" in line]
    forged = patch(key, "[PATCH] Third", file="c.c", reply_to="used@example.org")
    answer = reply("answer@example.com", key, "[PATCH] Third", "Which one?\n")
    await store.put_batches([[forged, answer]])
    lines = [json.loads(line) for line in await store.dump()]
    keys = [line["key"] for line in lines if line["type"] == "message"]
    assert len(set(keys)) == len(keys) == 4
    (parent,) = [line["parent"] for line in lines if line["key"] == "answer@example.com"]
    assert parent.startswith(f"{key}#")
    await quiet_store.put_batches([[answer], [forged], *([raw] for raw in reversed(variants))])
    assert await quiet_store.dump() == await store.dump()


@pytest.mark.parametrize("order", [[1, 2, 3], [1, 3, 2], [3, 2, 1]])
async def test_the_first_that_replaces_a_series_is_the_oldest_whatever_came_first(
    store: Store, order: list[int]
) -> None:
    mails = {
        version: patch(
            f"v{version}@example.org",
            "[PATCH] Title" if version == 1 else f"[PATCH v{version}] Title",
            new=f"version{version}",
            date=f"Mon, {version} Nov 2026 10:00:00 +0000",
        )
        for version in order
    }
    await store.put_batches([[mails[version]] for version in order])
    found = await store.ask(
        "SELECT s.key, n.key FROM ingestd_v1.series s "
        "LEFT JOIN ingestd_v1.series n ON n.id = s.superseded_by ORDER BY 1"
    )
    assert found == [
        ("v1@example.org", "v2@example.org"),
        ("v2@example.org", "v3@example.org"),
        ("v3@example.org", None),
    ]


async def test_the_last_patch_of_v2_comes_before_v1_its_cover_and_its_parent(store: Store) -> None:
    first = series("20261102100000.1", 2, title="Title")
    second = [
        raw.replace(b"Mon, 2 Nov", b"Thu, 5 Nov") for raw in series("20261105100000.2", 2, version=2, title="Title")
    ]
    second[0] = second[0].replace(b"\nList-Id:", b"\nIn-Reply-To: <20261102100000.1-0-ann@example.org>\nList-Id:", 1)
    for raw in (second[2], first[2], second[1], first[1], second[0], first[0]):
        await store.put_batches([[raw]])
    found = {key: (one["version"], one["complete"], one["supersedes"]) for key, one in (await store.series()).items()}
    assert found == {
        "20261102100000.1-0-ann@example.org": (1, True, None),
        "20261105100000.2-0-ann@example.org": (2, True, "20261102100000.1-0-ann@example.org"),
    }


async def test_a_series_of_430_patches_arrives_shuffled(store: Store) -> None:
    mails = series("20261102100000.1", 430)
    dice = random.Random(430)
    dice.shuffle(mails)
    while mails:
        size = dice.choice((1, 5, 20, 40))
        await store.put_batches([mails[:size]])
        mails = mails[size:]
    (found,) = (await store.series()).values()
    assert (found["total"], found["complete"], len(found["effective"])) == (430, True, 430)
    assert await store.ask("SELECT count(*) FROM ingestd_v1.event WHERE category = 'series-completed'") == [1]


async def test_two_unthreaded_series_of_one_author_arrive_interleaved(store: Store) -> None:
    runs = {"20261102100000.11": "foo", "20261102100001.12": "bar"}
    mails = [
        patch(
            f"{run}-{number}-ann@example.org",
            f"[PATCH {number}/3] {topic}: part {number}",
            file=f"{topic}{number}.c",
            date=f"Mon, 2 Nov 2026 10:{number:02}:00 +0000",
        )
        for number in (2, 3, 1)
        for run, topic in runs.items()
    ]
    await store.put_batches([[raw] for raw in mails])
    found = await store.series()
    assert {key: sorted(one["posted"].values()) for key, one in found.items()} == {
        f"{run}-1-ann@example.org": [[f"{run}-{number}-ann@example.org"] for number in (1, 2, 3)] for run in runs
    }
