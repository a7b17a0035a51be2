"""Commands beside a daemon: use the embedded PostgreSQL that it runs, or run one for as long as the command lasts."""

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ingestd.errors import UnavailableError
from ingestd.postgres.directory import open_lock, wait_lock
from ingestd.postgres.server import InUse, Postgres

PATIENCE = 30.0  # seconds for a server that somebody else starts


@asynccontextmanager
async def attach(directory: Path, *, bindir: Path | None = None) -> AsyncIterator[str]:
    """The URL of the server of `directory`: of the one that another ingestd runs, else of our own until the end.

    Our own outlives its guests: `ingestd import` must not lose its database because a short command came first.
    """
    server = Postgres(directory, bindir=bindir)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            await server.start(patience=0)
        except InUse:
            guests = open_lock(server.directory / "guests.lock")
            try:
                # An owner that stops holds this lock for itself; once it is gone, it is our turn to be the owner.
                if await wait_lock(guests, fcntl.LOCK_SH, PATIENCE) and await server.answers():
                    yield server.url
                    return
            finally:
                os.close(guests)
            if time.monotonic() > deadline:
                raise UnavailableError(f"{server.cluster}: another ingestd runs it, but it does not answer") from None
            await asyncio.sleep(0.05)
        else:
            guests = open_lock(server.directory / "guests.lock")
            try:
                yield server.url
            finally:
                try:
                    await wait_lock(guests)
                finally:
                    await server.stop()
                    os.close(guests)
            return
