"""The header block: its fields in order as sent, and how to read encoded words, ids and list names in them."""

import binascii
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import compress

from ingestd.mail import charset, limits

MAX_FIELDS = 10_000  # and one for each 32 bytes beyond two hundred, of a mail
MAX_VALUE = 200_000  # characters of one field
FIRST = 100  # fields that are looked at before the rest; no mail of an archive of 16,945 has as many
MAX_NAMES = 4_096  # that are remembered
MAX_KEPT = 100  # characters of such a name
MAX_WORD = 2_000  # characters of one encoded word; RFC 2047 allows 75
MAX_WORDS = 100  # of one value
MAX_IDS = 1_000  # of all References of one mail
MAX_ID = 998  # characters, as RFC 5322 limits the line it stands on

_BLANK_LINE = re.compile(rb"\n\n")  # twice as fast as bytes.find, which has no way for a needle of one letter
_FIELD_START = re.compile(r"\n(?![ \t])")
_NAME = re.compile(r"[!-9;-~]{1,200}[ \t]{0,10}")
_ID = re.compile(r"<([^<>]*)>")
_WORD = re.compile(r"=\?([^?]{0,77})\?([BbQq])\?")  # what an encoded word begins with
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]+")
_QUEUE_ID = re.compile(r"\sid\s+([\w.:+-]{1,100})", re.ASCII)


class Headers:
    """Fields in order with repeats, and quick access by name in any case."""

    __slots__ = ("_first", "fields", "names", "raw")

    def __init__(self, raw: list[str], names: list[str], sent: list[str], values: list[str]) -> None:
        """All in the mail's order; `sent` and `values` may be shorter than the others (MAX_FIELDS)."""
        self.raw = raw  # each field whole, as Latin-1: byte for byte
        self.names = names  # in lower case
        self.fields = tuple(zip(sent, values, strict=True))  # names as sent, values as text with their folding
        self._first = dict(zip(names[len(values) - 1 :: -1], values[::-1], strict=True))

    def all(self, name: str) -> list[str]:
        """Every value of a field (name in lower case), in order, as sent."""
        first = self._first.get(name)
        if first is None:
            return []
        if self.names.count(name) == 1:
            return [first]
        return [value for other, (_, value) in zip(self.names, self.fields, strict=False) if other == name]

    def first(self, name: str) -> str | None:
        """The first value of a field (name in lower case), as sent; None without one."""
        return self._first.get(name)

    def text(self, name: str) -> str:
        """The first value decoded and on one line; empty without one."""
        value = self._first.get(name)
        return one_line(value) if value else ""


def read(data: bytes, few: int = 200) -> tuple[Headers, bytes, list[str]]:
    """The header of a mail with LF line ends, the rest after the blank line, and defects.

    It has so few fields, and one more for each 32 bytes, or MAX_FIELDS: others are left.

    A line that is neither a field nor a continuation ends the header, as for git and for the standard library:
    the sender forgot the blank line. mbox "From " lines are dropped wherever they stand in the header. Values are
    decoded as UTF-8, else Latin-1.
    """
    if data.startswith(b"\n"):
        return Headers([], [], [], []), data[1:], ["no header"]
    blank = _BLANK_LINE.search(data)
    head, rest = (data[: blank.start()], data[blank.end() :]) if blank else (data.rstrip(b"\n"), b"")
    defects: list[str] = []
    text = head.decode("latin-1")
    most = limits.room(len(head), few=few, each=32, most=MAX_FIELDS)
    raw = _FIELD_START.split(text, FIRST)
    names, sent, values = _apart(raw[:FIRST], most)
    end = _end(raw, names)
    if end == FIRST < len(raw):
        raw = _FIELD_START.split(text)
        names, sent, values = _apart(raw, most)
        end = _end(raw, names)
    if not all(names):
        if end < len(raw):
            rest = data[sum(map(len, raw[:end])) + end :]
            defects.append("header ends without a blank line" if any(names[:end]) else "no header")
        raw = list(compress(raw[:end], names))
        names = list(filter(None, names[:end]))
        _, sent, values = _apart(raw[:most], most)
    if len(raw) > most:
        defects.append(f"more than {most} header fields")
    texts = [value.strip(" \t\n") for value in values]
    if len(head) > MAX_VALUE or b"\0" in head or not head.isascii():
        texts = [_odd(value, defects) for value in texts]
    return Headers(raw, names, list(map(str.rstrip, sent)), texts), rest, defects


