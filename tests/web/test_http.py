"""What anybody may ask, and what comes of it: filters, pages, slashes, headers, mboxes."""

import asyncio
import base64
import binascii
import gzip
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from end_to_end.repository import Repository
from mails import mail, patch, series
from sqlalchemy import event
from store.conftest import Store

from ingestd.store.api import accounts
from ingestd.store.engine import Database
from ingestd.web import Settings
from web.conftest import Site, serve

LIST = "demo.example.org"
STEM = "20261102100000.1"
VERSIONS = ("1.0", "1.1", "1.2", "1.3", "1.4")


FOUND = [
        ("", 4), ("project=demo", 4), ("project=1", 4), ("project=demo&project=nosuch", 4), ("nosuch=1", 4),
        ("state=new&state=accepted", 4), ("state=1", 4), ("state=New", 4), ("state=Under%20Review", 0),
        ("archived=junk", 4), ("archived=true", 0), ("archived=False", 4), ("state=", 4),
        ("q=bold", 1), ("q=BOLD,one", 1),
        ("q=%22part+1%22", 1), ("q=%25", 0), ("q=_", 0), ("since=2026-11-02T10:02:00", 2),
        ("before=2026-11-02T10:01:00Z", 1),
        ("since=2026-11-02T12:02:00%2B02:00", 2), ("since=2026-11-02T12:02:00+02:00", 2), ("since=2026-11-02", 4),
        ("msgid=lone@example.net", 1), ("msgid=%3Clone@example.net%3E", 1), ("submitter=BOB@example.net", 1),
        ("series=1", 3), ("order=nosuch", 4), ("order=-check,name", 4),
        ("order=state,-archived,submitter,delegate,project", 4),
        ("per_page=junk", 4), ("per_page=0", 4), ("per_page=999", 4), ("page=last", 4),
]  # fmt: skip


async def test_filters_of_patches(filled: Site) -> None:
    for query, found in FOUND:
        listed = await filled.get(f"/api/1.2/patches/?{query}")
        assert len(listed) == found, query
        assert len({one["id"] for one in listed}) == found, query


async def test_an_old_version_does_not_know_what_is_newer(filled: Site) -> None:
    assert len(await filled.get("/api/1.1/patches/?msgid=lone@example.net")) == 4
    assert (await filled.ask("/api/1.0/patches/1/comments/")).status == 404
    assert (await filled.ask("/api/1.9/patches/")).status == 404


async def test_pages(filled: Site) -> None:
    base = f"{filled.url}/api/1.2/patches/"
    first = await filled.ask("/api/1.2/patches?per_page=1&order=-date&state=new")
    assert first.header("Link") == ", ".join(
        f'<{base}?order=-date&page={page}&per_page=1&state=new>; rel="{rel}"'
        for rel, page in (("next", 2), ("first", 1), ("last", 4))
    )
    second = await filled.ask("/api/1.2/patches/?per_page=1&page=2")
    assert second.header("Link") == (
        f'<{base}?page=3&per_page=1>; rel="next", <{base}?per_page=1>; rel="prev", '
        f'<{base}?page=1&per_page=1>; rel="first", <{base}?page=4&per_page=1>; rel="last"'
    )
    for order in ("id", "-id", "date", "-date", "name", "-name", "date,-name"):
        whole = [one["id"] for one in await filled.get(f"/api/patches/?order={order}")]
        pages = [await filled.get(f"/api/patches/?order={order}&per_page=1&page={page}") for page in (1, 2, 3, 4)]
        assert [page[0]["id"] for page in pages] == whole
    last = await filled.ask("/api/patches/?per_page=3&page=last")
    assert len(last.json) == 1


async def test_the_count_is_exact_whatever_happens(filled: Site) -> None:
    token = await filled.user("mary", maintains=LIST)
    before = await filled.ask("/api/1.2/patches/?per_page=1&state=new")
    await filled.store.put(patch("more@example.net", "[PATCH] one more", file="more.c"))
    after = await filled.ask("/api/1.2/patches/?per_page=1&state=new")
    assert "page=4&" in (before.header("Link") or "")
    assert "page=5&" in (after.header("Link") or "")
    await filled.ask("/api/1.2/patches/lone@example.net/", "PATCH", token=token, data={"state": "accepted"})
    changed = await filled.ask("/api/1.2/patches/?per_page=1&state=new")
    assert "page=4&" in (changed.header("Link") or "")


