"""An answer as a page for people: the same JSON, with its addresses to follow. Nothing in it comes unescaped."""

import base64
import hashlib
import http
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

import jinja2

from ingestd.web.fields import VERSIONS

STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:72em;margin:1em auto;padding:0 1em}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f4f4f4;color:#111;padding:1em}"
    ".status{font-family:monospace;overflow-wrap:anywhere}"
    "nav a{margin-right:1em}a[aria-current]{font-weight:bold}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}pre{background:#222;color:#ddd}a{color:#8bf}}"
)
_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}
_TEMPLATE = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
    resources.files("ingestd.web").joinpath("page.html").read_text(encoding="utf-8")
)
_ADDRESS = re.compile(r'(?<=")https?://[^"\\\s]+(?=")')
_LINK = re.compile(r'<([^>]*)>; rel="(\w+)"')


def render(
    body: Any,  # noqa: ANN401 - JSON
    *,
    title: str,
    description: str,
    method: str,
    address: str,
    status: int,
    headers: Mapping[str, str],
) -> bytes:
    """The page of an answer; `address` is path and query of what was asked for."""
    path, _, query = address.partition("?")
    rest = "&".join(part for part in query.split("&") if part and not part.startswith("format="))
    versions = [f"{major}.{minor}" for major, minor in VERSIONS]
    version = next(iter(re.findall(r"^/api/(\d\.\d)/", path)), versions[-1])
    below = re.sub(r"^/api(/\d\.\d)?", "", path)

    def to(start: str, kind: str) -> str:
        return f"{start}{below}?{f'{rest}&' if rest else ''}format={kind}"

    return _TEMPLATE.render(
        title=title,
        description=description,
        style=STYLE,
        versions=[(name, to(f"/api/{name}", "api")) for name in versions],
        version=version,
        json=to(f"/api/{version}", "json"),
        method=method,
        path=_visible(path),
        status=f"{status} {http.HTTPStatus(status).phrase}",
        headers=[(name, value) for name, value in headers.items() if name in ("Allow", "Link", "Location")],
        pages=[(name, target) for target, name in _LINK.findall(headers.get("Link", ""))],
        body=list(_pieces(body)),
    ).encode()


def _pieces(body: Any) -> Iterator[tuple[str, str | None]]:  # noqa: ANN401 - JSON
    """The text of the JSON, its addresses apart."""
    text = _visible(json.dumps(body, indent=2, ensure_ascii=False))
    at = 0
    for found in _ADDRESS.finditer(text):
        yield text[at : found.start()], None
        yield found[0], found[0]
        at = found.end()
    yield text[at:], None


def _visible(text: str) -> str:
    """The same without letters that nobody sees: they turn what stands beside them around."""
    if text.isascii():
        return text
    return "".join(
        letter if letter == "\n" or unicodedata.category(letter) not in ("Cc", "Cf") else f"\\u{ord(letter):04x}"
        for letter in text
    )
