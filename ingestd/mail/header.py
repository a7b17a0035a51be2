"""The header block: its fields in order as sent, and how to read encoded words, ids and list names in them."""

import base64
import binascii
import operator
import re
from collections.abc import Iterable
from functools import lru_cache

from ingestd.mail import charset

MAX_FIELDS = 10_000
MAX_VALUE = 200_000  # characters of one field
MAX_WORD = 2_000  # characters of one encoded word; RFC 2047 allows 75
MAX_IDS = 1_000  # of all References of one mail
MAX_ID = 998  # characters, as RFC 5322 limits the line it stands on

_FIELD_START = re.compile(r"\n(?![ \t])")
_NAME = re.compile(r"[!-9;-~]{1,200}[ \t]{0,10}")
_ID = re.compile(r"<([^<>]*)>")
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]+")
_SPACES = re.compile(r"\s+")
_QUEUE_ID = re.compile(r"\sid\s+([\w.:+-]{1,100})", re.ASCII)

# A field as sent: its name, and the whole of it, name and folding included, as Latin-1: byte for byte.
Field = tuple[str, str]


class Headers:
    """Fields in order with repeats, and quick access by name in any case."""

    __slots__ = ("_by_name", "fields")

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        """Index fields by lower-case name."""
        self.fields = tuple(fields)
        self._by_name: dict[str, list[str]] = {}
        for name, value in self.fields:
            self._by_name.setdefault(name.lower(), []).append(value)

    def all(self, name: str) -> list[str]:
        """Every value of a field (name in lower case), in order, as sent."""
        return self._by_name.get(name, [])

    def first(self, name: str) -> str | None:
        """The first value of a field (name in lower case), as sent; None without one."""
        values = self._by_name.get(name)
        return values[0] if values else None

    def text(self, name: str) -> str:
        """The first value decoded and on one line; empty without one."""
        values = self._by_name.get(name)
        return one_line(values[0]) if values else ""


def split(data: bytes) -> tuple[list[Field], bytes, list[str]]:
    """The fields of a mail with LF line ends, the rest after the blank line, and defects.

    A line that is neither a field nor a continuation ends the header, as for git and for the standard library:
    the sender forgot the blank line. mbox "From " lines are dropped wherever they stand in the header.
    """
    if data.startswith(b"\n"):
        return [], data[1:], ["no header"]
    end = data.find(b"\n\n")
    head, body = (data.rstrip(b"\n"), b"") if end < 0 else (data[:end], data[end + 2 :])
    found = _FIELD_START.split(head.decode("latin-1"))
    names = [field.partition(":")[0] for field in found]
    if all(map(_is_name, names)) and not any(map(operator.eq, names, found)):
        return list(zip(names, found, strict=True)), body, []
    fields: list[Field] = []
    offset = 0
    for field in found:
        name, colon, _ = field.partition(":")
        if colon and _is_name(name):
            fields.append((name, field))
        elif not field.startswith(("From ", ">From ")):
            return fields, data[offset:], ["header ends without a blank line" if fields else "no header"]
        offset += len(field) + 1
    return fields, body, []


@lru_cache(4096)
def _is_name(name: str) -> bool:
    """RFC 5322 section 2.2, and blanks before the colon as section 4.5 allows; a name of sane length."""
    return bool(_NAME.fullmatch(name))


def read(fields: list[Field]) -> tuple[Headers, list[str]]:
    """Fields as text: values as sent with their folding, decoded as UTF-8, else Latin-1; and defects."""
    defects: list[str] = []
    if len(fields) > MAX_FIELDS:
        defects.append(f"more than {MAX_FIELDS} header fields")
        fields = fields[:MAX_FIELDS]
    whole = [field for _, field in fields]
    if all(map(str.isascii, whole)) and not any("\0" in field or len(field) > MAX_VALUE for field in whole):
        return Headers([(name.rstrip(), field[len(name) + 1 :].strip(" \t\n")) for name, field in fields]), defects
    pairs = []
    for name, field in fields:
        value = field[len(name) + 1 :].strip(" \t\n")
        if not value.isascii():
            value = _eight_bit(value, defects)
        if "\0" in value:
            value = value.replace("\0", charset.REPLACEMENT)
            defects.append("NUL in the header")
        if len(value) > MAX_VALUE:
            value = value[:MAX_VALUE]
            defects.append(f"header field over {MAX_VALUE} characters")
        pairs.append((name.rstrip(), value))
    return Headers(pairs), defects


