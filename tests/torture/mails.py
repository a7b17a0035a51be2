"""What the torture delivers: real mails where the corpus is, else made ones."""

import random
import re
from pathlib import Path

import mails as made
from mail.corpus import unpack

ARCHIVE = Path(__file__).resolve().parents[3] / "shared/corpus/linux-aspeed.tar.xz"
_BARE_CR = re.compile(rb"\r(?!\n)")


def read(count: int, rng: random.Random) -> tuple[str, list[bytes]]:
    """Where they are from, and `count` mails in the order they were written."""
    return ("linux-aspeed", _real(count, rng)) if ARCHIVE.exists() else ("made up", _made(count))


def _real(count: int, rng: random.Random) -> list[bytes]:
    """A stretch of the archive, so that threads are together. Without mails with a bare CR: servers change these."""
    files = sorted(unpack(ARCHIVE).iterdir())
    start = rng.randrange(max(1, len(files) - count - count // 100))
    stretch = [file.read_bytes() for file in files[start : start + count + count // 100 + 10]]
    return [raw for raw in stretch if not _BARE_CR.search(raw)][:count]


def _made(count: int) -> list[bytes]:
    """Series of a cover and four patches, and a review of each second one."""
    topics = -(-count // 5)
    written = [mail for topic in range(topics) for mail in made.series(f"20261102.{topic}", 4, title=f"topic {topic}")]
    return written[:count]