async def test_who_goes_from_page_to_page_sees_each_row_once(filled: Site) -> None:
    """The second page begins where the first ended, whatever has come meanwhile in the order of ids."""
    for order in ("id", "-id", "date", "-date,-name", "name,-date", "-project"):
        found: list[int] = []
        path = f"/api/1.2/patches/?order={order}&per_page=1&project=demo"
        for number in range(1, 5):
            found += [one["id"] for one in await filled.get(f"{path}&page={number}")]
            if order == "id" and number < 3:
                await filled.store.put(patch(f"more{number}@x", f"[PATCH] more {number}", file=f"more{number}.c"))
        assert len(set(found)) == len(found) == 4
        await filled.change("DELETE FROM ingestd.triage WHERE name LIKE 'more%'")
        await filled.change("UPDATE ingestd.counter SET value = value + 20000 WHERE name = 'event'")


async def test_many_ask_while_mail_comes(filled: Site) -> None:
    """Counts that are remembered stay exact when requests overtake each other."""

    async def last() -> int:
        link = (await filled.ask("/api/1.2/patches/?per_page=1&state=new")).header("Link") or ""
        return int(link.split("page=")[-2].partition("&")[0])

    for number in range(5):
        await asyncio.gather(
            filled.store.put(patch(f"more{number}@x", f"[PATCH] more {number}", file=f"more{number}.c")),
            *(last() for _ in range(8)),
        )
        assert await last() == 5 + number


async def test_both_forms_of_every_path(filled: Site) -> None:
    (first, *_) = await filled.get("/api/patches/")
    for path in ("/api/1.2", "/api", "/api/1.2/patches", f"/api/1.2/patches/{first['id']}", "/api/1.2/series/1"):
        with_slash, without = await filled.ask(path + "/"), await filled.ask(path)
        assert (with_slash.status, with_slash.json) == (200, without.json)


async def test_a_name_and_a_password(filled: Site) -> None:
    await filled.user("mary", maintains=LIST, password=accounts.hash_password("correct horse"))

    async def ask(said: str) -> int:
        header = base64.b64encode(said.encode()).decode()
        return (await filled.ask("/api/users/", headers={"Authorization": f"Basic {header}"})).status

    assert await ask("mary:correct horse") == 200
    for wrong in ("mary:wrong", "nobody:correct horse", "mary", ":", "mary:\0"):
        assert await ask(wrong) == 403
    for header in ("Basic x", "Token", "Token a b", "Token \xe4", "Basic " + "x" * 5000):
        reply = await filled.ask("/api/patches/", headers={"Authorization": header})
        assert reply.status == 403, header
    await filled.change("UPDATE ingestd.account SET active = false")
    assert await ask("mary:correct horse") == 403


async def test_a_site_that_is_closed(closed_site: Site) -> None:
    await closed_site.store.put(patch("p@example.org", "[PATCH] x"))
    token = await closed_site.user("mary")
    for path in ("/api/patches/", "/project/demo/patch/p@example.org/mbox/", "/demo/p@example.org/raw"):
        assert (await closed_site.ask(path)).status == 403
        assert (await closed_site.ask(path, token=token)).status == 200


async def test_writes_from_elsewhere_need_https(filled: Site) -> None:
    token = await filled.user("mary", maintains=LIST)
    path, data = "/api/patches/lone@example.net/", {"state": "accepted"}
    plain = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "http"}
    secure = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"}
    assert (await filled.ask(path, "PATCH", token=token, data=data, headers=plain)).status == 403
    done = await filled.ask(path, "PATCH", token=token, data=data, headers=secure)
    assert done.status == 200
    assert done.json["url"].startswith("https://")


async def test_another_site_cannot_write_by_somebodys_browser(filled: Site) -> None:
    token = await filled.user("mary", maintains=LIST)
    path, data = "/api/patches/lone@example.net/", {"state": "accepted"}
    for origin, status in (("https://evil.example", 403), ("null", 403), (filled.url, 200)):
        assert (await filled.ask(path, "PATCH", token=token, data=data, headers={"Origin": origin})).status == status


async def test_what_is_known_already_is_not_sent_again(filled: Site) -> None:
    first = await filled.ask("/api/patches/")
    tag = first.header("ETag") or ""
    again = await filled.ask("/api/patches/", headers={"If-None-Match": tag})
    assert (again.status, again.body) == (304, b"")
    for known in (tag.removeprefix("W/"), f'"x", {tag}', "*"):
        assert (await filled.ask("/api/patches/", headers={"If-None-Match": known})).status == 304
    assert (await filled.ask("/api/patches/", headers={"If-None-Match": 'W/"x"'})).status == 200
    await filled.store.put(patch("more@example.net", "[PATCH] one more", file="more.c"))
    assert (await filled.ask("/api/patches/", headers={"If-None-Match": tag})).status == 200


