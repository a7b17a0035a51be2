"""The endpoints of the API: path, methods, and the first version that has them."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from ingestd.web import reading
from ingestd.web.answer import Answer
from ingestd.web.call import Call
from ingestd.web.fields import V1_1, V1_3, VERSIONS, Version

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
        return re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path.rstrip("/"))

    @property
    def allow(self) -> str:
        """What `Allow` says."""
        return ", ".join([*(one for one in METHODS if one in self.methods), "HEAD", "OPTIONS"])


ENDPOINTS = (
    Endpoint("/", "API Root", {"GET": reading.index}),
    Endpoint("/projects/", "Project List", {"GET": reading.list_projects}),
    Endpoint("/projects/{project}/", "Project Detail", {"GET": reading.show_project}),
    Endpoint("/people/", "Person List", {"GET": reading.list_people}),
    Endpoint("/people/{person}/", "Person Detail", {"GET": reading.show_person}),
    Endpoint("/users/", "User List", {"GET": reading.list_users}),
    Endpoint("/users/{user}/", "User Detail", {"GET": reading.show_user}),
    Endpoint("/patches/", "Patch List", {"GET": reading.list_patches}),
    Endpoint("/patches/{patch}/", "Patch Detail", {"GET": reading.show_patch}),
    Endpoint("/patches/{patch}/comments/", "Patch Comment List", {"GET": reading.list_comments}, since=V1_1),
    Endpoint("/patches/{patch}/comments/{comment}/", "Patch Comment Detail", {"GET": reading.show_comment}, since=V1_3),
    Endpoint("/patches/{patch}/checks/", "Check List", {"GET": reading.list_checks}),
    Endpoint("/patches/{patch}/checks/{check}/", "Check Detail", {"GET": reading.show_check}),
    Endpoint("/covers/", "Cover List", {"GET": reading.list_covers}),
    Endpoint("/covers/{cover}/", "Cover Detail", {"GET": reading.show_cover}),
    Endpoint("/covers/{cover}/comments/", "Cover Comment List", {"GET": reading.list_comments}, since=V1_1),
    Endpoint("/covers/{cover}/comments/{comment}/", "Cover Comment Detail", {"GET": reading.show_comment}, since=V1_3),
    Endpoint("/series/", "Series List", {"GET": reading.list_series}),
    Endpoint("/series/{series}/", "Series Detail", {"GET": reading.show_series}),
    Endpoint("/events/", "Event List", {"GET": reading.list_events}),
    Endpoint("/bundles/", "Bundle List", {"GET": reading.list_bundles}),
    Endpoint("/bundles/{bundle}/", "Bundle Detail", {"GET": reading.show_bundle}),
    Endpoint("/states/", "State List", {"GET": reading.list_states}),
)
_PATTERNS = tuple((re.compile(endpoint.pattern), endpoint) for endpoint in ENDPOINTS)


def find(path: str, version: Version) -> tuple[Endpoint, dict[str, str]] | None:
    """The endpoint at a path below `/api/VERSION`, with or without the last slash, and the parts of the path."""
    for pattern, endpoint in _PATTERNS:
        found = pattern.fullmatch(path.removesuffix("/"))
        if found is not None and endpoint.since <= version:
            return endpoint, found.groupdict()
    return None
