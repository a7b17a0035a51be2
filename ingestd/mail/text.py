"""Which parts of a mail are text, what they say, and how message and diff come out of them."""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from ingestd.mail import charset, diff, markup, mime, signature
from ingestd.mail.splitter import Trust

_PATCH_TYPES = frozenset(("text/x-patch", "text/x-diff", "application/x-patch", "application/x-diff", "text/patch"))
_OPAQUE = frozenset(("application/octet-stream", "application/mbox", "binary/octet-stream", "application/x-download"))
_PATCH_NAMES = (".patch", ".diff", ".patch.txt", ".diff.txt")
HTML = "text made from HTML"
UNREAD = "too many small pieces for a diff"
# What Outlook writes above the mail that is answered, in lower case: a line of its own, or the mail's first headers.
_ORIGINAL = re.compile(r"[ \t]*-{2,20}\s?original message\s?-{2,20}:?[ \t]*(?=\n|\Z)")
_HEADERS = re.compile(r"from: .{3,200}\nsent: ")
_BELOW = (("original message", _ORIGINAL, 40), ("\nsent: ", _HEADERS, 210))  # its word, and how far it begins in front
# Some write it above lines that have quote signs, at most so far above: then it says nothing of the others.
_SIGNED = re.compile(r"[^\n]*+(?:\n(?:[ \t]*+|[a-z-]{2,20}: [^\n]*+)(?=\n)){0,50}\n>")
_QUOTES = re.compile(r"\n>[^\n]*+(?:\n>[^\n]*+)*+")  # it begins with two letters, for a quick search
_FEW = 8  # texts of a mail
_ANSWER = Trust.ABOVE_PROSE
_FILE_LINE = re.compile(r"^(?:diff --git|Index:|---|\+\+\+|\*\*\*) [^\n]*\n", re.MULTILINE)

_MORE_CR = re.compile(r"(?<!\r)\r+(?=\n|\Z)")

# format=flowed (RFC 3676)
_NOT_STUFFED = re.compile(r"\n (?![ >\n]|\Z|From)")
_FOLDED = re.compile(r"(\ndiff [^\n]*)( )\n([^\n]*)")  # the first line of a file
# Lines that are quoted, and signatures, as many as are taken at once.
_STAYS = re.compile(r"(\n(?:>[^\n]*+(?:\n>[^\n]*+)*+|-- (?![^\n])(?:\n-- (?![^\n])){0,100}))")


@dataclass(slots=True)
class Texts:
    """The text of a mail's parts, decoded, with LF line ends."""

    plain: list[str] = field(default_factory=list)
    flowed: list[tuple[bool, bool]] = field(default_factory=list)  # of each plain text: format=flowed, DelSp
    patches: list[str] = field(default_factory=list)  # attachments that are patches by type or name
    html: list[str] = field(default_factory=list)
    unmarked: list[str] = field(default_factory=list)  # the first plain texts without the quote signs we put into HTML
    other: list[bytes] = field(default_factory=list)
    charset: str | None = None  # of the first plain text or patch; of HTML where the text is made from that
    html_charset: str | None = None
    lossy: bool = False
    # Of each text that was taken apart. The first few in no dictionary: to hash a text takes as long as much of its
    # reading. Mails of hundreds of texts have them in one: to compare each with each takes longer.
    splits: list[tuple[tuple[str, Trust], diff.Split]] = field(default_factory=list)
    more_splits: dict[tuple[str, Trust], diff.Split] = field(default_factory=dict)
    joined: dict[tuple[str, bool], str] = field(default_factory=dict)  # flowed text and its DelSp -> `unflow`
    defects: dict[str, None] = field(default_factory=dict)


class Body(NamedTuple):
    """What the text says."""

    content: str | None  # Patchwork's content
    diff: diff.Diff | None
    own: str  # the text without quoted lines
    message: str  # the text above the diff, of an answer without quoted lines
    tail: str  # the text below it
    attached: bool  # the diff came as an attachment


