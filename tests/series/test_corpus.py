"""Real mail: right series on a real list, and the same ones in any order."""

import json
import lzma
import re
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from ingestd.mail.parse import parse
from ingestd.series import fact, group
from ingestd.series.values import POSTED, Fact
from series.made import components, revisions, series_of

MAILS = 3_000
CHECKOUT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def facts(corpus: Path) -> list[Fact]:
    files = sorted(corpus.glob("*.eml"))[:MAILS]
    return [fact.of(parse(file.read_bytes())) for file in files]


def test_high_confidence_series_are_exact(facts: list[Fact], shared: Path) -> None:
    series = series_of(facts)
    owner = {member.key: one for one in series.values() for member in one.members}
    owner |= {one.cover: one for one in series.values() if one.cover is not None}
    last = f"{MAILS - 100:06}.eml"  # what lies near the end goes on beyond it
    with lzma.open(shared / "corpus/linux-aspeed.truth.jsonl.xz", "rt", encoding="utf-8") as lines:
        truth = [one for one in map(json.loads, lines) if max(one["files"].values()) < last]
    high = [one for one in truth if one["confidence"] == "high"]
    wrong = []
    for one in high:
        ours = owner.get(one["key"])
        posted = {} if ours is None else {str(m.number): m.key for m in ours.members if m.role == POSTED}
        found = None if ours is None else (posted, str(ours.version), ours.total, ours.cover)
        if found != (one["patches"], one["version"], one["total"], one["cover"]):
            wrong.append(one["key"])
    assert len(high) > 350
    assert len(wrong) <= len(high) // 200, wrong


def test_hardest_threads_in_any_order(facts: list[Fact]) -> None:
    threads = sorted(components(facts), key=_hardness, reverse=True)[:60]
    rng = Random(3)
    for thread in threads:
        expected = group.group(thread)
        for _ in range(8):
            shuffled = [*thread, *rng.choices(thread, k=3)]
            rng.shuffle(shuffled)
            assert group.group(shuffled) == expected


def test_components_and_revisions_in_any_order(facts: list[Fact]) -> None:
    series = series_of(facts)
    some = {key: one for key, one in series.items() if one.version > 1}
    expected = revisions(some.values())
    shuffled = list(facts)
    Random(4).shuffle(shuffled)
    assert series_of(shuffled) == series
    again = list(some.values())
    Random(5).shuffle(again)
    assert revisions(again) == expected


def _hardness(thread: list[Fact]) -> int:
    """Versions, re-rolls and authors of the patches in a thread."""
    patches = [one for one in thread if one.kind in ("patch", "cover")]
    return (
        4 * len({one.version for one in patches})
        + 4 * sum(one.reroll is not None for one in patches)
        + 2 * len({one.sender_email for one in patches})
        + len(patches)
    )


@pytest.mark.long
def test_whole_list(corpus: Path, shared: Path) -> None:
    """At least 99.5 % of the high-confidence series and 95 % of the medium ones are exact."""
    assert corpus.is_dir()
    command = [sys.executable, str(CHECKOUT / "bench/grouping.py"), "--corpus", str(shared / "corpus")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout
    [ours] = re.findall(r"^ingestd +\d+ \(([\d.]+) %\) +\d+ \(([\d.]+) %\)", printed, re.MULTILINE)
    assert float(ours[0]) >= 99.5
    assert float(ours[1]) >= 95