async def test_the_host_in_our_addresses(filled: Site) -> None:
    one = await filled.ask("/api/1.2/", headers={"Host": "patches.example.org:8443"})
    assert one.json["patches"] == "http://patches.example.org:8443/api/1.2/patches/"
    evil = await filled.ask("/api/1.2/", headers={"Host": 'x"><script>'})
    assert evil.json["patches"] == "http://localhost/api/1.2/patches/"
    asked = await filled.get("/api/1.2/patches/?format=json&per_page=1")
    assert asked[0]["url"].endswith("/?format=json")
    assert asked[0]["mbox"].endswith("/mbox/")


async def test_a_message_id_with_a_slash(site: Site) -> None:
    key = "a/b+c%20d@example.org"
    await site.store.put(patch(key, "[PATCH] x"))
    (one,) = await site.get("/api/1.2/patches/")
    assert "%252F" in one["mbox"]
    for path in (one["mbox"], one["web_url"] + "mbox/", f"{site.url}/project/demo/patch/a/b+c%2520d@example.org/mbox/"):
        assert (await site.ask(path.removeprefix(site.url))).status == 200, path
    assert (await site.get("/api/1.2/patches/a%252Fb+c%2520d@example.org/"))["id"] == one["id"]


async def test_mboxes_and_threads(filled: Site) -> None:
    key = f"{STEM}-2-ann@example.org"
    one = await filled.ask(f"/project/demo/patch/{key}/mbox/")
    assert one.header("Content-Disposition") == "attachment; filename=2-3-A-title-part-2.patch"
    assert one.body.count(b"From patchwork ") == 1
    both = await filled.ask(f"/project/demo/patch/{key}/mbox/?series=*")
    assert both.body.count(b"From patchwork ") == 2
    assert (await filled.ask(f"/project/demo/patch/{key}/mbox/?series=99")).status == 404
    assert (await filled.ask(f"/project/nosuch/patch/{key}/mbox/")).status == 404
    assert (await filled.ask(f"/project/demo/cover/{key}/mbox/")).status == 404
    cover = await filled.ask(f"/project/demo/cover/{STEM}-0-ann@example.org/mbox/")
    assert b"What it is about." in cover.body
    (patch_, *_) = await filled.get(f"/api/1.2/patches/?msgid={key}")
    for path, there in (
        (f"/patch/{patch_['id']}/", f"/project/demo/patch/{key}/"),
        (f"/patch/{patch_['id']}/raw/", f"/project/demo/patch/{key}/raw/"),
        (f"/project/demo/patch/{key}/", f"/api/1.3/patches/{patch_['id']}/?format=api"),
    ):
        for called in (path, f"/{path}"):  # as b4 calls it where `b4.pw-url` ends in a slash
            moved = await filled.ask(called)
            assert (moved.status, moved.header("Location")) == (302, there)
    thread = await filled.ask(f"/demo/{key.replace('@', '%40')}/t.mbox.gz")
    assert gzip.decompress(thread.body).count(b"From mboxrd@z ") == 5
    assert (await filled.ask(f"/{LIST}/{key}/raw")).body.count(b"From mboxrd@z ") == 1
    assert b"backend = rest" in (await filled.ask("/project/demo/pwclientrc/")).body


async def test_a_line_that_begins_with_from_starts_no_mail(site: Site) -> None:
    body = "From here on.\n\nFrom there.\n---\n\n" + patch("x@x", "x").decode().partition("---\n")[2]
    await site.store.put(mail("from@example.org", "[PATCH] x", body))
    answer = await site.ask("/project/demo/patch/from@example.org/mbox/")
    assert [line for line in answer.body.split(b"\n") if line.startswith(b"From ")] == [
        b"From patchwork Mon Nov  2 10:00:00 2026"
    ]
    raw = await site.ask("/demo/from@example.org/raw")
    assert raw.body.count(b"\nFrom ") == 0


