"""Searches of a list as public-inbox answers them, in the language that b4 speaks."""

import gzip
from urllib.parse import quote_plus

import pytest
from git_mail import mails_of
from mails import mail, patch, reply, series
from sqlalchemy import text

from ingestd.mail.parse import parse
from ingestd.store.api import mails, search
from ingestd.web.answer import RefusalError
from ingestd.web.search import read
from web.conftest import Site

STEM = "20261102100000.1"
COVER, ONE, TWO = (f"{STEM}-{number}-ann@example.org" for number in range(3))
CHANGE = "20261102-a-title-0123456789ab"


@pytest.fixture
async def filled(site: Site) -> Site:
    """A series of two, a review of it, its second version with a change-id, and two mails of other people."""
    first = series(STEM, 2)
    note = f"What changed.\n\n---\nbase-commit: {'1' * 40}\nchange-id: {CHANGE}\n"
    head = mail("v2-0@example.org", "[PATCH v2 0/1] A title", note, date="Tue, 3 Nov 2026 23:59:59 +0000")
    second = patch("v2-1@example.org", "[PATCH v2 1/1] A title: part 1", reply_to="v2-0@example.org", new="other")
    review = reply("review@example.com", ONE, "x", "Reviewed-by: Rob <rob@example.com>\n")
    asked = mail(
        "ask@example.net", 'A "quoted, odd" title?', "Is 100% of it _done_?\n", author="Bob B <Bob@Example.net>"
    )
    other = patch("other@example.com", "[PATCH] A title", list_id="other.example.org")
    await site.store.put(
        *first, head, second, review, asked, patch("lone@example.net", "[PATCH] one", file="l.c"), other
    )
    return site


async def ids(site: Site, query: str, *, threads: bool = False, below: str = "") -> list[str]:
    """Message-IDs of what a search finds."""
    path = f"/demo/{below}?x=m{'&t=1' if threads else ''}&q={quote_plus(query)}"
    reply_ = await site.ask(path, "POST", content=b"x=m")
    if reply_.status == 404:
        return []
    assert (reply_.status, reply_.header("Content-Type")) == (200, "application/gzip"), reply_
    assert (await site.ask(path)).body == reply_.body
    return [parse(raw).message_id for raw in mails_of(gzip.decompress(reply_.body))]


async def test_what_b4_asks(filled: Site) -> None:
    patch_ids = dict(await filled.store.ask("SELECT message_id, patch_id FROM ingestd_v1.patch"))
    first, second = patch_ids[ONE], patch_ids["lone@example.net"]
    assert await ids(filled, f"patchid:{first}") == [ONE]
    assert await ids(filled, f"patchid:{second} OR patchid:{first} OR patchid:{'0' * 40}") == ["lone@example.net", ONE]
    v2 = ["v2-1@example.org", "v2-0@example.org"]
    for query in (f'nq:"change-id: {CHANGE}"', f'nq:"change-id:{CHANGE}"', f'"change-id: {CHANGE}"'):
        assert await ids(filled, query) == v2
    assert await ids(filled, '(s:"A title" AND f:"ann@example.org") AND d:20261103..') == v2[1:]
    either = f'(nq:"change-id: {CHANGE}" OR (s:"A title" AND f:"ANN@example.org")) AND d:20261102..'
    assert await ids(filled, either) == [COVER, *v2[:1], ONE, TWO, *v2[1:]]
    assert await ids(filled, '(s:"A title" AND f:"ann@example.org" AND d:..20261102)') == [COVER, v2[0], ONE, TWO]
    assert await ids(filled, 'f:"ann@example.org" AND dt:20261103235959..20261103235959') == v2[1:]
    assert await ids(filled, "f:ann@example.org d:2026-11-03") == v2[1:]
    assert await ids(filled, f"patchid:{first}", threads=True) == [COVER, ONE, TWO, "review@example.com"]
    assert await ids(filled, "dt:20261103235959..", below="v2-1%40example.org/") == v2[1:]
    assert await ids(filled, "rt:1700000000..", below="v2-1%40example.org/") == v2
    assert await ids(filled, "rt:..20200101 m:lone@example.net") == []
    assert await ids(filled, "m:lone@example.net OR mid:<ask@example.net>") == ["ask@example.net", "lone@example.net"]


async def test_a_munged_from_is_known_by_both_addresses(site: Site) -> None:
    author, list_ = "Ann via demo <demo@example.org>", "demo@example.org"
    munged = mail("m@example.org", "[PATCH] one", author=author, headers=[("X-Original-From", "Ann <ann@example.org>")])
    await site.store.put(munged, mail("o@example.org", "x", author="Demo <demo@example.org>"))
    assert (await site.store.ask("SELECT munged FROM ingestd.message ORDER BY key")) == [True, False]
    assert await ids(site, "f:ann@example.org") == ["m@example.org"]
    assert await ids(site, f"f:{list_} s:one") == ["m@example.org"]
    assert await ids(site, f"f:{list_}") == ["m@example.org", "o@example.org"]


