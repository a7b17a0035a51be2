"""Our own OpenAPI document (3.1) of each version, made from the same tables: every key required, no other allowed."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from typing import Any

from ingestd.store.api import patches, people, series, work
from ingestd.store.api.listing import Listing
from ingestd.web import eventform, filters, forms
from ingestd.web.fields import BOOLEAN, INTEGER, TEXT, URL, V1_2, V1_4, Form, Schema, Version, list_of, nullable, words
from ingestd.web.filters import Filter
from ingestd.web.states import STATES, VERDICTS

KEY: Schema = {"type": "integer", "minimum": 1, "maximum": filters.BIGGEST}
ERROR: Schema = {
    "anyOf": [
        {
            "type": "object",
            "properties": {"detail": TEXT},
            "required": ["detail"],
            "additionalProperties": False,
        },
        {"type": "object", "additionalProperties": list_of(TEXT), "minProperties": 1},
    ]
}
ERRORS = {
    "400": "The request means nothing.",
    "403": "Not logged in, or not allowed.",
    "404": "There is no such thing.",
    "405": "The method is not for this.",
    "406": "There is no such form of it.",
    "408": "The request took too long.",
    "409": "It is at odds with what is there.",
    "413": "The request is too big.",
    "414": "The address is too long.",
    "415": "The body is of an unknown kind.",
}


@dataclass(frozen=True, slots=True)
class About:
    """What the document says of an endpoint."""

    shows: Form | Schema
    many: bool = False
    whole: bool = False
    filters: Mapping[str, Filter] = field(default_factory=dict)
    listing: Listing | None = None
    takes: Mapping[str, tuple[Schema, Version]] = field(default_factory=dict)  # of a body, each with its first version
    needs: tuple[str, ...] = ()  # of these, what POST needs
    needs_all: tuple[str, ...] = ()  # and what PUT needs


def _text(longest: int, *, shortest: int = 0) -> Schema:
    return {"type": "string", "maxLength": longest, "minLength": shortest, "pattern": "^[^\\x00]*$"}


_FIRST = (1, 0)
PATCH = {
    "state": (words(*STATES), _FIRST),
    "archived": (BOOLEAN, _FIRST),
    "commit_ref": (nullable(_text(255)), _FIRST),
    "pull_url": (nullable(_text(255)), _FIRST),
    "delegate": (nullable(KEY), _FIRST),
}
RELATED = {"related": (list_of(KEY), V1_2)}
CHECK = {
    "state": (words(*VERDICTS), _FIRST),
    "context": ({"type": "string", "pattern": "^[-a-zA-Z0-9_]+$", "maxLength": 255}, _FIRST),
    "target_url": (nullable({"type": "string", "format": "uri", "maxLength": 200}), _FIRST),
    "description": (nullable(_text(1000)), _FIRST),
}
PLACES = ("web_url", "scm_url", "webscm_url", "list_archive_url", "list_archive_url_format", "commit_url_format")
PROJECT = {
    **{name: (_text(2000), _FIRST) for name in PLACES},
    "show_dependencies": (BOOLEAN, V1_4),
}
SETTINGS: Schema = {
    "type": "object",
    "properties": {
        "send_email": BOOLEAN,
        "items_per_page": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
        "show_ids": BOOLEAN,
    },
}
USER = {"first_name": (_text(150), _FIRST), "last_name": (_text(150), _FIRST), "settings": (SETTINGS, V1_2)}
BUNDLE = {
    "name": (_text(50, shortest=1), V1_2),
    "public": (BOOLEAN, V1_2),
    "patches": ({**list_of(KEY), "minItems": 1}, V1_2),
}
COMMENT = {"addressed": (nullable(BOOLEAN), _FIRST)}
STATE: Schema = {
    "type": "object",
    "properties": {"id": INTEGER, "slug": TEXT, "name": TEXT, "action_required": BOOLEAN},
    "required": ["id", "slug", "name", "action_required"],
    "additionalProperties": False,
}
LISTS = ("projects", "users", "people", "patches", "covers", "series", "events", "bundles")
INDEX: Schema = {
    "type": "object",
    "properties": dict.fromkeys(LISTS, URL),
    "required": list(LISTS),
    "additionalProperties": False,
}
_COMMENTS = About(forms.COMMENT, many=True, listing=series.COMMENTS)
_ONE_COMMENT = About(forms.COMMENT, takes=COMMENT, needs_all=("addressed",))

ABOUT = {
    "/": About(INDEX),
    "/projects/": About(forms.WHOLE_PROJECT, many=True, listing=people.PROJECTS),
    "/projects/{project}/": About(forms.WHOLE_PROJECT, takes=PROJECT),
    "/people/": About(forms.WHOLE_PERSON, many=True, listing=people.PEOPLE),
    "/people/{person}/": About(forms.WHOLE_PERSON),
    "/users/": About(forms.USER, many=True, listing=people.USERS),
    "/users/{user}/": About({"anyOf": [forms.OWN_USER.ref, forms.USER.ref]}, takes=USER),
    "/patches/": About(forms.PATCH, many=True, filters=filters.PATCHES, listing=patches.PATCHES),
    "/patches/{patch}/": About(forms.PATCH, whole=True, takes={**PATCH, **RELATED}, needs_all=("state", "delegate")),
    "/patches/{patch}/comments/": _COMMENTS,
    "/patches/{patch}/comments/{comment}/": _ONE_COMMENT,
    "/patches/{patch}/checks/": About(
        forms.CHECK, many=True, filters=filters.CHECKS, listing=work.CHECKS, takes=CHECK, needs=("state",)
    ),
    "/patches/{patch}/checks/{check}/": About(forms.CHECK),
    "/covers/": About(forms.COVER, many=True, filters=filters.COVERS, listing=patches.COVERS),
    "/covers/{cover}/": About(forms.COVER, whole=True),
    "/covers/{cover}/comments/": _COMMENTS,
    "/covers/{cover}/comments/{comment}/": _ONE_COMMENT,
    "/series/": About(forms.SERIES, many=True, filters=filters.SERIES, listing=series.SERIES),
    "/series/{series}/": About(forms.SERIES, takes=PATCH),
    "/events/": About(eventform.EVENT, many=True, filters=filters.EVENTS, listing=work.EVENTS),
    "/bundles/": About(
        forms.BUNDLE,
        many=True,
        filters=filters.BUNDLES,
        listing=work.BUNDLES,
        takes=BUNDLE,
        needs=("name", "patches"),
    ),
    "/bundles/{bundle}/": About(forms.BUNDLE, takes=BUNDLE, needs_all=("name", "patches")),
    "/states/": About(STATE, many=True),
}


def _forms() -> Iterable[tuple[str, Form, bool]]:
    """Every form with its name in the document, and whether it is the whole of a thing."""
    for module in (forms, eventform):
        for value in vars(module).values():
            if isinstance(value, Form):
                yield value.name, value, False
    for form in eventform.PAYLOAD_FORMS.values():
        yield form.name, form, False
    for form in (forms.PATCH, forms.COVER):
        yield f"Whole{form.name}", form, True


def schema_of(form: Form, version: Version, *, whole: bool = False) -> Schema:
    """A form as JSON Schema: its fields in this version, all of them and no others."""
    fields = form.shown(version, whole=whole)
    return {
        "type": "object",
        "properties": {one.name: one.schema for one in fields},
        "required": [one.name for one in fields],
        "additionalProperties": False,
    }


def _shown(about: About, *, many: bool) -> Schema:
    if isinstance(about.shows, Form):
        one: Schema = {"$ref": f"#/components/schemas/{'Whole' if about.whole else ''}{about.shows.name}"}
    else:
        one = about.shows
    return list_of(one) if many else one


def _body(about: About, method: str, version: Version) -> Schema:
    takes = {name: schema for name, (schema, since) in about.takes.items() if since <= version}
    needs = {"POST": about.needs, "PUT": about.needs_all}.get(method, ())
    return {"type": "object", "properties": takes, "required": list(needs)}


def _parameters(about: About, version: Version) -> list[Schema]:
    named = [name for name, one in about.filters.items() if one.since <= version]
    parameters = [
        {"name": name, "in": "query", "schema": list_of(TEXT), "style": "form", "explode": True} for name in named
    ]
    if about.listing is not None:
        parameters += [
            {"name": "page", "in": "query", "schema": {"anyOf": [KEY, words("last")]}},
            {"name": "per_page", "in": "query", "schema": {"type": "integer", "minimum": 1}},
            {"name": "order", "in": "query", "schema": _order(about.listing)},
        ]
        if about.listing.search:
            parameters.append({"name": "q", "in": "query", "schema": TEXT})
    return parameters


def _order(listing: Listing) -> Schema:
    names = "|".join(sorted(listing.orders))
    return {"type": "string", "pattern": f"^-?({names})(,-?({names}))*$"}


def _responses(about: About, method: str) -> dict[str, Any]:
    said: dict[str, Any] = {
        code: {"description": text, "content": {"application/json": {"schema": ERROR}}} for code, text in ERRORS.items()
    }
    if method == "DELETE":
        said["204"] = {"description": "It is gone."}
    else:
        schema = _shown(about, many=about.many and method == "GET")
        said["201" if method == "POST" else "200"] = {
            "description": "As asked for.",
            "content": {"application/json": {"schema": schema}},
        }
    return dict(sorted(said.items()))


@cache
def document(version: Version) -> dict[str, Any]:
    """The document of a version, without where the server is."""
    from ingestd.web.endpoints import ENDPOINTS  # noqa: PLC0415 - one of them shows this document

    paths: dict[str, Any] = {}
    for endpoint in ENDPOINTS:
        about = ABOUT.get(endpoint.path)
        if about is None or endpoint.since > version:
            continue
        operations: dict[str, Any] = {
            "parameters": [
                {"name": name, "in": "path", "required": True, "schema": TEXT if name == "project" else KEY}
                for name in re.findall(r"\{(\w+)\}", endpoint.path)
            ]
        }
        for method, handler in endpoint.methods.items():
            if method != "GET" and version < endpoint.writes_since:
                continue
            operation: dict[str, Any] = {
                "summary": (handler.__doc__ or "").strip(),
                "operationId": f"{method.lower()} {endpoint.name}".replace(" ", "_").lower(),
                "responses": _responses(about, method),
            }
            if method == "GET":
                operation["parameters"] = _parameters(about, version)
            elif method != "DELETE":
                content = {"application/json": {"schema": _body(about, method, version)}}
                operation["requestBody"] = {"required": True, "content": content}
                operation["security"] = [{"token": []}, {"password": []}]
            operations[method.lower()] = operation
        paths[endpoint.path] = operations
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ingestd",
            "summary": "Patchwork's REST API over mail that ingestd keeps",
            "version": f"{version[0]}.{version[1]}",
            "x-ingestd": metadata.version("ingestd"),
        },
        "paths": paths,
        "components": {
            "schemas": {name: schema_of(form, version, whole=whole) for name, form, whole in _forms()},
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "Authorization", "description": "Token ..."},
                "password": {"type": "http", "scheme": "basic"},
            },
        },
        "security": [{}, {"token": []}, {"password": []}],
    }
