"""The table of fields by version: every answer of the API, key by key."""

from collections.abc import Iterable
from typing import Any

from ingestd.web.fields import (
    BOOLEAN,
    INTEGER,
    TEXT,
    TIME,
    URL,
    V1_1,
    V1_2,
    V1_3,
    V1_4,
    Field,
    Form,
    Row,
    Schema,
    View,
    list_of,
    nullable,
    quoted,
    when,
    words,
)
from ingestd.web.states import STATES, VERDICTS

HEADERS: Schema = {
    "type": "object",
    "additionalProperties": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
}
TAGS: Schema = {"type": "object", "additionalProperties": {"type": "integer"}}
PREFIXES = list_of(TEXT)


def _plain(name: str, schema: Schema, **rest: Any) -> Field:  # noqa: ANN401 - since and whole
    return Field(name, schema, lambda row, _: row[name], **rest)


# Users.

USER = Form(
    "User",
    (
        _plain("id", INTEGER),
        Field("url", URL, lambda row, view: view.api(f"users/{row['id']}")),
        *(_plain(name, TEXT) for name in ("username", "first_name", "last_name", "email")),
    ),
)
SETTINGS = Form(
    "Settings", (_plain("send_email", BOOLEAN), _plain("items_per_page", INTEGER), _plain("show_ids", BOOLEAN))
)
OWN_USER = Form("OwnUser", (*USER.fields, Field("settings", SETTINGS.ref, SETTINGS.show, since=V1_2)))


def _user(row: Row, view: View) -> dict[str, Any] | None:
    """The user that stands in a row beside others, if any."""
    if row["user_id"] is None:
        return None
    return USER.show({**row, "id": row["user_id"], "email": row["user_email"]}, view)


def _user_by_id(account: int | None, view: View) -> dict[str, Any] | None:
    found = view.users.get(account) if account is not None else None
    return None if found is None else USER.show(found, view)


# People.

PERSON = Form(
    "Person",
    (
        _plain("id", INTEGER),
        Field("url", URL, lambda row, view: view.api(f"people/{row['id']}")),
        Field("name", nullable(TEXT), lambda row, _: row["name"] or None),
        _plain("email", TEXT),
    ),
)
WHOLE_PERSON = Form("WholePerson", (*PERSON.fields, Field("user", nullable(USER.ref), _user)))


def _submitter(row: Row, view: View) -> dict[str, Any]:
    return PERSON.show(
        {"id": row["submitter_id"], "name": row["submitter_name"], "email": row["submitter_email"]}, view
    )


# Projects.

_PLACE = ("web_url", "scm_url", "webscm_url")
_ARCHIVE = tuple(
    _plain(name, TEXT, since=V1_2) for name in ("list_archive_url", "list_archive_url_format", "commit_url_format")
)
_PROJECT = (
    _plain("id", INTEGER),
    Field("url", URL, lambda row, view: view.api(f"projects/{row['id']}")),
    _plain("name", TEXT),
    _plain("link_name", TEXT),
    _plain("list_id", TEXT),
    Field("list_email", TEXT, lambda row, _: row["address"]),
    *(_plain(name, TEXT) for name in _PLACE),
)
PROJECT = Form("Project", (*_PROJECT, *_ARCHIVE))
WHOLE_PROJECT = Form(
    "WholeProject",
    (
        *_PROJECT,
        Field("maintainers", list_of(USER.ref), lambda row, view: [USER.show(one, view) for one in row["maintainers"]]),
        Field("subject_match", TEXT, lambda _row, _view: "", since=V1_1),
        *_ARCHIVE,
        _plain("show_dependencies", BOOLEAN, since=V1_4),
    ),
)


def _project_of(row: Row, view: View) -> Row:
    return view.projects[row["list"]]


def _project(row: Row, view: View) -> dict[str, Any]:
    return PROJECT.show(_project_of(row, view), view)


# Patches, covers and comments, as they stand in other answers.


