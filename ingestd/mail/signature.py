"""Where the text ends: signatures, and the footers that lists append."""

import re

MAX_SIGNATURE = 15  # lines; a separator with more behind it ends nothing (people answer below signatures)

_UNDERSCORES = re.compile(r"_+\Z")
_LIST_RULE = re.compile(r"_{20,}\s*\Z")
_LIST_WORDS = re.compile(
    r"\b(?:mailing list|listinfo|https?://|mailto:|unsubscribe|digest\b|[\w.+-]+@[\w-]+\.[\w.-]+)", re.IGNORECASE
)
_DASH_FOOTER = re.compile(
    r"(?:you received this message because you are subscribed|to unsubscribe from this (?:list|group)|"
    r"[\w.-]+ mailing list\s*\Z)",
    re.IGNORECASE,
)
_MAX_FOOTER = 12  # lines


def cut(text: str) -> tuple[str, str]:
    """The text, and from the first signature separator or footer rule on what stands below it.

    Patchwork cuts at the first line that is `-- ` or all underscores (reference: mail rules, section 6). Here such
    a line ends the text only with at most MAX_SIGNATURE lines behind it.
    """
    if (
        "\n-- \n" not in text
        and "_\n" not in text
        and not text.startswith("-- \n")
        and not text.endswith(("_", "\n-- "))
    ):
        return text, ""
    lines = text.split("\n")
    for at, line in enumerate(lines):
        if (line == "-- " or (line[:1] == "_" and _UNDERSCORES.match(line))) and _short(lines, at):
            return "\n".join(lines[:at]), "\n".join(lines[at:])
    return text, ""


def _short(lines: list[str], at: int) -> bool:
    end = len(lines)
    while end > at and not lines[end - 1].strip():
        end -= 1
    return end - at - 1 <= MAX_SIGNATURE


def without_footer(text: str) -> str:
    """The text without what a list appended: Mailman's rule of underscores with its links, Google's and vger's notes.

    Conservative, since it decides what counts as the same mail: only at the very end, and only with the words of a
    list in it.
    """
    lines = text.rstrip().split("\n")
    for at in range(len(lines) - 1, max(-1, len(lines) - 1 - _MAX_FOOTER), -1):
        line = lines[at].rstrip()
        below = lines[at + 1 :]
        if _LIST_RULE.match(line):
            if any(_LIST_WORDS.search(one) for one in below) or not any(one.strip() for one in below):
                return "\n".join(lines[:at]).rstrip()
            return text
        if line == "--" and below and _DASH_FOOTER.search(below[0][:500]):
            return "\n".join(lines[:at]).rstrip()
    return text
