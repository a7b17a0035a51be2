"""The MIME tree as a flat list of leaves: one pass over the lines, no recursion, bounded in depth and number."""

import base64
import binascii
import heapq
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from ingestd.mail import charset, header, limits

MAX_MULTIPARTS = 16  # opened within a mail, real mail has two or three; each is looked for in all of the mail
# And one for each 512 bytes beyond six, since each costs as much as many lines of text. Real list mail has a handful;
# now and then somebody attaches a whole series.
MAX_PARTS = 1_000
MAX_PARAMETERS = 100  # of a field, whatever they are; and one for each 32 characters beyond six
_TOO_MANY = f"more than {MAX_MULTIPARTS} multiparts"
FEW_FIELDS = 12  # of a part's header; and one for each 32 bytes, as the mail's own has
MAX_SILENT = 2_000  # bytes of a part's header that is passed over because it says nothing of the part

# A part's header that says nothing of the part, with the blank line; ASCII, since 8-bit headers are told. Of so many
# fields, since a group that gives nothing back is not safe everywhere (tests/test_patterns.py).
_NOTHING_SAID = re.compile(
    rb"(?:(?!content-)[!-9;-~]{1,200}+:[\t -~]*+(?:\n[\t ][\t -~]*+)*+\n){0,100}\n", re.IGNORECASE
)
_ASKED_FOR = frozenset(("boundary", "charset", "delsp", "filename", "format", "name"))
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=\s]")
_IN_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/= \t\n\r\f\v"
_SEMICOLONS = re.compile(r";[\s;]*(?<=;)")
_WHOLE_BYTES = re.compile(rb"[^\n]{3,}")  # a shorter line of uuencoded data has not one
_UUENCODED = re.compile(rb".[ -`\r]*+", re.DOTALL)
_BASE64_LINE = re.compile(rb"\n(?=[^\n]{41})[A-Za-z0-9+/= \t\r\f\v]*+(?:\n|\Z)")


class Part(NamedTuple):
    """One leaf: its type, its place, and its bytes with the transfer encoding undone."""

    type: str  # type/subtype in lower case
    parameters: dict[str, str]
    filename: str
    disposition: str
    data: bytes
    within: tuple[str, ...] = ()  # the multipart types around it, outermost first


@dataclass(slots=True)
class _Open:
    """A multipart whose closing line has not come."""

    delimiter: bytes
    within: tuple[str, ...]  # its type, behind those of the multiparts around it
    start: int = -1  # where the current child begins; -1 within the preamble


@dataclass(slots=True)
class _Walk:
    """What the walk has found."""

    data: bytes
    parts: list[Part] = field(default_factory=list)
    defects: dict[str, None] = field(default_factory=dict)
    stack: list[_Open] = field(default_factory=list)
    places: dict[bytes, int] = field(default_factory=dict)  # delimiter -> depth
    ahead: list[tuple[int, bytes]] = field(default_factory=list)  # a heap: where each delimiter's next line begins
    multiparts: int = 0  # opened so far


