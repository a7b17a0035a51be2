"""One request, read as far as all endpoints need it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ingestd.store.api.accounts import Account
from ingestd.store.api.listing import Counts
from ingestd.store.engine import Database
from ingestd.web.answer import anonymous, missing
from ingestd.web.fields import Version, View
from ingestd.web.filters import whole_number


@dataclass(frozen=True, slots=True)
class Site:
    """What all requests share."""

    database: Database
    reader: Database  # where lists are read: a replica may be behind
    counts: Counts = field(default_factory=Counts)


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the API."""

    site: Site
    method: str
    path: str  # as asked for, without what comes before /api
    version: Version
    base: str
    suffix: str
    query: Mapping[str, Sequence[str]]
    parts: Mapping[str, str]  # of the path, by name
    account: Account | None
    data: Mapping[str, Any] = field(default_factory=dict)  # of the body

    @property
    def view(self) -> View:
        """An answer to begin with."""
        return View(self.version, self.base, self.suffix)

    def number(self, name: str, what: str) -> int:
        """The id in a part of the path; 404 when it can be none."""
        found = whole_number(self.parts[name])
        if found is None:
            raise missing(what)
        return found

    def user(self) -> Account:
        """Who asks; 403 when nobody knows."""
        if self.account is None:
            raise anonymous()
        return self.account