async def test_words_are_what_counts(filled: Site) -> None:
    for query in ('s:"quoted odd title"', "s:QUOTED", 'nq:"is 100 of it done"', "done s:title", '"Is 100"'):
        assert await ids(filled, f"f:bob@example.net AND {query}") == ["ask@example.net"]
    for query in ("s:'quoted,", 's:"title?"', 's:"A \'quoted"', 'nq:"_done_?"', 's:"- A -"'):
        assert await ids(filled, f"f:BOB@example.net {query}") == ["ask@example.net"]
    for query in ('s:"odd quoted"', "s:quot", "nq:100%_done", "f:ann@example.org"):
        assert await ids(filled, f"f:bob@example.net {query}") == []
    assert await ids(filled, "m:ask@example.net f:bob") == ["ask@example.net"]
    assert await ids(filled, "m:ask@example.net f:bo") == []


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "a term is missing"),
        ("s:x", "asks for too much"),
        ("f:ann@example.org OR s:title", "asks for too much"),
        ("s:title s:a (m:x OR s:b)", "asks for too much"),
        ("d:2026..", "'2026' is no time"),
        ("d:20261301", "'20261301' is no time"),
        ("d:..", "says nothing"),
        ("d:99991231", "is no time"),
        ("rt:999999999999", "is no time"),
        ("m:x -s:fix", "there is no NOT"),
        ("m:x +fix", "there is no NOT"),
        ("m:x s:fix*", "no part of a word"),
        ("f:" + "a" * 60_000, "a term is too long"),
        (" ".join(f"f:p{n}@x" for n in range(31)), "too many terms"),
        ('s:"x', "a quote is not closed"),
        ('s:""', "says nothing"),
        ("s:!!", "says nothing"),
        ("(m:x", "'(' without ')'"),
        ("m:x)", "')' without '('"),
        ("()", "')' is out of place"),
        ("m:x AND", "a term is missing"),
        ("OR m:x", "'OR' is out of place"),
        ("NOT m:x", "'NOT' is out of place"),
        ("dfn:file.c", "nothing is known by 'dfn'"),
        ("(" * 21 + "m:x" + ")" * 21, "too many terms"),
        ("m:x " * 1001, "too many terms"),
        ("m:\0", "says nothing"),
    ],
)
async def test_what_cannot_be_searched_for(filled: Site, query: str, said: str) -> None:
    reply_ = await filled.ask(f"/demo/?x=m&q={quote_plus(query)}")
    assert reply_.status == 400
    assert said in reply_.json["detail"]


async def test_where_there_is_nothing(filled: Site) -> None:
    for path in (
        "/demo/?x=m&q=m:none",
        "/none/?x=m&q=m:x",
        "/demo/?q=m:x",
        "/demo/?x=A&q=m:x",
        "/demo/none/?x=m&q=m:x",
    ):
        reply_ = await filled.ask(path)
        assert (reply_.status, reply_.json["detail"][-4:]) == (404, "und."), path
    assert (await filled.ask("/demo/?x=m&q=m:x", "PUT")).status == 405
    assert await ids(filled, "m:other@example.com") == []


async def test_an_answer_has_bounds(filled: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST_MAILS", 2)
    assert await ids(filled, "f:ann@example.org AND d:20261102..20261102") == [ONE, TWO]
    monkeypatch.setattr(search, "MOST_CANDIDATES", 2)
    reply_ = await filled.ask("/demo/?x=m&q=f:ann@example.org+s:nothing")
    assert "more than 2 mails to look at" in reply_.json["detail"]
    assert len(await ids(filled, f"m:{ONE} OR m:{TWO}")) == 2
    monkeypatch.setattr(search, "PATIENCE", 200)
    async with filled.database.engine.begin() as connection:
        await connection.execute(text("LOCK TABLE ingestd.message"))
        reply_ = await filled.ask(f"/demo/?x=m&q=m:{ONE}")
    assert (reply_.status, reply_.json) == (400, {"detail": "The search asks for too much: it takes too long."})
    monkeypatch.setattr(search, "PATIENCE", 5_000)
    monkeypatch.setattr(mails, "MOST_BYTES", 1_000)
    assert await ids(filled, f"m:{ONE}") == [ONE]
    (one, *_) = await filled.get("/api/1.3/series/?order=id")
    for path in (f"/demo/?x=m&t=1&q=m:{ONE}", f"/demo/{ONE}/t.mbox.gz", f"/series/{one['id']}/mbox/"):
        reply_ = await filled.ask(path)
        assert (reply_.status, reply_.json["detail"]) == (
            400, "That is too much for one answer: more than 1000 octets of mail. Ask for its mails one by one."
        ), path  # fmt: skip


def test_and_binds_closer_than_or() -> None:
    assert read("m:a OR m:b m:c") == read("m:a OR (m:b AND m:c)") != read("(m:a OR m:b) AND m:c")
    with pytest.raises(RefusalError):
        read("m:a XOR m:b")
