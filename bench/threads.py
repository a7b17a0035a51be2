#!/usr/bin/env python3
"""Time grouping of big made-up threads: milliseconds for 20, 200 and 2,000 mails of each shape.

usage: ./dev bench threads
"""

import sys
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "tests")]

from series.made import SHAPES, mails  # noqa: E402 - runs from a checkout that is not installed

from ingestd.series import group, link  # noqa: E402
from ingestd.series.values import Fact  # noqa: E402

SIZES = (20, 200, 2_000)


def main() -> None:
    """Print a row a shape: the best of three."""
    print(f"{'milliseconds to group a thread of':36}" + "".join(f"{size:>8} mails" for size in SIZES))
    for name, table in SHAPES.items():
        row = ""
        for size in SIZES:
            facts = mails(table(size))
            row += f"{1000 * min(_time(facts) for _ in range(3)):>14.1f}"
        print(f"{name:36}{row}")
    facts = mails(SHAPES["series below its cover"](2_000))
    started = time.perf_counter()
    for fact in facts:
        link.keys(fact)
    print(f"link keys of one mail: {1_000_000 * (time.perf_counter() - started) / len(facts):.0f} us")


def _time(facts: list[Fact]) -> float:
    started = time.perf_counter()
    group.group(facts)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
