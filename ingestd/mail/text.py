"""Which parts of a mail are text, what they say, and how message and diff come out of them."""

from dataclasses import dataclass, field

from ingestd.mail import charset, diff, markup, mime, signature

_PATCH_TYPES = frozenset(("text/x-patch", "text/x-diff", "application/x-patch", "application/x-diff", "text/patch"))
_OPAQUE = frozenset(("application/octet-stream", "application/mbox", "binary/octet-stream", "application/x-download"))
_PATCH_NAMES = (".patch", ".diff", ".patch.txt", ".diff.txt")


@dataclass(slots=True)
class Texts:
    """The text of a mail's parts, decoded, with LF line ends."""

    plain: list[str] = field(default_factory=list)
    flowed: list[tuple[bool, bool]] = field(default_factory=list)  # of each plain text: format=flowed, DelSp
    patches: list[str] = field(default_factory=list)  # attachments that are patches by type or name
    html: list[str] = field(default_factory=list)
    other: list[bytes] = field(default_factory=list)
    charset: str | None = None
    lossy: bool = False
    defects: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Body:
    """What the text says."""

    content: str | None  # Patchwork's content
    diff: str | None
    message: str  # the text above the diff, whole
    tail: str  # the text below it
    attached: bool  # the diff came as an attachment


def gather(parts: list[mime.Part]) -> Texts:
    """Sort the leaves. Signatures, pictures and forwarded mails are no text of this mail."""
    texts = Texts()
    for part in parts:
        name = part.filename.lower()
        if part.type in _PATCH_TYPES or (name.endswith(_PATCH_NAMES) and part.type in _OPAQUE):
            texts.patches.append(_decode(texts, part))
        elif part.type == "text/plain":
            texts.plain.append(_decode(texts, part))
            low = part.parameters.get("format", "").lower() == "flowed"
            texts.flowed.append((low, low and part.parameters.get("delsp", "").lower() == "yes"))
        elif part.type == "text/html":
            texts.html.append(_decode(texts, part))
        elif part.type.startswith("text/") and name.endswith(_PATCH_NAMES):
            texts.patches.append(_decode(texts, part))
        elif part.type in _OPAQUE and len(parts) == 1 and _readable(part.data):
            texts.defects["text sent as application/octet-stream"] = None
            texts.plain.append(_decode(texts, part))
            texts.flowed.append((False, False))
        else:
            texts.other.append(part.data)
    if texts.html and all(_only_footer(text) for text in texts.plain):
        texts.defects["text made from HTML"] = None
        made = [markup.text(source) for source in texts.html]
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


def _decode(texts: Texts, part: mime.Part) -> str:
    declared = part.parameters.get("charset")
    text, used, lossy = charset.decode(part.data, declared)
    known = charset.codec(declared)
    if declared and known is None:
        texts.defects["unknown charset"] = None
    elif used == "windows-1252" or (known == "ascii" and used != "ascii") or lossy:
        texts.defects["text does not fit its charset"] = None
    if texts.charset is None and part.type != "text/html":
        texts.charset = used
    texts.lossy = texts.lossy or lossy
    text = text.removeprefix("\ufeff")
    if "\r" in text:
        text = lf(text)
    if "\0" in text:
        texts.defects["NUL in the text"] = None
    return charset.clean(text)


def lf(text: str) -> str:
    """CRLF to LF, however many CR a line ends with; CR elsewhere stays."""
    text = text.replace("\r\n", "\n")
    if "\r\n" in text:
        text = "\n".join(line.rstrip("\r") for line in text.split("\n"))
    return text


def read_answer(texts: Texts) -> Body:
    """An answer's text stays whole, as Patchwork keeps comments; a diff that stands in it unquoted is told as well."""
    whole = "".join(text.strip() + "\n" for text in texts.plain)
    content = signature.cut(whole)[0].strip()
    split = diff.split(whole)
    return Body(content or None, split.diff, split.message, split.tail, attached=False)


def read_message(texts: Texts) -> Body:
    """Message and diff apart. Above a diff nothing counts as a signature; below it Patchwork's rule holds."""
    said: list[str] = []
    found: str | None = None
    message = tail = ""
    ended = False
    for text, (flowed, _) in zip(texts.plain, texts.flowed, strict=True):
        split = diff.split(text) if found is None else diff.Split(text, "", None, whole=True)
        if split.diff is not None:
            if flowed and not split.whole:
                split = _unstuffed(text, split)
            found, message, tail = split.diff, split.message, split.tail
            kept, _ = signature.cut(split.tail)
            said.append((split.message + kept).strip() + "\n")
            ended = kept != split.tail
        elif not ended:
            kept, rest = signature.cut(text)
            said.append(kept.strip() + "\n")
            ended = bool(rest)
    attached = False
    if found is None:
        message = "".join(said)
        for text in texts.patches:
            split = diff.split(text)
            if split.diff is not None:
                found = (found or "") + split.diff
                attached = True
                if split.message.strip():
                    message = split.message
        if found is not None and not "".join(said).strip():
            said = [message]
    content = "".join(said).strip()
    return Body(content or None, found, message, tail, attached)


def _unstuffed(text: str, split: diff.Split) -> diff.Split:
    """RFC 3676 section 4.4: the blank that format=flowed puts before some lines; taken off if the diff is whole then."""
    plain = "\n".join(line.removeprefix(" ") for line in text.split("\n"))
    other = diff.split(plain)
    return other if other.diff is not None and other.whole else split


def unflow(text: str, *, delsp: bool) -> str:
    """RFC 3676 section 4.2: join the lines of flowed paragraphs; quoted lines and signatures stay."""
    out: list[str] = []
    joining = False
    for line in text.split("\n"):
        body = line.removeprefix(" ")
        if joining and not body.startswith(">"):
            out[-1] += body
        else:
            out.append(body)
        joining = body.endswith(" ") and body != "-- " and not body.startswith(">")
        if joining and delsp:
            out[-1] = out[-1][:-1]
    return "\n".join(out)