@pytest.mark.parametrize("transfer", ["base64", "quoted-printable"])
async def test_files_that_mail_mangles_come_back_whole(site: Site, tmp_path: Path, transfer: str) -> None:
    repository = Repository(tmp_path / "repository")
    repository.commit_what_mail_mangles()
    (file,) = repository.format_patch("--text")
    head, _, body = file.read_bytes().partition(b"\n\n")
    encode = base64.encodebytes if transfer == "base64" else partial(binascii.b2a_qp, istext=False)
    headers = (
        f"{head.decode()}\nMIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\nMessage-ID: <m@example.org>"
    )
    headers += f"\nContent-Transfer-Encoding: {transfer}\nList-Id: <{LIST}>\n\n"
    await site.store.put(headers.encode() + encode(body))
    (one,) = await site.get("/api/patches/")
    for address in (one["mbox"], f"/series/{one['series'][0]['id']}/mbox/"):
        answer = await site.ask(address.removeprefix(site.url))
        assert answer.body.decode().count("From patchwork ") == 1
        assert repository.apply_on_base(answer.body) == repository.tree
    repository.git("checkout", "-q", "base")
    raw = await site.ask(one["mbox"].removeprefix(site.url).replace("mbox", "raw"))
    repository.git("apply", "--index", stdin=raw.body)
    assert repository.git("write-tree").decode().strip() == repository.git("rev-parse", "main^{tree}").decode().strip()


async def test_a_partial_posting_has_what_it_leaves_as_it_was(filled: Site) -> None:
    again = patch(
        "again@example.org", "[PATCH v2 2/3] A title: part 2", file="part2.c", new="better",
        reply_to=f"{STEM}-2-ann@example.org",
    )  # fmt: skip
    await filled.store.put(again)
    (one,) = [one for one in await filled.get("/api/1.2/series/") if one["version"] == 2]
    assert [mail_["name"][-6:] for mail_ in one["patches"]] == ["part 1", "part 2", "part 3"]
    assert (one["received_total"], one["received_all"]) == (3, True)
    mbox = (await filled.ask(one["mbox"].removeprefix(filled.url))).body
    assert mbox.count(b"From patchwork ") == 3
    assert b"+better" in mbox


