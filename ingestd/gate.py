"""A bounded amount of something, dealt out in the order of asking."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Gate:
    """So much may be within at a time. What is larger than all of it gets in alone."""

    def __init__(self, limit: int) -> None:
        """Let `limit` in."""
        self._limit = limit
        self.used = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def limit(self) -> int:
        """How much may be within; who waits gets in when it is raised."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        self._admit()

    @asynccontextmanager
    async def enter(self, size: int, patience: float) -> AsyncIterator[None]:
        """Be within with `size`. TimeoutError when that takes longer than `patience` seconds to begin.

        Who asked first gets in first, so that something large is not kept out by much that is small.
        """
        if not self._waiting and self._fits(size):
            self.used += size
        else:
            await self._wait(size, patience)
        try:
            yield
        finally:
            self._leave(size)

    async def _wait(self, size: int, patience: float) -> None:
        entry = (size, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(patience):
                await entry[1]
        except BaseException:
            if entry in self._waiting:
                self._waiting.remove(entry)
                self._admit()
            else:  # let in at the moment of giving up
                self._leave(size)
            raise

    def _fits(self, size: int) -> bool:
        return self.used == 0 or self.used + size <= self._limit

    def _leave(self, size: int) -> None:
        self.used -= size
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            size, future = self._waiting.popleft()
            self.used += size
            if not future.done():
                future.set_result(None)
