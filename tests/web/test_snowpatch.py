"""snowpatch's requests, replayed: its types are strict, and one thing amiss hides a whole list from it."""

from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
import pytest
from mail.corpus import need
from mails import mail, patch, series
from msgspec import Meta, Struct

from web.conftest import Site

Url = Annotated[str, Meta(pattern="^https?://[^/]+/")]
LIST = "demo.example.org"


class Project(Struct):
    id: int
    url: Url
    name: str
    link_name: str
    list_email: str
    list_id: str


class Submitter(Struct):
    id: int
    url: Url
    name: str | None
    email: str


class Delegate(Struct):
    id: int
    url: Url
    first_name: str
    last_name: str
    email: str


class ShortMail(Struct):
    date: str
    id: int
    mbox: Url
    msgid: str
    name: str
    url: Url


class Cover(Struct):
    date: str
    id: int
    msgid: str
    name: str
    url: Url


class Series(Struct):
    cover_letter: Cover | None
    date: str
    id: int
    mbox: Url
    name: str | None
    patches: list[ShortMail]
    project: Project
    received_all: bool
    received_total: int
    submitter: Submitter
    total: int
    url: Url
    version: int


class SeriesOfPatch(Struct):
    id: int
    url: Url
    date: str
    name: str | None
    version: int
    mbox: Url


class Patch(Struct):
    id: int
    url: Url
    project: Project
    msgid: str
    date: str
    name: str
    commit_ref: str | None
    pull_url: str | None
    state: str
    archived: bool
    hash: str | None
    submitter: Submitter
    delegate: Delegate | None
    mbox: Url
    series: list[SeriesOfPatch]
    check: Annotated[str, Meta(pattern="^(pending|success|warning|fail)$")]
    checks: Url
    tags: dict[str, int]


class User(Delegate):
    username: str


class Check(Struct):
    id: int
    url: Url
    user: User
    date: str
    state: str
    target_url: str | None
    context: str
    description: str | None


async def poll(site: Site, project: str, token: str) -> int:
    """What snowpatch does every ten minutes; how many series it would test."""
    assert (await site.ask("/api/1.2")).status == 200
    path: str | None = f"/api/1.2/series?order=-id&per_page=50&project={project}"
    tested = 0
    while path is not None:
        reply = await site.ask(path, token=token)
        for one in msgspec.json.decode(reply.body, type=list[Series], strict=True):
            datetime.fromisoformat(one.date)
            if not (one.received_all and one.received_total > 0):
                continue
            tested += 1
            whole = msgspec.json.decode((await site.ask(f"/api/1.2/series/{one.id}")).body, type=Series, strict=True)
            last = whole.patches[-1].id
            found = msgspec.json.decode((await site.ask(f"/api/1.2/patches/{last}")).body, type=Patch, strict=True)
            if found.pull_url is not None:
                parts = urlsplit(found.pull_url)
                assert parts.scheme
                assert parts.netloc
            mbox = await site.ask(one.mbox.removeprefix(site.url))
            assert mbox.status == 200
            msgspec.json.decode((await site.ask(f"/api/1.2/patches/{last}/checks")).body, type=list[Check], strict=True)
        link = reply.header("Link") or ""
        path = link.partition(">")[0].removeprefix(f"<{site.url}") if 'rel="next"' in link else None
    return tested


async def report(site: Site, patch_id: int, token: str) -> None:
    """How snowpatch tells a result."""
    check = {"state": "success", "target_url": "http://ci.example.org/1", "description": "ok", "context": "snowpatch-x"}
    reply = await site.ask(f"/api/1.2/patches/{patch_id}/checks/", "POST", token=token, data=check)
    assert reply.status == 201
    msgspec.json.decode(reply.body, type=Check, strict=True)


async def test_every_type_is_as_it_wants_it(site: Site) -> None:
    pull = (
        "The following changes since commit 1234:\n\n  x (2026-01-01)\n\nare available in the Git repository at:\n\n"
        "  git@example.org:x.git tags/x\n\nfor you to fetch changes up to 5678:\n"
    )
    await site.store.put(
        *series("20261102100000.1", 3),
        patch("alone@example.org", "[PATCH] alone"),
        mail("pull@example.org", "[PULL] x", pull),
        mail("pull0@example.org", "[PULL 0/1] x", pull.replace("git@example.org:", "https://example.org/")),
        patch("pull1@example.org", "[PULL 1/1] x", reply_to="pull0@example.org"),
        patch("nobody@example.org", "[PATCH] nobody", author="nobody@example.org"),
    )
    token = await site.user("mary", maintains=LIST)
    (one, *_) = await site.get("/api/patches/")
    await report(site, one["id"], token)
    assert (await site.ask(f"/api/patches/{one['id']}/", "PATCH", token=token, data={"delegate": 1})).status == 200
    assert await poll(site, "demo", token) == 4  # a lone pull request has nothing to apply


@pytest.mark.long
async def test_every_type_of_real_mail(site: Site) -> None:
    folder = need("corpus", "qemu-devel")
    for path in sorted(folder.glob("*.eml")):
        await site.store.put(path.read_bytes(), list_id="qemu-devel.nongnu.org")
    token = await site.user("mary", maintains="qemu-devel.nongnu.org")
    assert await poll(site, "qemu-devel", token) > 10