def _apart(lines: list[str], most: int) -> tuple[list[str], Sequence[str], Sequence[str]]:
    """Names in lower case of all lines, empty where one is no field; names and values as sent, of the first so many."""
    pieces = [line.partition(":") for line in lines[:most]]
    if not pieces:
        return [], [], []
    sent, colons, values = zip(*pieces, strict=True)
    names = list(map(_names.__getitem__, sent))
    if not all(colons):
        names = [name if colon else "" for name, colon in zip(names, colons, strict=True)]
    names += [_names[line[: line.find(":") + 1][:-1]] for line in lines[most:]]
    return names, sent, values


def _end(lines: list[str], names: list[str]) -> int:
    """The first line that is no field and no mbox line; the number of names without one."""
    if not all(names):
        for at, name in enumerate(names):
            if not name and not lines[at].startswith(("From ", ">From ")):
                return at
    return len(names)


class _Names(dict[str, str]):
    """Field names as sent to those in lower case, empty where one is none. The same few come with every mail.

    RFC 5322 section 2.2, and blanks before the colon as section 4.5 allows; a name of sane length.
    """

    def __missing__(self, sent: str) -> str:
        name = sent.rstrip().lower() if _NAME.fullmatch(sent) else ""
        if len(sent) < MAX_KEPT:
            if len(self) >= MAX_NAMES:
                self.clear()
            self[sent] = name
        return name


_names = _Names()


def _odd(value: str, defects: list[str]) -> str:
    """A value that may have 8-bit characters, NUL, or too many of all."""
    if not value.isascii():
        value = _eight_bit(value, defects)
    if "\0" in value:
        value = value.replace("\0", charset.REPLACEMENT)
        defects.append("NUL in the header")
    if len(value) > MAX_VALUE:
        value = value[:MAX_VALUE]
        defects.append(f"header field over {MAX_VALUE} characters")
    return value


def _eight_bit(value: str, defects: list[str]) -> str:
    defects.append("8-bit header")
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return value


def decode(value: str) -> str:
    """RFC 2047: encoded words to text, the blanks between two of them dropped; whatever is not one stays.

    Words of one charset that follow each other are decoded together, since senders cut characters in half.
    Words longer than RFC 2047 allows, with blanks or folded, are read all the same, up to MAX_WORD characters. What
    lies behind MAX_WORDS stays as it is.
    """
    if "=?" not in value:
        return value
    out: list[str] = []
    words: list[tuple[str, bytes]] = []
    done = search = end = count = 0
    while count < MAX_WORDS and (start := _WORD.search(value, search)):
        count += 1
        if end < start.end():
            end = value.find("?=", start.end())
        if end < 0:
            break
        if end - start.end() > MAX_WORD - 2 or value.find("=?", start.end(), end) >= 0:
            search = start.start() + 2
            continue
        gap = value[done : start.start()]
        if not words or gap.strip():
            out += (_decode_words(words), gap)
            words = []
        text = value[start.end() : end]
        words.append((start[1].partition("*")[0].lower(), _base64(text) if start[2] in "Bb" else _quoted(text)))
        done = search = end + 2
    out += (_decode_words(words), value[done:])
    return charset.clean("".join(out))


def _base64(text: str) -> bytes:
    plain = _NOT_BASE64.sub("", text)
    if len(plain) % 4 == 1:
        plain = plain[:-1]
    return binascii.a2b_base64(plain + "=" * (-len(plain) % 4))


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
    if "<" in value:
        return [hit[:MAX_ID] for hit in _ID.findall("".join(value.split())) if hit]
    found = [word.strip(",;")[:MAX_ID] for word in value.split() if "@" in word]
    return [one for one in found if one]


def message_id(value: str) -> str:
    """The id of a Message-ID field: the first <...>, else the whole value without white space."""
    found = _ID.findall(value)
    return "".join((found[0] if found else value).split())[:MAX_ID]


def reference_ids(headers: Headers, name: str) -> tuple[str, ...]:
    """Ids of all fields of that name, in order, each once."""
    values = headers.all(name)
    if not values:
        return ()
    found: dict[str, None] = {}
    for value in values:
        found.update(dict.fromkeys(ids(value)))
    return tuple(found)[-MAX_IDS:]


def list_id(headers: Headers) -> str | None:
    """RFC 2919: the last <...> of the first List-Id that names a list, in lower case; a bare word counts too."""
    for value in headers.all("list-id"):
        if name := _list_name(value[:MAX_ID]):
            return name
    return None


@lru_cache(256)
def _list_name(value: str) -> str | None:
    text = one_line(value)
    found = [hit for hit in _ID.findall(text) if hit.strip()]
    name = found[-1].strip() if found else text.partition("(")[0].strip()
    return name.lower() if name and " " not in name else None


def queue_id(headers: Headers) -> str | None:
    """The queue id of the topmost Received: the `id` clause of RFC 5321 section 4.4."""
    value = headers.first("received")
    found = _QUEUE_ID.search(value) if value else None
    return found.group(1) if found else None
