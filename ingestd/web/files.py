"""What is not the API but beside it: mboxes of patches as Patchwork has them, threads as public-inbox has them."""

import asyncio
import gzip
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from ingestd.store.api import mails, patches, people, series, work
from ingestd.store.api import search as mail_search
from ingestd.store.engine import Connection
from ingestd.web import mbox
from ingestd.web import search as searching
from ingestd.web.answer import File, Redirect, RefusalError, missing
from ingestd.web.call import Call
from ingestd.web.fields import Row, quoted, unquoted
from ingestd.web.filters import whole_number

TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Unmade:
    """A file whose content is made when the database is no longer needed; it may be long work."""

    make: Callable[[], bytes]
    kind: str  # Content-Type
    headers: Mapping[str, str]


Handler = Callable[[Call, Connection], Awaitable[File | Redirect | Unmade]]


@dataclass(frozen=True, slots=True)
class Place:
    """A path and what is there."""

    pattern: re.Pattern[str]
    handler: Handler
    methods: tuple[str, ...] = ("GET",)  # nothing here changes anything


def _attached(make: Callable[[], bytes], name: str, extension: str, kind: str = TEXT) -> Unmade:
    # Without quotes, and last: clients cut it off at the end of the line.
    file_name = mbox.file_name(name, extension)
    return Unmade(make, kind, {"Content-Disposition": f"attachment; filename={file_name}"})


def _compressed(raws: Sequence[bytes], disposition: str) -> Unmade:
    """Mails as received in one mbox."""
    headers = {"Content-Disposition": f"{disposition}.mbox.gz"}
    return Unmade(lambda: gzip.compress(mbox.mboxrd(raws), 6, mtime=0), "application/gzip", headers)


async def _mail(call: Call, connection: Connection, *, patch: bool, whole: bool = True) -> Row:
    """The patch or cover of a project that is called by its Message-ID; `whole` as the store says."""
    key, link_name = unquoted(call.parts["msgid"]), unquoted(call.parts["project"])
    id_ = None if "\0" in key + link_name else await patches.find(connection, key, link_name)
    row = None if id_ is None else (await mails.mails(connection, [id_], whole=whole)).get(id_)
    if row is None or row["is_patch"] != patch or row["about"] != id_:
        raise missing("Patch" if patch else "Cover")
    return row


async def _entries(connection: Connection, ids: Sequence[int]) -> Callable[[], bytes]:
    """Patches with the trailers that they were given, in this order; a pull request has no diff to apply."""
    await mails.check_size(connection, ids)
    rows = await mails.mails(connection, ids)
    given = await mails.given(connection, ids)
    there = [rows[id_] for id_ in ids if id_ in rows and rows[id_]["diff"] is not None]
    return lambda: mbox.joined((row, given.get(row["id"], ())) for row in there)


async def patch_mbox(call: Call, connection: Connection) -> Unmade:
    """A patch; with `series` also those that come before it there."""
    row = await _mail(call, connection, patch=True)
    if asked := call.query.get("series", [""])[-1]:
        which = None if asked == "*" else whole_number(asked)
        ids = await mails.series_up_to(connection, row["id"], which) if asked == "*" or which is not None else None
        if ids is None:
            raise missing("Series")
        return _attached(await _entries(connection, ids), row["name"], "patch")
    given = await mails.given(connection, [row["id"]])
    return _attached(lambda: mbox.entry(row, given.get(row["id"], ())), row["name"], "patch")


async def patch_raw(call: Call, connection: Connection) -> Unmade:
    """The diff of a patch, as it was sent."""
    row = await _mail(call, connection, patch=True)
    if row["diff"] is None:
        raise missing("Patch")
    return _attached(lambda: mbox.diff(row)[0], row["name"], "diff", "text/x-patch; charset=utf-8")


async def cover_mbox(call: Call, connection: Connection) -> Unmade:
    """A cover."""
    row = await _mail(call, connection, patch=False)
    given = await mails.given(connection, [row["id"]])
    return _attached(lambda: mbox.entry(row, given.get(row["id"], ())), row["name"], "mbox")


