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
from series.hardest import hardest
from series.made import revisions, series_of

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
    _check_threads(hardest(facts, 60), orders=8)


def test_components_and_revisions_in_any_order(facts: list[Fact]) -> None:
    _check_run(facts, orders=1)


@pytest.mark.long
def test_200_hardest_threads_of_the_whole_list_in_50_orders(corpus: Path) -> None:
    """With repeats; what the store adds to it is tested in end_to_end/test_confluence.py."""
    everything = [fact.of(parse(file.read_bytes())) for file in sorted(corpus.glob("*.eml"))]
    threads = hardest(everything, 200)
    assert len(threads) == 200
    _check_threads(threads, orders=50)


@pytest.mark.long
def test_3000_mails_in_50_orders(facts: list[Fact]) -> None:
    """Threads, series and what supersedes what, each order with repeats."""
    assert len(facts) == MAILS
    _check_run(facts, orders=50)


def _check_threads(threads: list[list[Fact]], orders: int) -> None:
    rng = Random(3)
    for thread in threads:
        expected = group.group(thread)
        for _ in range(orders):
            shuffled = [*thread, *rng.choices(thread, k=3)]
            rng.shuffle(shuffled)
            assert group.group(shuffled) == expected


def _check_run(facts: list[Fact], orders: int) -> None:
    rng = Random(4)
    expected = series_of(facts)
    expected_revisions = revisions(expected.values())
    for _ in range(orders):
        shuffled = [*facts, *rng.sample(facts, 100)]
        rng.shuffle(shuffled)
        series = series_of(shuffled)
        assert series == expected
        some = list(series.values())
        rng.shuffle(some)
        assert revisions(some) == expected_revisions


@pytest.mark.long
def test_whole_list(corpus: Path, shared: Path) -> None:
    """Exact series: 99.5 % of high and 95 % of medium confidence; 99.9 % and 98 % where each miss has its verdict."""
    assert corpus.is_dir()
    command = [sys.executable, str(CHECKOUT / "bench/grouping.py"), "--misses", "--corpus", str(shared / "corpus")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout
    for name, high, medium in (("ingestd", 99.5, 95), ("ingestd, with verdicts", 99.9, 98)):
        [ours] = re.findall(rf"^{name} +\d+ \(([\d.]+) %\) +\d+ \(([\d.]+) %\)", printed, re.MULTILINE)
        assert float(ours[0]) >= high
        assert float(ours[1]) >= medium
    assert "no verdict" not in printed
