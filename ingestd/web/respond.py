"""An answer as a response: JSON, a page, a file, or the word that nothing has changed."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ingestd.web import negotiate, page
from ingestd.web.answer import Answer, File, Redirect


@dataclass(slots=True)
class Manner:
    """How a request is to be answered, as far as that is known by now."""

    kind: str = negotiate.JSON
    headers: dict[str, str] = field(default_factory=dict)
    title: str = "Error"
    description: str = ""


def respond(request: Request, answer: Answer | File | Redirect, manner: Manner) -> Response:
    """The response. A GET of what the peer has already is 304 (RFC 9110 section 13.1.2)."""
    headers = {"X-Content-Type-Options": "nosniff", **manner.headers}
    if isinstance(answer, Redirect):
        return as_written(b"", 302, {**headers, "Location": answer.path})
    headers |= answer.headers
    if isinstance(answer, File):
        # The extra headers come last: clients cut a file's name off at the end of its line.
        content, status = answer.content, 200
        headers["Content-Type"] = answer.kind
    elif answer.status == 204:
        return as_written(b"", 204, headers)
    elif manner.kind == negotiate.PAGE:
        content, status = _page(request, answer, manner, headers), answer.status
        headers |= page.HEADERS
    else:
        content, status = msgspec.json.encode(answer.body), answer.status
        headers["Content-Type"] = negotiate.JSON
    if status == 200 and request.method in ("GET", "HEAD"):
        tag = f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'
        headers |= {"ETag": tag, "Cache-Control": "private, no-cache"}
        known = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
        if tag.removeprefix("W/") in known or "*" in known:
            return as_written(b"", 304, headers)
    return as_written(content, status, headers)


def _page(request: Request, answer: Answer, manner: Manner, headers: Mapping[str, str]) -> bytes:
    query = request.scope["query_string"].decode("latin-1")
    return page.render(
        answer.body,
        title=manner.title,
        description=manner.description,
        method=request.method,
        address=f"{request.scope['path']}?{query}",
        status=answer.status,
        headers=headers,
    )


def as_written(content: bytes, status: int, headers: Mapping[str, str]) -> Response:
    """A response whose header names stay as they are written: pwclient looks for `Link` and not for `link`."""
    response = Response(content, status)
    response.raw_headers = [
        (name.encode("ascii"), value.encode("latin-1", "replace")) for name, value in headers.items()
    ]
    if status not in (204, 304):
        response.raw_headers.append((b"Content-Length", str(len(content)).encode()))
    return response
