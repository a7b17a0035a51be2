"""A human's word on what a series supersedes: it goes before the rules, stays, and knows no order."""

import random

import pytest
from mails import mail, series
from store.conftest import Store

from ingestd.errors import InputError
from ingestd.forget import forget
from ingestd.store import read, relinks

FIRST = series("20261102100000.1", 2, title="First")
SECOND = series("20261103100000.2", 2, title="Second thoughts", version=2)
THIRD = series("20261104100000.3", 2, title="First", version=2)
ONE, TWO, THREE = (f"{stem}-0-ann@example.org" for stem in ("20261102100000.1", "20261103100000.2", "20261104100000.3"))


async def say(store: Store, message_id: str, key: str | None) -> None:
    async with store.database.ingest() as connection:
        await relinks.supersede(connection, await read.find(connection, message_id, None), key)


async def undo(store: Store, message_id: str) -> None:
    async with store.database.ingest() as connection:
        await relinks.take_back(connection, await read.find(connection, message_id, None))


async def order(store: Store) -> dict[str, str | None]:
    """Key of each series -> key of the one that it supersedes."""
    return {key: one["supersedes"] for key, one in (await store.series()).items()}


async def test_a_word_goes_before_the_rules_and_is_taken_back(store: Store) -> None:
    await store.put_batches([FIRST, SECOND, THIRD])
    before = await store.dump()
    natural = {ONE: None, TWO: None, THREE: ONE}
    assert await order(store) == natural
    await say(store, TWO, ONE)
    assert await order(store) == natural | {TWO: ONE}
    await say(store, THREE, TWO)
    assert await order(store) == natural | {TWO: ONE, THREE: TWO}
    await say(store, THREE, None)
    assert await order(store) == natural | {TWO: ONE, THREE: None}
    rows = "SELECT key, supersedes_evidence, supersedes_confidence FROM ingestd_v1.series ORDER BY key"
    assert await store.ask(rows) == [(ONE, None, None), (TWO, "relink", "high"), (THREE, "relink", "high")]
    assert await store.ask("SELECT message_id, target_message_id FROM ingestd_v1.succession ORDER BY 1") == [
        (TWO, ONE),
        (THREE, None),
    ]
    for message_id in (TWO, THREE):
        await undo(store, message_id)
    assert await store.dump() == before
    with pytest.raises(InputError, match="nothing was said"):
        await undo(store, THREE)


async def test_an_older_version_may_be_said_to_come_later(store: Store) -> None:
    await store.put_batches([FIRST, THIRD])
    await say(store, ONE, THREE)
    assert await order(store) == {ONE: THREE, THREE: None}
    await undo(store, ONE)
    assert await order(store) == {ONE: None, THREE: ONE}


@pytest.mark.parametrize("seed", range(4))
async def test_words_hold_whatever_comes_again_and_later(store: Store, quiet_store: Store, seed: int) -> None:
    await quiet_store.put_batches([FIRST, SECOND, THIRD])
    await say(quiet_store, THREE, TWO)
    mails = [*FIRST, *SECOND, *THIRD]
    dice = random.Random(seed)
    # When it is said the series are not complete.
    await store.put_batches([[FIRST[0], *SECOND[:2], *THIRD[:2], *dice.sample(mails, 3)]])
    await say(store, THREE, TWO)
    for raw in dice.sample(mails, len(mails)):
        await store.put_batches([[raw]])
    assert await store.dump() == await quiet_store.dump()


async def test_the_word_follows_its_mails(store: Store) -> None:
    await store.put_batches([FIRST, SECOND, THIRD])
    await say(store, THREE, TWO)
    # The cover that the word named goes to another series: the word is void, then holds for where it is.
    async with store.database.ingest() as connection:
        await relinks.move(connection, await read.find(connection, TWO, None), ONE)
    assert (await order(store))[THREE] == ONE
    await undo(store, TWO)
    assert (await order(store))[THREE] == TWO


async def test_a_forgotten_mail_leaves_no_word(store: Store) -> None:
    await store.put_batches([FIRST, SECOND, THIRD])
    await say(store, THREE, TWO)
    await forget(store.database, TWO, None, "spam")
    assert await store.ask("SELECT count(*) FROM ingestd.succession") == [0]
    assert (await order(store))[THREE] == ONE


async def test_explain_says_it(store: Store) -> None:
    await store.put_batches([FIRST, SECOND])
    await say(store, TWO, ONE)
    async with store.database.transaction() as connection:
        lines = dict(await read.place(connection, await read.find(connection, TWO, None)))
    assert lines["relinked"].startswith(f"its series supersedes the series of {ONE}, said on 20")
    assert lines["supersedes"] == f"{ONE} (by relink, confidence high)"


async def test_what_cannot_be_said(store: Store) -> None:
    await store.put_batches([FIRST, [mail("talk@example.org", "Talk")]])
    with pytest.raises(InputError, match="in no series"):
        await say(store, "talk@example.org", ONE)
    with pytest.raises(InputError, match="does not supersede itself"):
        await say(store, ONE, ONE)
    with pytest.raises(InputError, match="no series has this key"):
        await say(store, ONE, "nothing@example.org")