async def series_mbox(call: Call, connection: Connection) -> Unmade:
    """The patches of a series, as they are to be applied."""
    id_ = call.number("series", "Series")
    row = (await series.series(connection, [id_])).get(id_)
    if row is None:
        raise missing("Series")
    content = await _entries(connection, [message for _, message in row["patches"]])
    return _attached(content, row["name"] or f"series-{id_}", "patch")


async def bundle_mbox(call: Call, connection: Connection) -> Unmade:
    """The patches of a bundle."""
    username, name = unquoted(call.parts["user"]), unquoted(call.parts["bundle"])
    id_ = None if "\0" in username + name else await work.bundle_of(connection, username, name)
    row = None if id_ is None else (await work.bundles(connection, [id_])).get(id_)
    if row is None or not (row["public"] or (call.account is not None and row["user_id"] == call.account.id)):
        raise missing("Bundle")
    return _attached(await _entries(connection, row["patches"]), f"bundle-{row['id']}-{row['name']}", "mbox")


def _by_id(kind: str) -> Handler:
    """Where a patch or cover that is called by its id is called by its Message-ID."""

    async def move(call: Call, connection: Connection) -> Redirect:
        id_ = call.number("id", kind.title())
        row = (await patches.short(connection, [id_])).get(id_)
        is_cover = row is not None and row["kind"] == "cover" and not row["is_patch"]
        if row is None or not (row["is_patch"] if kind == "patch" else is_cover):
            raise missing(kind.title())
        rest = call.parts["rest"].strip("/")
        where = f"/project/{quoted(row['link_name'])}/{kind}/{quoted(row['key'])}/{f'{rest}/' if rest else ''}"
        return Redirect(where)

    return move


async def comment(call: Call, connection: Connection) -> Redirect:
    """Where a comment is shown."""
    id_ = call.number("id", "Comment")
    row = (await series.comments(connection, [id_])).get(id_)
    if row is None:
        raise missing("Comment")
    kind = "patches" if row["of_patch"] else "covers"
    return Redirect(f"/api/1.3/{kind}/{row['about']}/comments/{id_}/?format=api")


def _page(kind: str) -> Handler:
    """Where a patch or cover is shown to people."""

    async def move(call: Call, connection: Connection) -> Redirect:
        row = await _mail(call, connection, patch=kind == "patches", whole=False)
        return Redirect(f"/api/1.3/{kind}/{row['id']}/?format=api")

    return move


async def front(_: Call, __: Connection) -> Redirect:
    """Where to begin."""
    return Redirect("/api/1.3/?format=api")


async def project_list(call: Call, connection: Connection) -> Redirect:
    """Where the patches of a project, or of one of its series, are shown."""
    await _project(call, connection)
    one = call.query.get("series", [""])[-1]
    if whole_number(one) is not None:
        return Redirect(f"/api/1.3/series/{one.strip()}/?format=api")
    return Redirect(f"/api/1.3/patches/?project={quoted(call.parts['project'])}&order=-date&format=api")


async def _project(call: Call, connection: Connection) -> str:
    name = unquoted(call.parts["project"])
    resolved = {} if "\0" in name else await people.resolve(connection, {"project": [name]})
    if name not in resolved.get("project", {}):
        raise missing("Project")
    return name


async def pwclientrc(call: Call, connection: Connection) -> File:
    """A configuration for pwclient."""
    name = await _project(call, connection)
    plain = re.sub(r"[^-_A-Za-z0-9.]", "-", name)
    text = (
        f"# Sample .pwclientrc for {plain}\n\n[options]\ndefault = {plain}\n\n"
        f"[{plain}]\nbackend = rest\nurl = {call.base}/api\n# token = what `ingestd token create` printed\n"
    )
    return File(text.encode(), TEXT, {"Content-Disposition": "attachment; filename=.pwclientrc"})


async def _listed(call: Call, connection: Connection) -> int:
    """The id of a mail on a list, as public-inbox calls it."""
    list_, key = unquoted(call.parts["list"]), unquoted(call.parts["msgid"])
    id_ = None if "\0" in list_ + key else await patches.find(connection, key, list_)
    if id_ is None:
        raise missing()
    return id_


