"""The body of a request: JSON, or a form as browsers and clients send it."""

import email.parser
import email.policy
from typing import Any
from urllib.parse import parse_qs

import msgspec

from ingestd.web.answer import RefusalError

MOST_FIELDS = 10_000


def read(content: bytes, kind: str) -> dict[str, Any]:
    """The fields of a body, by its Content-Type; of a form each is a list. RefusalError for what cannot be read."""
    media = kind.partition(";")[0].strip().lower()
    if media == "application/json":
        return _json(content)
    if media == "application/x-www-form-urlencoded":
        return _form(content)
    if media == "multipart/form-data":
        return _multipart(content, kind)
    if not content:
        return {}
    raise RefusalError(415, f'Unsupported media type "{media}" in request.')


def _json(content: bytes) -> dict[str, Any]:
    if not content.strip():
        return {}
    try:
        found = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise RefusalError(400, f"JSON parse error - {error}") from error
    if not isinstance(found, dict):
        kind = {list: "list", str: "str", int: "int", float: "float", bool: "bool"}.get(type(found), "null")
        raise RefusalError(400, {"non_field_errors": [f"Invalid data. Expected a dictionary, but got {kind}."]})
    return found


def _form(content: bytes) -> dict[str, Any]:
    try:
        found = parse_qs(content.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise RefusalError(400, f"Form parse error - {error}") from error
    return dict(found)


def _multipart(content: bytes, kind: str) -> dict[str, Any]:
    head = b"Content-Type: " + kind.replace("\r", " ").replace("\n", " ").encode("utf-8", "replace") + b"\r\n\r\n"
    mail = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + content)
    fields: dict[str, Any] = {}
    if not mail.is_multipart():
        raise RefusalError(400, "Multipart form parse error - Invalid boundary in multipart")
    for part in mail.iter_parts():
        name = part.get_param("name", header="content-disposition")
        value = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(value, bytes) and not part.get_filename():
            fields.setdefault(name, []).append(value.decode("utf-8", "replace"))
    return fields
