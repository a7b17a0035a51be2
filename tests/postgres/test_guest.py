"""Commands that use the daemon's PostgreSQL, or one of their own."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from server_owner import Owner

from ingestd.errors import UnavailableError
from ingestd.postgres import Postgres, attach, guest


async def test_uses_the_server_that_runs(made_directory: Path, own: Callable[[Path], Owner]) -> None:
    owner = own(made_directory).ready()
    async with attach(made_directory) as url:
        assert url == Postgres(made_directory).url
    os.kill(owner.server, 0)  # it was left alone


async def test_runs_one_of_its_own_meanwhile(data_directory: Path) -> None:
    async with attach(data_directory) as url:
        assert url == Postgres(data_directory).url
        assert await Postgres(data_directory).answers()
    assert not await Postgres(data_directory).answers()


async def test_own_server_outlives_its_guests(made_directory: Path) -> None:
    first_may_end, second_may_end = asyncio.Event(), asyncio.Event()
    ready = asyncio.Queue[str]()

    async def use(may_end: asyncio.Event) -> None:
        async with attach(made_directory):
            await ready.put("ready")
            await may_end.wait()

    owner = asyncio.create_task(use(first_may_end))
    await ready.get()
    visitor = asyncio.create_task(use(second_may_end))
    await ready.get()
    first_may_end.set()
    await asyncio.sleep(0.2)
    assert not owner.done()
    assert await Postgres(made_directory).answers()
    second_may_end.set()
    await asyncio.gather(owner, visitor)
    assert not await Postgres(made_directory).answers()


async def test_many_at_once_get_their_turn(data_directory: Path) -> None:
    async def use() -> bool:
        async with attach(data_directory):
            return await Postgres(data_directory).answers()

    assert all(await asyncio.gather(*(use() for _ in range(8))))


async def test_server_that_does_not_answer(
    made_directory: Path, own: Callable[[Path], Owner], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = own(made_directory).ready()
    os.kill(owner.process.pid, signal.SIGSTOP)  # so that it does not start another
    os.kill(owner.server, signal.SIGKILL)
    monkeypatch.setattr(guest, "PATIENCE", 0.3)
    with pytest.raises(UnavailableError, match=r"another ingestd runs it, but it does not answer$"):
        async with attach(made_directory):
            pass
