"""What a mail usually costs, and how many times that another one does."""

import statistics
import time
from collections.abc import Sequence

from ingestd.mail.parse import parse

DEAREST = 10  # times the median's time a byte: no mail should take more
SUSPECT = 0.8 * DEAREST  # a machine that changes its pace may show a dear mail as cheap as that
SMALLEST = 4_096  # bytes; a shorter mail may take as long as one of this size
ROUNDS = 5
SURELY = 51  # rounds for those that matter


def cost(raw: bytes, rounds: int = 1) -> float:
    """CPU seconds a byte, the best of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        started = time.process_time()
        parse(raw)
        best = min(best, time.process_time() - started)
    return best / max(len(raw), SMALLEST)


class Usual:
    """Mails that cost as much a byte as the median does: the measure for others."""

    def __init__(self, mails: Sequence[bytes]) -> None:
        """Find them among these, which should be real ones."""
        costs = sorted((cost(raw, ROUNDS), raw) for raw in mails)
        half = len(costs) // 2
        self.mails = [raw for _, raw in costs[max(half - 3, 0) : half + 4]]
        self.size = sum(max(len(raw), SMALLEST) for raw in self.mails)
        self.median = costs[half][0]

    def times(self, raw: bytes, rounds: int = ROUNDS) -> float:
        """How many times the median's time a byte a mail takes.

        Both are timed in turn, and the median of so many pairs counts: a machine that is shared changes its pace, for
        seconds or a moment, and then for both.
        """
        return statistics.median(cost(raw) / self.here() for _ in range(rounds))

    def here(self) -> float:
        """Seconds a byte of the usual mails, now."""
        return sum(cost(usual) * max(len(usual), SMALLEST) for usual in self.mails) / self.size