@pytest.fixture
async def counted(filled: Site) -> AsyncIterator[tuple[Site, list[str]]]:
    """The site, and the statements that its server runs."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:  # noqa: ANN401 - SQLAlchemy's
        statements.append(statement)

    event.listen(filled.database.engine.sync_engine, "before_cursor_execute", note)
    yield filled, statements
    event.remove(filled.database.engine.sync_engine, "before_cursor_execute", note)


async def test_the_number_of_queries_depends_on_nothing(counted: tuple[Site, list[str]]) -> None:
    site, statements = counted
    token = await site.user("mary", maintains=LIST)
    paths = ("patches", "covers", "series", "events", "people", "users", "projects", "bundles")

    async def count(path: str) -> int:
        statements.clear()
        assert (await site.ask(path, token=token)).status == 200
        return len(statements)

    for path in paths:  # the first time, rows are counted
        await count(f"/api/1.4/{path}/?per_page=250")
    before = {path: await count(f"/api/1.4/{path}/?per_page=250") for path in paths}
    for number in range(3, 7):
        await site.store.put(*series(f"2026110{number}100000.1", 3, title=f"Title {number}"))
    assert {path: await count(f"/api/1.4/{path}/?per_page=250") for path in paths} == before
    assert max(before.values()) <= 10, before
    assert await count("/api/1.2/patches/?project=demo&state=new&archived=false&order=-date") <= 7


async def test_nothing_in_a_mail_breaks_an_answer(site: Site) -> None:
    odd = [
        patch("odd1@example.org", "[PATCH] \x01\x02 <script>alert(1)</script> \u202e", file="odd1.c"),
        patch("odd2@example.org", '[PATCH] "quoted\\" \r', author='"A \\" <b>" <a@example.org>'),
        patch("../../etc/passwd@x", "[PATCH] " + "../" * 50, file="odd3.c"),
        patch("odd4@example.org", "[PATCH] =?utf-8?q?=0d=0aX-Evil=3a_yes?=", file="odd4.c"),
        patch("odd5@example.org", "[PATCH] late", date="Fri, 31 Dec 9999 23:59:59 -1200", file="odd5.c"),
        patch("odd6@example.org", "[PATCH] no date", date="never", file="odd6.c"),
    ]  # fmt: skip
    await site.store.put(*odd)
    for version in VERSIONS:
        listed = await site.get(f"/api/{version}/patches/")
        assert len(listed) >= 5
    for one in listed:
        for path in (one["url"], one["mbox"]):
            answer = await site.ask(path.removeprefix(site.url))
            assert answer.status == 200
            assert answer.header("X-Evil") is None
        assert json.dumps(answer.headers)


BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


async def test_each_answer_as_a_page(filled: Site) -> None:
    token = await filled.user("mary", maintains=LIST)
    index = await filled.get("/api/1.4/")
    for address in (*index.values(), f"{filled.url}/api/1.4/patches/1/", f"{filled.url}/api/1.4/nosuch/"):
        headers = {**BROWSER, "Authorization": f"Token {token}"}
        page = await filled.ask(address.removeprefix(filled.url), headers=headers)
        assert page.header("Content-Type") == "text/html; charset=utf-8", address
        assert (page.header("Content-Security-Policy") or "").startswith("default-src 'none'; style-src 'sha256-")
        assert b"<h1>" in page.body
    listed = await filled.ask("/api/1.2/patches/?per_page=1&format=api&q=bold")
    assert b"&lt;b&gt;bold&lt;/b&gt;" in listed.body
    assert b"<b>bold" not in listed.body
    assert f'href="{filled.url}/project/demo/patch/lone@example.net/mbox/"'.encode() in listed.body
    assert b"?per_page=1&amp;q=bold&amp;format=json" in listed.body
    first = await filled.ask("/")
    assert (first.status, first.header("Location")) == (302, "/api/1.3/?format=api")


async def test_letters_that_turn_others_around_are_shown(site: Site) -> None:
    subject = "=?utf-8?q?=5BPATCH=5D_x_=E2=80=AEcod=2Eexe_=C3=A4?="
    await site.store.put(patch("p@example.org", subject))
    page = await site.ask("/api/1.2/patches/", headers=BROWSER)
    assert "\\u202ecod.exe ä" in page.body.decode()
    assert (await site.get("/api/1.2/patches/"))[0]["name"] == "x \u202ecod.exe ä"


async def test_options(filled: Site) -> None:
    told = await filled.ask("/api/1.2/bundles/", "OPTIONS")
    assert (told.status, told.json["name"], told.header("Allow")) == (200, "Bundle List", "GET, POST, HEAD, OPTIONS")
    head = await filled.ask("/api/1.2/patches/", "HEAD")
    assert (head.status, head.body) == (200, b"")


async def test_who_asks_too_much_has_to_wait(store: Store) -> None:
    async for site in serve(store, Settings(rate=0.5)):
        far = {"X-Forwarded-For": "192.0.2.7"}
        found = [await site.ask("/api/1.2/states/", headers=far) for _ in range(8)]
        assert [one.status for one in found] == [200] * 5 + [429] * 3
        assert int(found[-1].header("Retry-After") or 0) >= 1
        assert (await site.ask("/api/1.2/states/", headers={"X-Forwarded-For": "192.0.2.8"})).status == 200
        assert (await site.ask("/api/1.2/states/")).status == 200


async def test_who_guesses_has_to_wait(filled: Site) -> None:
    token = await filled.user("mary")
    far = {"X-Forwarded-For": "192.0.2.7"}
    found = [await filled.ask("/api/users/", headers={**far, "Authorization": "Token x"}) for _ in range(12)]
    assert [one.status for one in found] == [403] * 10 + [429] * 2
    assert (await filled.ask("/api/users/", headers={**far, "Authorization": f"Token {token}"})).status == 429
    assert (await filled.ask("/api/users/", token=token)).status == 200


async def test_reads_go_to_the_replica_and_writes_do_not(store: Store, behind: Database) -> None:
    async for site in serve(store, Settings(), behind):
        await store.put(patch("p@example.org", "[PATCH] x"))
        token = await site.user("mary", maintains=LIST)
        assert await site.get("/api/patches/") == []
        assert (await site.ask("/api/patches/", token=token)).status == 403
        done = await site.ask("/api/patches/p@example.org/", "PATCH", token=token, data={"state": "accepted"})
        assert (done.status, done.json["state"]) == (200, "accepted")
        async with behind.ingest() as connection:
            await accounts.create_user(connection, "mary")
            old = await accounts.create_token(connection, "mary", "")
        assert (await site.ask("/api/users/", token=old)).status == 200
        refused = await site.ask("/api/patches/p@example.org/", "PATCH", token=old, data={"state": "new"})
        assert refused.status == 403  # it is not known, or not known any more, where it counts
