"""Bytes to text: the declared charset, then UTF-8, then windows-1252, and whether bytes were lost on the way."""

import encodings.aliases
import re
from functools import lru_cache

# Only codecs that turn bytes into text, known beforehand: a name from a mail never reaches the import system.
_NOT_TEXT = frozenset(
    [
        "base64_codec",
        "bz2_codec",
        "hex_codec",
        "idna",
        "mbcs",
        "oem",
        "palmos",
        "punycode",
        "quopri_codec",
        "raw_unicode_escape",
        "rot_13",
        "undefined",
        "unicode_escape",
        "utf_7",
        "uu_codec",
        "zlib_codec",
    ]
)
_CODECS = {
    **{
        name: codec
        for alias, codec in encodings.aliases.aliases.items()
        if codec not in _NOT_TEXT
        for name in (alias, codec)
    },
    "utf_8": "utf_8",
    "cp874": "cp874",
    "x_gbk": "gbk",
    "x_sjis": "shift_jis",
    "iso_8859_8_i": "iso8859_8",
    "iso_8859_8_e": "iso8859_8",
    "utf8mb4": "utf_8",
}
# What senders label with the smaller set and then write with the bigger one.
_WIDER = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "cp950",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
}
_LABELS = (("latin_1", "iso-8859-1"), ("iso8859_", "iso-8859-"), ("iso2022_", "iso-2022-"), ("cp125", "windows-125"))
_LONGEST_NAME = 40
_ESCAPED = re.compile("[\udc80-\udcff]")  # a byte that is not UTF-8, as `surrogateescape` marks it
_WINDOWS_1252 = {chr(0xDC00 + byte): bytes([byte]).decode("cp1252", "replace") for byte in range(0x80, 0x100)}
REPLACEMENT = "\ufffd"


def codec(name: str | None) -> str | None:
    """Python's name for a charset of a mail; None where there is none or we know none by that name."""
    return _known(name) if name and len(name) <= _LONGEST_NAME else None


@lru_cache(1024)
def _known(name: str) -> str | None:
    plain = name.strip().strip("\"'").lower().replace("-", "_").replace(".", "_").replace(" ", "_")
    return _CODECS.get(plain)


@lru_cache(256)
def keeps_ascii(name: str) -> bool:
    """Does ASCII stand for itself in this codec, so that bytes may be split into lines? (Not UTF-16, not EBCDIC.)"""
    try:
        return b"\n @+-".decode(name) == "\n @+-"
    except UnicodeDecodeError:
        return False


def decode(data: bytes, declared: str | None) -> tuple[str, str, bool]:
    """The text, what it was decoded with, and whether bytes could not be told.

    A single Latin-1 letter in UTF-8 text costs that letter nothing and the rest nothing: bytes that are not UTF-8
    are read as windows-1252 one by one. Lossy is what no reading explains.
    """
    name = codec(declared)
    for guess in _guesses(name):
        try:
            return data.decode(guess), _label(guess), False
        except (UnicodeDecodeError, ValueError):
            continue
    try:
        return data.decode("utf-8"), "utf-8", False
    except UnicodeDecodeError:
        text = data.decode("utf-8", "surrogateescape")
        at = 0
        while found := _ESCAPED.search(text, at):
            text = text.replace(found.group(), _WINDOWS_1252[found.group()])
            at = found.end()
        kind = "utf-8" if name == "utf_8" else "windows-1252"
        return text, kind, REPLACEMENT in text or name == "utf_8"


def _guesses(name: str | None) -> tuple[str, ...]:
    """The codecs that are tried before UTF-8."""
    if name is None or name == "utf_8":
        return ()
    return (name, _WIDER[name]) if name in _WIDER else (name,)


@lru_cache(256)
def _label(name: str) -> str:
    """A codec's name as mail spells it."""
    for ours, theirs in _LABELS:
        if name.startswith(ours):
            return (theirs + name[len(ours) :]).replace("_", "-")
    return "us-ascii" if name == "ascii" else name.replace("_", "-")


def lower(text: str) -> str:
    """A to Z in lower case and all else as it is, so that every place stays; in half of `str.lower`'s time."""
    if text.isascii():
        return text.lower()
    return text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def clean(text: str) -> str:
    """Without what PostgreSQL refuses: NUL and lone surrogates become U+FFFD."""
    if "\0" in text:
        text = text.replace("\0", REPLACEMENT)
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return text