def leaves(headers: header.Headers, body: bytes) -> tuple[list[Part], list[str]]:
    """Every part that is no multipart, in order, and what is wrong with the structure.

    message/rfc822 is a leaf: what somebody forwards is not what he says. What lies behind MAX_PARTS
    or in more than MAX_MULTIPARTS is left where it is, in the raw mail.
    """
    kind, parameters = content_type(headers)
    boundary = parameters.get("boundary", "")
    if not kind.startswith("multipart/") or not boundary:
        defects = ["multipart without a boundary"] if kind.startswith("multipart/") else []
        part, more = _leaf(headers, kind, parameters, body, ())
        return [part], defects + more
    walk = _Walk(body)
    _push(walk, boundary, kind, 0)
    done = 0
    last = None
    left = limits.room(len(body), few=40, each=64)
    most = limits.room(len(body), few=6, each=512, most=MAX_PARTS)
    while walk.ahead:
        here = start, delimiter = heapq.heappop(walk.ahead)
        left -= 1
        if left < 0:  # real mail has a few delimiters; each that begins like others is looked for with all of them
            walk.defects["too many lines like MIME delimiters"] = None
            if walk.stack:
                _close(walk, 0, len(body) + 1)
            break
        if delimiter not in walk.places or here == last:  # closed, or open twice
            continue
        last = here
        _look_ahead(walk, delimiter, start + 1)
        if start < done:  # another delimiter begins in the same way
            continue
        done = body.find(b"\n", start) + 1 or len(body)
        line = body[start:done].rstrip(b" \t\n")
        depth = walk.places.get(line)
        closing = depth is None and line.endswith(b"--")
        if closing:
            depth = walk.places.get(line[:-2])
        if depth is None:
            continue
        _close(walk, depth, start)
        if closing:
            _pop(walk)
        else:
            walk.stack[depth].start = done
            _open_child(walk, done)
        if len(walk.parts) >= most and any(level.start >= 0 for level in walk.stack):  # one more has begun
            walk.defects[f"more than {most} MIME parts"] = None
            break
    else:
        if walk.stack:
            if any(level.start >= 0 for level in walk.stack):
                walk.defects["multipart not closed"] = None
            _close(walk, 0, len(body) + 1)
    if not walk.parts:
        part, more = _leaf(headers, "text/plain", {}, body, ())
        return [part], ["multipart without parts", *more]
    return walk.parts, list(walk.defects)


def _push(walk: _Walk, boundary: str, kind: str, start: int) -> None:
    """Open a multipart whose body begins at `start`."""
    delimiter = b"--" + boundary.encode("utf-8", "replace").rstrip(b" \t")
    walk.multiparts += 1
    walk.places[delimiter] = len(walk.stack)
    walk.stack.append(_Open(delimiter, (*walk.stack[-1].within, kind) if walk.stack else (kind,)))
    if walk.data.startswith(delimiter, start):
        heapq.heappush(walk.ahead, (start, delimiter))
    else:
        _look_ahead(walk, delimiter, start)


def _look_ahead(walk: _Walk, delimiter: bytes, start: int) -> None:
    """Find the next line that begins with a delimiter: thousands that begin with other dashes cost nothing."""
    found = walk.data.find(b"\n" + delimiter, start)
    if found >= 0:
        heapq.heappush(walk.ahead, (found + 1, delimiter))


def _pop(walk: _Walk) -> None:
    level = walk.stack.pop()
    walk.places.pop(level.delimiter, None)
    for depth, other in enumerate(walk.stack):  # an inner boundary may have hidden an outer one of the same name
        if other.delimiter == level.delimiter:
            walk.places[level.delimiter] = depth


def _close(walk: _Walk, depth: int, end: int) -> None:
    """End the child that is open at `depth`, and all multiparts within it that were never closed."""
    while len(walk.stack) > depth + 1:
        _emit(walk, end)
        _pop(walk)
    _emit(walk, end)


def _emit(walk: _Walk, end: int) -> None:
    """Make a leaf of what lies between the last delimiter and `end`; the line end before it is the delimiter's."""
    level = walk.stack[-1]
    start = level.start
    if start < 0:
        return
    level.start = -1
    end = max(end - 1, start)
    if silent := _NOTHING_SAID.match(walk.data, start, min(end, start + MAX_SILENT)):
        walk.parts.append(Part("text/plain", {}, "", "", walk.data[silent.end() : end], level.within))
        return
    headers, body, defects = header.read(walk.data[start:end], few=FEW_FIELDS)
    kind, parameters = content_type(headers)
    part, more = _leaf(headers, kind, parameters, body, level.within)
    walk.parts.append(part)
    walk.defects.update(dict.fromkeys(defects + more))