def gather(parts: list[mime.Part], *, exact: bool = False) -> Texts:
    """Sort the leaves. Signatures, pictures and forwarded mails are no text of this mail.

    `exact`: nothing is decoded, and CR and NUL stay where they are content; `surrogateescape` brings the bytes back.
    """
    decode = _undecoded if exact else _decoded
    texts = Texts()
    for part in parts:
        name = part.filename.lower()
        if part.type in _PATCH_TYPES or (name.endswith(_PATCH_NAMES) and part.type in _OPAQUE):
            texts.patches.append(decode(texts, part))
        elif part.type == "text/plain":
            texts.plain.append(decode(texts, part))
            low = part.parameters.get("format", "").lower() == "flowed"
            texts.flowed.append((low, low and part.parameters.get("delsp", "").lower() == "yes"))
        elif part.type == "text/html":
            texts.html.append(decode(texts, part))
        elif part.type.startswith("text/") and name.endswith(_PATCH_NAMES):
            texts.patches.append(decode(texts, part))
        elif part.type in _OPAQUE and len(parts) == 1 and _readable(part.data):
            texts.defects["text sent as application/octet-stream"] = None
            texts.plain.append(decode(texts, part))
            texts.flowed.append((False, False))
        else:
            texts.other.append(part.data)
    if texts.html and all(_only_footer(text) for text in texts.plain):
        texts.defects[HTML] = None
        texts.charset = texts.html_charset
        made, texts.unmarked = map(
            list, zip(*(markup.texts(source, exact=exact) for source in texts.html), strict=True)
        )
        texts.plain = made + texts.plain
        texts.flowed = [(False, False)] * len(made) + texts.flowed
    return texts


def _only_footer(text: str) -> bool:
    return not signature.without_footer(text).strip()


def _readable(data: bytes) -> bool:
    if b"\0" in data:
        return False
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _decoded(texts: Texts, part: mime.Part) -> str:
    declared = part.parameters.get("charset")
    text, used, lossy = charset.decode(part.data, declared)
    known = charset.codec(declared)
    if declared and known is None:
        texts.defects["unknown charset"] = None
    elif lossy or (used == "windows-1252" and known != "cp1252") or (known == "ascii" and used != "us-ascii"):
        texts.defects["text does not fit its charset"] = None
    if part.type == "text/html":
        texts.html_charset = texts.html_charset or used
    else:
        texts.charset = texts.charset or used
    texts.lossy = texts.lossy or lossy
    text = text.removeprefix("\ufeff")
    if "\r" in text:
        text = lf(text)
    if "\0" in text:
        texts.defects["NUL in the text"] = None
    return charset.clean(text)


def _undecoded(texts: Texts, part: mime.Part) -> str:
    """A part's bytes as they are, but for line ends that are CRLF throughout: a line that names a file tells."""
    name = charset.codec(part.parameters.get("charset"))
    if part.type == "text/html" or not (name is None or charset.keeps_ascii(name)):
        return _decoded(texts, part)
    text = part.data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    found = _FILE_LINE.search(text) if "\r" in text else None
    ends = _crs(found.group()[:-1]) if found else 0
    return "\n".join([line[: len(line) - min(ends, _crs(line))] for line in text.split("\n")]) if ends else text


def _crs(line: str) -> int:
    """How many CR a line ends with."""
    return len(line) - len(line.rstrip("\r"))


def lf(text: str) -> str:
    """CRLF to LF, however many CR a line ends with; CR elsewhere stays."""
    text = text.replace("\r\n", "\n").replace("\r\n", "\n")  # two CR are not rare, and this is the quicker way
    if "\r\n" in text:
        text = _MORE_CR.sub("", text)
    return text


