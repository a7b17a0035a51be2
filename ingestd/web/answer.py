"""What a request is answered with, good or bad."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ingestd.errors import IngestdError

TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class Answer:
    """A body that is shown as JSON or as a page."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class File:
    """A body as it is."""

    content: bytes
    kind: str  # Content-Type
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Redirect:
    """It is elsewhere on this site."""

    path: str


class RefusalError(IngestdError):
    """A request that cannot be served as it is; what the peer hears."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:  # noqa: ANN401 - JSON
        """`body`: the detail as text, or the whole JSON body."""
        super().__init__(str(body))
        self.status = status
        self.body = {"detail": body} if isinstance(body, str) else body
        self.headers = headers or {}


def missing(what: str = "") -> RefusalError:
    """404, as Patchwork says it."""
    return RefusalError(404, f"No {what} matches the given query." if what else "Not found.")


def anonymous() -> RefusalError:
    """403 for who did not say who they are."""
    return RefusalError(403, "Authentication credentials were not provided.")


def denied() -> RefusalError:
    """403 for who may not."""
    return RefusalError(403, "You do not have permission to perform this action.")


def wrong(field_: str, *said: str) -> RefusalError:
    """400 for a field."""
    return RefusalError(400, {field_: list(said)})
