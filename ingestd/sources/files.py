"""Find the mails in what a person names on the command line: an .eml, a directory of them, an mbox, standard input."""

import sys
from collections.abc import Iterator
from pathlib import Path

from ingestd.errors import InputError
from ingestd.sources import mbox


def read(source: str) -> Iterator[tuple[str, bytes]]:
    """Yield (where it is from, mail) for `source`; `-` is an mbox on standard input. InputError when it is no mail."""
    if source == "-":
        yield from mbox.read(sys.stdin.buffer, "-")
        return
    path = Path(source)
    try:
        if path.is_dir():
            yield from _directory(path)
        else:
            yield from _file(path)
    except OSError as error:
        raise InputError(f"{error.filename or source}: {error.strerror}") from error


def _directory(path: Path) -> Iterator[tuple[str, bytes]]:
    """Every .eml below `path`, in order of name: all of them are mails, broken ones too."""
    found = sorted(path.rglob("*.eml"))
    if not found:
        raise InputError(f"{path}: no .eml files in it")
    for file in found:
        yield from _file(file)


def _file(path: Path) -> Iterator[tuple[str, bytes]]:
    """One mail, or an mbox."""
    name = str(path).encode(errors="surrogateescape").decode(errors="replace")
    with path.open("rb") as file:
        start = file.read(5)
        file.seek(0)
        if start == b"From ":
            yield from mbox.read(file, name)
            return
        raw = file.read()
    if path.suffix != ".eml" and b":" not in raw.partition(b"\n")[0]:
        raise InputError(f"{name}: neither a mail nor an mbox")
    yield name, raw