def read_answer(texts: Texts) -> Body:
    """An answer's text stays whole, as Patchwork keeps comments; a diff that stands in it unquoted is told as well."""
    content = signature.cut("".join(text.strip() + "\n" for text in texts.plain))[0].strip()
    own = unquoted(texts.plain)
    if diff.first_mark(own) < 0:
        return Body(content or None, None, own, own, "", attached=False)
    # Whether the mark counts is told with the quotes below it, which `own` does not have.
    said, below = _below_mark(own) if any(quoted_from(text) >= 0 for text in texts.plain) else (own, "")
    flowed, delsp = texts.flowed[0]
    split = _unflowed(texts, said, _ANSWER, delsp=delsp) if flowed else _apart(texts, said, _ANSWER)
    split = _noted(texts, split)
    return Body(content or None, split.diff, own, split.message, split.tail + below, attached=False)


def _below_mark(text: str) -> tuple[str, str]:
    """What stands above the mail that Outlook quotes without signs before its lines, and what from there on."""
    at = quoted_from(text)
    return (text[:at], text[at:]) if at >= 0 else (text, "")


def quoted_from(text: str) -> int:
    """Where the mail begins that Outlook quotes without signs before its lines; -1 in nearly all answers."""
    if not ("riginal " in text or "RIGINAL " in text or "\nSent: " in text):  # lower case takes its time
        return -1
    low = charset.lower(text)
    return min((at for word, begins, most in _BELOW if (at := _line_with(low, word, begins, most)) >= 0), default=-1)


def _line_with(low: str, word: str, begins: re.Pattern[str], most: int) -> int:
    """Where the first line stands that is so, and has a word at most so far behind it; -1 where there is none."""
    at = low.find(word)
    while at >= 0:
        front = low.rfind("\n", max(at - most, 0), at)
        begun = (front >= 0 or at <= most) and begins.match(low, front + 1)
        if begun and not _SIGNED.match(low, front + 1):
            return front + 1
        at = low.find(word, at + 1)
    return -1


def unquoted(texts: list[str]) -> str:
    """The lines of some texts that no quote sign stands before."""
    kept = [_QUOTES.sub("", "\n" + text) for text in texts]
    return "".join(kept)[1:]


def _apart(texts: Texts, text: str, trust: Trust = Trust.COUNTS) -> diff.Split:
    """A text taken apart, once: also where what was read as a message turns out to be an answer."""
    split = _known(texts, (text, Trust.COUNTS))
    plain = split is not None and (split.diff is None or split.diff.plain)  # then it says the same by any trust
    if not plain and trust is not Trust.COUNTS:
        split = _known(texts, (text, trust))
    if split is None:
        split = diff.split(text, trust)
        if len(texts.splits) < _FEW:
            texts.splits.append(((text, trust), split))
        else:
            texts.more_splits[text, trust] = split
    return split


def _known(texts: Texts, key: tuple[str, Trust]) -> diff.Split | None:
    for known, split in texts.splits:
        if known == key:
            return split
    return texts.more_splits.get(key) if texts.more_splits else None


def _noted(texts: Texts, split: diff.Split) -> diff.Split:
    """That some of it was not looked at becomes a defect."""
    if split.unread:
        texts.defects[UNREAD] = None
    return split


def read_message(texts: Texts) -> Body:
    """Message and diff apart. Above a diff nothing counts as a signature; below it Patchwork's rule holds."""
    said: list[str] = []
    found: diff.Diff | None = None
    message = tail = ""
    ended = False
    for text, (flowed, delsp) in zip(texts.plain, texts.flowed, strict=True):
        split = diff.Split(text, "", None)
        if found is None:
            split = _unflowed(texts, text, delsp=delsp) if flowed else _apart(texts, text)
            split = _noted(texts, split)
        if split.diff is not None:
            found, tail = split.diff, split.tail
            message = split.message if split.message.strip() else "".join(said)  # in a part of its own
            kept, _ = signature.cut(split.tail)
            said.append((split.message + kept).strip() + "\n")
            ended = kept != split.tail
        elif not ended:
            kept, rest = signature.cut(text)
            said.append(kept.strip() + "\n")
            ended = bool(rest)
    attached = found is None
    if found is None:
        message = "".join(said)
        found, above = _attached(texts)
        message = above if above.strip() else message
        if found is not None and not "".join(said).strip():
            said = [message]
    content = "".join(said).strip()
    return Body(content or None, found, content, message, tail, attached and found is not None)


