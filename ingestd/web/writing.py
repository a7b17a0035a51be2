"""What PUT, PATCH, POST and DELETE do. Each is one transaction, and holds the ingest lock for its events' numbers."""

from collections.abc import Mapping
from typing import Any

from ingestd.store.api import people, series, triage, work
from ingestd.store.api.accounts import Account
from ingestd.store.api.triage import ConflictError, Standing
from ingestd.store.engine import Connection
from ingestd.web import forms, reading, values
from ingestd.web.answer import Answer, RefusalError, denied, missing, wrong
from ingestd.web.call import Call
from ingestd.web.fields import V1_2, V1_4

LONGEST_TEXT = 255
LONGEST_URL = 2000
PLACES = ("web_url", "scm_url", "webscm_url", "list_archive_url", "list_archive_url_format", "commit_url_format")


def _may_edit(account: Account, patch: Standing) -> bool:
    return patch.list in account.maintains or account.id in (patch.delegate, patch.submitter_account)


async def _patch(connection: Connection, call: Call) -> Standing:
    """The patch that is asked for; 404 when there is none, 403 for who may not change it."""
    id_ = await reading.find_mail(connection, call, "patch", "Patch")
    found = (await triage.standing(connection, [id_])).get(id_)
    if found is None:
        raise missing("Patch")
    if not _may_edit(call.user(), found):
        raise denied()
    return found


async def _changes(connection: Connection, data: Mapping[str, Any], lists: frozenset[int]) -> dict[str, Any]:
    """The changes to patches of `lists` that a body asks for."""
    changes: dict[str, Any] = {}
    if "state" in data:
        changes["state"] = values.state(data, "state")
    if "archived" in data:
        changes["archived"] = values.boolean(data, "archived")
    for name in ("commit_ref", "pull_url"):
        if name in data:
            changes[name] = values.maybe_text(data, name, LONGEST_TEXT)
    if "delegate" in data:
        changes["delegate"] = values.maybe_key(data, "delegate")
        if changes["delegate"] is not None:
            await _check_delegate(connection, changes["delegate"], lists)
    return changes


async def _check_delegate(connection: Connection, delegate: int, lists: frozenset[int]) -> None:
    user = (await people.users(connection, [delegate])).get(delegate)
    if user is None:
        raise values.absent("delegate", delegate)
    for project in (await people.projects(connection, lists)).values():
        if delegate not in [one["id"] for one in project["maintainers"]]:
            name = project["name"]
            raise wrong("delegate", f"User '{user['username']}' is not a maintainer for project '{name}'")


async def change_patch(call: Call) -> Answer:
    """Update a patch."""
    account = call.user()
    async with call.site.database.ingest() as connection:
        patch = await _patch(connection, call)
        if call.method == "PUT":
            absent = {name: [values.REQUIRED] for name in ("state", "delegate") if name not in call.data}
            if absent:
                raise RefusalError(400, absent)
        changes = await _changes(connection, call.data, frozenset([patch.list]))
        if "related" in call.data and call.version >= V1_2:
            await _relate(connection, account, patch, values.keys(call.data, "related"))
        await triage.change_patches(connection, [patch], changes, account.id)
    async with call.site.database.transaction() as connection:  # others may write again
        return Answer(await reading.whole_patch(connection, call, patch.id))


async def _relate(connection: Connection, account: Account, patch: Standing, ids: list[int]) -> None:
    others = await triage.standing(connection, [id_ for id_ in ids if id_ != patch.id])
    for id_ in ids:
        if id_ != patch.id and id_ not in others:
            raise values.absent("related", id_)
    if not {one.list for one in [patch, *others.values()]} <= account.maintains:
        raise denied()
    try:
        await triage.relate(connection, patch, list(others.values()), account.id)
    except ConflictError as error:
        raise RefusalError(409, "A patch cannot be related to patches of another relation.") from error


async def change_series(call: Call) -> Answer:
    """Update all patches of a series that were posted for it."""
    account = call.user()
    id_ = call.number("series", "Series")
    async with call.site.database.ingest() as connection:
        rows = await series.series(connection, [id_])
        if id_ not in rows:
            raise missing("Series")
        if rows[id_]["list"] not in account.maintains:
            raise denied()
        members = [message for _, message in rows[id_]["patches"]] + [rows[id_]["cover"]]
        patches = await triage.standing(connection, [message for message in members if message is not None])
        changes = await _changes(connection, call.data, frozenset([rows[id_]["list"]]))
        await triage.change_patches(connection, list(patches.values()), changes, account.id)
    async with call.site.database.transaction() as connection:
        return await reading.series_answer(connection, call, id_)


async def create_check(call: Call) -> Answer:
    """Create a check."""
    account, data = call.user(), call.data
    async with call.site.database.ingest() as connection:
        patch = await _patch(connection, call)
        if data.get("state") in (None, "", [""]):
            raise wrong("state", "A check must have a state.")
        check = {
            "state": values.verdict(data, "state"),
            "context": values.slug(data, "context", LONGEST_TEXT) if data.get("context") else "default",
            "target_url": values.maybe_url(data, "target_url", 200) if "target_url" in data else None,
            "description": values.maybe_text(data, "description", 100_000) if "description" in data else None,
        }
        made = await triage.add_check(connection, patch, check, account.id)
    async with call.site.database.transaction() as connection:
        row = (await work.checks(connection, [made]))[made]
    shown = forms.CHECK.show(row, call.view)
    return Answer(shown, 201, {"Location": shown["url"]})


