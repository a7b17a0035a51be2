"""Go on with what comes to an archive. Fetching it is somebody else's business."""

import asyncio
import signal
from collections.abc import Callable, Sequence

import structlog

from ingestd.errors import UserError
from ingestd.sources.load import Load
from ingestd.sources.source import Source
from ingestd.store import engine

log = structlog.get_logger()

INTERVAL = 10.0  # seconds between looks


async def follow(load: Load, find: Callable[[], Sequence[Source]], interval: float = INTERVAL) -> None:
    """Import what `find` finds, again and again, until SIGTERM or SIGINT; a batch under way is finished.

    UserError when the first time fails. Later ones are said, and tried again: an archive may be out of order while
    somebody repacks it, and a database while it is restarted.
    """
    stopped = asyncio.Event()

    def stop() -> None:
        stopped.set()
        load.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        await load.run(find())
        log.info("following", read=load.summary.read)
        while not stopped.is_set():
            try:
                async with asyncio.timeout(interval):
                    await stopped.wait()
            except TimeoutError:
                await _again(load, find)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _again(load: Load, find: Callable[[], Sequence[Source]]) -> None:
    before = load.summary.read
    try:
        await load.run(await asyncio.to_thread(find))
    except UserError as error:
        log.warning("follow_failed", error=str(error))
    except engine.FAILURES as error:
        log.warning("follow_failed", error=engine.reason(error))
    if load.summary.read > before:
        log.info("followed", read=load.summary.read - before, new=load.summary.new, repeats=load.summary.repeats)
