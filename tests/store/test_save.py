"""What one stored mail leaves behind: identity, better deliveries, deliveries, trailers, events."""

import hashlib

from mails import mail, patch, reply, series
from store.conftest import Store

MUNGED = [("Reply-To", "Ann Author <ann@example.org>")]


async def test_a_redelivery_is_a_repeat_with_a_delivery_of_its_own(store: Store) -> None:
    first = mail("a@example.org", "Hello", headers=[("Received", "from a by b; Mon, 2 Nov 2026 10:00:01 +0000")])
    second = mail("a@example.org", "Hello", headers=[("Received", "from c by d; Mon, 2 Nov 2026 10:00:02 +0000")])
    outcomes = await store.put(first, second)
    one, two = [stored for outcome in outcomes if isinstance(outcome, list) for stored in outcome]
    assert (one.repeat, two.repeat, one.message == two.message) == (False, True, True)
    digests = await store.ask("SELECT raw_sha256 FROM ingestd_v1.delivery ORDER BY id")
    assert digests == [hashlib.sha256(raw).hexdigest() for raw in (first, second)]


async def test_the_row_is_read_from_the_delivery_with_the_author_in_from(store: Store) -> None:
    munged = mail("a@example.org", "[demo] Hello", author="Ann Author via demo <demo@example.org>", headers=MUNGED)
    plain = mail("a@example.org", "Hello")
    await store.put(munged)
    assert await store.ask("SELECT sender_email FROM ingestd_v1.message") == ["demo@example.org"]
    await store.put(plain)
    await store.put(munged)
    assert await store.ask("SELECT sender_email, subject FROM ingestd_v1.message") == [("ann@example.org", "Hello")]
    assert await store.ask("SELECT category FROM ingestd_v1.event WHERE category LIKE 'message-%' ORDER BY cursor") == [
        "message-created",
        "message-changed",
    ]
    assert await store.ask("SELECT count(*) FROM ingestd_v1.delivery") == [3]


async def test_a_better_delivery_that_loses_a_reference_lets_threads_come_apart(store: Store) -> None:
    root = mail("root@example.org", "Root")
    munged = mail(
        "b@example.org",
        "Re: Root",
        author="Ann via demo <demo@example.org>",
        headers=MUNGED,
        reply_to="root@example.org",
    )
    plain = mail("b@example.org", "Re: Root")
    child = mail("c@example.org", "Re: Root", reply_to="b@example.org")
    await store.put(root)
    await store.put(munged)
    await store.put(child)
    assert await store.ask("SELECT count(DISTINCT thread_id) FROM ingestd_v1.message") == [1]
    await store.put(plain)
    threads = dict(await store.ask("SELECT message_id, thread_id FROM ingestd_v1.message"))
    assert threads["b@example.org"] == threads["c@example.org"] != threads["root@example.org"]


async def test_other_content_under_a_used_id_is_a_mail_of_its_own(store: Store) -> None:
    await store.put(mail("a@example.org", "One", "One.\n", date="Tue, 3 Nov 2026 10:00:00 +0000"))
    await store.put(mail("a@example.org", "Two", "Two.\n"))
    keys = dict(await store.ask("SELECT subject, key FROM ingestd_v1.message"))
    assert keys["Two"] == "a@example.org"
    assert keys["One"].startswith("a@example.org#")


async def test_a_late_mail_binds_two_threads_and_the_old_id_still_leads_there(store: Store) -> None:
    await store.put(mail("a@example.org", "A"))
    await store.put(mail("c@example.org", "C", reply_to="b@example.org"))
    before = await store.ask("SELECT id FROM ingestd.thread ORDER BY id")
    await store.put(mail("b@example.org", "B", reply_to="a@example.org"))
    assert await store.ask("SELECT id FROM ingestd.thread") == before[:1]
    assert await store.ask("SELECT id, thread FROM ingestd.thread_alias") == [(before[1], before[0])]
    assert await store.ask("SELECT count(DISTINCT thread_id) FROM ingestd_v1.message") == [1]


async def test_a_series_keeps_its_id_while_its_mails_come(store: Store) -> None:
    mails = series("20261102100000.1", 3)
    for raw in reversed(mails):
        await store.put(raw)
    assert await store.ask("SELECT id, complete, received, name FROM ingestd_v1.series") == [(1, True, 3, "A title")]
    categories = await store.ask("SELECT category FROM ingestd_v1.event WHERE category LIKE 'series-%' ORDER BY cursor")
    assert categories[0] == "series-created"
    assert categories.count("series-completed") == 1


async def test_event_cursors_have_no_gap(store: Store) -> None:
    for raw in series("20261102100000.1", 3):
        await store.put(raw)
    cursors = await store.ask("SELECT cursor FROM ingestd_v1.event ORDER BY cursor")
    assert cursors == list(range(1, len(cursors) + 1))


async def test_trailers_of_replies_are_about_the_patch_they_answer(store: Store) -> None:
    await store.put(patch("p@example.org", "[PATCH] x"))
    await store.put(
        reply("r@example.com", "p@example.org", "[PATCH] x", "Good.\n\nReviewed-by: Rob Reviewer <rob@example.com>\n")
    )
    await store.put(
        reply("s@example.com", "r@example.com", "[PATCH] x", "Tested-by: Somebody Else <else@example.net>\n")
    )
    found = await store.ask(
        "SELECT source_message_id, name, from_matches FROM ingestd_v1.trailer "
        "WHERE message_id = 'p@example.org' ORDER BY 1"
    )
    assert found == [
        ("p@example.org", "Signed-off-by", True),
        ("r@example.com", "Reviewed-by", True),
        ("s@example.com", "Tested-by", False),
    ]


async def test_a_mail_for_two_lists_is_a_row_in_each(store: Store) -> None:
    raw = patch("p@example.org", "[PATCH] x")
    await store.put(raw, list_id="one.example.org")
    await store.put(raw, list_id="two.example.org")
    assert await store.ask("SELECT list_id, message_id FROM ingestd_v1.message ORDER BY 1") == [
        ("one.example.org", "p@example.org"),
        ("two.example.org", "p@example.org"),
    ]
    assert await store.ask("SELECT count(*) FROM ingestd.raw") == [1]


async def test_links_to_mails_that_come_later_are_resolved_where_they_are_read(store: Store) -> None:
    await store.put(mail("v2@example.org", "[PATCH v2 0/1] x", "Text.\n\nBased-on: <base@example.org>\n"))
    assert await store.ask("SELECT target_message_id, resolved_series_id FROM ingestd_v1.link") == [
        ("base@example.org", None)
    ]
    await store.put(patch("base@example.org", "[PATCH] base"))
    (resolved,) = await store.ask("SELECT resolved_series_id FROM ingestd_v1.link")
    assert resolved == (await store.ask("SELECT id FROM ingestd_v1.series WHERE key = 'base@example.org'"))[0]