def _open_child(walk: _Walk, start: int) -> None:
    """If the child that begins at `start` is itself a multipart, go into it."""
    if walk.data.startswith(b"\n", start) or _TOO_MANY in walk.defects:
        return  # a part needs no header (RFC 2046 section 5.1)
    dashes = walk.data.find(b"\n--", start)  # no header reaches beyond, nor does the search for its end
    head_end = walk.data.find(b"\n\n", start, dashes + 1 if dashes >= 0 else len(walk.data))
    window = walk.data[start:head_end] if head_end >= 0 else b""
    if b"multipart/" not in window[:20_000].lower():
        return
    kind, parameters = content_type(header.read(window, few=FEW_FIELDS)[0])
    if not kind.startswith("multipart/") or not parameters.get("boundary"):
        return
    if walk.multiparts >= MAX_MULTIPARTS:
        walk.defects[_TOO_MANY] = None
        return
    walk.stack[-1].start = -1
    _push(walk, parameters["boundary"], kind, start)


def _leaf(
    headers: header.Headers, kind: str, parameters: dict[str, str], body: bytes, within: tuple[str, ...]
) -> tuple[Part, list[str]]:
    value = headers.first("content-disposition")
    disposition, more = _parameters(value) if value else ("", {})
    name = more.get("filename") or parameters.get("name")
    filename = header.one_line(_last_words(name)) if name else ""
    value = headers.first("content-transfer-encoding")
    encoding = value.partition(";")[0].strip().strip('"').lower() if value else ""
    data, defects = transfer_decode(body, encoding)
    return Part(kind, parameters, filename[:1000], disposition, data, within), defects


def _last_words(name: str) -> str:
    """A file's name without encoded words in front of the last ten: its end tells what it is."""
    words = name.rsplit("=?", 10)
    return "=?" + "=?".join(words[1:]) if len(words) > 10 else name


def content_type(headers: header.Headers) -> tuple[str, dict[str, str]]:
    """RFC 2045 section 5: type and parameters; text/plain where there is none or it is not one."""
    value = headers.first("content-type")
    if value is None:
        return "text/plain", {}
    kind, parameters = _usual(value) if len(value) < 100 else _parameters(value)
    if kind.count("/") != 1 or kind.startswith("/") or kind.endswith("/") or " " in kind:
        kind = "text/plain"
    return kind, parameters


@lru_cache(1024)
def _usual(value: str) -> tuple[str, dict[str, str]]:
    """The few forms that nearly all mail has, read once. Nobody changes the dictionary."""
    return _parameters(value)


def _parameters(value: str) -> tuple[str, dict[str, str]]:
    """The word in front and the parameters behind it that are asked for, RFC 2231 continuations and charsets undone."""
    front, _, rest = value.partition(";")
    found: dict[str, str] = {}
    at = 0
    rest = rest[:20_000]
    for _ in range(limits.room(len(rest), few=6, each=32, most=MAX_PARAMETERS)):
        if at >= len(rest):
            break
        name, equals, _ = rest[at : at + 120].partition("=")
        if not equals:
            at = _behind(rest, at)
            continue
        key = name.strip().lower()
        if ";" in key:
            at = _behind(rest, at)
            continue
        at += len(name) + 1
        text, at = _value(rest, at)
        if key.partition("*")[0] in _ASKED_FOR:
            found.setdefault(key, text)
    if any("*" in key for key in found):
        found = _rfc2231(found)
    return front.partition("(")[0].strip().lower(), found


def _behind(text: str, at: int) -> int:
    found = _SEMICOLONS.search(text, at)
    return found.end() if found else len(text)


def _value(text: str, at: int) -> tuple[str, int]:
    """The value that begins at `at`, and where the next parameter begins."""
    while text[at : at + 1] in (" ", "\t", "\n") and at < len(text):
        at += 1
    if text[at : at + 1] != '"':
        end = _behind(text, at)
        return text[at:end].rstrip("; \t\n").partition(" (")[0].strip(), end
    end = at + 1
    while end < len(text) and text[end] != '"':
        end += 2 if text[end] == "\\" else 1
    inner = text[at + 1 : end]
    return (re.sub(r"\\(.)", r"\1", inner) if "\\" in inner else inner), _behind(text, end)


