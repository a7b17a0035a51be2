"""The endpoints of the API: path, methods, and the first version that has them."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from ingestd.web import reading, writing
from ingestd.web.answer import Answer
from ingestd.web.call import Call
from ingestd.web.fields import V1_1, V1_2, V1_3, VERSIONS, Version

Handler = Callable[[Call], Awaitable[Answer]]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")  # in the order of `Allow`


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path below `/api/VERSION`, with `{names}` for its parts, and what each method does."""

    path: str
    name: str  # for people
    methods: Mapping[str, Handler]
    since: Version = VERSIONS[0]
    writes_since: Version = VERSIONS[0]

    @property
    def pattern(self) -> str:
        """The path as a regular expression."""
        return re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(self.path.rstrip("/")))

    @property
    def allow(self) -> str:
        """What `Allow` says."""
        return ", ".join([*(one for one in METHODS if one in self.methods), "HEAD", "OPTIONS"])


def _changed(get: Handler, change: Handler, **more: Handler) -> dict[str, Handler]:
    """The methods of a thing that can be changed."""
    return {"GET": get, "PUT": change, "PATCH": change, **more}


_COMMENT = _changed(reading.show_comment, writing.change_comment)
ENDPOINTS = (
    Endpoint("/", "API Root", {"GET": reading.index}),
    Endpoint("/projects/", "Project List", {"GET": reading.list_projects}),
    Endpoint("/projects/{project}/", "Project Detail", _changed(reading.show_project, writing.change_project)),
    Endpoint("/people/", "Person List", {"GET": reading.list_people}),
    Endpoint("/people/{person}/", "Person Detail", {"GET": reading.show_person}),
    Endpoint("/users/", "User List", {"GET": reading.list_users}),
    Endpoint("/users/{user}/", "User Detail", _changed(reading.show_user, writing.change_user)),
    Endpoint("/patches/", "Patch List", {"GET": reading.list_patches}),
    Endpoint("/patches/{patch}/", "Patch Detail", _changed(reading.show_patch, writing.change_patch)),
    Endpoint("/patches/{patch}/comments/", "Patch Comment List", {"GET": reading.list_comments}, since=V1_1),
    Endpoint("/patches/{patch}/comments/{comment}/", "Patch Comment Detail", _COMMENT, since=V1_3),
    Endpoint("/patches/{patch}/checks/", "Check List", {"GET": reading.list_checks, "POST": writing.create_check}),
    Endpoint("/patches/{patch}/checks/{check}/", "Check Detail", {"GET": reading.show_check}),
    Endpoint("/covers/", "Cover List", {"GET": reading.list_covers}),
    Endpoint("/covers/{cover}/", "Cover Detail", {"GET": reading.show_cover}),
    Endpoint("/covers/{cover}/comments/", "Cover Comment List", {"GET": reading.list_comments}, since=V1_1),
    Endpoint("/covers/{cover}/comments/{comment}/", "Cover Comment Detail", _COMMENT, since=V1_3),
    Endpoint("/series/", "Series List", {"GET": reading.list_series}),
    Endpoint("/series/{series}/", "Series Detail", {"GET": reading.show_series, "PATCH": writing.change_series}),
    Endpoint("/events/", "Event List", {"GET": reading.list_events}),
    Endpoint(
        "/bundles/",
        "Bundle List",
        {"GET": reading.list_bundles, "POST": writing.create_bundle},
        writes_since=V1_2,
    ),
    Endpoint(
        "/bundles/{bundle}/",
        "Bundle Detail",
        _changed(reading.show_bundle, writing.change_bundle, DELETE=writing.delete_bundle),
        writes_since=V1_2,
    ),
    Endpoint("/states/", "State List", {"GET": reading.list_states}),
    Endpoint("/openapi.json", "OpenAPI Document", {"GET": reading.show_document}),
)
_PATTERNS = tuple((re.compile(endpoint.pattern), endpoint) for endpoint in ENDPOINTS)


def find(path: str, version: Version) -> tuple[Endpoint, dict[str, str]] | None:
    """The endpoint at a path below `/api/VERSION`, with or without the last slash, and the parts of the path."""
    for pattern, endpoint in _PATTERNS:
        found = pattern.fullmatch(path.removesuffix("/"))
        if found is not None and endpoint.since <= version:
            return endpoint, found.groupdict()
    return None
