"""What a table of fields by version is made of, and how a row is shown by it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

Version = tuple[int, int]
Row = Mapping[str, Any]
Schema = dict[str, Any]

VERSIONS: tuple[Version, ...] = ((1, 0), (1, 1), (1, 2), (1, 3), (1, 4))
NEWEST = VERSIONS[-1]

V1_1, V1_2, V1_3, V1_4 = VERSIONS[1:]

# Kinds of values, as JSON Schema says them.
INTEGER: Schema = {"type": "integer"}
BOOLEAN: Schema = {"type": "boolean"}
TEXT: Schema = {"type": "string"}
URL: Schema = {"type": "string", "format": "uri-reference"}
TIME: Schema = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?$"}


def nullable(schema: Schema) -> Schema:
    """The same, or null."""
    if "$ref" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return {**schema, "type": [*kinds, "null"]}


def list_of(schema: Schema) -> Schema:
    """A list of these."""
    return {"type": "array", "items": schema}


def words(*allowed: str) -> Schema:
    """One of these words."""
    return {"type": "string", "enum": list(allowed)}


@dataclass(frozen=True, slots=True)
class Field:
    """One key of an answer, and the first version that shows it."""

    name: str
    schema: Schema
    get: Callable[[Any, "View"], Any]
    since: Version = VERSIONS[0]
    whole: bool = False  # only where one thing is shown, and not a list of them


@dataclass(frozen=True, slots=True)
class Form:
    """How one kind of thing is shown: the order of the fields is that of the keys."""

    name: str
    fields: tuple[Field, ...]

    def shown(self, version: Version, *, whole: bool = False) -> list[Field]:
        """The fields of a version."""
        return [one for one in self.fields if one.since <= version and (whole or not one.whole)]

    def show(self, row: Any, view: "View", *, whole: bool = False) -> dict[str, Any]:  # noqa: ANN401 - rows differ
        """A row as an answer has it."""
        return {one.name: one.get(row, view) for one in self.shown(view.version, whole=whole)}

    @property
    def ref(self) -> Schema:
        """This form within another."""
        return {"$ref": f"#/components/schemas/{self.name}"}


@dataclass(slots=True)
class View:
    """How an answer is shown: in which version, with which addresses, and what rows name by id."""

    version: Version
    base: str  # scheme and host of our addresses
    suffix: str = ""  # `?format=json`, where it was asked for, stands on the addresses of things
    projects: Mapping[int, Row] = field(default_factory=dict)
    mails: Mapping[int, Row] = field(default_factory=dict)  # patches, covers and comments in short form
    series: Mapping[int, Row] = field(default_factory=dict)
    users: Mapping[int, Row] = field(default_factory=dict)
    checks: Mapping[int, Row] = field(default_factory=dict)
    related: Mapping[int, list[int]] = field(default_factory=dict)
    tags: Mapping[int, dict[str, int]] = field(default_factory=dict)
    needs: Mapping[int, list[int]] = field(default_factory=dict)
    needed: Mapping[int, list[int]] = field(default_factory=dict)

    def api(self, path: str) -> str:
        """The address of a thing in the version asked for."""
        major, minor = self.version
        return f"{self.base}/api/{major}.{minor}/{path}/{self.suffix}"

    def any_api(self, path: str) -> str:
        """The address of a thing in whatever version is the newest."""
        return f"{self.base}/api/{path}/"

    def web(self, path: str) -> str:
        """The address of a page."""
        return f"{self.base}/{path}"


def quoted(text: str) -> str:
    """A name as a part of a path. A slash is encoded twice, since servers decode once before they split."""
    return quote(text.replace("/", "%2F"), safe="!$&'()*+,;=~:@")


def unquoted(part: str) -> str:
    """A part of a path that was decoded once, as the name it stands for."""
    return part.replace("%2F", "/").replace("%2f", "/")


def when(time: datetime) -> str:
    """A time as Patchwork writes it: UTC without a letter for it."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat()
