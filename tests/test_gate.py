"""Who gets in, in which order, and what becomes of those who give up."""

import asyncio
import random

import pytest

from ingestd.gate import Gate


async def test_in_the_order_of_asking() -> None:
    gate, order = Gate(10), []

    async def visit(name: str, size: int) -> None:
        async with gate.enter(size, 5):
            order.append(name)
            await asyncio.sleep(0)

    async with gate.enter(8, 1):
        visits = [asyncio.create_task(visit(name, size)) for name, size in (("large", 9), ("small", 1), ("small", 1))]
        await asyncio.sleep(0)
        assert order == [], "the small ones fit, but the large one was first"
    await asyncio.gather(*visits)
    assert order[0] == "large"
    assert gate.used == 0


async def test_larger_than_all_of_it() -> None:
    gate = Gate(10)
    async with gate.enter(100, 1):
        with pytest.raises(TimeoutError):
            async with gate.enter(1, 0.01):
                pass
    async with gate.enter(10, 0.01):
        pass


async def test_who_gives_up_makes_way() -> None:
    gate = Gate(10)
    async with gate.enter(8, 1):
        large = asyncio.create_task(gate.enter(5, 0.05).__aenter__())
        await asyncio.sleep(0)
        async with gate.enter(2, 5):
            pass
        with pytest.raises(TimeoutError):
            await large
    assert gate.used == 0


async def test_a_limit_that_is_raised_lets_in_who_waits() -> None:
    gate = Gate(1)
    async with gate.enter(1, 1):
        waiting = asyncio.create_task(gate.enter(1, 5).__aenter__())
        await asyncio.sleep(0)
        gate.limit = 2
        await waiting
        assert gate.used == 2


async def test_nothing_is_lost_count_of() -> None:
    """Visitors of all sizes, many of which give up, some at the moment they are let in."""
    gate, chance, most = Gate(10), random.Random(1), 0

    async def visit() -> None:
        nonlocal most
        size = chance.randrange(1, 8)
        async with gate.enter(size, chance.random() / 100):
            most = max(most, gate.used)
            await asyncio.sleep(chance.random() / 500)

    tasks = [asyncio.create_task(visit()) for _ in range(500)]
    for task in chance.sample(tasks, 100):
        await asyncio.sleep(0)
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {type(None), TimeoutError, asyncio.CancelledError}
    assert gate.used == 0
    assert 0 < most <= 10  # how full it gets is the pace's matter