async def change_comment(call: Call) -> Answer:
    """Update a comment."""
    account = call.user()
    async with call.site.database.ingest() as connection:
        row = await reading.whole_comment(connection, call)
        writer = (await people.people(connection, [row["submitter_id"]]))[row["submitter_id"]]["user_id"]
        about = (await triage.standing(connection, [row["about"]])).get(row["about"])
        maintains = row["list"] in account.maintains
        if not (maintains or account.id == writer or (about is not None and _may_edit(account, about))):
            raise denied()
        if "addressed" in call.data:
            addressed = values.maybe_boolean(call.data, "addressed")
            await triage.address_comment(connection, row["id"], addressed=addressed)
        elif call.method == "PUT":
            raise wrong("addressed", values.REQUIRED)
    async with call.site.database.transaction() as connection:
        return await reading.comment_answer(connection, call)


async def change_project(call: Call) -> Answer:
    """Update a project."""
    account = call.user()
    async with call.site.database.ingest() as connection:
        row = await reading.find_project(connection, call.parts["project"])
        if row["id"] not in account.maintains:
            raise denied()
        changes: dict[str, Any] = {
            name: values.text(call.data, name, LONGEST_URL) for name in PLACES if name in call.data
        }
        if "show_dependencies" in call.data and call.version >= V1_4:
            changes["show_dependencies"] = values.boolean(call.data, "show_dependencies")
        await triage.change_project(connection, row["id"], changes)
        row = await reading.find_project(connection, str(row["id"]))
    return Answer(forms.WHOLE_PROJECT.show(row, call.view))


async def change_user(call: Call) -> Answer:
    """Update a user: oneself."""
    account = call.user()
    id_ = call.number("user", "User")
    async with call.site.database.ingest() as connection:
        if id_ not in await people.users(connection, [id_]):
            raise missing("User")
        if id_ != account.id:
            raise denied()
        changes: dict[str, Any] = {
            name: values.text(call.data, name, 150) for name in ("first_name", "last_name") if name in call.data
        }
        if call.version >= V1_2 and "settings" in call.data:
            changes |= _settings(call.data["settings"])
        await triage.change_user(connection, id_, changes)
        row = (await people.users(connection, [id_]))[id_]
    return Answer(forms.OWN_USER.show(row, call.view))


def _settings(said: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    if not isinstance(said, dict):
        raise wrong("settings", "Invalid data. Expected a dictionary.")
    changes: dict[str, Any] = {name: values.boolean(said, name) for name in ("send_email", "show_ids") if name in said}
    if "items_per_page" in said:
        changes["items_per_page"] = values.count("items_per_page", said["items_per_page"], 2**31 - 1)
    return changes


# Bundles.


async def _bundled(connection: Connection, data: Mapping[str, Any]) -> tuple[int, list[int]]:
    """The list and the ids of the patches that a body names."""
    ids = values.keys(data, "patches")
    if not ids:
        raise wrong("patches", "Bundles cannot be empty.")
    found = await triage.standing(connection, ids)
    for id_ in ids:
        if id_ not in found:
            raise values.absent("patches", id_)
    lists = {one.list for one in found.values()}
    if len(lists) > 1:
        raise wrong("patches", "Bundle patches must belong to the same project.")
    return lists.pop(), ids


def _name(data: Mapping[str, Any]) -> str:
    return values.text(data, "name", 50, required=True)


TAKEN = "A bundle with this name exists already."


async def _show_bundle(call: Call, id_: int, status: int = 200) -> Answer:
    async with call.site.database.transaction() as connection:
        row = (await work.bundles(connection, [id_])).get(id_)
        if row is None:  # somebody was faster
            raise missing("Bundle")
        shown = forms.BUNDLE.show(row, await reading.view_bundles(connection, call, [row]))
    return Answer(shown, status, {"Location": shown["url"]} if status == 201 else {})


async def create_bundle(call: Call) -> Answer:
    """Create a bundle."""
    account, data = call.user(), call.data
    absent = {name: [values.REQUIRED] for name in ("name", "patches") if name not in data}
    if absent:
        raise RefusalError(400, absent)
    name = _name(data)
    public = values.boolean(data, "public") if "public" in data else False
    async with call.site.database.ingest() as connection:
        list_, ids = await _bundled(connection, data)
        made = await triage.create_bundle(connection, account.id, list_, name, ids, public=public)
        if made is None:
            raise wrong("name", TAKEN)
    return await _show_bundle(call, made, 201)


async def change_bundle(call: Call) -> Answer:
    """Update a bundle of one's own."""
    account, data = call.user(), call.data
    async with call.site.database.ingest() as connection:
        row = await reading.find_bundle(connection, call)
        if row["user_id"] != account.id:
            raise denied()
        if call.method == "PUT" and (absent := [name for name in ("name", "patches") if name not in data]):
            raise RefusalError(400, {name: [values.REQUIRED] for name in absent})
        changes: dict[str, Any] = {}
        if "name" in data:
            changes["name"] = _name(data)
        if "public" in data:
            changes["public"] = values.boolean(data, "public")
        if "patches" in data:
            list_, ids = await _bundled(connection, data)
            await triage.fill_bundle(connection, row["id"], list_, ids)
        if not await triage.change_bundle(connection, row["id"], changes):
            raise wrong("name", TAKEN)
    return await _show_bundle(call, row["id"])


async def delete_bundle(call: Call) -> Answer:
    """Delete a bundle of one's own."""
    async with call.site.database.ingest() as connection:
        row = await reading.find_bundle(connection, call)
        if row["user_id"] != call.user().id:
            raise denied()
        await triage.delete_bundle(connection, row["id"])
    return Answer(None, 204)
