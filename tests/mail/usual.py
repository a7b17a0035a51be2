"""What a mail usually costs, and how many times that another one does."""

import statistics
import time
from collections.abc import Sequence

from ingestd.mail.parse import parse

DEAREST = 10  # times the median's time a byte: no mail should take more
SMALLEST = 4_096  # bytes; a shorter mail may take as long as one of this size
ROUNDS = 5


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
        self.median = costs[half][0]

    def times(self, raw: bytes, rounds: int = ROUNDS) -> float:
        """How many times the median's time a byte a mail takes. Both are timed in turn: the machine's pace changes."""
        best, here = self._pair(raw, rounds)
        return best / here

    def surely(self, mails: Sequence[bytes], occasions: int = 5) -> list[float]:
        """The same for some mails, timed on several occasions: a pace that lasts for seconds disturbs few of them."""
        pairs = []
        for _ in range(occasions):
            time.sleep(1)
            pairs.append([self._pair(raw, ROUNDS) for raw in mails])
        return [min(best for best, _ in timed) / min(here for _, here in timed) for timed in zip(*pairs, strict=True)]

    def _pair(self, raw: bytes, rounds: int) -> tuple[float, float]:
        """Seconds a byte of this mail, and of the usual ones."""
        best = here = float("inf")
        for _ in range(rounds):
            best = min(best, cost(raw))
            here = min(here, statistics.median(cost(usual) for usual in self.mails))
        return best, here
