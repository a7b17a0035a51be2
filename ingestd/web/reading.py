"""What GET answers: lists and single things. Each takes a constant number of queries, whatever is on the page."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

from ingestd.store.api import patches, people, series, work
from ingestd.store.api.listing import Listing, NoPageError, Page, ordered
from ingestd.store.api.listing import page as find_page
from ingestd.store.engine import Connection
from ingestd.web import eventform, filters, forms, openapi, paging
from ingestd.web.answer import Answer, RefusalError, missing
from ingestd.web.call import Call
from ingestd.web.fields import V1_2, V1_4, Form, Row, View, unquoted
from ingestd.web.filters import Filter, NothingError
from ingestd.web.states import STATES

LISTS = ("projects", "users", "people", "patches", "covers", "series", "events", "bundles")
Rows = Mapping[int, Row]


async def index(call: Call) -> Answer:
    """Show where the lists are."""
    return Answer({name: call.view.api(name) for name in LISTS})


async def _list(
    call: Call,
    listing: Listing,
    known: Mapping[str, Filter],
    show: Callable[[Connection, Page], Awaitable[list[Any]]],
    *,
    always: Sequence[tuple[str, Any]] = (),
    default: tuple[tuple[str, bool], ...] = (("id", False),),
) -> Answer:
    """A page of a list, and the way to the others."""
    async with call.site.reader.transaction() as connection:
        names = filters.names(call.query, known, call.version)
        resolved = await people.resolve(connection, names) if names else {}
        try:
            asked = [*always, *filters.read(call.query, known, call.version, resolved)]
            page = await find_page(
                connection, listing, filters.wanted(call.query, listing, asked, default), call.site.counts
            )
        except NothingError:
            if filters.number(call.query) not in (None, 1):
                raise RefusalError(404, "Invalid page.") from None
            page = Page([], 1, 1)
        except NoPageError:
            raise RefusalError(404, "Invalid page.") from None
        shown = await show(connection, page)
    return Answer(shown, headers={"Link": paging.link(call.base + call.path, call.query, page)})


async def _projects_of(connection: Connection, rows: Collection[Row]) -> Rows:
    lists = {row["list"] for row in rows}
    return await people.projects(connection, lists) if lists else {}


# Projects, people, users.


async def list_projects(call: Call) -> Answer:
    """List projects."""

    async def show(connection: Connection, page: Page) -> list[Any]:
        rows = await people.projects(connection, page.ids)
        return [forms.WHOLE_PROJECT.show(row, call.view) for row in ordered(page.ids, rows)]

    return await _list(call, people.PROJECTS, {}, show)


async def find_project(connection: Connection, name: str) -> Row:
    """A project by its id or link name; 404 when there is none."""
    name = unquoted(name)
    number = filters.whole_number(name)
    if number is None and "\0" not in name:
        resolved = await people.resolve(connection, {"project": [name]})
        number = next(iter(resolved.get("project", {}).get(name, ())), None)
    rows = {} if number is None else await people.projects(connection, [number])
    for row in rows.values():
        return row
    raise missing("Project")


async def show_project(call: Call) -> Answer:
    """Show a project."""
    async with call.site.reader.transaction() as connection:
        row = await find_project(connection, call.parts["project"])
    return Answer(forms.WHOLE_PROJECT.show(row, call.view))


async def list_people(call: Call) -> Answer:
    """List people."""
    call.user()

    async def show(connection: Connection, page: Page) -> list[Any]:
        rows = await people.people(connection, page.ids)
        return [forms.WHOLE_PERSON.show(row, call.view) for row in ordered(page.ids, rows)]

    return await _list(call, people.PEOPLE, {}, show)


async def show_person(call: Call) -> Answer:
    """Show a person."""
    call.user()
    return await _one(call, "person", "Person", people.people, forms.WHOLE_PERSON)


async def list_users(call: Call) -> Answer:
    """List users."""
    call.user()

    async def show(connection: Connection, page: Page) -> list[Any]:
        rows = await people.users(connection, page.ids)
        return [forms.USER.show(row, call.view) for row in ordered(page.ids, rows)]

    return await _list(call, people.USERS, {}, show)


async def show_user(call: Call) -> Answer:
    """Show a user."""
    own = str(call.user().id) == call.parts["user"]
    return await _one(call, "user", "User", people.users, forms.OWN_USER if own else forms.USER)


async def _one(
    call: Call,
    part: str,
    what: str,
    load: Callable[[Connection, Collection[int]], Awaitable[Mapping[int, Row]]],
    form: Form,
) -> Answer:
    id_ = call.number(part, what)
    async with call.site.reader.transaction() as connection:
        rows = await load(connection, [id_])
    if id_ not in rows:
        raise missing(what)
    return Answer(form.show(rows[id_], call.view))


# Patches and covers.


async def view_patches(connection: Connection, call: Call, rows: Collection[Row]) -> View:
    """What patches need beside their own rows."""
    view = call.view
    view.projects = await _projects_of(connection, rows)
    if call.version >= V1_2:
        view.related = await patches.related(
            connection, {row["relation"] for row in rows if row["relation"] is not None}
        )
        view.mails = await patches.short(connection, {id_ for ids in view.related.values() for id_ in ids})
    if call.version >= V1_4 and rows:
        view.tags = await patches.tags(connection, [row["id"] for row in rows])
    return view


async def list_patches(call: Call) -> Answer:
    """List patches."""

    async def show(connection: Connection, page: Page) -> list[Any]:
        rows = await patches.patches(connection, page.ids)
        view = await view_patches(connection, call, rows.values())
        return [forms.PATCH.show(row, view) for row in ordered(page.ids, rows)]

    return await _list(call, patches.PATCHES, filters.PATCHES, show)


async def find_mail(connection: Connection, call: Call, part: str, what: str) -> int:
    """The id of a patch or cover that is called by id, or by Message-ID; 404 when it can be none."""
    name = unquoted(call.parts[part])
    number = filters.whole_number(name)
    if number is not None:
        return number
    found = await patches.find(connection, name) if "@" in name and "\0" not in name else None
    if found is None:
        raise missing(what)
    return found


async def whole_patch(connection: Connection, call: Call, id_: int) -> Any:  # noqa: ANN401 - JSON
    """One patch with all that is known of it; 404 when there is none."""
    rows = await patches.patches(connection, [id_], whole=True)
    if id_ not in rows:
        raise missing("Patch")
    return forms.PATCH.show(rows[id_], await view_patches(connection, call, rows.values()), whole=True)


async def show_patch(call: Call) -> Answer:
    """Show a patch."""
    async with call.site.reader.transaction() as connection:
        return Answer(await whole_patch(connection, call, await find_mail(connection, call, "patch", "Patch")))


async def list_covers(call: Call) -> Answer:
    """List covers."""

    async def show(connection: Connection, page: Page) -> list[Any]:
        rows = await patches.covers(connection, page.ids)
        view = call.view
        view.projects = await _projects_of(connection, rows.values())
        return [forms.COVER.show(row, view) for row in ordered(page.ids, rows)]

    return await _list(call, patches.COVERS, filters.COVERS, show)


async def show_cover(call: Call) -> Answer:
    """Show a cover."""
    async with call.site.reader.transaction() as connection:
        id_ = await find_mail(connection, call, "cover", "Cover")
        rows = await patches.covers(connection, [id_], whole=True)
        if id_ not in rows:
            raise missing("Cover")
        view = call.view
        view.projects = await _projects_of(connection, rows.values())
    return Answer(forms.COVER.show(rows[id_], view, whole=True))


# Comments.


async def _commented(connection: Connection, call: Call) -> int:
    """The id of the patch or cover whose comments are asked for; 404 when there is none."""
    if "patch" in call.parts:
        id_, load, what = call.number("patch", "Patch"), patches.patches, "Patch"
    else:
        id_, load, what = call.number("cover", "Cover"), patches.covers, "Cover"
    if id_ not in await load(connection, [id_]):
        raise missing(what)
    return id_


async def list_comments(call: Call) -> Answer:
    """List comments."""
    async with call.site.reader.transaction() as connection:
        about = await _commented(connection, call)

    async def show(connection: Connection, page: Page) -> list[Any]:
        rows = await series.comments(connection, page.ids)
        view = call.view
        view.projects = await _projects_of(connection, rows.values())
        return [forms.COMMENT.show(row, view) for row in ordered(page.ids, rows)]

    return await _list(call, series.COMMENTS, {}, show, always=[("about", about)])


async def whole_comment(connection: Connection, call: Call) -> Row:
    """The row of a comment; 404 where there is none below that patch or cover."""
    about = await _commented(connection, call)
    id_ = call.number("comment", "Comment")
    row = (await series.comments(connection, [id_])).get(id_)
    if row is None or row["about"] != about:
        raise missing("Comment")
    return row


async def comment_answer(connection: Connection, call: Call) -> Answer:
    """The comment that is asked for."""
    row = await whole_comment(connection, call)
    view = call.view
    view.projects = await _projects_of(connection, [row])
    return Answer(forms.COMMENT.show(row, view))


async def show_comment(call: Call) -> Answer:
    """Show a comment."""
    async with call.site.reader.transaction() as connection:
        return await comment_answer(connection, call)


# Series.


async def _view_series(connection: Connection, call: Call, rows: Collection[Row]) -> View:
    view = call.view
    view.projects = await _projects_of(connection, rows)
    mails = {id_ for row in rows for _, id_ in row["patches"]} | {row["cover"] for row in rows if row["cover"]}
    view.mails = await patches.short(connection, mails)
    if call.version >= V1_4 and rows:
        view.needs, view.needed = await series.dependencies(connection, [row["id"] for row in rows])
    return view


async def list_series(call: Call) -> Answer:
    """List series."""

    async def show(connection: Connection, page: Page) -> list[Any]:
        rows = await series.series(connection, page.ids)
        view = await _view_series(connection, call, rows.values())
        return [forms.SERIES.show(row, view) for row in ordered(page.ids, rows)]

    return await _list(call, series.SERIES, filters.SERIES, show)


async def series_answer(connection: Connection, call: Call, id_: int) -> Answer:
    """A series; 404 when there is none."""
    rows = await series.series(connection, [id_])
    if id_ not in rows:
        raise missing("Series")
    return Answer(forms.SERIES.show(rows[id_], await _view_series(connection, call, rows.values())))


async def show_series(call: Call) -> Answer:
    """Show a series."""
    async with call.site.reader.transaction() as connection:
        return await series_answer(connection, call, call.number("series", "Series"))


# Checks, bundles, events, states.


async def list_checks(call: Call) -> Answer:
    """List checks."""
    async with call.site.reader.transaction() as connection:
        about = await _commented(connection, call)

    async def show(connection: Connection, page: Page) -> list[Any]:
        rows = await work.checks(connection, page.ids)
        return [forms.CHECK.show(row, call.view) for row in ordered(page.ids, rows)]

    return await _list(call, work.CHECKS, filters.CHECKS, show, always=[("patch", about)])


async def show_check(call: Call) -> Answer:
    """Show a check."""
    async with call.site.reader.transaction() as connection:
        about = await _commented(connection, call)
        id_ = call.number("check", "Check")
        row = (await work.checks(connection, [id_])).get(id_)
    if row is None or row["message"] != about:
        raise missing("Check")
    return Answer(forms.CHECK.show(row, call.view))


async def view_bundles(connection: Connection, call: Call, rows: Collection[Row]) -> View:
    """What bundles need beside their own rows."""
    view = call.view
    view.projects = await _projects_of(connection, rows)
    view.mails = await patches.short(connection, {id_ for row in rows for id_ in row["patches"]})
    return view


async def list_bundles(call: Call) -> Answer:
    """List bundles."""

    async def show(connection: Connection, page: Page) -> list[Any]:
        rows = await work.bundles(connection, page.ids)
        view = await view_bundles(connection, call, rows.values())
        return [forms.BUNDLE.show(row, view) for row in ordered(page.ids, rows)]

    seen = [("seen_by", None if call.account is None else call.account.id)]
    return await _list(call, work.BUNDLES, filters.BUNDLES, show, always=seen)


async def find_bundle(connection: Connection, call: Call) -> Row:
    """The row of a bundle that one may see; 404 when there is none."""
    id_ = call.number("bundle", "Bundle")
    row = (await work.bundles(connection, [id_])).get(id_)
    if row is None or not (row["public"] or (call.account is not None and row["user_id"] == call.account.id)):
        raise missing("Bundle")
    return row


async def show_bundle(call: Call) -> Answer:
    """Show a bundle."""
    async with call.site.reader.transaction() as connection:
        row = await find_bundle(connection, call)
        view = await view_bundles(connection, call, [row])
    return Answer(forms.BUNDLE.show(row, view))


async def list_events(call: Call) -> Answer:
    """List events."""

    async def show(connection: Connection, page: Page) -> list[Any]:
        rows = await work.events(connection, page.ids)
        view = await _view_events(connection, call, rows)
        shown = [eventform.show(row, view) for row in ordered(page.ids, rows)]
        return [one for one in shown if one is not None]

    known = dict(filters.EVENTS)
    always: list[tuple[str, Any]] = []
    there = eventform.categories(call.version)
    if any(call.query.get("category", ())):
        known["category"] = Filter(lambda values: [value for value in values if value in there])
    else:
        always = [("category", there)]
    downward = filters.whole_number(call.query.get("after", [""])[-1]) is None
    return await _list(call, work.EVENTS, known, show, always=always, default=(("date", downward),))


async def _view_events(connection: Connection, call: Call, rows: Rows) -> View:
    view = call.view
    said = [row["payload"] for row in rows.values()]
    mails = {row["message"] for row in rows.values()} | {one["comment"] for one in said if "comment" in one}
    view.projects = await _projects_of(connection, rows.values())
    view.mails = await patches.short(connection, {id_ for id_ in mails if id_ is not None})
    view.series = await series.short(connection, {row["series"] for row in rows.values() if row["series"] is not None})
    view.checks = await work.checks(connection, {one["check"] for one in said if "check" in one})
    accounts = {row["actor"] for row in rows.values()}
    accounts |= {one.get(name) for one in said for name in ("previous_delegate", "current_delegate")}
    view.users = await people.users(connection, {id_ for id_ in accounts if id_ is not None})
    return view


async def list_states(_: Call) -> Answer:
    """List states."""
    return Answer(
        [
            {"id": number, "slug": slug, "name": name, "action_required": required}
            for number, (slug, (name, required)) in enumerate(STATES.items(), start=1)
        ]
    )


async def show_document(call: Call) -> Answer:
    """Show this version as an OpenAPI document."""
    major, minor = call.version
    return Answer({**openapi.document(call.version), "servers": [{"url": f"{call.base}/api/{major}.{minor}"}]})