def _archive_url(row: Row, view: View) -> str | None:
    written: str = _project_of(row, view)["list_archive_url_format"]
    return written.replace("{}", quoted(row["key"])) if written else None


def _page(kind: str, row: Row, view: View, rest: str = "") -> str:
    return view.web(f"project/{quoted(_project_of(row, view)['link_name'])}/{kind}/{quoted(row['key'])}/{rest}")


def _mail(kind: str, *, mbox_since: tuple[int, int]) -> tuple[Field, ...]:
    """The short form of a patch or cover."""
    return (
        _plain("id", INTEGER),
        Field(
            "url",
            URL,
            lambda row, view: view.api(f"{kind}es/{row['id']}" if kind == "patch" else f"{kind}s/{row['id']}"),
        ),
        Field("web_url", URL, lambda row, view: _page(kind, row, view), since=V1_1),
        Field("msgid", TEXT, lambda row, _: f"<{row['message_id']}>"),
        Field("list_archive_url", nullable(TEXT), _archive_url, since=V1_2),
        Field("date", TIME, lambda row, _: when(row["date"])),
        _plain("name", TEXT),
        Field("mbox", URL, lambda row, view: _page(kind, row, view, "mbox/"), since=mbox_since),
    )


SHORT_PATCH = Form("ShortPatch", _mail("patch", mbox_since=(1, 0)))
SHORT_COVER = Form("ShortCover", _mail("cover", mbox_since=V1_1))


def _comment_path(row: Row) -> str:
    return f"{'patches' if row['of_patch'] else 'covers'}/{row['about']}/comments/{row['id']}"


_COMMENT = (
    _plain("id", INTEGER),
    Field("url", URL, lambda row, view: view.api(_comment_path(row)), since=V1_3),
    Field("web_url", URL, lambda row, view: view.web(f"comment/{row['id']}/"), since=V1_1),
    Field("msgid", TEXT, lambda row, _: f"<{row['message_id']}>"),
    Field("list_archive_url", nullable(TEXT), _archive_url, since=V1_2),
    Field("date", TIME, lambda row, _: when(row["date"])),
)
SHORT_COMMENT = Form("ShortComment", _COMMENT)


# Series.

_SERIES_MBOX = Field("mbox", URL, lambda row, view: view.web(f"series/{row['id']}/mbox/"))
_SERIES_PAGE = Field(
    "web_url",
    URL,
    lambda row, view: view.web(f"project/{quoted(_project_of(row, view)['link_name'])}/list/?series={row['id']}"),
    since=V1_1,
)
SHORT_SERIES = Form(
    "ShortSeries",
    (
        _plain("id", INTEGER),
        Field("url", URL, lambda row, view: view.api(f"series/{row['id']}")),
        _SERIES_PAGE,
        Field("date", TIME, lambda row, _: when(row["date"])),
        _plain("name", nullable(TEXT)),
        _plain("version", INTEGER),
        _SERIES_MBOX,
    ),
)


def _series_of(row: Row, view: View) -> list[dict[str, Any]]:
    """The series of a patch or cover: a list of one or none."""
    if row["series_id"] is None:
        return []
    own = {name: row[f"series_{name}"] for name in ("id", "name", "date", "version")}
    return [SHORT_SERIES.show({**own, "list": row["list"]}, view)]


def _cover_of(row: Row, view: View) -> dict[str, Any] | None:
    cover = view.mails.get(row["cover"])
    return None if cover is None or cover["is_patch"] else SHORT_COVER.show(cover, view)


def _numbered(row: Row, view: View) -> list[tuple[int, Row]]:
    """The patches of a series that are listed, by number; a pull request is the first."""
    mails = view.mails
    head = [(0, row["cover"])] if row["cover"] in mails else []
    return [(number, mails[id_]) for number, id_ in [*head, *row["patches"]] if id_ in mails and mails[id_]["is_patch"]]


