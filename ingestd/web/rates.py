"""How much one address may ask: buckets that fill again."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from ingestd.web.answer import RefusalError

REMEMBERED = 10_000  # addresses


@dataclass(slots=True)
class Rate:
    """`per_second` on the long run, `burst` at once, for each address."""

    per_second: float
    burst: float
    clock: Callable[[], float] = time.monotonic
    _buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)  # -> (left, as of when)

    def _left(self, address: str) -> float:
        left, at = self._buckets.get(address, (self.burst, 0.0))
        return min(self.burst, left + (self.clock() - at) * self.per_second)

    def check(self, address: str) -> None:
        """RefusalError (429) for an address that has asked too much."""
        left = self._left(address)
        if left < 1:
            wait = (1 - left) / self.per_second
            raise RefusalError(
                429,
                f"Request was throttled. Expected available in {wait:.0f} seconds.",
                {"Retry-After": f"{wait + 1:.0f}"},
            )

    def take(self, address: str) -> None:
        """Note a request. The address that has been quiet for longest is forgotten where there are too many."""
        self._buckets[address] = (self._left(address) - 1, self.clock())
        self._buckets.move_to_end(address)
        while len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