def _attached(texts: Texts) -> tuple[diff.Diff | None, str]:
    """The diffs of all patch attachments, one behind the other, and the text above the last one."""
    above = ""
    found: list[diff.Diff] = []
    for patch in texts.patches:
        split = _noted(texts, _apart(texts, patch))
        if split.diff is not None:
            found.append(split.diff)
            above = split.message if split.message.strip() else above
    if len(found) < 2:
        return (found[0] if found else None), above
    return diff.joined(found), above


def _unflowed(texts: Texts, text: str, trust: Trust = Trust.COUNTS, *, delsp: bool) -> diff.Split:
    """The split of a format=flowed text: with its stuffing undone, and its lines joined where its diff needs that.

    It does where its hunks do not add up, or something is left over below one, and both are mended so. git-mailinfo(1)
    joins all lines; but a context line of one blank ends with a blank, too, and would be lost.
    """
    plain = unstuff(text, delsp=delsp)
    if plain is None:
        return _apart(texts, text, trust)
    split = _apart(texts, plain, trust)
    if split.diff is None:
        return diff.Split(text, "", None)
    sound = split.diff.has_hunks and split.diff.whole and not split.diff.frayed
    if not sound and " \n" in split.diff.text:  # else none of its lines is broken
        whole = _apart(texts, joined(texts, text, delsp=delsp), Trust.WHOLE)
        split = whole if whole.diff and whole.diff.has_hunks else split
    # No line is a diff's first one that was not before lines were joined and their stuffing undone.
    opened = split.diff and (_first_line(split.diff) in f"\n{text}\n" or _apart(texts, text, trust).diff)
    return split if opened else diff.Split(text, "", None)


def _first_line(found: diff.Diff) -> str:
    """With a line end on either side."""
    return "\n" + found.text[: found.text.find("\n") + 1]


def unstuff(text: str, *, delsp: bool = False) -> str | None:
    """RFC 3676 section 4.4: take off the blank that format=flowed puts before lines; None where it was not put there.

    Some senders say flowed and don't stuff. Then a context line begins with a single blank, which no stuffed
    text has but before a quote sign or From. A command, the only line of a diff that is broken often, is joined.
    """
    text = "\n" + text
    if "\n " not in text or _NOT_STUFFED.search(text):
        return None
    return _FOLDED.sub(r"\1\3" if delsp else r"\1\2\3", text).replace("\n ", "\n")[1:]


def joined(texts: Texts, text: str, *, delsp: bool) -> str:
    """What `unflow` makes of one of the texts. An answer's is asked for twice: for its diff, and for its trailers."""
    known = texts.joined.get((text, delsp))
    if known is None:
        known = texts.joined[text, delsp] = unflow(text, delsp=delsp)
    return known


def unflow(text: str, *, delsp: bool) -> str:
    """RFC 3676 section 4.2: join the lines of flowed paragraphs; quoted lines and signatures stay."""
    text = ("\n" + text).replace("\n ", "\n")
    if text.count(" \n") == text.count("\n-- \n") and text[-1:] != " ":
        return text[1:]
    pieces = _STAYS.split(text)  # in turn: lines that may be joined, and lines that stay
    blank = "" if delsp else " "
    said = [lines.replace(" \n", blank) for lines in pieces[::2]]
    soft = [lines[-1:] == " " for lines in pieces[::2]]  # does the last one end with a blank, too?
    if delsp:
        said = [lines[:-1] if ends else lines for lines, ends in zip(said, soft, strict=True)]
    if "\n-- " in text:  # a signature is joined with the line above, a quote is not
        stays = zip(pieces[1::2], soft[:-1], strict=True)
        pieces[1::2] = [lines[1:] if ends and lines[1] == "-" else lines for lines, ends in stays]
    pieces[::2] = said
    return "".join(pieces)[1:]