def _patches_of(row: Row, view: View) -> list[dict[str, Any]]:
    return [SHORT_PATCH.show(mail, view) for _, mail in _numbered(row, view)]


def _received(row: Row, view: View) -> int:
    return sum(1 for number, _ in _numbered(row, view) if 0 < number <= row["total"])


def _linked(kind: str) -> Field:
    def get(row: Row, view: View) -> list[str]:
        return [view.api(f"series/{id_}") for id_ in getattr(view, kind).get(row["id"], ())]

    return Field("dependencies" if kind == "needs" else "dependents", list_of(URL), get, since=V1_4)


SERIES = Form(
    "Series",
    (
        _plain("id", INTEGER),
        Field("url", URL, lambda row, view: view.api(f"series/{row['id']}")),
        _SERIES_PAGE,
        Field("project", PROJECT.ref, _project),
        _plain("name", nullable(TEXT)),
        Field("date", TIME, lambda row, _: when(row["date"])),
        Field("submitter", PERSON.ref, _submitter),
        _plain("version", INTEGER),
        _plain("total", INTEGER),
        Field("received_total", INTEGER, _received),
        Field("received_all", BOOLEAN, lambda row, _: row["complete"]),
        _SERIES_MBOX,
        Field("cover_letter", nullable(SHORT_COVER.ref), _cover_of),
        Field("patches", list_of(SHORT_PATCH.ref), _patches_of),
        _linked("needs"),
        _linked("needed"),
    ),
)


# Whole mails.


def _headers(row: Row, _: View) -> dict[str, str | list[str]]:
    """Name -> value, or list of values where it is there more than once; in the order of the mail."""
    gathered: dict[str, list[str]] = {}
    for name, value in row["headers"]:
        gathered.setdefault(name, []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in gathered.items()}


def _subject(headers: Iterable[tuple[str, str]]) -> str:
    return next((value for name, value in headers if name.lower() == "subject"), "")


_WHOLE_MAIL = (
    Field("headers", HEADERS, _headers, whole=True),
    Field("content", nullable(TEXT), lambda row, _: row["content"], whole=True),
)


def _others(row: Row, view: View) -> list[dict[str, Any]]:
    ids = view.related.get(row["relation"], ())
    mails = view.mails
    return [SHORT_PATCH.show(mails[id_], view) for id_ in ids if id_ != row["id"] and id_ in mails]


PATCH = Form(
    "Patch",
    (
        _plain("id", INTEGER),
        Field("url", URL, lambda row, view: view.api(f"patches/{row['id']}")),
        Field("web_url", URL, lambda row, view: _page("patch", row, view), since=V1_1),
        Field("project", PROJECT.ref, _project),
        Field("msgid", TEXT, lambda row, _: f"<{row['message_id']}>"),
        Field("list_archive_url", nullable(TEXT), _archive_url, since=V1_2),
        Field("date", TIME, lambda row, _: when(row["date"])),
        _plain("name", TEXT),
        _plain("commit_ref", nullable(TEXT)),
        _plain("pull_url", nullable(TEXT)),
        _plain("state", words(*STATES)),
        _plain("archived", BOOLEAN),
        _plain("hash", nullable(TEXT)),
        Field("submitter", PERSON.ref, _submitter),
        Field("delegate", nullable(USER.ref), _user),
        Field("mbox", URL, lambda row, view: _page("patch", row, view, "mbox/")),
        Field("series", list_of(SHORT_SERIES.ref), _series_of),
        Field("comments", URL, lambda row, view: view.any_api(f"patches/{row['id']}/comments"), since=V1_1),
        Field("check", words(*VERDICTS), lambda row, _: row["verdict"]),
        Field("checks", URL, lambda row, view: view.any_api(f"patches/{row['id']}/checks")),
        Field("tags", TAGS, lambda row, view: view.tags.get(row["id"], {})),
        Field("related", list_of(SHORT_PATCH.ref), _others, since=V1_2),
        *_WHOLE_MAIL,
        Field("diff", nullable(TEXT), lambda row, _: row["diff"], whole=True),
        Field("prefixes", PREFIXES, lambda row, _: list(row["prefixes"]), whole=True),
    ),
)

