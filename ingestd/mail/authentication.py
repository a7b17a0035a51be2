"""What trusted hosts found out about a mail's sender: Authentication-Results (RFC 8601)."""

import re
from collections.abc import Collection, Iterable

MAX_RESULTS = 50  # of a mail; what is beyond them stays in the headers
MAX_LENGTH = 500  # of a result, in characters

# A quoted pair (RFC 5322 section 3.2.1), a character that matters, or a run of others.
_PIECE = re.compile(r'\\.|[();"]|[^"\\();]+|.', re.DOTALL)


def results(headers: Iterable[tuple[str, str]], trusted: Collection[str]) -> tuple[str, ...]:
    """Each result of a trusted host, as `authserv-id; method=result ...`, without comments, in order of the headers.

    `headers` are all of the mail's, in order; `trusted` authserv-ids in lower case (RFC 8601 section 2.5). A field that
    names another host is nobody's word. So is one below the Received that follows the first trusted field: the trusted
    host added its own on top, and what lies below came with the mail, where anybody may have written that name.
    """
    if not trusted:
        return ()
    found: list[str] = []
    seen = False
    for name, value in headers:
        field = name.lower()
        if field == "received" and seen:
            break
        if field != "authentication-results":
            continue
        host, *said = _segments(value)
        id_ = host.split(" ")[0].strip('"').lower()  # a version may follow
        if id_ in trusted:
            seen = True
            found += [f"{id_}; {result}"[:MAX_LENGTH] for result in said if result and result.lower() != "none"]
    return tuple(found[:MAX_RESULTS])


def _segments(value: str) -> list[str]:
    """What stands between semicolons, without comments (RFC 5322 section 3.2.2), blanks made one.

    A quotation mark within a comment says nothing: comments hold what the sender said, who must not end them by it.
    """
    segments: list[list[str]] = [[]]
    depth = 0
    quoted = False
    for piece in _PIECE.findall(value):
        if piece == '"' and not depth:
            quoted = not quoted
        if quoted:
            segments[-1].append(piece)
        elif piece == "(":
            depth += 1
            segments[-1].append(" ")
        elif piece == ")":
            depth = max(0, depth - 1)
        elif depth:
            continue
        elif piece == ";":
            segments.append([])
        else:
            segments[-1].append(piece)
    return [" ".join("".join(segment).split()) for segment in segments]
