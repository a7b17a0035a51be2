"""The corpora that tests may read beside the checkout, and how to skip without them."""

import csv
import json
import lzma
import os
import re
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared"
_MBOX_LINE = re.compile(rb"(?:\A|(?<=\n))From (?:[^\n]*\d{4}|\S+)\n")


def need(*names: str) -> Path:
    """A path below ../shared; skips the test where it is absent."""
    path = SHARED.joinpath(*names)
    if not path.exists():
        pytest.skip(f"no {path.relative_to(SHARED.parent)} beside the checkout")
    return path


def messages(path: Path) -> list[bytes]:
    """The mails of an mbox, or the one mail of a file."""
    raw = path.read_bytes()
    if not raw.startswith(b"From "):
        return [raw]
    return [piece for piece in _MBOX_LINE.split(raw) if piece.strip()]


def aspeed(count: int | None = None) -> Iterator[tuple[str, bytes]]:
    """File name and bytes of the first `count` mails as they lie in the archive (all without)."""
    path = need("corpus", "linux-aspeed.tar.xz")
    with tarfile.open(path, "r|xz") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            yield Path(member.name).name, content.read()
            if count is not None:
                count -= 1
                if count <= 0:
                    return


def unpack(archive: Path) -> Path:
    """The directory with the mails of the archive, one file each, unpacked once per machine."""
    facts = archive.stat()
    place = Path(tempfile.gettempdir()) / f"ingestd-corpus-{os.geteuid()}-{facts.st_size}-{int(facts.st_mtime)}"
    if not place.exists():
        new = Path(tempfile.mkdtemp(prefix="ingestd-corpus-new-"))
        with tarfile.open(archive) as tar:
            for member in tar:
                content = tar.extractfile(member)
                if content is not None and member.name.endswith(".eml"):
                    (new / Path(member.name).name).write_bytes(content.read())
        new.rename(place)
    return place


def patchwork(name: str = "linux-aspeed") -> dict[str, dict[str, Any]]:
    """What Patchwork made of each mail, by file name."""
    path = need("corpus", f"{name}.patchwork.jsonl.xz")
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        return {row["file"]: row for row in map(json.loads, lines)}


def hard_cases() -> list[dict[str, str]]:
    """The judged mails, one dictionary a line."""
    path = need("corpus", "hard-cases.tsv")
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
