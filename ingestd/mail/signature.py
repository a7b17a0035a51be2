"""Where the text ends: signatures, and the footers that lists append."""

import re

from ingestd.mail import charset

MAX_SIGNATURE = 15  # lines; a separator with more behind it ends nothing (people answer below signatures)

_SEPARATOR = re.compile(r"\n(?:-- |_+)(?=\n|\Z)")
_LIST_RULE = re.compile(r"_{20,}\s*\Z")
_LIST_WORDS = re.compile(
    r"\b(?:mailing list|listinfo|https?://|mailto:|unsubscribe|digest\b)|(?<![\w.+-])[.+-]*+\w[\w.+-]*+@[\w-]+\.[\w.-]",
    re.IGNORECASE,
)
_DASH_FOOTER = re.compile(
    r"(?:you received this message because you are subscribed|to unsubscribe from this (?:list|group)|"
    r"(?<![\w.-])[\w.-]++ mailing list\s*\Z)",
    re.IGNORECASE,
)
_MAX_FOOTER = 12  # lines


def cut(text: str) -> tuple[str, str]:
    """The text, and from the first signature separator or footer rule on what stands below it.

    Patchwork cuts at the first line that is `-- ` or all underscores (reference: mail rules, section 6). Here such
    a line ends the text only with at most MAX_SIGNATURE lines behind it.
    """
    head, *last = text.rstrip().rsplit("\n", MAX_SIGNATURE + 1)
    start = len(head) if len(last) > MAX_SIGNATURE else -1
    found = _SEPARATOR.search(text, start) if start >= 0 else _SEPARATOR.search("\n" + text)
    if not found:
        return text, ""
    at = found.start() if start >= 0 else found.start() - 1
    return text[: max(at, 0)], text[at + 1 :]


def without_footer(text: str) -> str:
    """The text without what a list appended: Mailman's rule of underscores with its links, Google's and vger's notes.

    Conservative, since it decides what counts as the same mail: only at the very end, and only with the words of a
    list in it.
    """
    tail = charset.lower(text[-2_000:])
    if "_" * 20 not in tail and "subscribe" not in tail and "mailing list" not in tail:
        return text
    head, *lines = text.rstrip().rsplit("\n", _MAX_FOOTER)
    for at in range(len(lines) - 1, -1, -1):
        line = lines[at].rstrip()
        below = lines[at + 1 :]
        if _LIST_RULE.match(line):
            if any(_LIST_WORDS.search(one[:500]) for one in below) or not any(one.strip() for one in below):
                return "\n".join((head, *lines[:at])).rstrip()
            return text
        if line == "--" and below and _DASH_FOOTER.search(below[0][:500]):
            return "\n".join((head, *lines[:at])).rstrip()
    return "" if _LIST_RULE.match(head) and any(_LIST_WORDS.search(one[:500]) for one in lines) else text
