"""Links to mails that nobody has sent yet resolve when these come; a correction wins; copies are one a list."""

from typing import Any

from mails import diff, mail, patch, reply, series
from store.conftest import Store

from ingestd.store import read

BASE = series("20261102100000.1", 2, title="Base")
BASE_COVER, BASE_ONE = "20261102100000.1-0-ann@example.org", "20261102100000.1-1-ann@example.org"
OTHER = series("20261102110000.9", 2, title="Other base")
OTHER_COVER = "20261102110000.9-0-ann@example.org"


def cover_that_says(line: str, message_id: str = "top@example.org") -> list[bytes]:
    return [
        mail(message_id, "[PATCH 0/1] Top", f"Text.\n\n{line}\n", date="Wed, 4 Nov 2026 10:00:00 +0000"),
        patch(f"p-{message_id}", "[PATCH 1/1] Top: it", reply_to=message_id, date="Wed, 4 Nov 2026 10:01:00 +0000"),
    ]


async def links(store: Store) -> list[Any]:
    """(type, key of the series, key of the one it is said of, current)."""
    return await store.ask(
        "SELECT k.type, s.key, o.key, k.current FROM ingestd_v1.link k"
        " LEFT JOIN ingestd.series s ON s.id = k.resolved_series_id"
        " LEFT JOIN ingestd.series o ON o.id = k.series_id ORDER BY k.message_id, k.target_message_id"
    )


async def explained(store: Store, message_id: str) -> list[tuple[str, str]]:
    async with store.database.transaction() as connection:
        return await read.place(connection, await read.find(connection, message_id, None))


async def test_based_on_a_series_that_comes_later(store: Store) -> None:
    """Patchwork resolves Depends-on only where the other is stored already."""
    await store.put_batches([cover_that_says(f"Based-on: <{BASE_ONE}>")])
    assert await links(store) == [("based-on", None, "top@example.org", True)]
    assert ("based-on", f"{BASE_ONE}: not here") in await explained(store, "top@example.org")
    await store.put_batches([BASE])
    assert await links(store) == [("based-on", BASE_COVER, "top@example.org", True)]
    assert ("based-on", f"{BASE_ONE}: series {BASE_COVER}") in await explained(store, "top@example.org")


async def test_a_correction_in_a_reply_wins(store: Store) -> None:
    """Patchew takes the first of an unordered list, for good (its issue 90)."""
    mine = "Ann Author <ann@example.org>"
    correction = reply(
        "fix@example.org", "p-top@example.org", "x", f"Oops.\n\nBased-on: <{OTHER_COVER}>\n", author=mine
    )
    correction = correction.replace(b"Tue, 3 Nov", b"Thu, 5 Nov")
    stranger = reply("eve@example.org", "top@example.org", "x", f"No.\n\nBased-on: <{BASE_ONE}>\n")
    stranger = stranger.replace(b"Tue, 3 Nov", b"Fri, 6 Nov")
    await store.put_batches([[correction], OTHER, cover_that_says(f"Based-on: <{BASE_COVER}>"), BASE, [stranger]])
    assert await links(store) == [
        ("based-on", BASE_COVER, "top@example.org", True),  # a stranger's word, and no correction
        ("based-on", OTHER_COVER, "top@example.org", True),
        ("based-on", BASE_COVER, "top@example.org", False),
    ]
    assert ("based-on", f"{BASE_COVER}: series {BASE_COVER}; corrected") in await explained(store, "top@example.org")


async def test_prerequisites_are_the_newest_version_with_that_diff(store: Store) -> None:
    await store.put_batches([BASE])
    (patch_id,) = await store.ask("SELECT patch_id FROM ingestd_v1.patch WHERE message_id = :m", m=BASE_ONE)
    await store.put_batches([cover_that_says(f"prerequisite-patch-id: {patch_id}")])
    assert await links(store) == [("prerequisite", BASE_COVER, "top@example.org", True)]
    again = [
        raw.replace(b"+version2", b"+version1").replace(b"Mon, 2 Nov", b"Tue, 3 Nov")
        for raw in series("20261103100000.2", 2, title="Base", version=2)
    ]
    await store.put_batches([again])
    assert await links(store) == [("prerequisite", "20261103100000.2-0-ann@example.org", "top@example.org", True)]


async def test_change_ids_resolve_too(store: Store) -> None:
    """b4's prerequisite-change-id."""
    await store.put_batches([cover_that_says("prerequisite-change-id: 20260309-base-5fedcff8ffe8:v1")])
    base = patch("base@example.org", "[PATCH] base")
    named = base.replace(b"---\n file.c", b"---\nchange-id: 20260309-base-5fedcff8ffe8\n file.c", 1)
    assert await links(store) == [("depends-on", None, "top@example.org", True)]
    await store.put_batches([[named]])
    assert await links(store) == [("depends-on", "base@example.org", "top@example.org", True)]
    assert (await read.status(store.database))["oldest_unresolved_link"] is None


async def test_a_target_on_another_list(store: Store) -> None:
    elsewhere = [raw.replace(b"<demo.example.org>", b"<other.example.org>") for raw in BASE]
    await store.put_batches([elsewhere, cover_that_says(f"Depends-on: <{BASE_COVER}>")])
    assert await store.ask(
        "SELECT s.list_id FROM ingestd_v1.link k JOIN ingestd_v1.series s ON s.id = k.resolved_series_id"
    ) == ["other.example.org"]
    await store.put_batches([BASE])
    assert await store.ask(
        "SELECT s.list_id FROM ingestd_v1.link k JOIN ingestd_v1.series s ON s.id = k.resolved_series_id"
    ) == ["demo.example.org"]


async def test_cross_posted_mails_are_one_a_list_joined_by_message_id(store: Store) -> None:
    """Each list has its own thread and series; a list's footer and tag make no other mail of a copy (Patchwork 199)."""
    copies = [
        raw.replace(b"<demo.example.org>", b"<other.example.org>").replace(b"Subject: ", b"Subject: [other] ")
        for raw in BASE
    ]
    await store.put_batches([[BASE[0], copies[2], BASE[1]], [copies[0], BASE[2], copies[1]]])
    found = await store.ask(
        "SELECT message_id, count(*), count(DISTINCT list_id), count(DISTINCT content_key), count(DISTINCT thread_id)"
        " FROM ingestd_v1.message GROUP BY 1"
    )
    assert {one[1:] for one in found} == {(2, 2, 1, 2)}
    assert await store.ask("SELECT list_id, received, complete FROM ingestd_v1.series ORDER BY 1") == [
        ("demo.example.org", 2, True),
        ("other.example.org", 2, True),
    ]
    assert ("also on", "other.example.org") in await explained(store, BASE_ONE)


async def test_a_reply_with_the_same_diff_line_is_no_link(store: Store) -> None:
    """What is quoted is somebody else's word."""
    quoted = reply("q@example.com", "top@example.org", "x", f"> Based-on: <{BASE_COVER}>\n> {diff()[:10]}\nWhy?\n")
    await store.put_batches([cover_that_says("Nothing."), [quoted], BASE])
    assert await links(store) == []