def _eight_bit(value: str, defects: list[str]) -> str:
    defects.append("8-bit header")
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return value


def decode(value: str) -> str:
    """RFC 2047: encoded words to text, the blanks between two of them dropped; whatever is not one stays.

    Words of one charset that follow each other are decoded together, since senders cut characters in half.
    Words longer than RFC 2047 allows, with blanks or folded, are read all the same, up to MAX_WORD characters.
    """
    if "=?" not in value:
        return value
    out: list[str] = []
    words: list[tuple[str, bytes]] = []
    done = search = 0
    while (start := value.find("=?", search)) >= 0:
        word = _word(value, start)
        if isinstance(word, int):
            search = word
            continue
        name, data, end = word
        gap = value[done:start]
        if not words or gap.strip():
            out.append(_decode_words(words))
            words = []
            out.append(gap)
        words.append((name, data))
        done = search = end
    out.append(_decode_words(words))
    out.append(value[done:])
    return charset.clean("".join(out))


def _word(value: str, start: int) -> tuple[str, bytes, int] | int:
    """Charset, bytes and end of the encoded word at `start`; or where to look on."""
    mark = value.find("?", start + 2, start + 80)
    if mark < 0 or value[mark + 1 : mark + 2] not in "bBqQ" or value[mark + 2 : mark + 3] != "?":
        return start + 2
    end = value.find("?=", mark + 3, mark + 3 + MAX_WORD)
    if end < 0:
        return start + 2
    name = value[start + 2 : mark].partition("*")[0]
    text = value[mark + 3 : end]
    if "=?" in text:
        return start + 2
    data = _base64(text) if value[mark + 1] in "bB" else _quoted(text)
    return name.lower(), data, end + 2


def _base64(text: str) -> bytes:
    plain = _NOT_BASE64.sub("", text)
    if len(plain) % 4 == 1:
        plain = plain[:-1]
    return base64.b64decode(plain + "=" * (-len(plain) % 4))


def _quoted(text: str) -> bytes:
    return binascii.a2b_qp(text.encode("utf-8", "replace"), header=True)


def _decode_words(words: list[tuple[str, bytes]]) -> str:
    out = []
    at = 0
    while at < len(words):
        name = words[at][0]
        chunks = []
        while at < len(words) and words[at][0] == name:
            chunks.append(words[at][1])
            at += 1
        out.append(charset.decode(b"".join(chunks), name)[0])
    return "".join(out)


def one_line(value: str) -> str:
    """Decoded, every run of white space one blank, trimmed: Patchwork's reading of a header."""
    return " ".join(decode(value).split())


def ids(value: str) -> list[str]:
    """Message-IDs of a field, in order, without brackets and without inner white space.

    Brackets first; a field without any is read as bare ids, where a word counts that has an @ (prose has none).
    """
    found = [_SPACES.sub("", hit)[:MAX_ID] for hit in _ID.findall(value)]
    if not found and "<" not in value:
        found = [word.strip(",;")[:MAX_ID] for word in value.split() if "@" in word]
    return [one for one in found if one]


def message_id(value: str) -> str:
    """The id of a Message-ID field: the first <...>, else the whole value without white space."""
    found = _ID.findall(value)
    return _SPACES.sub("", found[0] if found else value)[:MAX_ID]


def reference_ids(headers: Headers, name: str) -> tuple[str, ...]:
    """Ids of all fields of that name, in order, each once."""
    found: dict[str, None] = {}
    for value in headers.all(name):
        found.update(dict.fromkeys(ids(value)))
    return tuple(found)[-MAX_IDS:]


def list_id(headers: Headers) -> str | None:
    """RFC 2919: the last <...> of the first List-Id that names a list, in lower case; a bare word counts too."""
    for value in headers.all("list-id"):
        text = one_line(value)
        found = [hit for hit in _ID.findall(text) if hit.strip()]
        name = found[-1].strip() if found else text.partition("(")[0].strip()
        if name and " " not in name:
            return name.lower()
    return None


def queue_id(headers: Headers) -> str | None:
    """The queue id of the topmost Received: the `id` clause of RFC 5321 section 4.4."""
    value = headers.first("received")
    found = _QUEUE_ID.search(value) if value else None
    return found.group(1) if found else None