def _rfc2231(found: dict[str, str]) -> dict[str, str]:
    plain = {key: value for key, value in found.items() if "*" not in key}
    long: dict[str, list[tuple[int, bool, str]]] = {}
    for key, value in found.items():
        name, star, rest = key.partition("*")
        if star:
            index, _, percent = rest.partition("*")
            encoded = rest.endswith("*") or not rest
            number = int(index) if index.isascii() and index.isdigit() and len(index) < 5 else 0
            long.setdefault(name, []).append((number, encoded or percent == "*", value))
    for name, pieces in long.items():
        pieces.sort(key=lambda piece: piece[0])
        declared = None
        chunks = []
        for place, (_, encoded, value) in enumerate(pieces):
            text = value
            if encoded and place == 0 and text.count("'") >= 2:
                declared, _, text = text.split("'", 2)
            chunks.append(unquote_to_bytes(text) if encoded else text.encode("utf-8", "replace"))
        plain.setdefault(name, charset.decode(b"".join(chunks), declared)[0])
    return plain


def transfer_decode(body: bytes, encoding: str) -> tuple[bytes, list[str]]:
    """RFC 2045 section 6: the bytes behind base64 or quoted-printable; anything else as it is."""
    if encoding == "base64":
        return _base64(body)
    if encoding == "quoted-printable":
        return binascii.a2b_qp(body), []
    if encoding in ("x-uuencode", "uuencode", "uue", "x-uue"):
        return _uuencoded(body)
    known = encoding in ("", "7bit", "8bit", "binary")
    return body, [] if known else ["unknown transfer encoding"]


def _base64(body: bytes) -> tuple[bytes, list[str]]:
    """Decode; text that a list has appended to the encoded lines is kept behind them."""
    defects: list[str] = []
    behind = b""
    # To drop all that may stand in it tells in a tenth of the time that nothing else does.
    if body.translate(None, _IN_BASE64) and (found := _NOT_BASE64.search(body)):
        start = body.rfind(b"\n", 0, found.start()) + 1
        rest = body[start:]
        if _BASE64_LINE.search(rest):
            body = _NOT_BASE64.sub(b"", body)  # noise among the lines
        else:
            body, behind = body[:start], rest
        defects.append("text within base64")
    chunks = []
    for block in b"".join(body.split()).split(b"="):  # several encoded blocks, each with its own padding
        if len(block) % 4 == 1:
            block = block[:-1]  # noqa: PLW2901
            defects.append("base64 cut off")
        if block:
            chunks.append(base64.b64decode(block + b"=" * (-len(block) % 4)))
    data = b"".join(chunks)
    if behind:
        data = data.rstrip(b"\r\n") + b"\n" + behind
    return data, list(dict.fromkeys(defects))


def _uuencoded(body: bytes) -> tuple[bytes, list[str]]:
    """Decode. A line that is shorter than it says gives what it has: the rest would be NUL, and make much of little."""
    chunks = []
    inside = False
    lines = _WHOLE_BYTES.findall(body)
    if len(lines) > limits.room(len(body), few=20, each=16):  # all but the last one have 61 characters
        return body, ["uuencoded data in many short lines"]
    for line in lines:
        if line.startswith(b"begin "):
            inside = True
        elif line.strip() == b"end":
            break
        elif inside and line.strip():
            width = (((line[0] - 32) & 63) * 4 + 5) // 3  # it may be longer than it says
            if _UUENCODED.fullmatch(line, 0, width):
                chunks.append(binascii.a2b_uu(line[:width])[: (len(line) - 1) * 3 // 4])
    return b"".join(chunks) or body, []