COVER = Form(
    "Cover",
    (
        _plain("id", INTEGER),
        Field("url", URL, lambda row, view: view.api(f"covers/{row['id']}")),
        Field("web_url", URL, lambda row, view: _page("cover", row, view), since=V1_1),
        Field("project", PROJECT.ref, _project),
        Field("msgid", TEXT, lambda row, _: f"<{row['message_id']}>"),
        Field("list_archive_url", nullable(TEXT), _archive_url, since=V1_2),
        Field("date", TIME, lambda row, _: when(row["date"])),
        _plain("name", TEXT),
        Field("submitter", PERSON.ref, _submitter),
        Field("mbox", URL, lambda row, view: _page("cover", row, view, "mbox/"), since=V1_1),
        Field("series", list_of(SHORT_SERIES.ref), _series_of),
        Field("comments", URL, lambda row, view: view.any_api(f"covers/{row['id']}/comments"), since=V1_1),
        *_WHOLE_MAIL,
    ),
)


def _addressed(row: Row, _: View) -> bool | None:
    """What somebody said, else no where the mail asks for action: of patches only, as Patchwork has it."""
    if row["judged"]:
        said: bool | None = row["addressed"]
        return said
    asks = any(name.lower() == "x-patchwork-action-required" for name, _ in row["headers"])
    return False if asks and row["of_patch"] else None


COMMENT = Form(
    "Comment",
    (
        *_COMMENT,
        Field("subject", TEXT, lambda row, _: _subject(row["headers"])),
        Field("submitter", PERSON.ref, _submitter),
        _plain("content", nullable(TEXT)),
        Field("headers", HEADERS, _headers),
        Field("addressed", nullable(BOOLEAN), _addressed, since=V1_3),
    ),
)


# Checks and bundles.


def _check_path(row: Row) -> str:
    return f"patches/{row['message']}/checks/{row['id']}"


SHORT_CHECK = Form(
    "ShortCheck",
    (
        _plain("id", INTEGER),
        Field("url", URL, lambda row, view: view.api(_check_path(row))),
        Field("date", TIME, lambda row, _: when(row["date"])),
        _plain("state", words(*VERDICTS)),
        _plain("target_url", nullable(TEXT)),
        _plain("context", TEXT),
    ),
)
CHECK = Form(
    "Check",
    (
        _plain("id", INTEGER),
        Field("url", URL, lambda row, view: view.api(_check_path(row))),
        Field("user", USER.ref, _user),
        Field("date", TIME, lambda row, _: when(row["date"])),
        _plain("state", words(*VERDICTS)),
        _plain("target_url", nullable(TEXT)),
        _plain("context", TEXT),
        _plain("description", nullable(TEXT)),
    ),
)


def _bundle_page(row: Row, view: View, rest: str = "") -> str:
    return view.web(f"bundle/{quoted(row['username'])}/{quoted(row['name'])}/{rest}")


BUNDLE = Form(
    "Bundle",
    (
        _plain("id", INTEGER),
        Field("url", URL, lambda row, view: view.api(f"bundles/{row['id']}")),
        Field("web_url", URL, _bundle_page, since=V1_1),
        Field("project", PROJECT.ref, _project),
        _plain("name", TEXT),
        Field("owner", USER.ref, _user),
        Field(
            "patches",
            list_of(SHORT_PATCH.ref),
            lambda row, view: [SHORT_PATCH.show(view.mails[id_], view) for id_ in row["patches"] if id_ in view.mails],
        ),
        _plain("public", BOOLEAN),
        Field("mbox", URL, lambda row, view: _bundle_page(row, view, "mbox/")),
    ),
)
