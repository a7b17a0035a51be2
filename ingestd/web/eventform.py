"""How an event is shown: what its payload is, by category."""

from collections.abc import Callable, Mapping
from typing import Any

from ingestd.store.api.work import CATEGORIES
from ingestd.web.fields import (
    INTEGER,
    TIME,
    V1_3,
    Field,
    Form,
    Row,
    Schema,
    Version,
    View,
    nullable,
    when,
    words,
)
from ingestd.web.forms import (
    PROJECT,
    SHORT_CHECK,
    SHORT_COMMENT,
    SHORT_COVER,
    SHORT_PATCH,
    SHORT_SERIES,
    USER,
)
from ingestd.web.states import STATES


class GoneError(LookupError):
    """What an event is about is there no more."""


def _of(rows: Mapping[int, Row], id_: object) -> Row:
    row = rows.get(id_) if isinstance(id_, int) else None
    if row is None:
        raise GoneError(id_)
    return row


def _patch(row: Row, view: View) -> dict[str, Any]:
    mail = _of(view.mails, row["message"])
    if not mail["is_patch"]:
        raise GoneError(row["message"])
    return SHORT_PATCH.show(mail, view)


def _cover(row: Row, view: View) -> dict[str, Any]:
    mail = _of(view.mails, row["message"])
    if mail["is_patch"]:
        raise GoneError(row["message"])
    return SHORT_COVER.show(mail, view)


def _series(row: Row, view: View) -> dict[str, Any]:
    return SHORT_SERIES.show(_of(view.series, row["series"]), view)


def _comment(row: Row, view: View) -> dict[str, Any]:
    mail = _of(view.mails, row["payload"].get("comment"))
    of_patch = row["category"] == "patch-comment-created"
    return SHORT_COMMENT.show({**mail, "about": row["message"], "of_patch": of_patch}, view)


def _check(row: Row, view: View) -> dict[str, Any]:
    return SHORT_CHECK.show(_of(view.checks, row["payload"].get("check")), view)


def _said(name: str) -> Callable[[Row, View], Any]:
    return lambda row, _: row["payload"].get(name)


def _delegate(name: str) -> Callable[[Row, View], Any]:
    def get(row: Row, view: View) -> dict[str, Any] | None:
        account = view.users.get(row["payload"].get(name))
        return None if account is None else USER.show(account, view)

    return get


PATCH = Field("patch", SHORT_PATCH.ref, _patch)
COVER = Field("cover", SHORT_COVER.ref, _cover)
SERIES = Field("series", SHORT_SERIES.ref, _series)
COMMENT = Field("comment", SHORT_COMMENT.ref, _comment)
STATE = words(*STATES)
NOTHING: Schema = {"type": "null"}

PAYLOADS = {
    "cover-created": (COVER,),
    "patch-created": (PATCH,),
    "patch-completed": (PATCH, SERIES),
    "patch-state-changed": (
        PATCH,
        Field("previous_state", STATE, _said("previous_state")),
        Field("current_state", STATE, _said("current_state")),
    ),
    "patch-delegated": (
        PATCH,
        Field("previous_delegate", nullable(USER.ref), _delegate("previous_delegate")),
        Field("current_delegate", nullable(USER.ref), _delegate("current_delegate")),
    ),
    "patch-relation-changed": (
        PATCH,
        Field("previous_relation", NOTHING, lambda _row, _view: None),
        Field("current_relation", NOTHING, lambda _row, _view: None),
    ),
    "check-created": (PATCH, Field("check", SHORT_CHECK.ref, _check)),
    "series-created": (SERIES,),
    "series-completed": (SERIES,),
    "cover-comment-created": (COVER, COMMENT),
    "patch-comment-created": (PATCH, COMMENT),
}
PAYLOAD_FORMS = {
    category: Form("Payload" + "".join(word.title() for word in category.split("-")), PAYLOADS[category])
    for category in CATEGORIES
}


def categories(version: Version) -> list[str]:
    """The categories that a version knows."""
    return [one for one in CATEGORIES if version >= V1_3 or not one.endswith("-comment-created")]


def _actor(row: Row, view: View) -> dict[str, Any] | None:
    account = view.users.get(row["actor"])
    return None if account is None else USER.show(account, view)


EVENT = Form(
    "Event",
    (
        Field("id", INTEGER, lambda row, _: row["id"]),
        Field("category", words(*CATEGORIES), lambda row, _: row["category"]),
        Field("project", PROJECT.ref, lambda row, view: PROJECT.show(_of(view.projects, row["list"]), view)),
        Field("date", TIME, lambda row, _: when(row["at"])),
        Field("actor", nullable(USER.ref), _actor),
        Field(
            "payload",
            {"anyOf": [form.ref for form in PAYLOAD_FORMS.values()]},
            lambda row, view: PAYLOAD_FORMS[row["category"]].show(row, view),
        ),
    ),
)


def show(row: Row, view: View) -> dict[str, Any] | None:
    """The event, None where what it is about is there no more: Patchwork forgets such events as well."""
    try:
        return EVENT.show(row, view)
    except GoneError:
        return None
