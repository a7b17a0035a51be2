"""Read an mbox file: mails that follow lines starting with `From `."""

import re
from collections.abc import Iterator
from typing import BinaryIO

from ingestd.errors import InputError

# `>From ` within a mail is how mbox writers protect such a line; one `>` was added (mboxrd, RFC 4155 names the forms).
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)

# A mail starts where a blank line (or the start of the file) is followed by a From_ line that ends with a date:
# `From x@y Mon Sep 17 00:00:00 2001`. Without the date it is prose, "From here on ...".
_FROM = re.compile(rb"From .*\d\d:\d\d(:\d\d)?.* \d{4}\b.*$|From .*\d{4}[-0-9T:+Z ]*$")


def read(file: BinaryIO, name: str) -> Iterator[tuple[str, bytes]]:
    """Yield (`name:N`, mail) for each mail, N from 1. InputError when the file does not start with a From_ line."""
    first = file.readline()
    if not first.startswith(b"From "):
        if not first and not file.readline():
            return
        raise InputError(f"{name}: not an mbox: it does not start with a `From ` line")
    number = 1
    lines: list[bytes] = []
    blank = False
    for line in file:
        if blank and line.startswith(b"From ") and _FROM.match(line[:256].rstrip()):
            yield f"{name}:{number}", _mail(lines)
            number += 1
            lines = []
            blank = False
            continue
        lines.append(line)
        blank = line in {b"\n", b"\r\n"}
    yield f"{name}:{number}", _mail(lines)


def _mail(lines: list[bytes]) -> bytes:
    # The blank line before the next From_ line is the format's, not the mail's.
    if len(lines) > 1 and lines[-1] in {b"\n", b"\r\n"}:
        lines.pop()
    return _QUOTED.sub(rb"\1", b"".join(lines))