async def thread(call: Call, connection: Connection) -> Unmade:
    """All mails of a thread, in a compressed mbox."""
    raws = await mails.thread(connection, await _listed(call, connection))
    return _compressed(raws, "inline; filename=t")


async def raw(call: Call, connection: Connection) -> File:
    """One mail, as it was received, in an mbox."""
    return File(mbox.mboxrd([await mails.raw(connection, await _listed(call, connection))]), TEXT)


async def search(call: Call, connection: Connection) -> Unmade:
    """The mails that a search finds, with `t=1` with their whole threads, in a compressed mbox (public-inbox's x=m)."""
    name = unquoted(call.parts["list"])
    list_ = None if "\0" in name else await mail_search.list_of(connection, name)
    if list_ is None:
        raise missing()
    thread_of = await _listed(call, connection) if "msgid" in call.parts else None
    wanted = searching.read(call.query.get("q", [""])[-1])
    whole = call.query.get("t", [""])[-1] == "1"
    try:
        raws = await mail_search.search(connection, list_, wanted, thread_of=thread_of, whole=whole)
    except mail_search.VagueError as error:
        raise RefusalError(400, f"The search asks for too much: {error}.") from error
    if not raws:
        raise missing()
    return _compressed(raws, "attachment; filename=results")


_PART = r"[^/]+"
_PROJECT = rf"/project/(?P<project>{_PART})"
_ID = r"(?P<msgid>.+?)"  # a server decodes before we see it: a Message-ID may have a slash
PLACES = tuple(
    Place(re.compile(pattern), handler)
    for pattern, handler in (
        ("", front),
        (rf"{_PROJECT}/patch/{_ID}/mbox", patch_mbox),
        (rf"{_PROJECT}/patch/{_ID}/raw", patch_raw),
        (rf"{_PROJECT}/patch/{_ID}", _page("patches")),
        (rf"{_PROJECT}/cover/{_ID}/mbox", cover_mbox),
        (rf"{_PROJECT}/cover/{_ID}", _page("covers")),
        (rf"{_PROJECT}/pwclientrc", pwclientrc),
        (rf"{_PROJECT}(/list)?", project_list),
        (r"/series/(?P<series>\d+)/mbox", series_mbox),
        (rf"/bundle/(?P<user>{_PART})/(?P<bundle>{_PART})/mbox", bundle_mbox),
        (r"/patch/(?P<id>\d+)(?P<rest>(/mbox|/raw)?)", _by_id("patch")),
        (r"/cover/(?P<id>\d+)(?P<rest>(/mbox)?)", _by_id("cover")),
        (r"/comment/(?P<id>\d+)", comment),
        (rf"/(?P<list>{_PART})/{_ID}/t\.mbox\.gz", thread),
        (rf"/(?P<list>{_PART})/{_ID}/raw", raw),
    )
)
# Of a list, or of a mail's thread. b4 asks by POST, with a body that says nothing new.
SEARCH = Place(re.compile(rf"/(?P<list>{_PART})(/{_ID})?"), search, ("GET", "POST"))


def find(path: str, query: Mapping[str, Sequence[str]]) -> tuple[Place, dict[str, str]] | None:
    """What is at a path, and the parts of it."""
    searches = query.get("x", [""])[-1] == "m"
    for place in (*PLACES, SEARCH) if searches else PLACES:
        if found := place.pattern.fullmatch(path.removesuffix("/")):
            return place, {name: part for name, part in found.groupdict().items() if part is not None}
    return None


async def answer(call: Call, place: Place) -> File | Redirect:
    """What is asked for."""
    if call.method not in place.methods:
        allowed = ", ".join((*place.methods, "HEAD"))
        raise RefusalError(405, f'Method "{call.method}" not allowed.', {"Allow": allowed})
    async with call.site.reader.transaction() as connection:
        try:
            found = await place.handler(call, connection)
        except mails.TooMuchError as error:
            raise RefusalError(
                400, f"That is too much for one answer: {error}. Ask for its mails one by one."
            ) from error
    if isinstance(found, Unmade):
        return File(await asyncio.to_thread(found.make), found.kind, found.headers)
    return found
